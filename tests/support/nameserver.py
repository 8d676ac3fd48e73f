"""A name server on loopback that knows a few records, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from cordboard.wire.dns import DnsResolver

Zone = Mapping[tuple[str, str], Sequence[str]]
"""(name, type) to the texts of its records, as in ``("_sip._udp.pbx.test", "SRV"): ["10 0 5060 a.pbx.test."]``."""


class NameServer(asyncio.DatagramProtocol):
    """Answers what the zone has, and everything else with no records."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self.asked: list[tuple[str, str]] = []
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        records = self._zone.get((name, kind), ())
        if records:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        assert self._transport is not None
        self._transport.sendto(response.to_wire(), addr)

    def resolver(self) -> DnsResolver:
        """A resolver that asks only this server."""
        made = DnsResolver(nameservers=["127.0.0.1"])
        assert made._resolver is not None
        made._resolver.port = self.port
        made._resolver.nameservers = ["127.0.0.1"]
        return made

    @property
    def port(self) -> int:
        assert self._transport is not None
        address: tuple[str, int] = self._transport.get_extra_info("sockname")
        return address[1]


@asynccontextmanager
async def name_server(zone: Zone) -> AsyncIterator[NameServer]:
    """A running one."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(zone), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
