"""Whose packets are looked at: the access control list, before anything is parsed."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Sequence

from cordboard.directory.directory import DirectoryLookups
from cordboard.settings import Listener, SipSettings
from cordboard.sip.config import Admission as Verdict
from cordboard.sip.flow import Flow

_REMEMBERED = 4096


class AccessControl:
    """``sip.allow`` and the addresses of the gateways may send us requests; the rest gets ``sip.unknown_source``.

    Verdicts are remembered for as long as the directory is the same; the memory is bounded.
    """

    def __init__(self, settings: SipSettings, directory: Callable[[], DirectoryLookups]) -> None:
        self._settings = settings
        self._directory = directory
        self._allow: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = [
            ipaddress.ip_network(text) for text in settings.allow
        ]
        self._known: OrderedDict[str, bool] = OrderedDict()
        self._known_for: DirectoryLookups | None = None

    def __call__(self, flow: Flow) -> Verdict:
        host = flow.remote[0]
        directory = self._directory()
        if directory is not self._known_for:
            self._known.clear()
            self._known_for = directory
        allowed = self._known.get(host)
        if allowed is None:
            allowed = self._is_allowed(host, directory)
            self._known[host] = allowed
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if allowed:
            return "allow"
        local = Listener(flow.transport, *flow.local)
        return "drop" if self._settings.unknown_source_on(local) == "drop" else "forbid"

    def _is_allowed(self, host: str, directory: DirectoryLookups) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._allow) or bool(directory.gateways_from(str(address)))
