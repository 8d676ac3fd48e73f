"""What the driver tells the machine.

Every event carries ``at``: seconds on one clock that the driver chooses; the machine only copies it into the
evidence. A leg event carries ``leg``, the attempt's index from ``Dial``. The driver reports what happened and
decides nothing: it posts late and doubled facts too, and the machine notes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Label(StrEnum):
    """Who or what answered, as a detector says it."""

    HUMAN = "human"
    VOICEMAIL = "voicemail"  # a beep or a voicemail phrase; "machine" is the unsure one
    PHONE_MENU = "phone_menu"
    FAX = "fax"
    SILENCE = "silence"
    RINGBACK = "ringback"
    BUSY = "busy"
    MUSIC = "music"
    SIT = "sit"
    MACHINE = "machine"


class ScreeningAnswer(StrEnum):
    """What the screened person said or pressed."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"


class LocalCause(StrEnum):
    """What happened on our own side of the wire; no SIP status of a peer stands behind it."""

    RING_TIMEOUT = "ring_timeout"
    TRANSACTION_TIMEOUT = "transaction_timeout"
    TRANSPORT_ERROR = "transport_error"
    RESOLUTION_FAILED = "resolution_failed"
    TLS_FAILED = "tls_failed"
    INVALID_DESTINATION = "invalid_destination"
    HEADER_INVALID = "header_invalid"
    DIAL_POLICY = "dial_policy"
    OUTSIDE_AVAILABILITY = "outside_availability"
    GATEWAY_LIMIT = "gateway_limit"
    NO_MEDIA_PORTS = "no_media_ports"
    UNUSABLE_ANSWER = "unusable_answer"
    NO_MEDIA = "no_media"
    TARGET_HUNG_UP = "target_hung_up"
    INTERNAL_ERROR = "internal_error"


class TimerName(StrEnum):
    """Every wait of the machine has a name, and a limit in ``Timeouts`` or in the policy."""

    PREPARATION = "preparation"
    ANNOUNCEMENT = "announcement"
    RING = "ring"
    DIGITS = "digits"
    HUMAN = "human"
    VERDICT_HOLD = "verdict_hold"
    PAUSE_BEFORE = "pause_before"
    WHISPER = "whisper"
    PAUSE_AFTER = "pause_after"
    SCREENING = "screening"
    INTRODUCTION = "introduction"
    BRIDGE_MEDIA = "bridge_media"
    REFER_REPORT = "refer_report"
    REFER_AFTER_BYE = "refer_after_bye"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The root of all events."""

    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEvent(Event):
    """An event of one target leg."""

    leg: int


# --- the caller's side ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """The first event. ``caller_media``: RTP has come from the caller since its answer."""

    caller_media: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A target that must not be dialled: dial policy, hours, number format, header rules (rule 10)."""

    target: int
    cause: LocalCause
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationFinished(Event):
    """Actions and extractors have run, or were given their defaults; ``refused`` names targets found unfit."""

    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationFailed(Event):
    """Nothing can be dialled at all: outside hours, no destination, an invalid header."""

    cause: LocalCause
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementFinished(Event):
    """The last frame of the announcement was sent, or the voice failed (``failed``)."""

    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerGone(Event):
    """The caller's leg is over: BYE, a dead session, a failed refresh. ``text`` says which."""

    text: str = "BYE"
    q850: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerReinvited(Event):
    """The caller's side sent a re-INVITE that was answered; ``held``: it no longer receives."""

    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(Event):
    """An operator or the system cancels the transfer; the caller goes back to the agent (rule 13)."""

    by: str = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownRequested(Event):
    """The drain limit has come (rule 15). Before it nothing is told: running transfers and bridges go on.

    ``because`` says what else ended the whole call under the transfer, such as its longest duration.
    """

    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerMediaSeen(Event):
    """Media from the caller: ``after_bridge`` where the packet came after ``Bridge``/``Introduce`` was performed."""

    after_bridge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired(Event):
    """A timer ran out. A stopped or restarted timer must not fire for its earlier start."""

    timer: TimerName
    leg: int | None = None


# --- REFER, on the caller's leg ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferAccepted(Event):
    """2xx to the REFER: not a success. ``subscription`` is False for ``Refer-Sub: false`` (RFC 4488 §4)."""

    status: int = 202
    subscription: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferRefused(Event):
    """A final non-2xx to the REFER, digest already tried; 408 with ``local`` where it was never answered."""

    status: int
    text: str = ""
    q850: int | None = None
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferNotified(Event):
    """A NOTIFY with its message/sipfrag status line; ``final``: its Subscription-State was terminated."""

    status: int
    text: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferEnded(Event):
    """The subscription ended without a status line that could be read."""

    text: str = ""


# --- a target leg -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LegInvited(LegEvent):
    """The INVITE left: its size in bytes, and by which transport."""

    size: int
    transport: str = "udp"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegProgress(LegEvent):
    """A provisional response; ``early_media``: it carried an answer and media may flow before the 2xx."""

    status: int
    text: str = ""
    early_media: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LegAnswered(LegEvent):
    """2xx, ACKed. ``usable_media`` False: its SDP names no codec or address that we can use."""

    status: int = 200
    text: str = "OK"
    usable_media: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LegFailed(LegEvent):
    """The leg ended before an answer. ``local`` outranks ``q850``, which outranks ``status``."""

    status: int | None = None
    text: str = ""
    q850: int | None = None
    local: LocalCause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded(LegEvent):
    """An answered leg ended from the other side: BYE, or a dead session."""

    text: str = "BYE"
    q850: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegClosed(LegEvent):
    """A leg that we cancelled or hung up has ended, or the leg reaper's limit for it has run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMediaSeen(LegEvent):
    """RTP, comfort noise or RTCP from the target; ``after_bridge`` as in :class:`CallerMediaSeen`."""

    after_bridge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitsSent(LegEvent):
    """The extension's (or the menu's) digits have all been sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(LegEvent):
    """The detector's opinion. ``held`` False is provisional: it may still be revoked. ``q850``: a SIT's cause."""

    label: Label
    held: bool = True
    scores: tuple[tuple[str, float], ...] = field(default=())
    q850: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRevoked(LegEvent):
    """What was taken for a person goes on like a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperFinished(LegEvent):
    """The whisper or summary was spoken, or the voice failed (``failed``)."""

    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningAnswered(LegEvent):
    """A key or a spoken answer, from the first word of the whisper on."""

    answer: ScreeningAnswer
    by: str = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntroductionFinished(LegEvent):
    """The agent has introduced both and leaves the mix."""

    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRequested(LegEvent):
    """The person pressed ``**``: the caller goes back to the agent."""


CALLER_EVENTS: tuple[type[Event], ...] = (
    Started,
    PreparationFinished,
    PreparationFailed,
    AnnouncementFinished,
    CallerGone,
    CallerReinvited,
    CancelRequested,
    ShutdownRequested,
    CallerMediaSeen,
    ReferAccepted,
    ReferRefused,
    ReferNotified,
    ReferEnded,
)
LEG_EVENTS: tuple[type[LegEvent], ...] = (
    LegInvited,
    LegProgress,
    LegAnswered,
    LegFailed,
    LegEnded,
    LegClosed,
    LegMediaSeen,
    DigitsSent,
    Verdict,
    VerdictRevoked,
    WhisperFinished,
    ScreeningAnswered,
    IntroductionFinished,
    ReturnRequested,
)
