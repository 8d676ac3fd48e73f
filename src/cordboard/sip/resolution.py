"""The order of RFC 3263 as pure logic: from a URI to an ordered list of targets, by DNS questions and answers.

A Resolution is fed answers until ``targets`` is set. IP literals need no question. Chance for the weights of
RFC 2782 comes from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from cordboard.sip.flow import Answer, HostPort, Query
from cordboard.sip.uri import Uri

MAXIMUM_TARGETS = 16
"""A hostile zone cannot make one request try for ever."""

DEFAULT_PORT = {"udp": 5060, "tcp": 5060, "tls": 5061}
_SRV_NAME = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}
_SERVICE = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}


class Target(NamedTuple):
    """One address to try; ``name`` is what a TLS certificate must prove (RFC 5922 §7: the name of the URI)."""

    transport: str
    address: HostPort
    name: str


def is_address(host: str) -> bool:
    """Whether ``host`` is an IPv4 or IPv6 literal."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


class Resolution:
    """The way from one URI to its targets (RFC 3263 §4)."""

    def __init__(
        self, uri: Uri, transports: Collection[str], *, families: Collection[str], chance: Callable[[], float]
    ):
        """``transports`` are those we have, ``families`` of "A" and "AAAA" what our listeners can reach."""
        self.targets: list[Target] | None = None
        self.waiting: set[Query] = set()
        self._transports = transports
        self._families = tuple(families)
        self._chance = chance
        maddr = uri.parameters.get("maddr")
        self._host = (maddr or uri.host).strip("[]").rstrip(".")
        self._secure = uri.scheme == "sips"
        self._hosts: list[tuple[str, str, int]] = []
        self._addresses: dict[str, list[str]] = {}
        named = (uri.parameters.get("transport") or "").lower()
        if self._secure and named in ("", "tcp", "tls"):
            named = "tls"  # RFC 3261 §26.2.2
        if not self._host or (named and named not in transports):
            self.targets = []
        elif is_address(self._host):
            transport = named or "udp"  # RFC 3263 §4.1: numeric, no transport: UDP for sip
            self.targets = [Target(transport, (self._host, uri.port or DEFAULT_PORT[transport]), self._host)]
        elif uri.port is not None:
            self._look_up([(named or "udp", self._host, uri.port)])
        elif named:
            self._ask_srv([named])
        else:
            self._naptr = Query("NAPTR", self._host)
            self.waiting = {self._naptr}

    def answer(self, query: Query, answers: Sequence[Answer]) -> None:
        """Take the answer to one of ``waiting``; afterwards either ``targets`` is set or ``waiting`` asks on."""
        if query not in self.waiting:
            return
        self.waiting = self.waiting - {query}
        if query.kind == "NAPTR":
            self._take_naptr(answers)
        elif query.kind == "SRV":
            self._srv[query.name] = list(answers)
            if not self.waiting:
                self._finish_srv()
        else:
            self._addresses.setdefault(query.name, []).extend(a.target for a in answers if is_address(a.target))
            if not self.waiting:
                self._finish()

    def _take_naptr(self, answers: Sequence[Answer]) -> None:
        # RFC 3263 §4.1: lowest order first, then preference, among the transports that we have
        usable = [
            (a.priority, a.weight, _SERVICE[a.service.upper()], a.target)
            for a in answers
            if a.service.upper() in _SERVICE and _SERVICE[a.service.upper()] in self._transports
        ]
        if self._secure:
            usable = [entry for entry in usable if entry[2] == "tls"]
        if usable:
            usable.sort()
            self._ask_srv([entry[2] for entry in usable], [entry[3].rstrip(".") for entry in usable])
        else:
            self._ask_srv([transport for transport in ("udp", "tcp", "tls") if transport in self._transports])

    def _ask_srv(self, transports: list[str], names: list[str] | None = None) -> None:
        self._order = transports
        self._names = names or [_SRV_NAME[transport] + self._host for transport in transports]
        self._srv: dict[str, list[Answer]] = {}
        self.waiting = {Query("SRV", name) for name in self._names}

    def _finish_srv(self) -> None:
        hosts: list[tuple[str, str, int]] = []
        for transport, name in zip(self._order, self._names, strict=True):
            records = [a for a in self._srv.get(name, ()) if a.target.rstrip(".")]
            hosts.extend((transport, a.target.rstrip("."), a.port) for a in weigh(records, self._chance))
        if not hosts:
            # RFC 3263 §4.2: no SRV, so the address of the name itself
            transport = self._order[0]
            hosts = [(transport, self._host, DEFAULT_PORT[transport])]
        self._look_up(hosts[:MAXIMUM_TARGETS])

    def _look_up(self, hosts: list[tuple[str, str, int]]) -> None:
        self._hosts = hosts
        names = {host for _, host, _ in hosts if not is_address(host)}
        self.waiting = {Query(family, name) for name in names for family in self._families}
        if not self.waiting:
            self._finish()

    def _finish(self) -> None:
        targets: list[Target] = []
        for transport, host, port in self._hosts:
            for address in [host] if is_address(host) else self._addresses.get(host, []):
                target = Target(transport, (address, port), self._host)
                if target not in targets:
                    targets.append(target)
        self.targets = targets[:MAXIMUM_TARGETS]


def weigh(records: Sequence[Answer], chance: Callable[[], float]) -> list[Answer]:
    """RFC 2782: by priority, and within one by a draw in proportion to weight."""
    ordered: list[Answer] = []
    for priority in sorted({record.priority for record in records}):
        # Weight 0 first, so that it keeps its small chance.
        left = sorted((record for record in records if record.priority == priority), key=lambda record: record.weight)
        while left:
            draw = chance() * sum(record.weight for record in left)
            running = 0.0
            for record in left:
                running += record.weight
                if running >= draw:
                    ordered.append(record)
                    left.remove(record)
                    break
    return ordered


class DeadTargets:
    """Targets that failed lately are tried last, not never (RFC 3263 §4.3)."""

    def __init__(self, time: float, maximum: int = 1024) -> None:
        self._time = time
        self._maximum = maximum
        self._until: dict[tuple[str, HostPort], float] = {}

    def mark(self, transport: str, address: HostPort, now: float) -> None:
        """This target did not answer."""
        if len(self._until) >= self._maximum:
            self._until = {key: until for key, until in self._until.items() if until > now}
            if len(self._until) >= self._maximum:
                self._until.clear()
        self._until[transport, address] = now + self._time

    def is_dead(self, transport: str, address: HostPort, now: float) -> bool:
        """Whether this target failed within the memory."""
        return self._until.get((transport, address), now) > now

    def clear(self, transport: str, address: HostPort) -> None:
        """This target answered."""
        if self._until:
            self._until.pop((transport, address), None)

    def order(self, targets: list[Target], now: float) -> list[Target]:
        """The living first; otherwise in the order of DNS."""
        if not self._until or len(targets) < 2:
            return targets
        return sorted(targets, key=lambda target: self._until.get((target.transport, target.address), 0.0) > now)
