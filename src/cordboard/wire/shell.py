"""The asyncio shell around the signalling core: sockets, timers, DNS. It decides nothing about the protocol."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TypeVar

import structlog

from cordboard.sip.endpoint import Endpoint
from cordboard.sip.events import Event
from cordboard.sip.flow import Close, Connect, Flow, HostPort, Query, Resolve, SendBytes
from cordboard.wire.acceptor import Acceptor
from cordboard.wire.dns import DnsResolver
from cordboard.wire.listener import Listener, ListenerError, source_address
from cordboard.wire.stream import StreamConnection, open_stream
from cordboard.wire.tls import TlsContexts
from cordboard.wire.udp import UdpListener

log = structlog.get_logger(__name__)

T = TypeVar("T")

MAXIMUM_TASKS = 4096
"""DNS questions and connections being opened at one time."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Of TCP and TLS connections; times in seconds."""

    connect: float = 4.0
    """A connection that we open, with its handshake."""
    handshake: float = 10.0
    """The handshake of a connection that a peer opens."""
    maximum_per_source: int = 100
    """Connections that one address may have open."""


class SipShell:
    """Runs one Endpoint on the running loop.

    ``on_event`` is called on the loop with every event, in order; it may call ``run`` again, whose effects follow.
    ``listeners`` are texts such as ``udp://127.0.0.1:5060`` or Listener values; port 0 takes a free one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        listeners: Sequence[str | Listener],
        on_event: Callable[[Event], None],
        *,
        resolver: DnsResolver | None = None,
        tls: TlsContexts | None = None,
        limits: StreamLimits | None = None,
    ) -> None:
        """``tls`` is needed for ``tls://`` listeners, and for calls by TLS."""
        self.endpoint = endpoint
        self._wanted = [Listener.parse(item) if isinstance(item, str) else item for item in listeners]
        self._on_event = on_event
        self._resolver = resolver
        self.tls = tls
        self._limits = limits or StreamLimits()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._udp: dict[HostPort, UdpListener] = {}
        self._wildcards: dict[tuple[bool, int], UdpListener] = {}
        self._acceptors: list[Acceptor] = []
        self._connections: dict[Flow, StreamConnection] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._flushing = False
        self._closed = False
        self.addresses: list[tuple[str, HostPort]] = []
        """Transport and bound address of each listener, in the order in which they were given."""

    # Life -----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind every listener; raises ListenerError naming the one that failed, with nothing left open."""
        self._loop = asyncio.get_running_loop()
        if self._resolver is None:
            self._resolver = DnsResolver()
        if self.endpoint.config.source_address is None:
            self.endpoint.config.source_address = lru_cache(maxsize=1024)(source_address)
        try:
            for listener in self._wanted:
                self._bind(listener)
        except BaseException:
            await self.close()
            raise
        self.flush()

    def _bind(self, listener: Listener) -> None:
        assert self._loop is not None
        try:
            if listener.transport == "udp":
                udp = UdpListener(listener, self.received, self.flush, self._send_failed)
                udp.start(self._loop)
                self._udp[udp.local] = udp
                if udp.wildcard:
                    self._wildcards[":" in udp.local[0], udp.local[1]] = udp
                local = udp.local
            else:
                local = self._listen(listener)
        except OSError as error:
            raise ListenerError(f"{listener}: {error.strerror or error}") from error
        self.addresses.append((listener.transport, local))
        self.endpoint.listening(listener.transport, local)

    def _listen(self, listener: Listener) -> HostPort:
        assert self._loop is not None
        if listener.transport == "tls" and (self.tls is None or self.tls.server is None):
            raise ListenerError(f"{listener}: no certificate is configured (sip.tls_certificate)")
        limits = self._limits
        acceptor = Acceptor(
            listener,
            lambda flow, gone: StreamConnection(self, flow, gone),
            admitted=lambda flow: self.endpoint.config.admit(flow) != "drop",
            context=lambda: self.tls.server if self.tls is not None else None,
            number=lambda: next(self._numbers),
            maximum=self.endpoint.config.maximum_connections,
            maximum_per_source=limits.maximum_per_source,
            handshake_limit=limits.handshake,
        )
        self._acceptors.append(acceptor)
        acceptor.start(self._loop)
        return acceptor.local

    @property
    def accepted(self) -> int:
        """Connections that peers opened, with those that shake hands."""
        return sum(acceptor.connections for acceptor in self._acceptors)

    @property
    def ports(self) -> list[int]:
        """The bound ports, in the order of the listeners."""
        return [local[1] for _, local in self.addresses]

    async def close(self) -> None:
        """Close every socket and stop every task and timer. The core is not told: drain it before."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._connections.values()):
            connection.close()
        for acceptor in self._acceptors:
            acceptor.close()
        for udp in self._udp.values():
            udp.close()
        self._udp.clear()
        self._wildcards.clear()
        self._acceptors.clear()

    # The core -------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The clock that the core is given: the loop's."""
        assert self._loop is not None
        return self._loop.time()

    def run(self, command: Callable[[Endpoint, float], T]) -> T:
        """Execute one command and send what it wants. Its errors are the caller's."""
        result = command(self.endpoint, self.now)
        self.flush()
        return result

    def received(self, data: bytes, flow: Flow) -> None:
        """Bytes from a socket; the caller flushes after its batch."""
        try:
            self.endpoint.receive(data, flow, self.now)
        except Exception:
            # A fault of ours in one call must not stop the others.
            log.exception("signalling core failed on a message", transport=flow.transport, remote=flow.remote)

    def flush(self) -> None:
        """Carry out what the core wants until it wants nothing, then sleep until its next timer."""
        if self._flushing or self._closed:
            return
        self._flushing = True
        endpoint = self.endpoint
        try:
            while True:
                outgoing = endpoint.take_outgoing()
                for output in outgoing:
                    if isinstance(output, SendBytes):
                        self._send(output.flow, output.data)
                    elif isinstance(output, Resolve):
                        self._spawn(self._resolve(output.query))
                    elif isinstance(output, Connect):
                        self._spawn(self._connect(output.flow, output.name))
                    elif isinstance(output, Close):
                        self._hang_up(output.flow)
                events = endpoint.take_events()
                for event in events:
                    try:
                        self._on_event(event)
                    except Exception:
                        log.exception("event handler failed", event_type=type(event).__name__)
                if not outgoing and not events:
                    break
        finally:
            self._flushing = False
        self._schedule()

    def _schedule(self) -> None:
        due = self.endpoint.next_timer()
        if due is None or self._closed:
            return
        timer = self._timer
        # A wake-up that is already planned and early enough is kept: most timers are stopped before they fire.
        if timer is not None and not timer.cancelled() and self._timer_at <= due:
            return
        if timer is not None:
            timer.cancel()
        assert self._loop is not None
        self._timer_at = due
        self._timer = self._loop.call_at(due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        try:
            self.endpoint.handle_timer(self.now)
        except Exception:
            log.exception("signalling core failed on a timer")
        self.flush()

    # Sockets --------------------------------------------------------------------------------------------------------

    def _send(self, flow: Flow, data: bytes) -> None:
        if flow.connection is None:
            udp = self._udp.get(flow.local)
            if udp is not None:
                udp.send(data, flow.remote)
                return
            host, port = flow.local
            udp = self._wildcards.get((":" in host, port))
            if udp is not None:
                # Back from the address that the peer reached, or its NAT and its own checks will not know us.
                udp.send(data, flow.remote, host)
        else:
            connection = self._connections.get(flow)
            if connection is not None:
                connection.write(data)

    def _send_failed(self, flow: Flow) -> None:
        if not self._closed:
            self.endpoint.send_failed(flow, self.now)
            self.flush()

    def _hang_up(self, flow: Flow) -> None:
        connection = self._connections.get(flow)
        if connection is not None:
            connection.close()

    def connected(self, flow: Flow, connection: StreamConnection, identities: Sequence[str]) -> None:
        """A connection can carry bytes; ``identities`` are what the peer's certificate proves."""
        if self._closed:
            connection.close()
            return
        self._connections[flow] = connection
        self.endpoint.connection_opened(flow, self.now, identities)
        self.flush()

    def disconnected(self, flow: Flow) -> None:
        """A connection is gone."""
        if self._connections.pop(flow, None) is not None and not self._closed:
            self.endpoint.connection_lost(flow, self.now)
            self.flush()

    async def _connect(self, flow: Flow, name: str) -> None:
        try:
            context = self.tls.client if self.tls is not None else None
            await open_stream(self, flow, name, context, self._limits.connect)
        except (OSError, TimeoutError, ssl.SSLError) as error:
            log.warning(
                "connection_failed", transport=flow.transport, remote=flow.remote, error=str(error) or "time limit"
            )
            self._send_failed(flow)

    # DNS ------------------------------------------------------------------------------------------------------------

    async def _resolve(self, query: Query) -> None:
        assert self._resolver is not None
        answers = await self._resolver.resolve(query)
        self.endpoint.resolved(query, answers, self.now)
        self.flush()

    def _spawn(self, work: object) -> None:
        assert self._loop is not None
        assert asyncio.iscoroutine(work)
        if len(self._tasks) >= MAXIMUM_TASKS:
            work.close()  # The core's own time limit reports it.
            return
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
