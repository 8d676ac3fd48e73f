"""INVITE as UAC (RFC 3261 §13.2): early dialogs, forks, CANCEL, our ring limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cordboard.sip.config import Credentials
from cordboard.sip.core import Core, q850_cause, session_body
from cordboard.sip.credentials import AUTHORIZATION, authorizer
from cordboard.sip.dialog import Dialog, Fields
from cordboard.sip.events import Answered, Failed, Offered, Progress, Redirected
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response
from cordboard.sip.outgoing import OutgoingRequest
from cordboard.sip.redirection import Redirection
from cordboard.sip.reliable import ReliableSequence, is_reliable
from cordboard.sip.session import Acknowledgement, Phase, Session
from cordboard.sip.status import reason_phrase
from cordboard.sip.timers import Timer
from cordboard.sip.transactions import ServerTransaction
from cordboard.sip.uri import Uri
from cordboard.sip.usage_errors import WrongStateError

MAXIMUM_EARLY_DIALOGS = 32
"""A forking proxy, or somebody who plays one, cannot make us keep more."""


class OutgoingSession(Session):
    """A call that we make."""

    __slots__ = ("_early", "_invite", "_limit", "_offer_pending", "_others", "_sequences", "describe", "redirection")

    outgoing = True

    def __init__(self, core: Core, identifier: str, credentials: Sequence[Credentials]) -> None:
        super().__init__(core, identifier, credentials, Phase.CALLING)
        self._early: dict[str, Dialog] = {}
        self._sequences: dict[str, ReliableSequence] = {}
        self._others: dict[str, Acknowledgement] = {}
        self._invite: OutgoingRequest | None = None
        self._limit: Timer | None = None
        self._offer_pending: tuple[Dialog, Response] | None = None
        self.redirection: Redirection | None = None
        self.describe: Callable[[Flow], bytes] | None = None

    def start(
        self,
        uri_text: str,
        fields: Fields,
        body: bytes,
        next_hop: Uri,
        timeout: float,
        now: float,
        secure: bool,
    ) -> None:
        """Send the INVITE; ``timeout`` is our ring limit."""
        cseq = 1
        fields.append(("User-Agent", self.core.config.user_agent))
        fields += [*self.core.capabilities(), *self.expiry.request_fields()]
        if body:
            fields.append(("Content-Type", "application/sdp"))
            self.offers.early_offer = True
            self.offers.remember(body)
        self._invite = OutgoingRequest(
            self.core,
            "INVITE",
            uri_text,
            fields,
            body,
            cseq=cseq,
            next_cseq=self._next_cseq,
            next_hop=next_hop,
            session=self.id,
            on_response=self._answered,
            on_failed=self._failed,
            authorizer=self.authorizer,
            contact=True,
            secure=secure,
            body_for=self._describe if body and self.describe is not None else None,
        )
        self._limit = self.core.timers.start(now + timeout, self._ring_limit)
        self._invite.start(now)

    def _describe(self, flow: Flow) -> bytes:
        assert self.describe is not None
        body = self.describe(flow)
        self.offers.remember(body)
        return body

    def _next_cseq(self) -> int:
        assert self._invite is not None
        return self._invite.cseq + 1

    # Giving up ------------------------------------------------------------------------------------------------------

    def _ring_limit(self, now: float) -> None:
        self._limit = None
        self._give_up(408, "ring_timeout", [("Reason", 'SIP;cause=408;text="ring timeout"')], now)

    def cancel(self, headers: Fields, now: float) -> None:
        """Take the call back."""
        if self.phase is not Phase.CALLING:
            raise WrongStateError(f"CANCEL while {self.phase}")
        self._give_up(487, "cancelled", headers, now)

    def _give_up(self, status: int, detail: str, headers: Fields, now: float) -> None:
        assert self._invite is not None
        self.close(Failed(self.id, status, reason_phrase(status), None, True, None, detail), now)
        self._forget_early()
        self._invite.cancel(headers, now)

    def hangup(self, headers: Fields, now: float) -> None:
        """CANCEL or BYE."""
        if self.phase is Phase.CALLING:
            self.cancel(headers, now)
        else:
            super().hangup(headers, now)

    def _forget_early(self, keep: Dialog | None = None) -> None:
        if self._limit is not None:
            self._limit.stop()
            self._limit = None
        for dialog in self._early.values():
            if dialog is not keep:
                self.core.remove_dialog(dialog)
        self._early.clear()
        self._sequences.clear()
        self._offer_pending = None

    # Responses ------------------------------------------------------------------------------------------------------

    def _answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            if status > 100 and self.phase is Phase.CALLING:
                self._progress(request, response, now)
        elif status < 300:
            self._success(request, response, now)
        elif self.phase is Phase.CALLING:
            if status == 422 and self.expiry.raise_minimum(response):
                fields = [field for field in request.fields if field[0] not in ("Session-Expires", "Min-SE")]
                request.finished = False
                request.again(now, fields + self.expiry.request_fields())
                return
            if self.redirection is not None and self._redirect(self.redirection, request, response, now):
                return
            self._forget_early()
            self.close(
                Failed(self.id, status, response.reason, q850_cause(response), False, response),
                now,
            )

    def _redirect(self, redirection: Redirection, request: OutgoingRequest, response: Response, now: float) -> bool:
        """Go on to the next Contact of a 3xx (RFC 3261 §8.1.3.4); a 6xx ends the search (§21.6)."""
        status = response.status
        if status < 400:
            redirection.add(response)
        detour = redirection.next() if status < 600 else None
        if detour is None:
            return False
        for dialog in self._early.values():
            self.core.remove_dialog(dialog)
        self._early.clear()
        self._sequences.clear()
        self._offer_pending = None
        self.dialog = None
        self.authorizer = authorizer(detour.credentials, self.core.identifiers)
        cseq = self._next_cseq()
        dropped = (*AUTHORIZATION, "Route", "CSeq")
        # §8.1.3.4: To, From and Call-ID stay, the CSeq rises; a route towards the old target does not lead to the new
        fields = [field for field in request.fields if field[0] not in dropped]
        fields.append(("CSeq", f"{cseq} INVITE"))
        self._invite = OutgoingRequest(
            self.core,
            "INVITE",
            str(detour.target.without_headers()),
            fields,
            request.body,
            cseq=cseq,
            next_cseq=self._next_cseq,
            next_hop=detour.next_hop or detour.target,
            session=self.id,
            on_response=self._answered,
            on_failed=self._failed,
            authorizer=self.authorizer,
            contact=True,
            secure=detour.target.scheme == "sips",
            body_for=self._describe if request.body and self.describe is not None else None,
        )
        self.core.emit(Redirected(self.id, status, str(detour.target)))
        self._invite.start(now)
        return True

    def _failed(self, request: OutgoingRequest, kind: str, now: float) -> None:
        if self.phase is not Phase.CALLING:
            return
        self._forget_early()
        status, detail = (408, "transaction_timeout") if kind == "timeout" else (503, kind)
        self.close(Failed(self.id, status, reason_phrase(status), None, True, None, detail), now)

    def _flow(self, request: OutgoingRequest) -> Flow:
        assert request.transaction is not None
        return request.transaction.flow

    def _early_dialog(self, request: OutgoingRequest, response: Response) -> Dialog | None:
        """The early dialog of a provisional response with a To tag (RFC 3261 §12.1.2)."""
        tag = response.to.tag
        if tag is None or (response.contact is None and tag not in self._early):
            return None
        dialog = self._early.get(tag)
        if dialog is None:
            if len(self._early) >= MAXIMUM_EARLY_DIALOGS:
                return None
            assert request.request is not None
            dialog = Dialog.of_response(request.request, response, self._flow(request), self)
            self._early[tag] = dialog
            self.core.add_dialog(dialog)
        return dialog

    def _progress(self, request: OutgoingRequest, response: Response, now: float) -> None:
        dialog = self._early_dialog(request, response)
        body = session_body(response)
        if dialog is not None and is_reliable(response):
            number = response.rseq
            assert number is not None
            sequence = self._sequences.setdefault(dialog.remote_tag, ReliableSequence())
            if not sequence.accepts(number):
                return
            self.dialog = self.dialog or dialog
            if body and not request.body:
                # RFC 3262 §5: the offer came in the 1xx, the answer goes in the PRACK
                self._offer_pending = (dialog, response)
                self.core.emit(Progress(self.id, response.status, response.reason, b"", response))
                self.core.emit(Offered(self.id, body, "PRACK"))
                return
            if body:
                self.offers.early_offer = False
            self._acknowledge_provisional(dialog, response, b"", now)
        self.core.emit(Progress(self.id, response.status, response.reason, body, response))

    def _acknowledge_provisional(self, dialog: Dialog, response: Response, body: bytes, now: float) -> None:
        fields: Fields = [("RAck", f"{response.rseq} {response.cseq.number} INVITE")]
        self.send(
            "PRACK",
            fields,
            body,
            now,
            on_response=lambda *_: None,
            on_failed=lambda *_: None,
            dialog=dialog,
        )

    def answer_early_offer(self, body: bytes, now: float) -> bool:
        """Our answer to an offer that a reliable 1xx brought; False where there is none."""
        if self._offer_pending is None:
            return False
        dialog, response = self._offer_pending
        self._offer_pending = None
        self.offers.remember(body)
        self._acknowledge_provisional(dialog, response, body, now)
        return True

    def _success(self, request: OutgoingRequest, response: Response, now: float) -> None:
        tag = response.to.tag or ""
        chosen = self.dialog
        if (
            self.phase is not Phase.CALLING
            and chosen is not None
            and chosen.remote_tag == tag
            and not request.cancelled
        ):
            self.offers.repeated_success(request)
            return
        known = self._others.get(tag)
        if known is not None:
            known.send()
            return
        assert request.request is not None
        flow = self._flow(request)
        if self.phase is not Phase.CALLING:
            # RFC 3261 §13.2.2.4: a fork too many, or a 2xx that crossed our CANCEL: ACK, then BYE
            if len(self._others) >= MAXIMUM_EARLY_DIALOGS:
                return
            dialog = Dialog.of_response(request.request, response, flow, self)
            self._others[tag] = self.acknowledge(request, dialog, b"", now)
            self.send("BYE", [], b"", now, on_response=lambda *_: None, on_failed=lambda *_: None, dialog=dialog)
            return
        dialog = self._early.get(tag) or Dialog.of_response(request.request, response, flow, self)
        dialog.renew_routes(response)
        dialog.refresh_target(response, flow)
        if dialog.key not in self.core.dialogs:
            self.core.add_dialog(dialog)
        self._forget_early(keep=dialog)
        self.dialog = dialog
        self.flow = flow
        self.peer_allow = response.allow
        self.expiry.answered(response, now)
        body = session_body(response)
        if body and not request.body and not self.offers.described:
            self.phase = Phase.ANSWERED
            self.offers.hold_acknowledgement(request, dialog, now)
            self.core.emit(Answered(self.id, response, body, needs_answer=True))
            return
        self.phase = Phase.CONFIRMED
        self.offers.acknowledge(request, dialog, now)
        self.core.emit(Answered(self.id, response, body))
        self.offers.settled(now)

    def offer_settled(self, now: float) -> None:
        """The ACK with our answer went out."""
        if self.phase is Phase.ANSWERED:
            self.phase = Phase.CONFIRMED
            self.offers.settled(now)

    def receive(self, dialog: Dialog, transaction: ServerTransaction, request: Request, now: float) -> None:
        """A request in an early dialog may come before any of ours is chosen."""
        if self.phase is Phase.CALLING and self.dialog is None:
            self.dialog = dialog
        super().receive(dialog, transaction, request, now)
