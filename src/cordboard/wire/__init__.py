"""Sockets, DNS and timers: the asyncio shell around the signalling core."""

from cordboard.wire.dns import DnsResolver
from cordboard.wire.identifiers import RandomIdentifiers
from cordboard.wire.listener import Listener, ListenerError, source_address
from cordboard.wire.shell import SipShell, StreamLimits
from cordboard.wire.tls import TlsContexts, TlsError, TlsFiles

__all__ = [
    "DnsResolver",
    "Listener",
    "ListenerError",
    "RandomIdentifiers",
    "SipShell",
    "StreamLimits",
    "TlsContexts",
    "TlsError",
    "TlsFiles",
    "source_address",
]
