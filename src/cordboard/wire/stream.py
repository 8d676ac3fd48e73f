"""TCP and TLS connections: accepted ones and those the core asks for."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from cordboard.sip.certificate import identities, proves
from cordboard.sip.flow import Flow

if TYPE_CHECKING:
    from cordboard.wire.shell import SipShell

MAXIMUM_UNSENT = 1024 * 1024
"""Bytes that a peer may leave unread before its connection is closed."""


class StreamConnection(asyncio.Protocol):
    """One connection; every byte goes to the core, which frames it (RFC 3261 §18.3)."""

    def __init__(self, shell: SipShell, flow: Flow, gone: Callable[[], None], name: str = "") -> None:
        """``name`` is the domain that the peer's certificate must prove; empty for accepted connections."""
        self._shell = shell
        self._gone = gone
        self._name = name
        self._transport: asyncio.Transport | None = None
        self.flow = flow
        self.refused: OSError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection can carry bytes: the handshake is done, and the certificate's chain holds."""
        self._transport = cast(asyncio.Transport, transport)
        certificate = _certificate(transport)
        if self._name and self.flow.transport == "tls" and not proves(certificate, self._name):
            # RFC 5922 §7.2: a peer that proves another name is not sent a byte.
            self.refused = CertificateNameError(self._name, identities(certificate))
            self._transport.abort()
            return
        # RFC 5923 §6: a connection that proved nothing is used for answers and its own dialogs only.
        self._shell.connected(self.flow, self, tuple(identities(certificate)))

    def data_received(self, data: bytes) -> None:
        """The next bytes of the stream."""
        self._shell.received(data, self.flow)
        self._shell.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        self._gone()
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


class CertificateNameError(OSError):
    """The peer's certificate is valid, and another's."""

    def __init__(self, wanted: str, found: list[str]) -> None:
        super().__init__(f"the certificate is not that of {wanted}; it names {', '.join(found) or 'nobody'}")


def _certificate(transport: asyncio.BaseTransport) -> Mapping[str, Any]:
    certificate: Mapping[str, Any] = transport.get_extra_info("peercert") or {}
    return certificate


def _nothing() -> None:
    """A connection of ours is counted by the core."""


async def open_stream(
    shell: SipShell, flow: Flow, name: str, context: ssl.SSLContext | None, time_limit: float
) -> StreamConnection:
    """Connect within ``time_limit`` seconds; raises OSError or TimeoutError. TLS proves ``name`` (RFC 5922 §7)."""
    loop = asyncio.get_running_loop()
    secure = flow.transport == "tls"
    if secure and context is None:
        raise OSError("TLS is not configured")
    async with asyncio.timeout(time_limit):
        _, connection = await loop.create_connection(
            lambda: StreamConnection(shell, flow, _nothing, name),
            flow.remote[0],
            flow.remote[1],
            ssl=context if secure else None,
            # RFC 5922 §7.2, RFC 6066 §3: the name of the URI, also where SRV led elsewhere
            server_hostname=(name or flow.remote[0]) if secure else None,
        )
    if connection.refused is not None:
        raise connection.refused
    return connection
