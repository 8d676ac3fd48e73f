"""Where we listen: ``udp://host:port``, ``tcp://…``, ``tls://…``."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import NamedTuple

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


class ListenerError(Exception):
    """A listener's text that cannot be understood, or an address that cannot be bound."""


class Listener(NamedTuple):
    """Transport, literal address, port (0: any free one)."""

    transport: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Listener:
        """Read ``udp://127.0.0.1:5060`` or ``udp://[::1]:5060``; raises ListenerError naming the rule."""
        transport, separator, rest = text.partition("://")
        transport = transport.lower()
        if not separator or transport not in DEFAULT_PORTS:
            raise ListenerError(f"{text!r}: a listener begins with udp://, tcp:// or tls://")
        if rest.startswith("["):
            host, closed, tail = rest[1:].partition("]")
            port_text = tail.removeprefix(":")
            if not closed or (tail and not tail.startswith(":")):
                raise ListenerError(f"{text!r}: an IPv6 address stands in brackets")
        else:
            host, _, port_text = rest.partition(":")
        try:
            ip_address(host)
        except ValueError:
            raise ListenerError(f"{text!r}: {host!r} is not an IPv4 or IPv6 address") from None
        if port_text and (not port_text.isdecimal() or int(port_text) > 65535):
            raise ListenerError(f"{text!r}: {port_text!r} is not a port")
        return cls(transport, host, int(port_text) if port_text else DEFAULT_PORTS[transport])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        """Of the listener's address."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET


def source_address(remote: str) -> str:
    """The local address from which ``remote`` (a literal) is reached; no packet is sent. Loopback where none is."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((remote, 9))
        except (OSError, ValueError):
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
        return str(probe.getsockname()[0])
