"""``cordboard gateway probe``: ask a gateway by OPTIONS (RFC 3261 §11) what it allows, and compare that with what the
configuration asks of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from cordboard.calls.signalling import tls_contexts
from cordboard.directory.actions import LiveTransfer
from cordboard.directory.directory import Directory
from cordboard.directory.gateways import Gateway
from cordboard.settings import Settings
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials, EndpointConfig, TimerSettings
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.errors import ParseError
from cordboard.sip.events import Event, OptionsAnswered, Trace
from cordboard.sip.message import Response
from cordboard.sip.uri import Uri
from cordboard.wire import RandomIdentifiers, SipShell

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What came back. ``allow`` and its like are None where the answer has no such header, which says nothing.

    ``status`` is None where nobody answered; ``problem`` says then how far it got.
    """

    gateway: Gateway
    status: int | None = None
    reason: str = ""
    problem: str = ""
    latency: float = 0.0
    """Seconds from the command to the final answer."""
    tried: tuple[str, ...] = ()
    """Addresses that OPTIONS went to, in order; the last one answered."""
    server: str = ""
    allow: Names | None = None
    supported: Names | None = None
    accept: Names | None = None
    warnings: tuple[str, ...] = field(default=())

    def lines(self) -> Iterator[str]:
        """For a person. The texts come from the peer: what could steer a terminal is replaced."""
        gateway = self.gateway
        yield f"gateway     {gateway.name} (profile {gateway.profile}) {gateway.uri}"
        if self.tried:
            yield f"asked       {', '.join(self.tried)}"
        if self.status is None:
            yield f"no answer   {self.problem}"
        else:
            yield f"answer      {self.status} {_printable(self.reason)} after {self.latency * 1000:.1f} ms"
            yield f"Server      {_printable(self.server) or '(not told)'}"
            yield f"Allow       {_listed(self.allow)}"
            yield f"Supported   {_listed(self.supported)}"
            yield f"Accept      {_listed(self.accept)}"
        for warning in self.warnings:
            yield f"warning     {_printable(warning)}"


