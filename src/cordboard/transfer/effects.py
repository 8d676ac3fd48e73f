"""What the machine asks the driver to do, in the order given.

The driver performs and never decides. Effects that start speech or a clip are answered by the event named in their
docstring. ``attempt`` is the index that the leg's events carry back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .events import TimerName
from .outcome import Claim, Method, Outcome, Reason


class CallerId(StrEnum):
    """Whose number a new leg shows; how is the gateway profile's business."""

    AGENT = "agent"
    ORIGINAL = "original"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Effect:
    """The root of all effects."""


# --- the caller -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParkAgent(Effect):
    """From here the agent hears nothing, no tool runs, no prompt is answered (rule 4)."""


@dataclass(frozen=True, slots=True)
class Prepare(Effect):
    """Run the actions and extractors that must precede the dialling -> PreparationFinished | PreparationFailed."""


@dataclass(frozen=True, slots=True)
class Announce(Effect):
    """Say this to the caller -> AnnouncementFinished."""

    text: str


@dataclass(frozen=True, slots=True)
class PlayHold(Effect):
    """The caller hears the hold music (or ringback) from the next frame; repeated, it changes nothing."""


@dataclass(frozen=True, slots=True)
class StopHold(Effect):
    """The caller's side has put us on hold; stop the music until it comes back."""


@dataclass(frozen=True, slots=True)
class SendRefer(Effect):
    """REFER on the caller's leg -> ReferAccepted | ReferRefused, ReferNotified, ReferEnded."""

    attempt: int
    target: int


@dataclass(frozen=True, slots=True)
class ReturnCaller(Effect):
    """The caller is with the agent again, who is told what happened; ``message`` is said first, where given."""

    outcome: Outcome
    reason: Reason
    message: str = ""
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class EndCall(Effect):
    """BYE the caller's leg if it still stands, after ``message`` has been said, where given."""

    text: str = ""
    message: str = ""


# --- a target leg -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dial(Effect):
    """INVITE the policy's target; render the whisper meanwhile -> LegInvited, LegProgress, LegAnswered | LegFailed."""

    attempt: int
    target: int
    caller_id: CallerId = CallerId.AGENT
    method: Method = Method.INVITE


@dataclass(frozen=True, slots=True)
class CloseLeg(Effect):
    """CANCEL, BYE or ACK+BYE, whichever fits (idempotent); ``reason`` is a Reason header value (RFC 3326 §2)
    -> LegClosed. A CANCEL waits for the first provisional response (RFC 3261 §9.1)."""

    attempt: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SendDigits(Effect):
    """RFC 4733 events, ``w`` 0.5 s and ``W`` 1 s of pause -> DigitsSent."""

    attempt: int
    digits: str


@dataclass(frozen=True, slots=True)
class StartDetection(Effect):
    """Tap the leg and say who answered -> Verdict, VerdictRevoked. ``early``: before the answer, tones only.

    Repeated, it changes nothing but ``early``.
    """

    attempt: int
    early: bool = False


@dataclass(frozen=True, slots=True)
class StopDetection(Effect):
    """No verdict is wanted any more."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Whisper(Effect):
    """Speak the whisper or the summary to this leg only -> WhisperFinished. A late or failing model: the template."""

    attempt: int


@dataclass(frozen=True, slots=True)
class ListenForScreening(Effect):
    """Keys 1 and 2 (and yes, no) of this leg count from here -> ScreeningAnswered."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AskScreening(Effect):
    """Put the question to this leg only; ``repeat`` for the second and last time."""

    attempt: int
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class StopSpeaking(Effect):
    """Flush what this leg is being told; no WhisperFinished is due for it."""

    attempt: int


# --- together ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Introduce(Effect):
    """Caller, person and agent in one mix; the agent says ``text`` -> IntroductionFinished."""

    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class Bridge(Effect):
    """Caller hears the person, the person hears the caller, and nobody else."""

    attempt: int


@dataclass(frozen=True, slots=True)
class WatchMedia(Effect):
    """Report the first media of each leg after this moment -> CallerMediaSeen, LegMediaSeen (``after_bridge``)."""

    attempt: int


@dataclass(frozen=True, slots=True)
class SayGoodbye(Effect):
    """Said to both through a mix; nothing waits for it."""

    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class Unbridge(Effect):
    """Pull the cords: neither leg hears the other."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StopRecording(Effect):
    """End the recordings at the hand-off."""


# --- bookkeeping ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartTimer(Effect):
    """-> TimerFired after ``seconds``; a running timer of the same name and attempt is replaced."""

    timer: TimerName
    seconds: float
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class StopTimer(Effect):
    """Idempotent; the timer's TimerFired must not come any more."""

    timer: TimerName
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class ClaimOutcome(Effect):
    """The one ending: record it and tell the world, at once."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class News(Effect):
    """A step of progress for webhooks and server-sent events: started, ringing, answered, human_detected, ..."""

    name: str
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Log(Effect):
    """A note for the timeline (and the attempt); the only effect that may follow the end."""

    text: str
    attempt: int | None = None
