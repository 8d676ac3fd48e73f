"""The DNS questions of RFC 3263, by dnspython, each within a time limit."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver

from cordboard.sip.flow import Answer, Query

MAXIMUM_RECORDS = 32


def read_hosts(path: str = "/etc/hosts") -> dict[str, list[str]]:
    """The host table of the system: name in lower case to addresses. Empty where it cannot be read."""
    table: dict[str, list[str]] = {"localhost": ["127.0.0.1", "::1"]}
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return table
    for line in lines:
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        try:
            ip_address(words[0])
        except ValueError:
            continue
        for name in words[1:]:
            addresses = table.setdefault(name.lower(), [])
            if words[0] not in addresses:
                addresses.append(words[0])
    return table


class DnsResolver:
    """Answers queries from the host table, then from the configured name servers."""

    def __init__(self, *, time_limit: float = 4.0, nameservers: list[str] | None = None) -> None:
        """``time_limit`` is seconds for one question in all; ``nameservers`` None: those of the system."""
        self._time_limit = time_limit
        self._hosts = read_hosts()
        self._resolver: dns.asyncresolver.Resolver | None
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=nameservers is None)
        except dns.exception.DNSException:
            self._resolver = None  # A machine without DNS still reaches addresses and its host table.
            return
        if nameservers is not None:
            self._resolver.nameservers = list(nameservers)
        self._resolver.cache = dns.resolver.LRUCache(1024)

    async def resolve(self, query: Query) -> list[Answer]:
        """The records, or nothing for every kind of failure."""
        if query.kind in ("A", "AAAA"):
            known = self._hosts.get(query.name.lower())
            if known is not None:
                return [Answer(address) for address in known if (":" in address) == (query.kind == "AAAA")]
        elif query.name.lower() in self._hosts:
            return []
        if self._resolver is None:
            return []
        try:
            answer = await self._resolver.resolve(
                query.name, query.kind, lifetime=self._time_limit, raise_on_no_answer=False, search=False
            )
        except (dns.exception.DNSException, OSError, ValueError):
            return []
        if answer.rrset is None:
            return []
        return [_record(query.kind, record) for record in list(answer.rrset)[:MAXIMUM_RECORDS]]


def _record(kind: str, record: Any) -> Answer:
    if kind == "SRV":
        return Answer(record.target.to_text(True), record.port, record.priority, record.weight)
    if kind == "NAPTR":
        service = record.service.decode("ascii", "replace")
        return Answer(record.replacement.to_text(True), 0, record.order, record.preference, service)
    return Answer(record.address)
