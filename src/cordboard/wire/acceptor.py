"""Accepting TCP and TLS: every connection counts from its first packet, also while it shakes hands."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable

import structlog

from cordboard.sip.flow import Flow, HostPort
from cordboard.wire.listener import Listener

log = structlog.get_logger(__name__)

ACCEPTS_PER_WAKE_UP = 64
PAUSE = 1.0
"""Seconds without accepting where the system has no descriptor left."""

ProtocolFactory = Callable[[Flow, Callable[[], None]], asyncio.Protocol]
"""Makes the protocol of one connection; it calls the second argument once, when the connection is gone."""


class Acceptor:
    """One listening socket.

    ``admitted`` sees the flow before a byte is read or a handshake is begun: a source that may not call gets nothing.
    ``maximum`` bounds all connections of this listener, ``maximum_per_source`` those of one address.
    """

    def __init__(
        self,
        listener: Listener,
        protocol: ProtocolFactory,
        *,
        admitted: Callable[[Flow], bool],
        context: Callable[[], ssl.SSLContext | None],
        number: Callable[[], int],
        maximum: int,
        maximum_per_source: int,
        handshake_limit: float,
    ) -> None:
        """Bind and listen; raises OSError."""
        self._listener = listener
        self._protocol = protocol
        self._admitted = admitted
        self._context = context
        self._number = number
        self._maximum = maximum
        self._maximum_per_source = maximum_per_source
        self._handshake_limit = handshake_limit
        self._sources: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._paused: asyncio.TimerHandle | None = None
        self.socket = socket.socket(listener.family, socket.SOCK_STREAM)
        try:
            if listener.family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.setblocking(False)
            self.socket.bind((listener.host, listener.port))
            self.socket.listen(512)
        except OSError:
            self.socket.close()
            raise
        self.local: HostPort = self.socket.getsockname()[:2]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept from now on."""
        self._loop = loop
        loop.add_reader(self.socket, self._readable)

    @property
    def connections(self) -> int:
        """Connections of this listener, with those that shake hands."""
        return self._sources.total()

    def _readable(self) -> None:
        assert self._loop is not None
        for _ in range(ACCEPTS_PER_WAKE_UP):
            try:
                connection, remote = self.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause(error)
                    return
                continue
            host = remote[0]
            full = self.connections >= self._maximum or self._sources[host] >= self._maximum_per_source
            # The address that the peer reached, also on a listener of all interfaces.
            flow = Flow(self._listener.transport, connection.getsockname()[:2], (host, remote[1]), self._number())
            if full or not self._admitted(flow):
                connection.close()
                continue
            self._sources[host] += 1
            connection.setblocking(False)
            task = self._loop.create_task(self._begin(connection, flow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _begin(self, connection: socket.socket, flow: Flow) -> None:
        assert self._loop is not None
        given_back = False

        def gone() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._sources[flow.remote[0]] -= 1
                if self._sources[flow.remote[0]] <= 0:
                    del self._sources[flow.remote[0]]

        secure = flow.transport == "tls"
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(flow, gone),
                connection,
                ssl=self._context() if secure else None,
                ssl_handshake_timeout=self._handshake_limit if secure else None,
            )
        except (OSError, ssl.SSLError, TimeoutError, ValueError) as error:
            # Scanners shake no hands to the end: this is not worth more than a line for who looks for it.
            log.debug("connection_refused", remote=flow.remote, error=str(error))
            connection.close()
            gone()
        except asyncio.CancelledError:
            connection.close()
            gone()
            raise

    def _pause(self, error: OSError) -> None:
        assert self._loop is not None
        log.error("accept_failed", listener=str(self._listener), error=error.strerror)
        self._loop.remove_reader(self.socket)
        self._paused = self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        self._paused = None
        if self._loop is not None:
            self._loop.add_reader(self.socket, self._readable)

    def close(self) -> None:
        """Stop accepting, and end the handshakes that are under way."""
        if self._paused is not None:
            self._paused.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self.socket)
            self._loop = None
        for task in self._tasks:
            task.cancel()
        self.socket.close()
