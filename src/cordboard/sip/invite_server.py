"""INVITE as UAS (RFC 3261 §13.3): 100, ringing, the answer until its ACK, CANCEL, Replaces."""

from __future__ import annotations

from cordboard.sip.core import Core, q850_cause, session_body
from cordboard.sip.dialog import Dialog, Fields
from cordboard.sip.events import Confirmed, EndCause, Ended, Failed
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response
from cordboard.sip.reliable import ReliableSender
from cordboard.sip.repeater import SuccessRepeater
from cordboard.sip.session import Phase, Session
from cordboard.sip.status import reason_phrase
from cordboard.sip.timers import Timer
from cordboard.sip.transactions import ServerTransaction
from cordboard.sip.usage_errors import WrongStateError

REPEAT_PROVISIONAL = 60.0
"""RFC 3261 §13.3.1.1: at least every minute, so that no proxy gives the call up."""


class IncomingSession(Session):
    """A call that a peer makes."""

    __slots__ = ("_answer_waits", "_reliable", "_repeat", "_tag", "_transaction", "replaces")

    outgoing = False

    def __init__(self, core: Core, identifier: str, transaction: ServerTransaction, flow: Flow) -> None:
        super().__init__(core, identifier, (), Phase.RINGING)
        request = transaction.request
        self.flow = flow
        self._transaction = transaction
        self._tag = core.identifiers.tag()
        self._repeat: Timer | None = None
        self._answer_waits: Response | None = None
        self.replaces: Session | None = None
        self.peer_allow = request.allow
        transaction.user = self
        transaction.session = identifier
        self.dialog = Dialog.of_request(request, self._tag, flow, self)
        core.add_dialog(self.dialog)
        self.offers.early_offer = bool(session_body(request))
        first = int(core.chance() * 2**30)
        self._reliable = ReliableSender(self, transaction, first)

    @property
    def first_offer(self) -> bytes | None:
        """The offer of the INVITE, or None."""
        return session_body(self._transaction.request) or None

    @property
    def transaction(self) -> ServerTransaction:
        """The INVITE's."""
        return self._transaction

    def _dialog_response(self, status: int, reason: str, headers: Fields, body: bytes) -> Response:
        """A response that makes a dialog: Record-Route copied, Contact (RFC 3261 §12.1.1)."""
        response = self._transaction.response(status, reason, self._tag)
        assert self.dialog is not None
        fields = [("Record-Route", route) for route in self._transaction.request.headers.get_all("Record-Route")]
        fields.append(("Contact", f"<{self.core.transport.contact_uri(self.dialog.flow, self.dialog.secure)}>"))
        fields += self.core.capabilities()
        fields.append(("Server", self.core.config.user_agent))
        fields += headers
        if body:
            fields.append(("Content-Type", "application/sdp"))
            response.body = body
        response.headers.extend(fields)
        return response

    def release(self) -> None:
        """The INVITE is kept for its repetitions only."""
        super().release()
        self._transaction.request.headers.forget_derived()

    # Ringing --------------------------------------------------------------------------------------------------------

    def ring(self, status: int, headers: Fields, body: bytes, now: float) -> None:
        """Send a provisional response."""
        if self.phase is not Phase.RINGING:
            raise WrongStateError(f"{status} while {self.phase}")
        if not 100 < status < 200:
            raise WrongStateError(f"{status} is not a provisional response")
        response = self._dialog_response(status, "", headers, body)
        self._stop_repeating()
        if any(tag.lower() == "100rel" for tag in self._transaction.request.required):
            if body:
                self.offers.remember(body)
                self.offers.early_offer = False
            self._reliable.send(response, now)
            return
        self._transaction.respond(response, now)
        self._repeat = self.core.timers.start(now + REPEAT_PROVISIONAL, self._repeat_provisional)

    def _repeat_provisional(self, now: float) -> None:
        self._repeat = None
        if self.phase is Phase.RINGING:
            self._transaction.repeat(now)
            self._repeat = self.core.timers.start(now + REPEAT_PROVISIONAL, self._repeat_provisional)

    def _stop_repeating(self) -> None:
        if self._repeat is not None:
            self._repeat.stop()
            self._repeat = None

    def receive_prack(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """PRACK (RFC 3262 §3)."""
        if not self._reliable.acknowledge(request, now):
            transaction.respond(transaction.response(481), now)
            return
        body = session_body(request)
        if body and not self.offers.described_by_peer(self._transaction.request):
            # The answer to the offer that our 1xx carried.
            transaction.respond(transaction.response(200), now)
        elif body:
            self.offers.offered_in_prack(transaction, body, now)
        else:
            transaction.respond(transaction.response(200), now)
        if self._answer_waits is not None:
            response, self._answer_waits = self._answer_waits, None
            self._send_answer(response, now)
        else:
            self._reliable.proceed(now)

    def not_acknowledged(self, now: float) -> None:
        """No PRACK in 64*T1: refuse the INVITE (RFC 3262 §3)."""
        if self.phase is Phase.RINGING or self._answer_waits is not None:
            self._answer_waits = None
            self._final(504, "", [], now)
            self.close(Failed(self.id, 504, reason_phrase(504), None, True, None, "no_prack"), now)
            self.release()

    # The final response ---------------------------------------------------------------------------------------------

    def answer(self, body: bytes, headers: Fields, now: float) -> None:
        """Send 200, at once or after the PRACK that is still due."""
        if self.phase is not Phase.RINGING:
            raise WrongStateError(f"200 while {self.phase}")
        response = self._dialog_response(200, "", headers, body)
        response.headers.extend(self.expiry.answer_fields(self._transaction.request, now))
        self.offers.remember(body)
        self.offers.early_offer = False
        self._stop_repeating()
        self.phase = Phase.ANSWERED
        if self._reliable.pending:
            self._answer_waits = response
        else:
            self._send_answer(response, now)
        replaced = self.replaces
        if replaced is not None and replaced.phase is not Phase.CLOSED:
            replaced.hangup([], now)  # RFC 3891 §3

    def _send_answer(self, response: Response, now: float) -> None:
        expects = bool(response.body) and not session_body(self._transaction.request)
        self.repeat_success(self._transaction, response, now, expects_answer=expects)

    def reject(self, status: int, reason: str, headers: Fields, now: float) -> None:
        """Refuse the call."""
        if self.phase is not Phase.RINGING:
            raise WrongStateError(f"{status} while {self.phase}")
        if not 300 <= status <= 699:
            raise WrongStateError(f"{status} does not refuse a call")
        self._final(status, reason, headers, now)
        self.close(
            Failed(self.id, status, reason or reason_phrase(status), None, True, None, "rejected"),
            now,
        )
        self.release()

    def _final(self, status: int, reason: str, headers: Fields, now: float) -> None:
        self._stop_repeating()
        self._reliable.stop()
        response = self._transaction.response(status, reason, self._tag)
        response.headers.add("Server", self.core.config.user_agent)
        response.headers.extend(headers)
        self._transaction.respond(response, now)

    def hangup(self, headers: Fields, now: float) -> None:
        """480 or BYE."""
        if self.phase is Phase.RINGING:
            self.reject(480, "", headers, now)
        else:
            super().hangup(headers, now)

    def bye(self, headers: Fields, now: float, cause: EndCause = "bye", detail: str = "") -> None:
        """A 200 that still waits for a PRACK is not sent any more."""
        if self._answer_waits is not None:
            self._answer_waits = None
            self._final(480, "", headers, now)
            self.ended("bye", now, local=True, detail=detail)
            self.release()
            return
        super().bye(headers, now, cause, detail)

    # What the caller does -------------------------------------------------------------------------------------------

    def cancelled(self, request: Request, now: float) -> None:
        """CANCEL: 487 to the INVITE, unless it has its final response (RFC 3261 §9.2)."""
        if self._transaction.is_final:
            return
        self._answer_waits = None
        self._final(487, "", [], now)
        self.close(Ended(self.id, "cancelled", q850_cause(request), request.headers), now)
        self.release()

    def before_bye(self, now: float) -> None:
        """BYE in the early dialog: the INVITE is answered 487 (RFC 3261 §15.1.2)."""
        if not self._transaction.is_final:
            self._answer_waits = None
            self._final(487, "", [], now)

    def acknowledged(self, repeater: SuccessRepeater, ack: Request, now: float) -> None:
        """The ACK of the call, or of a re-INVITE."""
        if repeater.transaction is self._transaction:
            if self.phase is Phase.ANSWERED:
                self.phase = Phase.CONFIRMED
            body = session_body(ack) if repeater.expects_answer else b""
            self.core.emit(Confirmed(self.id, body))
            self.offers.settled(now)
        else:
            super().acknowledged(repeater, ack, now)
