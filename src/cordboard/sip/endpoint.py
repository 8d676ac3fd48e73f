"""The face of the signalling core: bytes and time in; bytes, timers and events out. No I/O, no clock, no chance.

The order of use, by the shell: call an input or a command with ``now`` (seconds of a monotonic clock), then take
``take_outgoing()`` and ``take_events()``, then sleep until ``next_timer()`` and call ``handle_timer(now)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cordboard.sip.config import Credentials, EndpointConfig, Identifiers
from cordboard.sip.events import Event
from cordboard.sip.flow import Answer, Flow, HostPort, Output, Query
from cordboard.sip.uri import Address, Uri

HeaderList = Iterable[tuple[str, str]]


class Endpoint:
    """One SIP user agent with many sessions.

    Commands raise ``UnknownSessionError`` for a session that never was or is over, and ``WrongStateError`` where the
    session cannot do it now; ``hangup`` raises neither. Header names or values with CR, LF or NUL raise
    ``HeaderInjectionError`` before anything is sent.
    """

    def __init__(self, config: EndpointConfig, identifiers: Identifiers) -> None:
        raise NotImplementedError

    draining: bool
    """While true, OPTIONS and new INVITEs get 503 with Retry-After; running sessions go on."""

    # Inputs ---------------------------------------------------------------------------------------------------------

    def listening(self, transport: str, local: HostPort) -> None:
        """Tell the core of a bound listener, with its real port."""
        raise NotImplementedError

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """One datagram, or the next bytes of a stream. Never raises for what a peer sent."""
        raise NotImplementedError

    def handle_timer(self, now: float) -> None:
        """Run everything that is due at ``now``."""
        raise NotImplementedError

    def resolved(self, query: Query, answers: Sequence[Answer], now: float) -> None:
        """The DNS answered (with nothing, for a failure)."""
        raise NotImplementedError

    def connection_opened(self, flow: Flow, now: float) -> None:
        """A connection that the core asked for, or that a peer opened, can carry bytes."""
        raise NotImplementedError

    def connection_lost(self, flow: Flow, now: float) -> None:
        """The connection is gone."""
        raise NotImplementedError

    def send_failed(self, flow: Flow, now: float) -> None:
        """A Connect or a SendBytes on this flow failed (RFC 3261 §18.4)."""
        raise NotImplementedError

    # Outputs --------------------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When handle_timer wants to be called, or None."""
        raise NotImplementedError

    def take_outgoing(self) -> list[Output]:
        """What to do on the network, in order; the list is handed over."""
        raise NotImplementedError

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order; the list is handed over."""
        raise NotImplementedError

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
        now: float,
    ) -> str:
        """Call ``target`` and return the session id.

        ``body`` is our offer (application/sdp), empty for a delayed offer. ``route`` is a preloaded route set;
        ``next_hop`` an outbound proxy that is used without being written. ``timeout`` is our ring limit in seconds:
        the INVITE is then cancelled and ``Failed(408, local=True, detail="ring_timeout")`` raised at once.
        """
        raise NotImplementedError

    def cancel(self, session: str, headers: HeaderList = (), *, now: float) -> None:
        """Give up our unanswered INVITE.

        ``Failed(487, local=True, detail="cancelled")`` is raised at once; the CANCEL goes out after the first
        provisional response (RFC 3261 §9.1), and a 2xx that crosses it is acknowledged and ended with BYE.
        """
        raise NotImplementedError

    # Calls in -------------------------------------------------------------------------------------------------------

    def ring(self, session: str, status: int = 180, headers: HeaderList = (), body: bytes = b"", *, now: float) -> None:
        """Send a provisional response 101-199; reliable where the caller requires 100rel (RFC 3262)."""
        raise NotImplementedError

    def answer(self, session: str, body: bytes, headers: HeaderList = (), *, now: float) -> None:
        """Send 200 with our answer (or our offer), repeated until the ACK, else BYE and ``Ended("no_ack")``."""
        raise NotImplementedError

    def reject(self, session: str, status: int, reason: str = "", headers: HeaderList = (), *, now: float) -> None:
        """Refuse an unanswered incoming call with 300-699."""
        raise NotImplementedError

    # In the call ----------------------------------------------------------------------------------------------------

    def bye(self, session: str, headers: HeaderList = (), *, now: float) -> None:
        """End an answered call. ``Ended("bye", local=True)`` is raised at once."""
        raise NotImplementedError

    def hangup(self, session: str, headers: HeaderList = (), *, now: float) -> None:
        """Whichever of cancel, reject (480) and bye fits the session's state; does nothing where it is over."""
        raise NotImplementedError

    def reinvite(self, session: str, body: bytes, headers: HeaderList = (), *, now: float) -> None:
        """Offer new media; OfferAnswered or OfferRefused follows.

        A glare (491) is tried again after the time of RFC 3261 §14.1. Empty body: ask the peer for its offer.
        """
        raise NotImplementedError

    def update(self, session: str, body: bytes = b"", headers: HeaderList = (), *, now: float) -> None:
        """UPDATE (RFC 3311): an offer that works before the answer too. OfferAnswered or OfferRefused follows."""
        raise NotImplementedError

    def answer_offer(self, session: str, body: bytes, *, now: float) -> None:
        """Answer what ``Offered``, or ``Answered``/``OfferAnswered`` with ``needs_answer``, brought."""
        raise NotImplementedError

    def reject_offer(self, session: str, status: int = 488, *, now: float) -> None:
        """Refuse an offer; the session goes on. An offer that came in a 2xx is refused by ACK and BYE."""
        raise NotImplementedError

    def info(self, session: str, content_type: str, body: bytes, *, now: float) -> None:
        """Send INFO; InfoAnswered follows."""
        raise NotImplementedError

    # REFER ----------------------------------------------------------------------------------------------------------

    def refer(
        self,
        session: str,
        refer_to: Address,
        referred_by: Address | None = None,
        headers: HeaderList = (),
        *,
        now: float,
    ) -> None:
        """Ask the peer to call ``refer_to`` (RFC 3515); ReferAccepted or ReferRefused and notifications follow."""
        raise NotImplementedError

    def accept_refer(self, session: str, *, now: float) -> None:
        """202 to the peer's REFER and NOTIFY 100."""
        raise NotImplementedError

    def reject_refer(self, session: str, status: int = 603, *, now: float) -> None:
        """Refuse the peer's REFER."""
        raise NotImplementedError

    def notify_refer(self, session: str, status: int, text: str = "", final: bool = False, *, now: float) -> None:
        """NOTIFY the referrer with a sipfrag status line; ``final`` ends the subscription (reason noresource)."""
        raise NotImplementedError

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
        raise NotImplementedError

    # Looking --------------------------------------------------------------------------------------------------------

    def session_of(self, call_id: str, local_tag: str, remote_tag: str) -> str | None:
        """The session that owns this dialog (Replaces, Target-Dialog), or None."""
        raise NotImplementedError

    def counts(self) -> dict[str, int]:
        """Size of every table: sessions, dialogs, transactions, timers, subscriptions, … Idle means all zero."""
        raise NotImplementedError
