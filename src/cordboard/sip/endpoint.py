"""The face of the signalling core: bytes and time in; bytes, timers and events out. No I/O, no clock, no chance.

The order of use, by the shell: call an input or a command with ``now`` (seconds of a monotonic clock), then take
``take_outgoing()`` and ``take_events()``, then sleep until ``next_timer()`` and call ``handle_timer(now)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cordboard.sip.address import Address
from cordboard.sip.config import Credentials, EndpointConfig, Identifiers
from cordboard.sip.core import Core
from cordboard.sip.events import Event
from cordboard.sip.fields import Replaces
from cordboard.sip.flow import Answer, Flow, HostPort, Output, Query
from cordboard.sip.invite_client import OutgoingSession
from cordboard.sip.invite_server import IncomingSession
from cordboard.sip.probe import Probe
from cordboard.sip.receiver import Receiver
from cordboard.sip.redirection import Gate, Redirection
from cordboard.sip.registration import Registration
from cordboard.sip.session import Phase, Session, checked
from cordboard.sip.transaction_tables import State
from cordboard.sip.uri import Uri
from cordboard.sip.usage_errors import LimitReachedError, UnknownSessionError, WrongStateError

HeaderList = Iterable[tuple[str, str]]


class Endpoint:
    """One SIP user agent with many sessions.

    Commands raise ``UnknownSessionError`` for a session that never was or is over, and ``WrongStateError`` where the
    session cannot do it now; ``hangup`` raises neither. Header names or values with CR, LF or NUL raise
    ``HeaderInjectionError`` before anything is sent.
    """

    def __init__(self, config: EndpointConfig, identifiers: Identifiers) -> None:
        self._core = Core(config, identifiers)
        self._receiver = Receiver(self._core)

    @property
    def config(self) -> EndpointConfig:
        """As given."""
        return self._core.config

    @property
    def draining(self) -> bool:
        """While true, OPTIONS and new INVITEs get 503 with Retry-After; running sessions go on."""
        return self._core.draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._core.draining = draining

    # Inputs ---------------------------------------------------------------------------------------------------------

    def listening(self, transport: str, local: HostPort) -> None:
        """Tell the core of a bound listener, with its real port."""
        self._core.transport.listeners.append((transport, local))

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """One datagram, or the next bytes of a stream. Never raises for what a peer sent."""
        self._receiver.receive(data, flow, now)

    def handle_timer(self, now: float) -> None:
        """Run everything that is due at ``now``."""
        self._core.timers.run(now)

    def resolved(self, query: Query, answers: Sequence[Answer], now: float) -> None:
        """The DNS answered (with nothing, for a failure)."""
        self._core.resolved(query, answers, now)

    def connection_opened(self, flow: Flow, now: float, identities: Sequence[str] = ()) -> None:
        """A connection that the core asked for, or that a peer opened, can carry bytes.

        ``identities`` are the SIP domains that the peer's certificate proves (RFC 5922 §7.1), none without TLS.
        """
        self._receiver.connection_opened(flow, now, identities)

    def connection_lost(self, flow: Flow, now: float) -> None:
        """The connection is gone."""
        self._receiver.gone(flow, now)

    def send_failed(self, flow: Flow, now: float) -> None:
        """A Connect or a SendBytes on this flow failed (RFC 3261 §18.4)."""
        if flow.connection is not None:
            self._receiver.gone(flow, now)
        else:
            self._core.transactions.transport_error(flow, now)

    # Outputs --------------------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When handle_timer wants to be called, or None."""
        return self._core.timers.next()

    def take_outgoing(self) -> list[Output]:
        """What to do on the network, in order; the list is handed over."""
        transport = self._core.transport
        taken, transport.outgoing = transport.outgoing, []
        return taken

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order; the list is handed over."""
        transport = self._core.transport
        taken, transport.events = transport.events, []
        return taken

    # Calls out ------------------------------------------------------------------------------------------------------

    def invite(
        self,
        target: Uri,
        *,
        from_: Address,
        to: Address | None = None,
        headers: HeaderList = (),
        body: bytes = b"",
        route: Sequence[Address] = (),
        next_hop: Uri | None = None,
        credentials: Credentials | Sequence[Credentials] | None = None,
        timeout: float | None = None,
        session: str | None = None,
        redirect: Gate | None = None,
        describe: Callable[[Flow], bytes] | None = None,
        now: float,
    ) -> str:
        """Call ``target`` and return the session id.

        ``body`` is our offer (application/sdp), empty for a delayed offer. ``route`` is a preloaded route set;
        ``next_hop`` an outbound proxy that is used without being written. ``timeout`` is our ring limit in seconds:
        the INVITE is then cancelled and ``Failed(408, local=True, detail="ring_timeout")`` raised at once.
        ``describe`` writes the body again for the flow that is used, so that it names an address the peer reaches.
        ``redirect`` judges each Contact of a 3xx; without it none is followed.
        """
        core = self._core
        extra = checked(headers)
        if len(core.sessions) >= core.config.maximum_sessions or core.transactions.full:
            raise LimitReachedError("too many sessions")
        identifier = session or core.identifiers.tag()
        if identifier in core.sessions or identifier in core.lingering:
            raise WrongStateError("the session id is in use")
        call = OutgoingSession(core, identifier, _credentials(credentials))
        if redirect is not None:
            call.redirection = Redirection(target, redirect, core.config.maximum_redirects)
        target, next_hop = self._registered(target, next_hop, now)
        uri_text, fields, hop = self._outside(
            "INVITE", target, from_, to, [str(address) for address in route], extra, next_hop
        )
        core.sessions[identifier] = call
        limit = timeout if timeout is not None else core.config.ring_timeout
        call.describe = describe
        call.start(uri_text, fields, body, hop, limit, now, target.scheme == "sips")
        return identifier

    def cancel(self, session: str, headers: HeaderList = (), *, now: float) -> None:
        """Give up our unanswered INVITE.

        ``Failed(487, local=True, detail="cancelled")`` is raised at once; the CANCEL goes out after the first
        provisional response (RFC 3261 §9.1), and a 2xx that crosses it is acknowledged and ended with BYE.
        """
        call = self._find(session)
        if not isinstance(call, OutgoingSession):
            raise WrongStateError("CANCEL is for calls that we make")
        call.cancel(checked(headers), now)

    # Calls in -------------------------------------------------------------------------------------------------------

    def ring(self, session: str, status: int = 180, headers: HeaderList = (), body: bytes = b"", *, now: float) -> None:
        """Send a provisional response 101-199; reliable where the caller requires 100rel (RFC 3262)."""
        self._incoming(session).ring(status, checked(headers), body, now)

    def answer(self, session: str, body: bytes, headers: HeaderList = (), *, now: float) -> None:
        """Send 200 with our answer (or our offer), repeated until the ACK, else BYE and ``Ended("no_ack")``."""
        self._incoming(session).answer(body, checked(headers), now)

    def reject(self, session: str, status: int, reason: str = "", headers: HeaderList = (), *, now: float) -> None:
        """Refuse an unanswered incoming call with 300-699."""
        self._incoming(session).reject(status, reason, checked(headers), now)

    # In the call ----------------------------------------------------------------------------------------------------

    def bye(self, session: str, headers: HeaderList = (), *, now: float) -> None:
        """End an answered call. ``Ended("bye", local=True)`` is raised at once."""
        self._find(session).bye(checked(headers), now)

    def hangup(self, session: str, headers: HeaderList = (), *, now: float) -> None:
        """Whichever of cancel, reject (480) and bye fits the session's state; does nothing where it is over."""
        call = self._core.sessions.get(session)
        if call is not None:
            call.hangup(checked(headers), now)

    def reinvite(self, session: str, body: bytes, headers: HeaderList = (), *, now: float) -> None:
        """Offer new media; OfferAnswered or OfferRefused follows.

        A glare (491) is tried again after the time of RFC 3261 §14.1. Empty body: ask the peer for its offer.
        """
        self._confirmed(session).offers.change("INVITE", body, checked(headers), now)

    def update(self, session: str, body: bytes = b"", headers: HeaderList = (), *, now: float) -> None:
        """UPDATE (RFC 3311): an offer that works before the answer too. OfferAnswered or OfferRefused follows."""
        self._find(session).offers.change("UPDATE", body, checked(headers), now)

    def answer_offer(self, session: str, body: bytes, *, now: float) -> None:
        """Answer what ``Offered``, or ``Answered``/``OfferAnswered`` with ``needs_answer``, brought."""
        call = self._find(session)
        if isinstance(call, OutgoingSession) and call.answer_early_offer(body, now):
            return
        call.offers.answer(body, now)

    def reject_offer(self, session: str, status: int = 488, *, now: float) -> None:
        """Refuse an offer; the session goes on. An offer that came in a 2xx is refused by ACK and BYE."""
        self._find(session).offers.reject(status, now)

    def info(self, session: str, content_type: str, body: bytes, *, now: float) -> None:
        """Send INFO; InfoAnswered follows."""
        self._confirmed(session).info(content_type, body, now)

    # REFER ----------------------------------------------------------------------------------------------------------

    def refer(
        self,
        session: str,
        refer_to: Address,
        referred_by: Address | None = None,
        headers: HeaderList = (),
        *,
        subscription: bool = True,
        now: float,
    ) -> None:
        """Ask the peer to call ``refer_to`` (RFC 3515); ReferAccepted or ReferRefused and notifications follow.

        Without ``subscription`` the peer is asked to report nothing (RFC 4488); it may do so all the same.
        """
        self._find(session).referrals.refer(refer_to, referred_by, checked(headers), now, subscription)

    def accept_refer(self, session: str, *, now: float) -> None:
        """202 to the peer's REFER and NOTIFY 100."""
        self._find(session).referrals.accept(now)

    def reject_refer(self, session: str, status: int = 603, *, now: float) -> None:
        """Refuse the peer's REFER."""
        self._find(session).referrals.reject(status, now)

    def notify_refer(self, session: str, status: int, text: str = "", final: bool = False, *, now: float) -> None:
        """NOTIFY the referrer with a sipfrag status line; ``final`` ends the subscription (reason noresource)."""
        call = self._core.sessions.get(session) or self._core.lingering.get(session)
        if call is None:
            raise UnknownSessionError(session)
        call.referrals.notify(status, text, final, now)

    # Outside calls --------------------------------------------------------------------------------------------------

    def options(
        self,
        target: Uri,
        *,
        from_: Address | None = None,
        headers: HeaderList = (),
        next_hop: Uri | None = None,
        credentials: Credentials | Sequence[Credentials] | None = None,
        now: float,
    ) -> str:
        """Ask what ``target`` allows; OptionsAnswered follows with the returned id."""
        core = self._core
        extra = checked(headers)
        identifier = core.identifiers.tag()
        own = from_ or Address(Uri("sip", user=core.config.contact_user, host=core.config.domain))
        uri_text, fields, hop = self._outside("OPTIONS", target, own, None, [], extra, next_hop)
        fields += [("Accept", ", ".join(core.config.accept)), ("User-Agent", core.config.user_agent)]
        Probe(core, identifier, uri_text, fields, hop, _credentials(credentials)).start(now)
        return identifier

    # Registration ---------------------------------------------------------------------------------------------------

    def register(
        self,
        registrar: Uri,
        address: Address,
        *,
        credentials: Credentials | Sequence[Credentials] | None = None,
        next_hop: Uri | None = None,
        expires: int = 3600,
        retry: float = 30.0,
        retry_most: float = 1800.0,
        now: float,
    ) -> str:
        """Keep ``address`` (of record) registered with us as its contact; the id is that of the events."""
        core = self._core
        identifier = core.identifiers.tag()
        registration = Registration(
            core,
            identifier,
            registrar,
            address,
            _credentials(credentials),
            next_hop,
            expires=expires,
            retry=retry,
            retry_most=retry_most,
        )
        core.registrations[identifier] = registration
        registration.start(now)
        return identifier

    def unregister(self, registration: str, *, now: float) -> None:
        """Take a binding of ours away; RegistrationEnded follows. Does nothing where there is none."""
        found = self._core.registrations.get(registration)
        if found is not None:
            found.end(now)

    def _registered(self, target: Uri, next_hop: Uri | None, now: float) -> tuple[Uri, Uri | None]:
        """The contact of a phone that is registered here, and the way back to where its REGISTER came from."""
        core = self._core
        own = [core.config.domain, core.config.external_address, *(local[0] for _, local in core.transport.listeners)]
        if core.registrar is None or target.host not in own:
            return target, next_hop
        binding = core.registrar.find(target.user_text, now)
        if binding is None:
            return target, next_hop
        host, port = binding.flow.remote
        hop = Uri("sip", host=host, port=port).with_parameter("transport", binding.flow.transport)
        return binding.contact, hop

    # Looking --------------------------------------------------------------------------------------------------------

    def session_of(self, call_id: str, local_tag: str, remote_tag: str) -> str | None:
        """The session that owns this dialog (Replaces, Target-Dialog), or None."""
        dialog = self._core.dialogs.get((call_id, local_tag, remote_tag))
        return dialog.session.id if dialog is not None else None

    def flow_of(self, session: str) -> Flow | None:
        """Where the session's peer is, once that is known."""
        call = self._core.sessions.get(session)
        if call is None:
            return None
        return call.dialog.flow if call.dialog is not None else call.flow

    def replaces(self, session: str) -> Replaces | None:
        """What lets another party take the place of ours in the session's dialog (RFC 3891 §3): for a Refer-To."""
        call = self._core.sessions.get(session)
        if call is None or call.dialog is None:
            return None
        dialog = call.dialog
        # As the peer will see it, who compares to-tag with its own (RFC 3891 §6.1).
        return Replaces(dialog.call_id, dialog.remote_tag, dialog.local_tag)

    def counts(self) -> dict[str, int]:
        """Size of every table: sessions, dialogs, transactions, timers, subscriptions, … Idle means all zero."""
        core = self._core
        return {
            "sessions": len(core.sessions),
            "lingering": len(core.lingering),
            "dialogs": len(core.dialogs),
            "peers": len(core.peers),
            "client_transactions": len(core.transactions.clients),
            "server_transactions": len(core.transactions.servers),
            "merges": len(core.transactions.merges),
            "timers": len(core.timers),
            "resolutions": core.resolutions,
            "connections": core.transport.connections,
            "framers": self._receiver.framers,
            "registrations": len(core.registrations),
            "bindings": len(core.registrar) if core.registrar is not None else 0,
        }

    @property
    def unanswered(self) -> int:
        """Requests of ours that wait for their final response: what closing the sockets now would lose."""
        waiting = (State.CALLING, State.TRYING, State.PROCEEDING)
        return sum(each.state in waiting for each in self._core.transactions.clients.values())

    # Helpers --------------------------------------------------------------------------------------------------------

    def _find(self, session: str) -> Session:
        call = self._core.sessions.get(session)
        if call is None:
            raise UnknownSessionError(session)
        return call

    def _incoming(self, session: str) -> IncomingSession:
        call = self._find(session)
        if not isinstance(call, IncomingSession):
            raise WrongStateError("only an incoming call is answered")
        return call

    def _confirmed(self, session: str) -> Session:
        call = self._find(session)
        if call.phase not in (Phase.ANSWERED, Phase.CONFIRMED):
            raise WrongStateError(f"not while {call.phase}")
        return call

    def _outside(
        self,
        method: str,
        target: Uri,
        from_: Address,
        to: Address | None,
        route: list[str],
        extra: list[tuple[str, str]],
        next_hop: Uri | None,
    ) -> tuple[str, list[tuple[str, str]], Uri]:
        """Request-URI, headers and next hop of a request outside a dialog (RFC 3261 §8.1.1)."""
        identifiers = self._core.identifiers
        uri_text = str(target.without_headers())
        hop = next_hop or target
        if route:
            first = Address.parse(route[0], "Route").uri
            hop = next_hop or first
            if not first.is_loose_router:  # RFC 3261 §8.1.2: a strict router takes the Request-URI
                route = [*route[1:], f"<{uri_text}>"]
                uri_text = str(first.without_headers())
        fields = [("Route", value) for value in route]
        fields += [
            ("Max-Forwards", "70"),
            ("From", str(from_.with_tag(identifiers.tag()))),
            ("To", str(to.without_parameters() if to is not None else Address(target.without_headers()))),
            ("Call-ID", identifiers.call_id()),
            ("CSeq", f"1 {method}"),
        ]
        given = {name.lower() for name, _ in extra}
        fields = [field for field in fields if field[0].lower() not in given or field[0] != "Max-Forwards"]
        return uri_text, fields + extra, hop


def _credentials(given: Credentials | Sequence[Credentials] | None) -> Sequence[Credentials]:
    if given is None:
        return ()
    return (given,) if isinstance(given, Credentials) else given
