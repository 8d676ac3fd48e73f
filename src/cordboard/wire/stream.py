"""TCP and TLS connections: accepted ones and those the core asks for."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from cordboard.sip.flow import Flow, HostPort

if TYPE_CHECKING:
    from cordboard.wire.shell import SipShell

MAXIMUM_UNSENT = 1024 * 1024
"""Bytes that a peer may leave unread before its connection is closed."""


class StreamConnection(asyncio.Protocol):
    """One connection; every byte goes to the core, which frames it (RFC 3261 §18.3)."""

    def __init__(self, shell: SipShell, transport: str, local: HostPort, flow: Flow | None = None) -> None:
        self._shell = shell
        self._name = transport
        self._local = local
        self._transport: asyncio.Transport | None = None
        self.flow = flow

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection can carry bytes."""
        self._transport = cast(asyncio.Transport, transport)
        if self.flow is None:
            peer = transport.get_extra_info("peername")
            self.flow = Flow(self._name, self._local, (peer[0], peer[1]), self._shell.next_connection())
        self._shell.connected(self.flow, self)

    def data_received(self, data: bytes) -> None:
        """The next bytes of the stream."""
        if self.flow is not None:
            self._shell.received(data, self.flow)
            self._shell.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        if self.flow is not None:
            self._shell.disconnected(self.flow)

    def write(self, data: bytes) -> None:
        """Send; a peer that does not read is cut off."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAXIMUM_UNSENT:
            self._transport.abort()
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close after what was written."""
        if self._transport is not None:
            self._transport.close()


async def open_stream(
    shell: SipShell, flow: Flow, name: str, context: ssl.SSLContext | None, time_limit: float
) -> StreamConnection:
    """Connect within ``time_limit`` seconds; raises OSError or TimeoutError. TLS proves ``name`` (RFC 5922 §7)."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(time_limit):
        _, connection = await loop.create_connection(
            lambda: StreamConnection(shell, flow.transport, flow.local, flow),
            flow.remote[0],
            flow.remote[1],
            ssl=context if flow.transport == "tls" else None,
            server_hostname=name if flow.transport == "tls" and context is not None else None,
        )
    return connection
