"""Whose packets are looked at, who must prove who they are, and which gateway somebody is.

`AccessControl` is asked before anything is parsed: `sip.allow`, the addresses of the gateways and the edge proxies may
send us requests, others get what ``sip.unknown_source`` says. Every table is bounded, and a verdict is remembered for
as long as the directory and the resolved names are the same.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache

import structlog

from cordboard.directory.directory import DirectoryLookups
from cordboard.directory.gateways import Gateway
from cordboard.settings import Listener, SipSettings
from cordboard.sip.config import Admission as Verdict
from cordboard.sip.config import PasswordOf
from cordboard.sip.flow import Answer, Flow, Query
from cordboard.sip.message import Request

log = structlog.get_logger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[Query], Awaitable[list[Answer]]]

_REMEMBERED = 4096
_MAXIMUM_SOURCES = 16384
"""Sources that are counted in one second; beyond it new ones are not heard in that second."""
_SERVICES = ("_sip._udp.", "_sip._tcp.", "_sips._tcp.")


class Sources:
    """A list of CIDR blocks and DNS names."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._networks: list[Network] = []
        self.names: list[str] = []
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self.names.append(entry)

    def __contains__(self, address: object) -> bool:
        return any(address in network for network in self._networks)


class AccessControl:
    """``directory`` is asked for the gateways; ``clock`` counts seconds."""

    def __init__(
        self,
        sip: SipSettings,
        directory: Callable[[], DirectoryLookups],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = sip
        self._packets = sip.packets_per_second
        self._refusals = sip.refusals_per_second
        self._directory = directory
        self._clock = clock
        self._allow = Sources(sip.allow)
        self._proxies = Sources(sip.trusted_proxies)
        self._own: dict[Listener, Sources] = {}
        own: dict[Listener, list[str]] = {}
        for entry in sip.listener_allow:
            listener, _, source = entry.partition("=")
            own.setdefault(Listener.parse(listener), []).append(source)
        for where, entries in own.items():
            self._own[where] = Sources(entries)
        # Asked for each packet: addresses are taken apart only where proxies or lists of listeners are configured.
        self._special = bool(sip.trusted_proxies or sip.listener_allow)
        self._resolved: dict[str, frozenset[str]] = {}
        self._known: OrderedDict[str, tuple[bool, tuple[Gateway, ...]]] = OrderedDict()
        self._known_for: DirectoryLookups | None = None
        self._counts: dict[str, int] = {}
        self._until = 0.0

    # Sources --------------------------------------------------------------------------------------------------------

    def __call__(self, flow: Flow) -> Verdict:
        host = flow.remote[0]
        if self._special:
            address = _plain(host)
            if address is not None and address in self._proxies:
                return "allow"
            own = self._listener_sources(flow)
            if own is not None:
                return "allow" if self._holds(own, address) else self._unknown(flow)
        return "allow" if self._look(host)[0] else self._unknown(flow)

    def _unknown(self, flow: Flow) -> Verdict:
        local = Listener(flow.transport, *flow.local)
        if self._settings.unknown_source_on(local) == "drop":
            return "drop"
        # A scanner that goes on gets silence: an answer costs us, and tells it that somebody is here.
        return "forbid" if self._counts.get(flow.remote[0], 0) <= self._refusals else "drop"

    def within_rate(self, flow: Flow) -> bool:
        """Count one packet, before it is parsed; False where its source has sent too many in this second."""
        now = self._clock()
        counts = self._counts
        if now >= self._until:
            counts.clear()
            self._until = now + 1.0
        host = flow.remote[0]
        count = counts.get(host, 0) + 1
        if count == 1 and len(counts) >= _MAXIMUM_SOURCES:
            return False
        counts[host] = count
        return count <= self._packets

    def trusted_proxy(self, host: str) -> bool:
        """Whether the source that its header names is believed."""
        address = _plain(host)
        return address is not None and address in self._proxies

    def gateways(self, host: str) -> tuple[Gateway, ...]:
        """The gateways that calls from an address may be of."""
        return self._look(host)[1]

    def known_host(self, host: str) -> bool:
        """Whether a peer may name this host as its own: gateways, and what the settings allow."""
        return self._look(host)[0]

    def _listener_sources(self, flow: Flow) -> Sources | None:
        for listener, sources in self._own.items():
            same = listener.transport == flow.transport and listener.port == flow.local[1]
            if same and listener.host in (flow.local[0], "0.0.0.0", "::"):
                return sources
        return None

    def _look(self, host: str) -> tuple[bool, tuple[Gateway, ...]]:
        directory = self._directory()
        if directory is not self._known_for:
            self._known.clear()
            self._known_for = directory
        known = self._known.get(host)
        if known is None:
            address = _plain(host)
            gateways = () if address is None else self._gateways_at(str(address), directory)
            known = (bool(gateways) or self._holds(self._allow, address), gateways)
            self._known[host] = known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _gateways_at(self, address: str, directory: DirectoryLookups) -> tuple[Gateway, ...]:
        found = list(directory.gateways_from(address))
        for gateway in directory.gateways.values():
            if gateway not in found and any(address in self._resolved.get(name, ()) for name in _names(gateway)):
                found.append(gateway)
        return tuple(found)

    def _holds(self, sources: Sources, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
        if address is None:
            return False
        return address in sources or any(str(address) in self._resolved.get(name, ()) for name in sources.names)

    # Names ----------------------------------------------------------------------------------------------------------

    async def refresh(self, resolve: Resolve) -> None:
        """Look every DNS name up again; one that gives nothing keeps what it gave last."""
        names = {name for gateway in self._directory().gateways.values() for name in _names(gateway)}
        names.update(self._allow.names)
        for sources in self._own.values():
            names.update(sources.names)
        found = dict(zip(names, await asyncio.gather(*(_addresses(name, resolve) for name in names)), strict=True))
        resolved = {name: addresses or self._resolved.get(name, frozenset()) for name, addresses in found.items()}
        for name, addresses in resolved.items():
            if not addresses:
                log.warning("source_name_unresolved", name=name)
        if resolved != self._resolved:
            self._resolved = resolved
            self._known.clear()

    async def keep_names(self, resolve: Resolve, interval: float) -> None:
        """Refresh for ever, every ``interval`` seconds."""
        while True:
            try:
                await self.refresh(resolve)
            except Exception:
                log.exception("source_names_failed")
            await asyncio.sleep(interval)

    # Gateways -------------------------------------------------------------------------------------------------------

    def accept_refer(self, flow: Flow) -> bool:
        """Whether a REFER that comes here is followed: off unless its gateway turns it on."""
        return any(gateway.accept_refer for gateway in self.gateways(flow.remote[0]))

    def trusts(self, host: str) -> bool:
        """Whether identities that it asserts are believed (RFC 3325 §4)."""
        return any(gateway.trusted for gateway in self.gateways(host))

    def may_replace(self, asking: Flow, replaced: Flow) -> bool:
        """RFC 3891 §5: from where the replaced dialog is, or from its gateway."""
        if asking.remote[0] == replaced.remote[0]:
            return True
        theirs = {gateway.name for gateway in self.gateways(replaced.remote[0])}
        return any(gateway.name in theirs for gateway in self.gateways(asking.remote[0]))

    def may_call(self, number: str, source: str) -> bool:
        """Whether a number of ours takes calls from there (`Number.gateway`)."""
        found = self._directory().number(number)
        if found is None or found.gateway is None:
            return True
        return any(gateway.name == found.gateway for gateway in self.gateways(source))

    def challenge(self, request: Request, flow: Flow) -> PasswordOf | None:
        """Whose passwords are asked for: the number's, else those of the source's gateways, where each has some."""
        accounts = []
        number = self._directory().number(request.uri.user_text.partition(";")[0])
        if number is not None and number.inbound_credentials is not None and request.method != "REGISTER":
            accounts = [number.inbound_credentials]
        else:
            gateways = self.gateways(flow.remote[0])
            given = [gateway.inbound_credentials for gateway in gateways]
            if given and all(credentials is not None for credentials in given):
                accounts = [credentials for credentials in given if credentials is not None]
        if not accounts:
            return None
        passwords = {account.username: account.password.get_secret_value() for account in accounts}
        return passwords.get


@lru_cache(maxsize=_REMEMBERED)
def _plain(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _names(gateway: Gateway) -> list[str]:
    return Sources(gateway.addresses or (gateway.host,)).names


async def _addresses(name: str, resolve: Resolve) -> frozenset[str]:
    """Every address behind a name, also of the targets of its SRV records (RFC 3263 §4.2)."""
    services = await asyncio.gather(*(resolve(Query("SRV", prefix + name)) for prefix in _SERVICES))
    targets = {answer.target.rstrip(".") for answers in services for answer in answers if answer.target.rstrip(".")}
    hosts = sorted({name, *targets})
    found = await asyncio.gather(*(resolve(Query(kind, host)) for host in hosts for kind in ("A", "AAAA")))
    return frozenset(answer.target for answers in found for answer in answers)
