"""Via. RFC 3261 §20.42, §18.2.1, RFC 3581."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.parameters import NO_PARAMETERS, Parameters
from cordboard.sip.tokens import digits, is_token, split_host_port

__all__ = ["MAGIC_COOKIE", "Via"]

MAGIC_COOKIE = "z9hG4bK"
"""What the branch of an RFC 3261 element begins with. RFC 3261 §8.1.1.7"""


@dataclass(frozen=True, slots=True)
class Via:
    """One Via. host: an IPv6 address has no brackets here. transport: upper case in what we write, kept as read."""

    transport: str
    host: str
    port: int | None = None
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one Via value. White space around slashes and colons is allowed (RFC 3261 §25.1)."""
        head, semicolon, rest = text.partition(";")
        if head.startswith("SIP/2.0/"):
            tail = head[8:].strip()
        else:
            pieces = head.split("/", 2)
            if len(pieces) != 3 or pieces[0].strip().upper() != "SIP" or pieces[1].strip() != "2.0":
                raise ParseError("Via", "SIP/2.0/transport is expected (RFC 3261 §20.42)")
            tail = pieces[2].strip()
        words = tail.split(None, 1)
        if len(words) != 2 or not is_token(words[0]):
            raise ParseError("Via", "transport and sent-by are expected (RFC 3261 §20.42)")
        host, port = split_host_port(words[1], "Via")
        return cls(words[0], host, port, Parameters.parse(rest, "Via") if semicolon else NO_PARAMETERS)

    @property
    def branch(self) -> str | None:
        """The transaction's identifier. RFC 3261 §8.1.1.7"""
        return self.parameters.raw("branch")

    @property
    def has_magic_cookie(self) -> bool:
        """The branch begins with z9hG4bK and is more than that. RFC 3261 §17.2.3, RFC 4475 §3.2.1"""
        branch = self.branch
        return branch is not None and branch[:7].lower() == "z9hg4bk" and len(branch) > 7

    @property
    def received(self) -> str | None:
        """The address the request came from, without brackets. RFC 3261 §18.2.1, RFC 5118 §4.5"""
        value = self.parameters.get("received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The port the request came from; None where absent or not yet filled in. RFC 3581 §4"""
        value = self.parameters.raw("rport")
        return digits(value, "Via", 65535) if value else None

    @property
    def wants_rport(self) -> bool:
        """The rport parameter is there, filled or not. RFC 3581 §3"""
        return "rport" in self.parameters

    @property
    def maddr(self) -> str | None:
        """RFC 3261 §18.1.1, without brackets."""
        value = self.parameters.get("maddr")
        return value.strip("[]") if value else None

    @property
    def ttl(self) -> int | None:
        """RFC 3261 §18.1.1, 0 to 255."""
        value = self.parameters.raw("ttl")
        return digits(value, "Via", 255) if value else None

    @property
    def sent_by(self) -> str:
        """`host`, `host:port`, `[v6]` or `[v6]:port`, as written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def default_port(self) -> int:
        """Where a response goes when sent-by has no port. RFC 3261 §18.2.2"""
        return 5061 if self.transport.upper() in ("TLS", "WSS") else 5060

    def with_source(self, host: str, port: int) -> Via:
        """A copy with received and rport as RFC 3261 §18.2.1 and RFC 3581 §4 have it, for the packet's source."""
        via = self
        if self.wants_rport:
            via = replace(via, parameters=via.parameters.with_("rport", port).with_("received", host))
        elif self.host.lower() != host.lower():
            via = replace(via, parameters=via.parameters.with_("received", host))
        else:
            via = replace(via, parameters=via.parameters.without("received"))
        return via

    def __str__(self) -> str:
        if not is_token(self.transport):
            raise HeaderInjectionError("Via", "transport is not a token (RFC 3261 §20.42)")
        try:
            split_host_port(self.sent_by, "Via")
        except ParseError:
            raise HeaderInjectionError("Via", "sent-by is not a host (RFC 3261 §20.42)") from None
        return f"SIP/2.0/{self.transport} {self.sent_by}{self.parameters}"