async def probe(gateway: Gateway, directory: Directory, settings: Settings) -> ProbeResult:
    """Send OPTIONS and wait for the answer, `timeouts.gateway_probe` at most.

    Raises `wire.ListenerError` and `wire.TlsError`.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[OptionsAnswered] = loop.create_future()
    tried: list[str] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Trace) and event.direction == "out":
            asked = f"{event.transport}:{event.remote[0]}:{event.remote[1]}"
            if asked not in tried:
                tried.append(asked)
        elif isinstance(event, OptionsAnswered) and not answer.done():
            answer.set_result(event)

    sip = settings.sip
    config = EndpointConfig(
        user_agent=sip.user_agent,
        contact_user=sip.contact_user,
        admit=lambda flow: "drop",  # nobody calls a probe
        timers=TimerSettings(sip.t1, sip.t2, sip.t4),
        resolution_timeout=settings.timeouts.dns,
    )
    host = "[::]" if ":" in gateway.host else "0.0.0.0"
    secure = gateway.transport == "tls"
    listener = f"{'tcp' if secure else gateway.transport}://{host}:0"
    tls = tls_contexts(sip) if secure else None
    shell = SipShell(Endpoint(config, RandomIdentifiers()), (listener,), on_event, tls=tls)
    await shell.start()
    if secure:
        # Nobody calls a probe, so that it needs no certificate to listen with: the answer comes back on our connection.
        shell.endpoint.listening("tls", shell.addresses[0][1])
    limit = settings.timeouts.gateway_probe
    begun = loop.time()
    try:
        target = Uri.parse(gateway.uri)
        given = gateway.credentials
        credentials = None
        if given is not None:
            credentials = Credentials(given.username, given.password.get_secret_value(), given.realm)
        own = Address(Uri("sip", sip.contact_user, host=sip.external_address or gateway.host))
        shell.run(lambda core, now: core.options(target, from_=own, credentials=credentials, now=now))
        found = await asyncio.wait_for(answer, limit)
    except TimeoutError:
        return ProbeResult(gateway, problem=f"within {limit:g} s", tried=tuple(tried))
    finally:
        await shell.close()
    if found.response is None:
        problem = "nobody could be reached" if tried else f"no address for {gateway.host} over {gateway.transport}"
        return ProbeResult(gateway, problem=problem, tried=tuple(tried))
    return _result(gateway, found.response, loop.time() - begun, tuple(tried), directory, settings)


def _result(
    gateway: Gateway,
    response: Response,
    latency: float,
    tried: tuple[str, ...],
    directory: Directory,
    settings: Settings,
) -> ProbeResult:
    headers = response.headers
    allow = _names(response, "Allow", upper=True)
    supported = _names(response, "Supported")
    accept = _names(response, "Accept")
    return ProbeResult(
        gateway,
        response.status,
        response.reason,
        latency=latency,
        tried=tried,
        server=headers.get("Server") or headers.get("User-Agent") or "",
        allow=allow,
        supported=supported,
        accept=accept,
        warnings=tuple(_warnings(gateway, response.status, allow, supported, accept, directory, settings)),
    )


def _warnings(
    gateway: Gateway,
    status: int,
    allow: Names | None,
    supported: Names | None,
    accept: Names | None,
    directory: Directory,
    settings: Settings,
) -> Iterator[str]:
    """Where the configuration asks for more than the gateway says it has."""
    manners = gateway.manners
    if status in (401, 407):
        yield (
            f"{status}: it refused the credentials of this gateway"
            if gateway.credentials is not None
            else f"{status}: it asks for credentials, and this gateway has none"
        )
    elif status in (403, 503):
        yield f"{status}: it does not serve us now; is our address known there?"
    transfers = [action for action in directory.actions.values() if isinstance(action, LiveTransfer)]
    # REFER goes to the caller's side, and every gateway may bring callers.
    cold = sorted(action.name for action in transfers if action.cold and action.refer_fallback == "none")
    if cold:
        named = f"cold transfers are configured ({', '.join(cold)})"
        if manners.refer == "never":
            yield f"{named}, but the profile {gateway.profile} says that this kind of peer takes no REFER"
        elif allow is not None and "REFER" not in allow:
            yield f"{named}, but its Allow has no REFER: they would fail for callers from this gateway"
        elif allow is None and manners.refer == "ask" and status < 300:
            yield f"{named}, and it does not say whether it takes REFER"
    carried = sorted(action.name for action in transfers if action.cold and (action.sip_headers or action.uui))
    if carried and manners.carry == "none":
        yield f"headers of cold transfers ({', '.join(carried)}) do not get through a peer of profile {gateway.profile}"
    if settings.sip.session_expires and manners.session_timer == "offer" and supported is not None:
        if "timer" not in supported:
            yield "it does not support timer (RFC 4028): we alone refresh sessions"
        elif allow is not None and "UPDATE" not in allow:
            yield "its Allow has no UPDATE: sessions are refreshed by re-INVITE"
    if accept is not None and not accept & {"application/sdp", "application/*", "*/*"}:
        yield "its Accept has no application/sdp"
    if manners.media.dtmf == "info" and allow is not None and "INFO" not in allow:
        yield "keys are sent by INFO to this profile, but its Allow has no INFO"
    if gateway.accept_refer and allow is not None and "NOTIFY" not in allow:
        yield "accept_refer is on, but its Allow has no NOTIFY: it would not hear how its REFER went"


def _names(response: Response, name: str, *, upper: bool = False) -> Names | None:
    if name not in response.headers:
        return None
    try:
        values = response.headers.values(name)
    except ParseError:
        return frozenset()
    plain = (value.partition(";")[0].strip() for value in values)
    return frozenset(value.upper() if upper else value.lower() for value in plain if value)


def _listed(names: Names | None) -> str:
    if names is None:
        return "(not told)"
    return _printable(", ".join(sorted(names))) or "(none)"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
