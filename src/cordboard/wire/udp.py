"""One UDP listener: several datagrams per wake-up, and a bounded queue for what the kernel cannot take at once."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from cordboard.sip.flow import Flow, HostPort
from cordboard.wire.listener import Listener

DATAGRAMS_PER_WAKE_UP = 64
MAXIMUM_QUEUE = 1024
_RECEIVE_BUFFER = 4 * 1024 * 1024


class UdpListener:
    """A bound socket. ``receive`` gets the bytes and their flow; ``woken`` is called after a batch."""

    def __init__(
        self,
        listener: Listener,
        receive: Callable[[bytes, Flow], None],
        woken: Callable[[], None],
        failed: Callable[[Flow], None],
    ) -> None:
        """Bind; raises OSError."""
        self._receive = receive
        self._woken = woken
        self._failed = failed
        self._queue: deque[tuple[bytes, HostPort]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.socket = socket.socket(listener.family, socket.SOCK_DGRAM)
        try:
            if listener.family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A burst of calls waits in the kernel while we work.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self.socket.setblocking(False)
            self.socket.bind((listener.host, listener.port))
        except OSError:
            self.socket.close()
            raise
        self.local: HostPort = self.socket.getsockname()[:2]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read from now on."""
        self._loop = loop
        loop.add_reader(self.socket, self._readable)

    def _readable(self) -> None:
        receive_from = self.socket.recvfrom
        receive = self._receive
        local = self.local
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                data, remote = receive_from(65535)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # The error of an earlier datagram (ICMP); the timers of its transaction decide.
            receive(data, Flow("udp", local, (remote[0], remote[1])))
        self._woken()

    def send(self, data: bytes, remote: HostPort) -> None:
        """Send or queue; a datagram that cannot be sent is reported as failed."""
        if self._queue:
            self._enqueue(data, remote)
            return
        try:
            self.socket.sendto(data, remote)
        except (BlockingIOError, InterruptedError):
            self._enqueue(data, remote)
        except (OSError, OverflowError):
            self._report(remote)

    def _report(self, remote: HostPort) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._failed, Flow("udp", self.local, remote))

    def _enqueue(self, data: bytes, remote: HostPort) -> None:
        if len(self._queue) >= MAXIMUM_QUEUE:
            return  # Lost, as on any network; the transaction repeats it.
        if not self._queue and self._loop is not None:
            self._loop.add_writer(self.socket, self._writable)
        self._queue.append((data, remote))

    def _writable(self) -> None:
        while self._queue:
            data, remote = self._queue[0]
            try:
                self.socket.sendto(data, remote)
            except (BlockingIOError, InterruptedError):
                return
            except (OSError, OverflowError):
                self._report(remote)
            self._queue.popleft()
        if self._loop is not None:
            self._loop.remove_writer(self.socket)

    def close(self) -> None:
        """Stop and release the port."""
        if self._loop is not None:
            self._loop.remove_reader(self.socket)
            self._loop.remove_writer(self.socket)
            self._loop = None
        self.socket.close()
