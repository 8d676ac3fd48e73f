"""Where a leg leaves: gateway, request URI, next hop and identity. The one gate that every destination passes.

Whoever named it (an action, a variable, a phone book, the API, a peer's Refer-To), a destination is dialled only
when `Router.route` lets it.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from cordboard.calls.errors import DialRefusedError
from cordboard.directory.directory import DirectoryLookups
from cordboard.directory.gateways import Gateway
from cordboard.directory.values import Destination, destination_of, sip_host
from cordboard.sip.config import Credentials
from cordboard.sip.errors import SipError
from cordboard.sip.redirection import Detour
from cordboard.sip.uri import Uri, escape_user

log = structlog.get_logger(__name__)

EMERGENCY_NUMBERS = frozenset(("000", "110", "112", "118", "119", "911", "999"))
"""Refused always: an emergency call needs a location, which a transfer has not."""

PREMIUM_PREFIXES = ("+1900", "+1976", "+44871", "+44872", "+44873", "+449", "+49900", "+4990", "+33899", "+979")
"""Premium rate, refused unless a gateway allows the very prefix; national numbering plans, ITU-T E.164.1 for +979."""


@dataclass(frozen=True, slots=True)
class GatewayRoute:
    """A destination that may be dialled, and how."""

    destination: Destination
    gateway: Gateway
    uri: Uri
    next_hop: Uri | None
    credentials: Credentials | None


@dataclass(slots=True)
class _Use:
    calls: int = 0
    dialled: deque[float] = field(default_factory=deque)


class Router:
    """``directory`` is asked for each destination; ``clock`` counts seconds."""

    def __init__(
        self,
        directory: Callable[[], DirectoryLookups],
        clock: Callable[[], float] = time.monotonic,
        own_host: Callable[[str], bool] = lambda host: False,
    ) -> None:
        """``own_host`` says whether a SIP URI with this host leads back to us."""
        self._directory = directory
        self._own_host = own_host
        self._clock = clock
        self._use: dict[str, _Use] = {}

    def route(self, destination: Destination, preferred: str | None = None) -> GatewayRoute:
        """The way to a resolved destination. Raises DialRefusedError with the rule."""
        directory = self._directory()
        text = destination.value
        number = text if destination.kind == "tel" else _number_in(text)
        if number is not None:
            if number.removeprefix("+") in EMERGENCY_NUMBERS:
                raise DialRefusedError(text, "emergency numbers are not dialled")
            if directory.number(number) is not None and (destination.kind == "tel" or self._is_own(text)):
                raise DialRefusedError(text, "this is a number of ours: a call must not be transferred into a loop")
        gateway = directory.gateway_for(destination, preferred)
        if gateway is None:
            named = f"the gateway {preferred}" if preferred else "any gateway"
            raise DialRefusedError(text, f"not among the prefixes and domains of {named}")
        if number is not None:
            premium = next((prefix for prefix in PREMIUM_PREFIXES if number.startswith(prefix)), None)
            if premium and not any(allowed.startswith(premium) for allowed in gateway.allowed_prefixes):
                raise DialRefusedError(text, f"premium numbers ({premium}) need their prefix in allowed_prefixes")
            # sip:+15550100@gateway is the number again: no way around the prefixes of a gateway that has some
            around = destination.kind == "sip" and number.startswith("+") and gateway.allowed_prefixes
            if around and not gateway.carries_number(number):
                raise DialRefusedError(text, f"{number} is not among the prefixes of the gateway {gateway.name}")
        try:
            uri = self._uri(destination, gateway)
            hop = Uri.parse(gateway.uri)
        except SipError as error:
            raise DialRefusedError(text, str(error)) from error
        through = destination.kind == "tel" or gateway.next_hop == "gateway"
        credentials = gateway.credentials
        return GatewayRoute(
            destination,
            gateway,
            uri,
            hop if through else None,
            None
            if credentials is None
            else Credentials(credentials.username, credentials.password.get_secret_value(), credentials.realm),
        )

    def redirected(self, uri: Uri) -> Detour | None:
        """The gate for a Contact of a 3xx, or a Refer-To of a peer: a destination like any other, or None."""
        try:
            if uri.scheme == "tel":
                destination = destination_of(uri.user_text)
            else:
                destination = destination_of(str(uri.without_headers()))
            route = self.route(destination)
        except (ValueError, DialRefusedError) as error:
            log.warning("redirection_refused", rule=str(error))
            return None
        return Detour(route.uri, route.next_hop, (route.credentials,) if route.credentials is not None else ())

    def longest_call(self, host: str) -> float | None:
        """The longest call that the gateway at this host may carry; None: no limit of its own."""
        limits = [
            gateway.longest_call
            for gateway in self._directory().gateways.values()
            if gateway.longest_call is not None and gateway.carries_host(host)
        ]
        return min(limits, default=None)

    def _is_own(self, uri: str) -> bool:
        host = sip_host(uri)
        return host is not None and self._own_host(host)

    def take(self, gateway: Gateway) -> Callable[[], None]:
        """Count one call against the gateway's limits; call the result when it has ended. Raises DialRefusedError."""
        use = self._use.setdefault(gateway.name, _Use())
        now = self._clock()
        while use.dialled and now - use.dialled[0] >= 3600:
            use.dialled.popleft()
        if gateway.max_calls is not None and use.calls >= gateway.max_calls:
            raise DialRefusedError(gateway.name, f"max_calls: {gateway.max_calls} calls are up already")
        if gateway.calls_per_hour is not None and len(use.dialled) >= gateway.calls_per_hour:
            raise DialRefusedError(gateway.name, f"calls_per_hour: {gateway.calls_per_hour} were dialled in this hour")
        if gateway.calls_per_second is not None:
            within = 1.0 if gateway.calls_per_second >= 1 else 1.0 / gateway.calls_per_second
            limit = max(1, int(gateway.calls_per_second))
            if sum(now - at < within for at in use.dialled) >= limit:
                raise DialRefusedError(gateway.name, f"calls_per_second: {gateway.calls_per_second:g}")
        if gateway.calls_per_hour is not None or gateway.calls_per_second is not None:
            use.dialled.append(now)
        use.calls += 1
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                use.calls -= 1

        return give_back

    def _uri(self, destination: Destination, gateway: Gateway) -> Uri:
        if destination.kind == "sip":
            return Uri.parse(destination.value)
        return Uri("sip", escape_user(destination.value), host=gateway.host, port=gateway.port).with_parameter(
            "user", "phone"
        )


def _number_in(uri: str) -> str | None:
    """The telephone number that a SIP URI is for (RFC 3261 §19.1.6), or None where its user is a name."""
    try:
        parsed = Uri.parse(uri)
    except SipError:
        return None
    user = re.sub(r"[().-]", "", parsed.user_text.partition(";")[0])
    return user if re.fullmatch(r"\+?[0-9]{2,15}", user) else None
