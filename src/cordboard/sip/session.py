"""A session: one INVITE usage and what happens inside its dialog (RFC 3261 §12-§15).

``OutgoingSession`` (invite_client.py) and ``IncomingSession`` (invite_server.py) add how it begins. Rules:

* Exactly one closing event is raised: ``close`` is the only place that does it.
* What must outlive the session (BYE, ACK of a repeated 2xx, subscriptions) lives in its transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from cordboard.sip.config import Credentials
from cordboard.sip.core import Core, q850_cause
from cordboard.sip.credentials import authorizer
from cordboard.sip.dialog import Dialog, Fields
from cordboard.sip.events import EndCause, Ended, Failed, InfoAnswered, InfoReceived
from cordboard.sip.flow import Flow
from cordboard.sip.headers import Headers
from cordboard.sip.message import Request, Response
from cordboard.sip.offers import Offers
from cordboard.sip.outgoing import OnFailed, OnResponse, OutgoingRequest
from cordboard.sip.referrals import Referrals
from cordboard.sip.repeater import SuccessRepeater
from cordboard.sip.resolution import Target
from cordboard.sip.session_timer import SessionTimer
from cordboard.sip.transactions import ServerTransaction
from cordboard.sip.usage_errors import WrongStateError

HeaderList = Iterable[tuple[str, str]]


class Phase(StrEnum):
    """Where a session is."""

    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    CONFIRMED = "confirmed"
    CLOSED = "closed"


def checked(headers: HeaderList) -> Fields:
    """The user's headers, refused now if they could break out of their line (HeaderInjectionError)."""
    fields = list(headers)
    if fields:
        Headers(fields)
    return fields


