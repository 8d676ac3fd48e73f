"""Free loopback ports for programs that must be told theirs."""

from __future__ import annotations

import itertools
import os
import socket

_next_port = itertools.count()


def free_port(spacing: int = 4) -> int:
    """A UDP port whose UDP and TCP neighbours up to ``spacing`` are free as well.

    baresip binds the port after its own for TLS, RTP binds the one after for RTCP; the blocks that one
    test process hands out never overlap. They lie below the ephemeral ports (32768 on Linux) and the board's, so that
    nobody else is given one before the program binds it.
    """
    for _ in range(2000):
        port = 10000 + (os.getpid() % 40 * 240 + next(_next_port)) % 9900
        for _ in range(spacing - 1):
            next(_next_port)
        if all(_is_free(port + offset) for offset in range(spacing)):
            return port
    raise RuntimeError("no free block of loopback ports")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
