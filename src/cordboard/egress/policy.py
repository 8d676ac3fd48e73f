"""Which addresses a request may be sent to. Pure: text and addresses in, a verdict out.

The verdict is always over the address that will be connected to, never over a name or over how a number was written;
so no spelling (``0x7f.1``, ``2130706433``, ``::ffff:127.0.0.1``) and no name server can get round it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from .errors import EgressRefusedError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _table(rows: dict[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(network), rule) for network, rule in rows.items())


# IANA IPv4 Special-Purpose Address Registry (RFC 6890), multicast (RFC 5771) and reserved (RFC 1112 §4).
_IPV4 = _table(
    {
        "0.0.0.0/8": "unspecified",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "private",  # RFC 6598; one cloud's metadata service lives here too
        "127.0.0.0/8": "loopback",
        "169.254.0.0/16": "link-local",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved",
        "192.0.2.0/24": "documentation",
        "192.88.99.0/24": "reserved",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "private",  # RFC 2544, benchmarks
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
    }
)
# Outside 2000::/3 nothing is global unicast (RFC 4291 §2.4); the rest are exceptions within it.
_IPV6 = _table(
    {
        "::/128": "unspecified",
        "::1/128": "loopback",
        "fc00::/7": "private",
        "fe80::/10": "link-local",
        "fec0::/10": "private",
        "ff00::/8": "multicast",
        "2001::/23": "reserved",  # RFC 2928: Teredo, ORCHID, benchmarks
        "2001:db8::/32": "documentation",
        "3fff::/20": "documentation",
    }
)
_GLOBAL_IPV6 = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052 §2.1
_IPV4_COMPATIBLE = ip_network("::/96")

# Where clouds hand out credentials: refused even inside a network that is allowed, unless named alone (/32, /128).
METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
        ),
    )
)


def plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only carries it (RFC 4291 §2.5.5, RFC 6052, RFC 3056), else itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Who may be reached besides the public network.

    ``allowed`` are networks that the operator opened. ``named`` are the ``(host, port)`` that the operator's own
    settings name, such as the model's; they are reached wherever they are. Neither ever holds what came from a call.
    """

    allowed: tuple[Network, ...] = ()
    named: frozenset[tuple[str, int]] = field(default_factory=frozenset)

    @classmethod
    def of(cls, networks: Iterable[str] = (), named: Iterable[tuple[str, int]] = ()) -> AddressPolicy:
        """From CIDR text. Raises ValueError."""
        return cls(
            tuple(ip_network(text, strict=False) for text in networks),
            frozenset((host.lower(), port) for host, port in named),
        )

    def refusal(self, address: Address) -> str:
        """The rule that the address breaks; empty: it may be connected to."""
        if isinstance(address, IPv6Address) and address.scope_id:
            return "link-local"
        address = plain(address)
        if address in METADATA:
            alone = ip_network(address)
            return "" if alone in self.allowed else "metadata"
        if any(address in network for network in self.allowed):
            return ""
        for network, rule in _IPV4 if isinstance(address, IPv4Address) else _IPV6:
            if address in network:
                return rule
        if isinstance(address, IPv6Address) and address not in _GLOBAL_IPV6:
            return "reserved"
        return ""

    def check(self, host: str, port: int, addresses: Iterable[str]) -> tuple[str, ...]:
        """The addresses in the same order, each fit to be connected to.

        One unfit address refuses the name: a name that mixes them is what rebinding looks like. Raises
        EgressRefusedError.
        """
        given = tuple(dict.fromkeys(addresses))
        origin = f"{host}:{port}"
        if not given:
            raise EgressRefusedError("unresolved", origin, "the name has no address")
        if (host.lower(), port) in self.named:
            return given
        for text in given:
            try:
                address = ip_address(text)
            except ValueError:
                raise EgressRefusedError("address", origin, "not an IP address") from None
            rule = self.refusal(address)
            if rule:
                raise EgressRefusedError(rule, origin, f"{host} is at a {rule} address")
        return given


_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


def check_host(host: str) -> None:
    """A host must be a name, a dotted IPv4 address or an IPv6 address.

    Numbers in other clothes (``127.1``, ``0x7f000001``, ``2130706433``) are refused before anybody resolves them.
    Raises EgressRefusedError.
    """
    try:
        ip_address(host)
        return
    except ValueError:
        pass
    last = host.rstrip(".").rpartition(".")[2]
    # WHATWG URL §3.5: a host whose last label is a number is an IPv4 address, or nothing.
    if re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", last):
        raise EgressRefusedError("numeric-host", host, "an address must be written as four decimal numbers")
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise EgressRefusedError("host", "", "the host is no name and no address")