class Session:
    """What both directions share once a dialog exists."""

    __slots__ = (
        "authorizer",
        "bye_waits",
        "core",
        "dialog",
        "expiry",
        "flow",
        "id",
        "offers",
        "outgoing",
        "peer_allow",
        "phase",
        "referrals",
        "repeaters",
    )

    outgoing: bool
    """We sent the first INVITE, and own its Call-ID (RFC 3261 §14.1)."""

    def __init__(self, core: Core, identifier: str, credentials: Sequence[Credentials], phase: Phase) -> None:
        self.core = core
        self.id = identifier
        self.authorizer = authorizer(credentials, core.identifiers)
        self.phase = phase
        self.dialog: Dialog | None = None
        self.flow: Flow | None = None
        self.peer_allow: frozenset[str] = frozenset()
        self.repeaters: dict[int, SuccessRepeater] = {}
        self.bye_waits: Fields | None = None
        """The headers of a BYE that waits for the ACK of our 2xx (RFC 3261 §15)."""
        self.offers = Offers(self)
        self.referrals = Referrals(self)
        self.expiry = SessionTimer(self)

    # Closing --------------------------------------------------------------------------------------------------------

    def close(self, event: Ended | Failed, now: float) -> None:
        """Raise the one closing event and let go of everything that belongs to the running call."""
        if self.phase is Phase.CLOSED:
            return
        self.phase = Phase.CLOSED
        self.core.sessions.pop(self.id, None)
        self.expiry.stop()
        self.offers.session_closed(now)
        self.core.emit(event)
        self.referrals.session_closed(now)

    def release(self) -> None:
        """The dialog is not needed any more, unless a subscription still is."""
        if self.dialog is not None and not self.referrals.living:
            self.core.remove_dialog(self.dialog)
            self.core.lingering.pop(self.id, None)

    def ended(
        self,
        cause: EndCause,
        now: float,
        *,
        local: bool = False,
        detail: str = "",
        message: Request | Response | None = None,
    ) -> None:
        """Close with Ended."""
        headers = message.headers if message is not None else None
        self.close(Ended(self.id, cause, q850_cause(message), headers, local, detail), now)

    def bye(self, headers: Fields, now: float, cause: EndCause = "bye", detail: str = "") -> None:
        """End an answered call (RFC 3261 §15.1.1)."""
        if self.phase not in (Phase.ANSWERED, Phase.CONFIRMED):
            raise WrongStateError(f"BYE while {self.phase}")
        waits = self.phase is Phase.ANSWERED and not self.outgoing
        self.offers.acknowledge_unanswered(now)
        self.ended(cause, now, local=True, detail=detail)
        if waits:
            # RFC 3261 §15: the callee waits for the ACK (or its time limit) before its BYE
            self.bye_waits = headers
        else:
            self.send_bye(headers, now)

    def send_bye(self, headers: Fields, now: float) -> None:
        """Send BYE; the dialog stays until it is answered, so that a crossing BYE is answered too."""
        self.bye_waits = None
        for repeater in list(self.repeaters.values()):
            repeater.stop()
        self.repeaters.clear()
        self.send("BYE", headers, b"", now, on_response=self._bye_answered, on_failed=self._bye_failed)

    def _bye_answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        if response.status >= 200:
            self.release()

    def _bye_failed(self, request: OutgoingRequest, kind: str, now: float) -> None:
        self.release()

    def gone(self, detail: str, now: float) -> None:
        """The peer does not know the dialog, or does not answer: end it (RFC 3261 §12.2.1.2)."""
        if self.phase in (Phase.ANSWERED, Phase.CONFIRMED):
            self.bye([], now, cause="dialog_gone", detail=detail)

    def hangup(self, headers: Fields, now: float) -> None:
        """Whichever way out fits the phase."""
        if self.phase in (Phase.ANSWERED, Phase.CONFIRMED):
            self.bye(headers, now)

    # Requests of ours -----------------------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        headers: Fields,
        body: bytes,
        now: float,
        *,
        on_response: OnResponse,
        on_failed: OnFailed,
        contact: bool = False,
        dialog: Dialog | None = None,
        content_type: str = "application/sdp",
    ) -> OutgoingRequest:
        """Send a request in the dialog."""
        used = dialog or self.dialog
        if used is None:
            raise WrongStateError("there is no dialog yet")
        cseq = used.next_cseq()
        uri_text, routes, next_hop = used.request_line()
        fields = used.fields(method, cseq, routes)
        fields.append(("User-Agent", self.core.config.user_agent))
        fields += headers
        if body:
            fields.append(("Content-Type", content_type))
        request = OutgoingRequest(
            self.core,
            method,
            uri_text,
            fields,
            body,
            cseq=cseq,
            next_cseq=used.next_cseq,
            next_hop=next_hop,
            session=self.id,
            on_response=on_response,
            on_failed=on_failed,
            authorizer=self.authorizer,
            prefer=used.flow,
            contact=contact,
            secure=used.secure,
        )
        request.start(now)
        return request

    def acknowledge(self, invite: OutgoingRequest, dialog: Dialog, body: bytes, now: float) -> Acknowledgement:
        """ACK a 2xx: new branch, the dialog's route set, the INVITE's credentials (RFC 3261 §13.2.2.4)."""
        uri_text, routes, next_hop = dialog.request_line()
        fields = dialog.fields("ACK", invite.cseq, routes)
        fields += [(n, v) for n, v in invite.fields if n in ("Authorization", "Proxy-Authorization")]
        if body:
            fields.append(("Content-Type", "application/sdp"))
        acknowledgement = Acknowledgement(self, dialog, uri_text, fields, body)
        self.core.resolve(next_hop, acknowledgement.send_to, now)
        return acknowledgement

    # Requests of the peer -------------------------------------------------------------------------------------------

    def receive(self, dialog: Dialog, transaction: ServerTransaction, request: Request, now: float) -> None:
        """A request within the dialog, in order, with a transaction that waits for our answer."""
        method = request.method
        if method == "BYE":
            self._receive_bye(dialog, transaction, request, now)
        elif method == "NOTIFY":
            self.referrals.receive_notify(transaction, request, now)
        elif self.phase is Phase.CLOSED:
            transaction.respond(transaction.response(481), now)
        elif method == "INVITE":
            self.offers.receive_invite(transaction, request, now)
        elif method == "UPDATE":
            self.offers.receive_update(transaction, request, now)
        elif method == "PRACK":
            self.receive_prack(transaction, request, now)
        elif method == "INFO":
            transaction.respond(transaction.response(200), now)
            self.core.emit(InfoReceived(self.id, request.content_type, request.body))
        elif method == "REFER":
            self.referrals.receive_refer(transaction, request, now)
        elif method == "OPTIONS":
            response = transaction.response(200)
            response.headers.extend(self.core.capabilities())
            response.headers.add("Accept", ", ".join(self.core.config.accept))
            transaction.respond(response, now)
        else:
            response = transaction.response(405)
            response.headers.add("Allow", ", ".join(self.core.config.allow))
            transaction.respond(response, now)

    def _receive_bye(self, dialog: Dialog, transaction: ServerTransaction, request: Request, now: float) -> None:
        transaction.respond(transaction.response(200), now)
        if self.phase is Phase.CALLING:
            return  # RFC 3261 §15: a callee may not end an early dialog; the INVITE's own answer decides
        for repeater in list(self.repeaters.values()):
            repeater.stop()
        self.repeaters.clear()
        self.bye_waits = None
        if self.phase is not Phase.CLOSED:
            self.before_bye(now)
            self.offers.acknowledge_unanswered(now)
            self.ended("bye", now, message=request)
        self.release()
        request.headers.forget_derived()

    def before_bye(self, now: float) -> None:
        """A hook for what a BYE interrupts."""

    def receive_prack(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """PRACK that matches nothing (RFC 3262 §3)."""
        transaction.respond(transaction.response(481), now)

    def transaction_ack(self, transaction: ServerTransaction, ack: Request, now: float) -> None:
        """An ACK with the branch of its INVITE, as older peers send it for a 2xx too."""
        self.receive_ack(ack, now)

    def transaction_timeout(self, transaction: ServerTransaction, now: float) -> None:
        """No ACK for our refusal: nothing is left to do."""

    def receive_ack(self, request: Request, now: float) -> None:
        """The ACK of a 2xx; a repeated one finds nothing."""
        repeater = self.repeaters.pop(request.cseq.number, None)
        if repeater is None:
            return
        repeater.stop()
        if self.bye_waits is not None:
            self.send_bye(self.bye_waits, now)
        elif self.phase is not Phase.CLOSED:
            self.acknowledged(repeater, request, now)

    def acknowledged(self, repeater: SuccessRepeater, ack: Request, now: float) -> None:
        """Our 2xx is confirmed."""
        self.offers.acknowledged(repeater, ack, now)

    def unacknowledged(self, repeater: SuccessRepeater, now: float) -> None:
        """No ACK in 64*T1: BYE (RFC 3261 §13.3.1.4)."""
        self.repeaters.pop(repeater.cseq, None)
        if self.bye_waits is not None:
            self.send_bye(self.bye_waits, now)
            return
        if self.phase is not Phase.CLOSED:
            self.offers.acknowledge_unanswered(now)
            self.ended("no_ack", now, local=True)
            self.send_bye([], now)

    def repeat_success(
        self, transaction: ServerTransaction, response: Response, now: float, *, expects_answer: bool = False
    ) -> None:
        """Send a 2xx to INVITE and repeat it until its ACK."""
        transaction.respond(response, now)
        repeater = SuccessRepeater(self, transaction, expects_answer)
        self.repeaters[repeater.cseq] = repeater
        repeater.start(now)

    def offer_settled(self, now: float) -> None:
        """Our answer to the offer of a 2xx went out with its ACK."""

    # INFO -----------------------------------------------------------------------------------------------------------

    def info(self, content_type: str, body: bytes, now: float) -> None:
        """Send INFO."""
        self.send(
            "INFO",
            [],
            body,
            now,
            on_response=self._info_answered,
            on_failed=self._info_failed,
            content_type=content_type,
        )

    def _info_answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        if response.status >= 200 and self.phase is not Phase.CLOSED:
            self.core.emit(InfoAnswered(self.id, response.status))
            if response.status == 481:
                self.gone("481", now)

    def _info_failed(self, request: OutgoingRequest, kind: str, now: float) -> None:
        if self.phase is not Phase.CLOSED:
            self.core.emit(InfoAnswered(self.id, 408 if kind == "timeout" else 503))

    # Refused requests -----------------------------------------------------------------------------------------------

    def refusal_ends(self, status: int, now: float) -> bool:
        """RFC 3261 §12.2.1.2: 481 and 408 to a request within the dialog end it."""
        if status in (408, 481):
            self.gone(str(status), now)
            return True
        return False


class Acknowledgement:
    """An ACK that can be sent again for each repeated 2xx (RFC 3261 §13.2.2.4)."""

    __slots__ = ("_body", "_dialog", "_fields", "_flow", "_session", "_uri_text", "_wire")

    def __init__(self, session: Session, dialog: Dialog, uri_text: str, fields: Fields, body: bytes) -> None:
        self._session = session
        self._dialog = dialog
        self._uri_text = uri_text
        self._fields = fields
        self._body = body
        self._flow: Flow | None = None
        self._wire = b""

    def send_to(self, targets: list[Target], now: float) -> None:
        """The next hop is known."""
        core = self._session.core
        for target in core.permitted(targets, self._dialog.flow):
            flow = core.transport.flow_to(target.transport, target.address, self._dialog.flow, target.name)
            if flow is not None:
                via = core.transport.via(flow, core.identifiers.branch())
                request = Request("ACK", self._uri_text, Headers([("Via", via), *self._fields]), self._body)
                self._wire = request.serialize()
                self._flow = flow
                self.send()
                return

    def send(self) -> None:
        """Send it (again)."""
        if self._flow is not None:
            self._session.core.transport.send(self._flow, self._wire, self._dialog.call_id, self._session.id)
