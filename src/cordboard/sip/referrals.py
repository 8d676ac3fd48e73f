"""REFER and its implicit subscription, both ways (RFC 3515, RFC 4488, RFC 6665, RFC 7647).

Rules for a REFER of ours:

* 202 (or 200) says only that the peer will try; NOTIFYs tell the rest, in any order, also before the 202.
* Each NOTIFY is answered 200, also one without Event (FreeSWITCH) and one that comes after the end.
* The subscription outlives the call (RFC 5057 §4.2): after a BYE its NOTIFYs still count for 64*T1, so that
  ReferNotified and ReferEnded may follow Ended.
* It ends once: by Subscription-State terminated, a refusal, Refer-Sub: false, or its time limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordboard.sip.address import Address
from cordboard.sip.dialog import Dialog, Fields
from cordboard.sip.errors import ParseError
from cordboard.sip.events import ReferAccepted, ReferEnded, ReferNotified, ReferRefused, ReferRequested
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response
from cordboard.sip.outgoing import OutgoingRequest
from cordboard.sip.sipfrag import CONTENT_TYPE, StatusLine
from cordboard.sip.status import reason_phrase
from cordboard.sip.timers import Timer
from cordboard.sip.transactions import ServerTransaction
from cordboard.sip.usage_errors import LimitReachedError, WrongStateError

if TYPE_CHECKING:
    from cordboard.sip.session import Session


class Referral:
    """One REFER of ours."""

    __slots__ = ("_limit", "_referrals", "accepted", "ended", "request")

    def __init__(self, referrals: Referrals) -> None:
        self._referrals = referrals
        self._limit: Timer | None = None
        self.request: OutgoingRequest | None = None
        self.accepted = False
        self.ended = False

    def wait(self, at: float) -> None:
        """Not longer than this."""
        if self._limit is not None:
            self._limit.stop()
        self._limit = self._referrals.session.core.timers.start(at, self._expired)

    def _expired(self, now: float) -> None:
        self._limit = None
        self.end("expired")

    def end(self, reason: str | None) -> None:
        """The subscription is over; ``reason`` None where a refusal has said so."""
        if self.ended:
            return
        self.ended = True
        if self._limit is not None:
            self._limit.stop()
            self._limit = None
        session = self._referrals.session
        if reason is not None:
            session.core.emit(ReferEnded(session.id, reason))
        self._referrals.remove(self)

    # Responses ------------------------------------------------------------------------------------------------------

    def answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        """The response to REFER."""
        status = response.status
        if status < 200 or self.ended:
            return
        session = self._referrals.session
        if status >= 300:
            session.core.emit(ReferRefused(session.id, status, response))
            self.end(None)
            return
        self.accepted = True
        subscription = (response.headers.get("Refer-Sub") or "").strip().lower() != "false"  # RFC 4488 §4
        session.core.emit(ReferAccepted(session.id, status, subscription))
        if not subscription:
            self.end("no_subscription")

    def failed(self, request: OutgoingRequest, kind: str, now: float) -> None:
        """Nobody answered REFER."""
        if not self.ended:
            session = self._referrals.session
            session.core.emit(ReferRefused(session.id, 408 if kind == "timeout" else 503))
            self.end(None)

    def notified(self, request: Request, now: float) -> None:
        """A NOTIFY of this subscription."""
        session = self._referrals.session
        try:
            line = StatusLine.parse(request.body)
            status, text = line.status, line.reason
        except ParseError:
            status, text = 0, ""
        state, reason = "", "noresource"
        try:
            subscription = request.subscription_state
            if subscription is not None:
                state, reason = subscription.state, subscription.reason or "noresource"
        except ParseError:
            state = ""
        final = status >= 200
        session.core.emit(ReferNotified(session.id, status, text, state, final))
        if state == "terminated":
            self.end(reason)
        elif final:
            # Asterisk and FreeSWITCH may leave the subscription open behind a final status.
            self.wait(now + 64 * session.core.config.timers.t1)


class Referrals:
    """The subscriptions of one session."""

    __slots__ = (
        "_dialog",
        "_incoming",
        "_incoming_limit",
        "_notified_id",
        "_outgoing",
        "_outside",
        "_seen",
        "_subscribed",
        "session",
    )

    def __init__(self, session: Session) -> None:
        self.session = session
        self._outgoing: list[Referral] = []
        self._seen = False
        self._incoming: ServerTransaction | None = None
        self._incoming_limit: Timer | None = None
        self._subscribed: Timer | None = None
        self._notified_id: str | None = None
        self._outside: Flow | None = None
        self._dialog: Dialog | None = None

    @property
    def living(self) -> int:
        """Subscriptions that keep the dialog."""
        return len(self._outgoing) + (self._subscribed is not None)

    def remove(self, referral: Referral) -> None:
        """A subscription of ours is over."""
        if referral in self._outgoing:
            self._outgoing.remove(referral)
        self._let_go()

    def _let_go(self) -> None:
        if self.session.phase == "closed" and not self.living:
            self.session.release()

    def session_closed(self, now: float) -> None:
        """The call is over: what is still open gets a last while."""
        if self._incoming is not None:
            transaction = self._incoming
            self._forget_incoming()
            transaction.respond(transaction.response(481), now)
        for referral in self._outgoing:
            referral.wait(now + 64 * self.session.core.config.timers.t1)
        if self.living:
            self.session.core.lingering[self.session.id] = self.session

    # REFER of ours --------------------------------------------------------------------------------------------------

    def refer(
        self,
        refer_to: Address,
        referred_by: Address | None,
        headers: Fields,
        now: float,
        subscription: bool = True,
    ) -> None:
        """Send REFER in the dialog."""
        session = self.session
        if session.phase not in ("answered", "confirmed"):
            raise WrongStateError(f"REFER while {session.phase}")
        if len(self._outgoing) >= session.core.config.maximum_referrals:
            raise LimitReachedError("too many open REFERs in this session")
        fields: Fields = [("Refer-To", str(refer_to))]
        if referred_by is not None:
            fields.append(("Referred-By", str(referred_by)))  # RFC 3892 §2.1
        if not subscription:
            fields.append(("Refer-Sub", "false"))  # RFC 4488 §4: a wish; the answer says whether it is granted
        fields += [*headers, *session.core.capabilities()]
        referral = Referral(self)
        self._outgoing.append(referral)
        self._seen = True
        referral.wait(now + session.core.config.refer_timeout)
        referral.request = session.send(
            "REFER", fields, b"", now, on_response=referral.answered, on_failed=referral.failed, contact=True
        )

    def receive_notify(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """A NOTIFY in our dialog."""
        try:
            event = request.event
        except ParseError:
            event = None
        if (event is not None and event.package.lower() != "refer") or not self._seen:
            status = 489 if event is not None and event.package.lower() != "refer" else 481
            transaction.respond(transaction.response(status), now)
            return
        transaction.respond(transaction.response(200), now)
        referral = self._find(event.id if event is not None else None)
        if referral is not None:
            referral.notified(request, now)

    def _find(self, identifier: str | None) -> Referral | None:
        """RFC 3515 §2.4.6: ``id`` is the CSeq of the REFER; without it the oldest is meant."""
        if identifier is not None:
            for referral in self._outgoing:
                if referral.request is not None and str(referral.request.cseq) == identifier:
                    return referral
            return self._outgoing[0] if len(self._outgoing) == 1 else None
        return self._outgoing[0] if self._outgoing else None

    # REFER of the peer ----------------------------------------------------------------------------------------------

    def receive_refer(
        self, transaction: ServerTransaction, request: Request, now: float, outside: Flow | None = None
    ) -> None:
        """Ask our user, or refuse by policy. ``outside``: it came by Target-Dialog, on this flow (RFC 4538)."""
        session = self.session
        core = session.core
        assert session.dialog is not None
        living = session.phase in ("answered", "confirmed")
        if not living or not core.config.accept_refer(session.dialog.flow) or self._incoming is not None:
            transaction.respond(transaction.response(603), now)
            return
        if len(request.headers.get_all("Refer-To")) != 1:
            transaction.respond(transaction.response(400, "Exactly one Refer-To is needed"), now)  # RFC 3515 §2.4.1
            return
        refer_to = request.refer_to
        assert refer_to is not None
        replaces = refer_to.uri.header("Replaces")
        self._incoming = transaction
        self._outside = outside
        self._incoming_limit = core.timers.start(now + core.config.answer_timeout, self._nobody_decided)
        core.emit(ReferRequested(session.id, refer_to, request.referred_by, replaces))

    def _nobody_decided(self, now: float) -> None:
        self._incoming_limit = None
        self.reject(603, now)

    def _forget_incoming(self) -> ServerTransaction:
        transaction = self._incoming
        if transaction is None:
            raise WrongStateError("no REFER waits for an answer")
        self._incoming = None
        if self._incoming_limit is not None:
            self._incoming_limit.stop()
            self._incoming_limit = None
        return transaction

    def accept(self, now: float) -> None:
        """202 and the first NOTIFY (RFC 3515 §2.4.4); 200 without subscription where Refer-Sub: false asks for it."""
        transaction = self._forget_incoming()
        request = transaction.request
        session = self.session
        core = session.core
        assert session.dialog is not None
        silent = (request.headers.get("Refer-Sub") or "").strip().lower() == "false"
        outside = self._outside
        tag = core.identifiers.tag() if outside is not None else None
        response = transaction.response(200 if silent else 202, "", tag)
        if silent:
            response.headers.add("Refer-Sub", "false")
        flow = session.dialog.flow
        response.headers.add("Contact", f"<{core.transport.contact_uri(flow, session.dialog.secure)}>")
        transaction.respond(response, now)
        if silent:
            return
        if self._dialog is not None:
            core.remove_dialog(self._dialog)
            self._dialog = None
        if outside is not None and tag is not None:
            # RFC 4538 §3: this REFER begins a dialog of its own, in which its NOTIFYs go
            self._dialog = Dialog.of_request(request, tag, outside, session)
            core.add_dialog(self._dialog)
        # RFC 3515 §2.4.6: from the second REFER on the subscription is named by its CSeq.
        self._notified_id = str(request.cseq.number) if self._notified_id is not None else ""
        if self._subscribed is not None:
            self._subscribed.stop()
        self._subscribed = core.timers.start(now + core.config.refer_timeout, self._subscription_expired)
        self.notify(100, "", False, now)

    def reject(self, status: int, now: float) -> None:
        """Refuse the peer's REFER."""
        transaction = self._forget_incoming()
        transaction.respond(transaction.response(status), now)

    def notify(self, status: int, text: str, final: bool, now: float) -> None:
        """Report to the referrer; after a final report nothing follows."""
        session = self.session
        if self._subscribed is None:
            return
        state = "terminated;reason=noresource" if final else f"active;expires={int(session.core.config.refer_timeout)}"
        event = f"refer;id={self._notified_id}" if self._notified_id else "refer"
        line = StatusLine(status, text or reason_phrase(status))
        fields: Fields = [("Event", event), ("Subscription-State", state)]
        if final:
            self._subscribed.stop()
            self._subscribed = None
        used = self._dialog
        session.send(
            "NOTIFY",
            fields,
            line.serialize(),
            now,
            on_response=self._notify_answered,
            on_failed=self._notify_failed,
            contact=True,
            content_type=CONTENT_TYPE,
            dialog=used,
        )
        if final:
            self._forget_dialog()
            self._let_go()

    def _forget_dialog(self) -> None:
        """The subscription's own dialog, where it had one, is over."""
        if self._dialog is not None:
            self.session.core.remove_dialog(self._dialog)
            self._dialog = None

    def _subscription_expired(self, now: float) -> None:
        self.notify(408, "", True, now)

    def _notify_answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        if response.status in (408, 481, 489):
            self._end_subscription()  # RFC 6665 §4.2.2

    def _notify_failed(self, request: OutgoingRequest, kind: str, now: float) -> None:
        self._end_subscription()

    def _end_subscription(self) -> None:
        if self._subscribed is not None:
            self._subscribed.stop()
            self._subscribed = None
            self._forget_dialog()
            self._let_go()
