"""Local ports: pairs of an even RTP port and the RTCP port above it (RFC 3550 §11), held back for a while after use."""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from threading import Lock
from typing import NamedTuple

from cordboard.media.face import NoPortError

ANYWHERE = (20000, 60999)


class Pair(NamedTuple):
    port: int
    rtp: socket.socket
    rtcp: socket.socket

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


class PortRange:
    """Jacks are opened on one thread and closed on another; `clock` is monotonic seconds."""

    def __init__(
        self, ip: str, ports: tuple[int, int], quarantine: float, clock: Callable[[], float], chance: random.Random
    ) -> None:
        low, high = ports if ports != (0, 0) else ANYWHERE
        first = low + low % 2
        if not (0 < low <= high <= 65535) or first + 1 > high:
            raise ValueError(f"media ports {low}-{high}: no pair of an even and the next odd port")
        self._family = socket.AF_INET6 if ip_address(ip).version == 6 else socket.AF_INET
        self._ip = ip
        self._first = first
        self._pairs = (high - first + 1) // 2
        self._next = chance.randrange(self._pairs)
        self._quarantine = quarantine
        self._clock = clock
        self._taken: set[int] = set()
        self._held: deque[tuple[float, int]] = deque()
        self._lock = Lock()

    @property
    def counts(self) -> tuple[int, int]:
        """Open, held back."""
        with self._lock:
            self._expire()
            return len(self._taken) - len(self._held), len(self._held)

    def _expire(self) -> None:
        now = self._clock()
        while self._held and self._held[0][0] <= now:
            self._taken.discard(self._held.popleft()[1])

    def open(self) -> Pair:
        with self._lock:
            return self._open()

    def _open(self) -> Pair:
        self._expire()
        if len(self._taken) >= self._pairs:
            raise NoPortError("every media port is taken or held back")
        for _ in range(self._pairs):
            port = self._first + 2 * self._next
            self._next = (self._next + 1) % self._pairs
            if port in self._taken:
                continue
            try:
                pair = self._bind(port)
            except OSError as error:
                if not isinstance(error, PermissionError) and error.errno not in (98, 48):  # EADDRINUSE
                    raise NoPortError(f"{self._ip}: {error.strerror}") from error
                continue
            self._taken.add(port)
            return pair
        raise NoPortError("every media port is taken by another program")

    def _bind(self, port: int) -> Pair:
        rtp = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            rtp.setblocking(False)
            rtp.bind((self._ip, port))
            rtcp = socket.socket(self._family, socket.SOCK_DGRAM)
            try:
                rtcp.setblocking(False)
                rtcp.bind((self._ip, port + 1))
            except OSError:
                rtcp.close()
                raise
        except OSError:
            rtp.close()
            raise
        return Pair(port, rtp, rtcp)

    def release(self, port: int) -> None:
        """The sockets are closed; the port rests."""
        with self._lock:
            self._held.append((self._clock() + self._quarantine, port))
