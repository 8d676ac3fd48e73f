"""A leg: one SIP session and one jack, seen as one thing.

The leg turns messages into facts (`LegEvent`) and decisions into messages. It negotiates media, follows
re-INVITEs, and knows nothing of agents or transfers. Who wants its facts subscribes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog

from cordboard.calls.errors import MediaNegotiationError
from cordboard.calls.media_session import MediaSession
from cordboard.media import Dtmf, Ended, Latched, Mark, Silent
from cordboard.sip import events as sip
from cordboard.sip.address import Address
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.fields import Reason
from cordboard.sip.message import Request
from cordboard.sip.uri import escape_header

if TYPE_CHECKING:
    from cordboard.calls.user_agent import UserAgent
    from cordboard.media import Event as BoardEvent
    from cordboard.media import Jack, Recording

log = structlog.get_logger(__name__)

NORMAL_CLEARING = Reason("Q.850", 16, "Normal call clearing")
"""What a BYE of ours says where nobody says more (RFC 3326 §2, RFC 6432)."""

HeaderList = Iterable[tuple[str, str]]
LegState = Literal["new", "dialing", "early", "answered", "over"]


@dataclass(frozen=True, slots=True)
class LegInvited:
    """Our INVITE left: its size in bytes, and by which transport."""

    size: int
    transport: str


@dataclass(frozen=True, slots=True)
class LegRinging:
    """A provisional response; ``early_media`` where it described media."""

    status: int
    reason: str
    early_media: bool


@dataclass(frozen=True, slots=True)
class LegAnswered:
    """The far end answered. ``fault`` names why its media cannot be used, empty when it can."""

    status: int
    reason: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class LegConfirmed:
    """The caller acknowledged our 200: what we play now is heard."""


@dataclass(frozen=True, slots=True)
class LegFailed:
    """Never answered. See `sip.events.Failed` for ``local`` and ``detail``."""

    status: int
    reason: str
    q850: int | None
    local: bool
    detail: str


@dataclass(frozen=True, slots=True)
class LegEnded:
    """Over after it was answered (or cancelled, for an inbound leg)."""

    cause: str
    q850: int | None
    local: bool


@dataclass(frozen=True, slots=True)
class LegMediaSeen:
    """The first packet from the far end since the last offer/answer."""


@dataclass(frozen=True, slots=True)
class LegSilent:
    """No packet for ``seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LegKey:
    """A DTMF key from the far end, by RFC 4733 or by INFO."""

    digit: str
    source: Literal["rfc4733", "info"]


@dataclass(frozen=True, slots=True)
class LegMark:
    """Speech has been played up to this mark."""

    id: int


@dataclass(frozen=True, slots=True)
class LegClipEnded:
    """A clip without a loop has been played."""


@dataclass(frozen=True, slots=True)
class LegHeld:
    """The far end put us on hold, or took us back."""

    held: bool


LegEvent = (
    LegInvited
    | LegRinging
    | LegAnswered
    | LegConfirmed
    | LegFailed
    | LegEnded
    | LegMediaSeen
    | LegSilent
    | LegKey
    | LegMark
    | LegClipEnded
    | LegHeld
    | sip.ReferAccepted
    | sip.ReferRefused
    | sip.ReferNotified
    | sip.ReferEnded
    | sip.ReferRequested
)


