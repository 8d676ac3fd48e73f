"""One UDP listener: several datagrams per wake-up, and a bounded queue for what the kernel cannot take at once."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import deque
from collections.abc import Callable

from cordboard.sip.flow import Flow, HostPort
from cordboard.sip.transport import WILDCARDS
from cordboard.wire.listener import Listener

DATAGRAMS_PER_WAKE_UP = 64
MAXIMUM_QUEUE = 1024
_RECEIVE_BUFFER = 4 * 1024 * 1024
_IP_PKTINFO = 8  # linux/in.h; Python 3.11 has no name for it
_IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", 49)
_IPV6_PKTINFO = getattr(socket, "IPV6_PKTINFO", 50)
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3  # linux/errqueue.h
_ERRORS_PER_WAKE_UP = 64

Ancillary = tuple[int, int, bytes]


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
        self._queue: deque[tuple[bytes, HostPort, str]] = deque()
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
        # RFC 3261 §18.4: an ICMP error is a transport error. The kernel queues it with its destination (ip(7)).
        if listener.family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        self.local: HostPort = self.socket.getsockname()[:2]
        self.wildcard = listener.host in WILDCARDS
        if self.wildcard:
            # Which address the peer reached is told with each datagram (ip(7), ipv6(7)).
            if listener.family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            else:
                self.socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read from now on."""
        self._loop = loop
        loop.add_reader(self.socket, self._readable_everywhere if self.wildcard else self._readable)

    def _readable(self) -> None:
        receive_from = self.socket.recvfrom
        receive = self._receive
        local = self.local
        data = b""
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                data, remote = receive_from(65535)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._read_errors()
                continue
            receive(data, Flow("udp", local, (remote[0], remote[1])))
        if not data:
            self._read_errors()
        self._woken()

    def _readable_everywhere(self) -> None:
        """As `_readable`, on a listener of all interfaces."""
        port = self.local[1]
        data = b""
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                data, ancillary, _flags, remote = self.socket.recvmsg(65535, 64)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._read_errors()
                continue
            self._receive(data, Flow("udp", (_reached(ancillary) or self.local[0], port), (remote[0], remote[1])))
        if not data:
            self._read_errors()
        self._woken()

    def _read_errors(self) -> None:
        """ICMP errors of datagrams that we sent; all of them, or the socket stays readable."""
        for _ in range(_ERRORS_PER_WAKE_UP):
            try:
                _, ancillary, _, remote = self.socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            if remote and _unreachable(ancillary):
                self._report((remote[0], remote[1]), "")

    def send(self, data: bytes, remote: HostPort, source: str = "") -> None:
        """Send or queue; a datagram that cannot be sent is reported as failed.

        ``source`` is the address that it shall come from, on a listener of all interfaces.
        """
        if self._queue:
            self._enqueue(data, remote, source)
            return
        try:
            self._put(data, remote, source)
        except (BlockingIOError, InterruptedError):
            self._enqueue(data, remote, source)
        except (OSError, OverflowError):
            self._report(remote, source)

    def _put(self, data: bytes, remote: HostPort, source: str) -> None:
        if source:
            self.socket.sendmsg([data], [_from(source)], 0, remote)
        else:
            self.socket.sendto(data, remote)

    def _report(self, remote: HostPort, source: str) -> None:
        if self._loop is not None:
            local = (source, self.local[1]) if source else self.local
            self._loop.call_soon(self._failed, Flow("udp", local, remote))

    def _enqueue(self, data: bytes, remote: HostPort, source: str) -> None:
        if len(self._queue) >= MAXIMUM_QUEUE:
            return  # Lost, as on any network; the transaction repeats it.
        if not self._queue and self._loop is not None:
            self._loop.add_writer(self.socket, self._writable)
        self._queue.append((data, remote, source))

    def _writable(self) -> None:
        while self._queue:
            data, remote, source = self._queue[0]
            try:
                self._put(data, remote, source)
            except (BlockingIOError, InterruptedError):
                return
            except (OSError, OverflowError):
                self._report(remote, source)
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


def _reached(ancillary: list[Ancillary]) -> str | None:
    """The address that a datagram was sent to: struct in_pktinfo, struct in6_pktinfo."""
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(value) >= 12:
            return socket.inet_ntop(socket.AF_INET, value[8:12])
        if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO and len(value) >= 20:
            return socket.inet_ntop(socket.AF_INET6, value[:16])
    return None


def _unreachable(ancillary: list[Ancillary]) -> bool:
    """Whether ICMP says that nobody is there: struct sock_extended_err. Too large a datagram is no such thing."""
    for level, kind, value in ancillary:
        if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
            number, origin = struct.unpack_from("=IB", value)
            return origin in (_ORIGIN_ICMP, _ORIGIN_ICMP6) and number != errno.EMSGSIZE
    return False


def _from(source: str) -> Ancillary:
    if ":" in source:
        address = socket.inet_pton(socket.AF_INET6, source.partition("%")[0])
        return (socket.IPPROTO_IPV6, _IPV6_PKTINFO, struct.pack("@16sI", address, 0))
    return (
        socket.IPPROTO_IP,
        _IP_PKTINFO,
        struct.pack("@I4s4s", 0, socket.inet_pton(socket.AF_INET, source), bytes(4)),
    )
