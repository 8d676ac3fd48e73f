"""Changing a session: re-INVITE and UPDATE both ways, glare, delayed offers (RFC 3261 §14, RFC 3311, RFC 3264).

Rules:

* One offer is open at a time. A command that meets one waits, and only the last waiting one is sent.
* A peer's INVITE that crosses ours gets 491; one that comes while we still owe an answer gets 500 with Retry-After.
* 491 to ours is tried again: after 2.1-4 s where the Call-ID is ours, else 0-2 s (RFC 3261 §14.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordboard.sip.core import session_body
from cordboard.sip.dialog import Dialog, Fields
from cordboard.sip.events import OfferAnswered, Offered, OfferRefused
from cordboard.sip.message import Request, Response
from cordboard.sip.outgoing import OutgoingRequest
from cordboard.sip.repeater import SuccessRepeater
from cordboard.sip.timers import Timer
from cordboard.sip.transactions import ServerTransaction
from cordboard.sip.usage_errors import WrongStateError

if TYPE_CHECKING:
    from cordboard.sip.session import Acknowledgement, Session


class Offers:
    """The offers of one session."""

    __slots__ = (
        "_acknowledgements",
        "_deadline",
        "_incoming",
        "_local",
        "_outgoing",
        "_quiet",
        "_retry",
        "_session",
        "_unacknowledged",
        "_waiting",
        "_withdrawn",
        "early_offer",
    )

    def __init__(self, session: Session) -> None:
        self._session = session
        self._outgoing: OutgoingRequest | None = None
        self._quiet = False
        self._incoming: ServerTransaction | None = None
        self._deadline: Timer | None = None
        self._retry: Timer | None = None
        self._waiting: tuple[str, bytes, Fields, bool] | None = None
        self._unacknowledged: tuple[OutgoingRequest, Dialog] | None = None
        self._acknowledgements: dict[int, Acknowledgement] = {}
        self._withdrawn = False
        self._local = b""
        self.early_offer = False
        """The offer of our INVITE waits for its answer, or we owe the caller's an answer."""

    # Commands -------------------------------------------------------------------------------------------------------

    def remember(self, body: bytes) -> None:
        """Our current description, which a refreshing re-INVITE repeats."""
        if body:
            self._local = body

    def change(self, method: str, body: bytes, headers: Fields, now: float, *, quiet: bool = False) -> None:
        """Send an offer, or keep it until the open one is settled."""
        self._waiting = (method, body, headers, quiet)
        self._proceed(now)

    def refresh(self, now: float) -> None:
        """Refresh the session timer: UPDATE where the peer allows it (RFC 4028 §7.4), else re-INVITE."""
        if self._waiting is not None or self._outgoing is not None:
            return  # That one refreshes the session too.
        if "UPDATE" in self._session.peer_allow:
            self.change("UPDATE", b"", [], now, quiet=True)
        else:
            self.change("INVITE", self._local, [], now, quiet=True)

    def _proceed(self, now: float) -> None:
        waiting = self._waiting
        session = self._session
        if waiting is None or session.phase == "closed":
            return
        if self._outgoing or self._incoming or self._retry or self._unacknowledged:
            return
        method, body, headers, quiet = waiting
        if session.dialog is None or (method == "INVITE" and (session.phase != "confirmed" or session.repeaters)):
            return
        self._waiting = None
        self._quiet = quiet
        fields = [*headers, *session.core.capabilities(), *session.expiry.request_fields()]
        self._outgoing = session.send(
            method,
            fields,
            body,
            now,
            on_response=self._invite_answered if method == "INVITE" else self._update_answered,
            on_failed=self._failed,
            contact=True,
        )
        if method == "INVITE":
            self._start_deadline(now, session.core.config.answer_timeout + 64 * session.core.config.timers.t1)

    def _start_deadline(self, now: float, after: float) -> None:
        self._stop_deadline()
        self._deadline = self._session.core.timers.start(now + after, self._too_late)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.stop()
            self._deadline = None

    def _too_late(self, now: float) -> None:
        """Somebody owes an answer for too long: our user, or the peer."""
        self._deadline = None
        if self._incoming is not None:
            # RFC 3311 §5.2: 504 where an UPDATE would have to wait for its user
            self.reject(504 if self._incoming.request.method == "UPDATE" else 500, now)
        elif self._unacknowledged is not None:
            self.reject(488, now)
        elif self._outgoing is not None:
            self._outgoing.cancel((), now)

    @property
    def described(self) -> bool:
        """We have sent a description of our side, as an offer or as an answer."""
        return bool(self._local)

    def described_by_peer(self, invite: Request) -> bool:
        """The INVITE carried the peer's offer."""
        return bool(session_body(invite))

    # Our INVITE -----------------------------------------------------------------------------------------------------

    def _invite_answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        status = response.status
        session = self._session
        if status < 200:
            return
        if status < 300:
            known = self._acknowledgements.get(request.cseq)
            if known is not None:
                known.send()  # RFC 3261 §13.2.2.4: every repeated 2xx
                return
            if self._outgoing is not request or session.phase == "closed":
                self._outgoing = None if self._outgoing is request else self._outgoing
                if session.dialog is not None and self._unacknowledged is None:
                    self._remember_ack(request, session.acknowledge(request, session.dialog, b"", now))
                return
            assert session.dialog is not None
            self._outgoing = None
            self._stop_deadline()
            session.dialog.refresh_target(
                response, request.transaction.flow if request.transaction else session.dialog.flow
            )
            session.expiry.answered(response, now)
            body = session_body(response)
            if not request.body and body:
                self.hold_acknowledgement(request, session.dialog, now)
                session.core.emit(OfferAnswered(session.id, body, needs_answer=True))
                return
            self.remember(request.body)
            self._remember_ack(request, session.acknowledge(request, session.dialog, b"", now))
            if not self._quiet:
                session.core.emit(OfferAnswered(session.id, body))
            self._proceed(now)
        else:
            self._refused(request, response, now)

    def _update_answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        session = self._session
        if response.status < 200 or self._outgoing is not request:
            return
        if response.status >= 300:
            self._refused(request, response, now)
            return
        self._outgoing = None
        assert session.dialog is not None
        session.dialog.refresh_target(
            response, request.transaction.flow if request.transaction else session.dialog.flow
        )
        session.expiry.answered(response, now)
        self.remember(request.body)
        if request.body and not self._quiet:
            session.core.emit(OfferAnswered(session.id, session_body(response)))
        self._proceed(now)

    def _refused(self, request: OutgoingRequest, response: Response, now: float) -> None:
        if self._outgoing is not request:
            return
        session = self._session
        status = response.status
        if status == 422 and session.expiry.raise_minimum(response):
            fields = [field for field in request.fields if field[0] not in ("Session-Expires", "Min-SE")]
            request.finished = False
            request.again(now, fields + session.expiry.request_fields())
            return
        self._outgoing = None
        self._stop_deadline()
        headers = [field for field in request.fields if field[0].lower().startswith("x-")]
        if status == 491 and session.phase != "closed":
            # RFC 3261 §14.1
            chance = session.core.chance()
            after = 2.1 + 1.9 * chance if session.outgoing else 2.0 * chance
            if self._waiting is None:
                self._waiting = (request.method, request.body, headers, self._quiet)
            self._retry = session.core.timers.start(now + round(after, 2), self._again)
            return
        if self._quiet and status in (405, 501) and request.method == "UPDATE":
            session.peer_allow = session.peer_allow - {"UPDATE"}
            self.refresh(now)
            return
        if session.phase == "closed":
            return
        if not self._quiet:
            session.core.emit(OfferRefused(session.id, status))
        if not session.refusal_ends(status, now):
            self._proceed(now)

    def _again(self, now: float) -> None:
        self._retry = None
        self._proceed(now)

    def _failed(self, request: OutgoingRequest, kind: str, now: float) -> None:
        if self._outgoing is not request:
            return
        self._outgoing = None
        self._stop_deadline()
        session = self._session
        if session.phase == "closed":
            return
        status = 408 if kind == "timeout" else 503
        if not self._quiet:
            session.core.emit(OfferRefused(session.id, status))
        session.gone(kind, now)

    def _remember_ack(self, request: OutgoingRequest, acknowledgement: Acknowledgement) -> None:
        # Two are enough: the next re-INVITE cannot begin before the former is done.
        while len(self._acknowledgements) >= 2:
            del self._acknowledgements[next(iter(self._acknowledgements))]
        self._acknowledgements[request.cseq] = acknowledgement

    def hold_acknowledgement(self, request: OutgoingRequest, dialog: Dialog, now: float) -> None:
        """A 2xx brought an offer: its ACK waits for our answer (RFC 3261 §13.2.2.4)."""
        self._unacknowledged = (request, dialog)
        self._start_deadline(now, self._session.core.config.answer_timeout)

    def acknowledge_unanswered(self, now: float) -> None:
        """The session ends before our answer: the 2xx is still acknowledged."""
        if self._unacknowledged is not None:
            request, dialog = self._unacknowledged
            self._unacknowledged = None
            self._stop_deadline()
            self._remember_ack(request, self._session.acknowledge(request, dialog, b"", now))

    def repeated_success(self, request: OutgoingRequest) -> None:
        """The 2xx of the first INVITE came again."""
        known = self._acknowledgements.get(request.cseq)
        if known is not None:
            known.send()

    def acknowledge(self, request: OutgoingRequest, dialog: Dialog, now: float) -> None:
        """ACK the 2xx of the first INVITE."""
        self._remember_ack(request, self._session.acknowledge(request, dialog, b"", now))

    # The peer's INVITE and UPDATE -----------------------------------------------------------------------------------

    def _busy(self, transaction: ServerTransaction, now: float) -> bool:
        """Refuse an offer that crosses an open one (RFC 3261 §14.2, RFC 3311 §5.2)."""
        session = self._session
        if self._incoming is not None:
            response = transaction.response(500)
            response.headers.add("Retry-After", str(int(session.core.chance() * 10)))
            transaction.respond(response, now)
            return True
        if self._outgoing is not None or self._unacknowledged is not None:
            transaction.respond(transaction.response(491), now)
            return True
        return False

    def _interval_too_small(self, transaction: ServerTransaction, request: Request, now: float) -> bool:
        if not self._session.expiry.too_small(request):
            return False
        response = transaction.response(422)
        response.headers.add("Min-SE", str(self._session.core.config.minimum_session_expires))
        transaction.respond(response, now)
        return True

    def receive_invite(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """A re-INVITE."""
        session = self._session
        if session.phase not in ("answered", "confirmed"):
            response = transaction.response(500)
            response.headers.add("Retry-After", str(int(session.core.chance() * 10)))
            transaction.respond(response, now)
            return
        if self._busy(transaction, now) or self._interval_too_small(transaction, request, now):
            return
        transaction.respond(transaction.response(100), now)
        self._offered(transaction, session_body(request), "INVITE", now)

    def receive_update(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """An UPDATE, with or without an offer."""
        session = self._session
        body = session_body(request)
        if self._interval_too_small(transaction, request, now):
            return
        if body:
            if self.early_offer:
                # RFC 3311 §5.2: the first offer has no answer yet
                status = 491 if session.outgoing else 500
                response = transaction.response(status)
                if status == 500:
                    response.headers.add("Retry-After", str(int(session.core.chance() * 10)))
                transaction.respond(response, now)
                return
            if self._busy(transaction, now):
                return
            self._offered(transaction, body, "UPDATE", now)
        else:
            self._answer_incoming(transaction, request, b"", now)

    def offered_in_prack(self, transaction: ServerTransaction, body: bytes, now: float) -> None:
        """A PRACK with an offer (RFC 3262 §5)."""
        if not self._busy(transaction, now):
            self._offered(transaction, body, "PRACK", now)

    def _offered(self, transaction: ServerTransaction, body: bytes, method: str, now: float) -> None:
        session = self._session
        self._incoming = transaction
        self._withdrawn = False
        self._start_deadline(now, session.core.config.answer_timeout)
        session.core.emit(Offered(session.id, body, method))

    def answer(self, body: bytes, now: float) -> None:
        """Our answer to the open offer."""
        session = self._session
        if self._unacknowledged is not None:
            request, dialog = self._unacknowledged
            self._unacknowledged = None
            self._stop_deadline()
            self.remember(body)
            self._remember_ack(request, session.acknowledge(request, dialog, body, now))
            session.offer_settled(now)
            self._proceed(now)
            return
        transaction = self._incoming
        if transaction is None:
            if self._withdrawn:
                return
            raise WrongStateError("no offer waits for an answer")
        self._incoming = None
        self._stop_deadline()
        self.remember(body)
        self._answer_incoming(transaction, transaction.request, body, now)

    def _answer_incoming(self, transaction: ServerTransaction, request: Request, body: bytes, now: float) -> None:
        session = self._session
        dialog = session.dialog
        assert dialog is not None
        dialog.refresh_target(request, dialog.flow)
        response = transaction.response(200)
        headers = response.headers
        if request.method != "PRACK":
            headers.add("Contact", f"<{session.core.transport.contact_uri(dialog.flow, dialog.secure)}>")
            headers.extend(session.core.capabilities())
            headers.extend(session.expiry.answer_fields(request, now))
        if body:
            headers.add("Content-Type", "application/sdp")
            response.body = body
        if request.method == "INVITE":
            session.repeat_success(transaction, response, now, expects_answer=not session_body(request))
        else:
            transaction.respond(response, now)
            self._proceed(now)

    def reject(self, status: int, now: float) -> None:
        """Refuse the open offer."""
        session = self._session
        transaction = self._incoming
        if transaction is not None:
            self._incoming = None
            self._withdrawn = True
            self._stop_deadline()
            transaction.respond(transaction.response(status), now)
            self._proceed(now)
        elif self._unacknowledged is not None:
            # A 2xx cannot be refused: ACK, then BYE (RFC 3261 §13.2.2.4)
            session.bye([], now, detail="offer refused")
        elif not self._withdrawn:
            raise WrongStateError("no offer waits for an answer")

    def cancelled(self, transaction: ServerTransaction, now: float) -> None:
        """The peer took its re-INVITE back (RFC 3261 §9.2)."""
        if self._incoming is transaction:
            self._incoming = None
            self._withdrawn = True
            self._stop_deadline()
            transaction.respond(transaction.response(487), now)
            self._proceed(now)

    def acknowledged(self, repeater: SuccessRepeater, ack: Request, now: float) -> None:
        """The ACK of our 2xx to a re-INVITE."""
        if repeater.expects_answer:
            self._session.core.emit(OfferAnswered(self._session.id, session_body(ack)))
        self._proceed(now)

    # The end --------------------------------------------------------------------------------------------------------

    def settled(self, now: float) -> None:
        """The first offer/answer is complete: what waited may go."""
        self.early_offer = False
        self._proceed(now)

    def session_closed(self, now: float) -> None:
        """Answer what is open; nothing more is offered."""
        self._waiting = None
        if self._retry is not None:
            self._retry.stop()
            self._retry = None
        self._stop_deadline()
        if self._incoming is not None:
            transaction = self._incoming
            self._incoming = None
            self._withdrawn = True
            transaction.respond(transaction.response(487), now)  # RFC 3261 §15.1.2
        if self._outgoing is not None and self._outgoing.method == "INVITE":
            self._outgoing.cancel((), now)