class Leg:
    """One party's connection. ``name`` is its name in the record: ``caller``, ``target-1``."""

    def __init__(
        self,
        user_agent: UserAgent,
        *,
        call_id: str,
        name: str,
        session: str,
        jack: Jack,
        media: MediaSession,
        request: Request | None = None,
    ) -> None:
        self.user_agent = user_agent
        self.call_id = call_id
        self.name = name
        self.session = session
        self.jack = jack
        self.media = media
        self.request = request
        """The INVITE of an inbound leg."""
        self.state: LegState = "new"
        self.media_seen = False
        self.held = False
        self.fault = ""
        """Why we had to hang up although nobody wanted it."""
        self.invited = request is not None
        self.traced = False
        """Whether the call's record is open, so that messages can be reported."""
        self._subscribers: list[Callable[[LegEvent], None]] = []
        self.recording: Recording | None = None

    @property
    def over(self) -> bool:
        return self.state == "over"

    def subscribe(self, subscriber: Callable[[LegEvent], None]) -> Callable[[], None]:
        """Give every later fact to ``subscriber``; call the result to stop."""
        self._subscribers.append(subscriber)

        def stop() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return stop

    def _tell(self, event: LegEvent) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception:  # one who stumbles keeps the fact neither from the others nor from the reaper
                log.exception("leg_event_failed", call_id=self.call_id, leg=self.name, kind=type(event).__name__)

    # Commands -------------------------------------------------------------------------------------------------------

    def ring(self, headers: HeaderList = ()) -> None:
        """180 on an inbound leg."""
        self._run(lambda core, now: core.ring(self.session, 180, headers, now=now))

    def answer(self, headers: HeaderList = ()) -> None:
        """200 on an inbound leg, with the media that `UserAgent.receive` has already agreed on."""
        body = self.media.local_description
        self.state = "answered"
        self._run(lambda core, now: core.answer(self.session, body, headers, now=now))

    def adopt(self, call: sip.IncomingCall) -> None:
        """Go on with another party's session (RFC 3891): same jack, new media. Raises MediaNegotiationError."""
        if call.offer is None:
            self.media.new_offer()
        else:
            self.media.take_offer(call.offer)
            self.media.apply(self.jack, call.flow.remote[0])
        self.session = call.session
        self.request = call.request

    def go_on(self, media: MediaSession) -> None:
        """The session of this leg is another's now, with this media. Raises MediaNegotiationError."""
        self.media = media
        self.media_seen = False
        media.apply(self.jack, self.peer)

    def reject(self, status: int, reason: str = "", headers: HeaderList = ()) -> None:
        """Refuse an inbound leg."""
        self._run(lambda core, now: core.reject(self.session, status, reason, headers, now=now))

    def hangup(self, reason: Reason | None = None, headers: HeaderList = ()) -> None:
        """CANCEL, BYE or refusal, whichever fits; nothing where the leg is over. Facts about the end follow."""
        if self.state == "over":
            return
        extra = [*headers]
        if reason is not None:
            extra.append(("Reason", str(reason)))
        if self.state == "answered" and not any("Q.850" in value for name, value in extra if name == "Reason"):
            extra.append(("Reason", str(NORMAL_CLEARING)))
        self._run(lambda core, now: core.hangup(self.session, extra, now=now))

    def refer(
        self,
        refer_to: Address,
        referred_by: Address | None = None,
        headers: HeaderList = (),
        *,
        replaces: Leg | None = None,
        subscription: bool = True,
    ) -> None:
        """REFER within this leg's dialog (RFC 3515).

        ``replaces`` is the leg whose place the peer shall take: an attended transfer (RFC 3891, RFC 5589 §7.1). Without
        ``subscription`` the peer is asked to report nothing (RFC 4488).
        """

        def command(core: Endpoint, now: float) -> None:
            target = refer_to
            taken = core.replaces(replaces.session) if replaces is not None else None
            if taken is not None:
                header = ("Replaces", escape_header(str(taken)))
                target = replace(refer_to, uri=replace(refer_to.uri, headers=(*refer_to.uri.headers, header)))
            core.refer(self.session, target, referred_by, headers, subscription=subscription, now=now)

        self._run(command)

    def accept_refer(self) -> None:
        """202 to the peer's REFER, and a NOTIFY with 100."""
        self._run(lambda core, now: core.accept_refer(self.session, now=now))

    def notify_refer(self, status: int, text: str, *, final: bool) -> None:
        """Report on the REFER that was accepted (RFC 3515 §2.4.4)."""
        self._run(lambda core, now: core.notify_refer(self.session, status, text, final, now=now))

    def reject_refer(self, status: int = 603) -> None:
        self._run(lambda core, now: core.reject_refer(self.session, status, now=now))

    def send_keys(self, digits: str) -> None:
        """DTMF towards the far end by RFC 4733."""
        for digit in digits:
            self.jack.send_dtmf(digit)

    def record(self, path: Path) -> None:
        """Two channels: what this party said, what it heard."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.recording = self.user_agent.board.record(str(path), left=self.jack.said, right=self.jack.heard)
        self.user_agent.recorded(self, self.recording)

    def stop_recording(self) -> None:
        if self.recording is not None:
            self.recording.close()
            self.recording = None

    def release(self) -> None:
        """Close the jack and the recording. Called by the reaper once nothing can be heard any more."""
        self.stop_recording()
        self.user_agent.forget_jack(self.jack)
        self.jack.close()
        self.media.forget_descriptions()

    def _run(self, command: Callable[[Endpoint, float], object]) -> None:
        self.user_agent.shell.run(command)

    # Facts ----------------------------------------------------------------------------------------------------------

    def from_core(self, event: sip.Event) -> None:
        """One event of this leg's session."""
        match event:
            case sip.Progress(status=status, reason=reason, body=body):
                early = bool(body) and self._take_answer(body, final=False) == ""
                if self.state in ("new", "dialing"):
                    self.state = "early"
                self._tell(LegRinging(status, reason, early))
            case sip.Answered(response=response, body=body):
                self.state = "answered"
                self.media_seen = False  # early media is no evidence of media since the answer
                fault = self._take_answer(body, final=True)
                self._tell(LegAnswered(response.status, response.reason, fault))
            case sip.Confirmed(body=body):
                # RFC 3264 §4: the ACK of an INVITE without an offer brings the answer to ours
                if body or not self.media.agreed:
                    self.fault = self._take_answer(body, final=True)
                if self.fault:
                    self.hangup(Reason("Q.850", 88, "Incompatible destination"))
                    return
                self._tell(LegConfirmed())
            case sip.Failed(status=status, reason=reason, q850=q850, local=local, detail=detail):
                self.state = "over"
                self._tell(LegFailed(status, reason, q850, local, detail))
                self.user_agent.reaper.take(self)
            case sip.Ended(cause=cause, q850=q850, local=local):
                self.state = "over"
                self._tell(LegEnded(cause, q850, local))
                self.user_agent.reaper.take(self)
            case sip.Offered(body=body):
                self._answer_offer(body)
            case sip.OfferAnswered(body=body):
                self._take_answer(body, final=True)
            case sip.OfferRefused():
                pass
            case sip.InfoReceived(content_type=content_type, body=body):
                digit = _info_digit(content_type, body)
                if digit is not None:
                    self._tell(LegKey(digit, "info"))
            case (
                sip.ReferAccepted() | sip.ReferRefused() | sip.ReferNotified() | sip.ReferEnded() | sip.ReferRequested()
            ):
                self._tell(event)
            case _:
                pass

    def from_trace(self, trace: sip.Trace) -> None:
        """A message of this leg crossed the wire; the first INVITE of ours tells its size."""
        if not self.invited and trace.direction == "out" and trace.data.startswith(b"INVITE "):
            self.invited = True
            self._tell(LegInvited(len(trace.data), trace.transport))

    def from_board(self, event: BoardEvent) -> None:
        """One event of this leg's jack."""
        match event:
            case Dtmf(digit=digit):
                self._tell(LegKey(digit, "rfc4733"))
            case Latched():
                self.media_seen = True
                self._tell(LegMediaSeen())
            case Silent(seconds=seconds):
                self._tell(LegSilent(seconds))
            case Mark(id=mark):
                self._tell(LegMark(mark))
            case Ended():
                self._tell(LegClipEnded())

    def _take_answer(self, body: bytes, *, final: bool) -> str:
        """Apply the peer's answer; the fault in words, or an empty string."""
        if not body and not self.media.agreed:
            return "the answer has no session description"
        try:
            changed = self.media.take_answer(body) if body else False
            if changed or final:
                self.media.apply(self.jack, self.peer)
        except MediaNegotiationError as error:
            return str(error)
        return ""

    @property
    def peer(self) -> str:
        """Where the signalling of the far end is; empty where that is not known yet."""
        flow = self.user_agent.shell.endpoint.flow_of(self.session)
        return flow.remote[0] if flow is not None else ""

    def _answer_offer(self, body: bytes) -> None:
        before = copy.copy(self.media)
        try:
            answer = self.media.take_offer(body) if body else self.media.new_offer()
            if body:
                self.media.apply(self.jack, self.peer)
        except MediaNegotiationError as error:
            self.media = before  # RFC 3261 §14.2: the session goes on as it was
            status = error.status
            self._run(lambda core, now: core.reject_offer(self.session, status, now=now))
            return
        self._run(lambda core, now: core.answer_offer(self.session, answer, now=now))
        if self.media.held != self.held:
            self.held = self.media.held
            self._tell(LegHeld(self.held))


def _info_digit(content_type: str, body: bytes) -> str | None:
    """The key of a DTMF INFO: ``application/dtmf-relay`` (``Signal=5``) or ``application/dtmf`` (``5``)."""
    kind = content_type.partition(";")[0].strip().lower()
    text = body.decode("ascii", "replace")
    if kind == "application/dtmf-relay":
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name.strip().lower() == "signal":
                return _digit(value.strip())
    elif kind == "application/dtmf":
        return _digit(text.strip())
    return None


def _digit(text: str) -> str | None:
    text = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}.get(text, text).upper()
    return text if len(text) == 1 and text in "0123456789*#ABCD" else None
