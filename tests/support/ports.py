"""Free loopback ports for programs that must be told theirs."""

from __future__ import annotations

import itertools
import os
import socket

_block = itertools.count()


def free_port(spacing: int = 4) -> int:
    """A UDP port whose UDP and TCP neighbours up to ``spacing`` are free as well.

    baresip binds the port after its own for TLS, RTP binds the one after for RTCP; the blocks that one
    test process hands out never overlap.
    """
    base = 33000 + (os.getpid() % 40) * 500
    for _ in range(2000):
        port = base + (next(_block) * spacing) % 20000
        if port > 60000:
            port -= 27000
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
