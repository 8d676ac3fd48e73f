"""What the record of a call is made of: frozen values, written by sinks and read by the API.

Every time in this room is wall clock: seconds since the Unix epoch, UTC, as a float. Monotonic time belongs to the
signalling core and never reaches the record. Absent times are ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias, TypedDict

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

Direction: TypeAlias = Literal["in", "out"]
Speaker: TypeAlias = Literal["bot", "human"]


class CallType(StrEnum):
    """Which way the call came, seen from the agent."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class CallStatus(StrEnum):
    """The closed set of call states of the v2 reference."""

    PENDING = "pending"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    NO_ANSWER = "no-answer"
    BUSY = "busy"
    FAILED = "failed"
    CANCELED = "canceled"
    USER_CANCELED = "user-canceled"
    HANGUP_ON_VOICEMAIL = "hangup_on_voicemail"
    LEFT_VOICEMAIL = "left_voicemail"
    SPAM = "spam"
    PAUSED = "paused"
    REGISTERED = "registered"


class EndCallReason(StrEnum):
    """Why a call ended, in the words of the v2 reference (an open set there; we write these)."""

    HUMAN_PICK_UP_CUT_OFF = "human_pick_up_cut_off"
    VOICEMAIL = "voicemail"
    VOICEMAIL_CUT_OFF = "voicemail_cut_off"
    VOICEMAIL_MESSAGE_LEFT = "voicemail_message_left"
    AGENT_ENDED_CALL = "agent_ended_call"
    HUMAN_ENDED_CALL = "human_ended_call"
    CUSTOM_END_CALL = "custom_end_call"
    USER_CANCELED = "user_canceled"
    TIMEOUT = "timeout"
    ERROR = "error"


class TelephonyHangup(StrEnum):
    """Who hung up the caller leg."""

    CALLER = "caller"
    CALLEE = "callee"


class DisconnectReason(StrEnum):
    """How the caller leg was released."""

    UNKNOWN = "unknown"
    CALLEE_HANGUP = "callee_hangup"
    CALLER_HANGUP = "caller_hangup"
    ERROR = "error"
    FORBIDDEN = "forbidden"


class Interruption(StrEnum):
    """Why a record was closed by somebody other than its call."""

    RESTART = "restart"
    NODE_LOST = "node_lost"


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a call. ``name`` is its name in the API (``caller.wav``); ``path`` is relative to the
    recordings folder."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, live or ended. ``call_id`` is ours (a UUID), ``sip_call_id`` the Call-ID of the caller leg."""

    call_id: str
    model_id: str
    workspace_id: str
    type: CallType
    from_number: str
    to_number: str
    started_at: float
    status: CallStatus = CallStatus.RINGING
    answered_at: float | None = None
    ended_at: float | None = None
    duration: int = 0
    """Whole seconds from the answer to the end; 0 when the call was never answered."""
    end_call_reason: str | None = None
    custom_end_call_reason: str | None = None
    error_message: str = ""
    telephony_hangup: TelephonyHangup | None = None
    telephony_disconnect_reason: DisconnectReason | None = None
    name: str = ""
    lead_name: str | None = None
    timezone: str = "UTC"
    prompt_variables: Mapping[str, object] = field(default_factory=dict)
    custom_variables: Mapping[str, object] = field(default_factory=dict)
    collected_variables: Mapping[str, object] | None = None
    warnings: tuple[str, ...] = ()
    external_id: str | None = None
    diversion: str | None = None
    prepared_id: str | None = None
    sip_call_id: str = ""
    recordings: tuple[Recording, ...] = ()
    node_id: str = ""
    interrupted: bool = False
    """The server stopped during the call; the ending was written later and ``ended_at`` is the last known moment."""
    incomplete: bool = False
    """Parts (SIP messages, events, transcript lines) were dropped because the database was slow or away."""
    sip_truncated: bool = False
    """The call's SIP trace reached its size limit."""

    @property
    def open(self) -> bool:
        return self.ended_at is None


class CallChanges(TypedDict, total=False):
    """What :meth:`RecordWriter.update_call` may change; a key that is absent stays as it was."""

    model_id: str
    workspace_id: str
    status: CallStatus
    answered_at: float | None
    end_call_reason: str | None
    custom_end_call_reason: str | None
    error_message: str
    telephony_hangup: TelephonyHangup | None
    telephony_disconnect_reason: DisconnectReason | None
    name: str
    lead_name: str | None
    timezone: str
    prompt_variables: Mapping[str, object]
    custom_variables: Mapping[str, object]
    collected_variables: Mapping[str, object] | None
    external_id: str | None
    diversion: str | None
    prepared_id: str | None
    recordings: tuple[Recording, ...]


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One utterance. ``seq`` counts from 1 within the call."""

    call_id: str
    seq: int
    speaker: Speaker
    text: str
    started_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class TransferReturnValue:
    """The result of a transfer in the reference's words; ``human_connected_at`` is our epoch time or ``None``."""

    status: str
    failed_reason: str = "none"
    human_connected_at: float | None = None


TRANSFER_ACTION = "transfer_call_action_type"
CUSTOM_FUNCTION_ACTION = "custom_function_action_type"
EXTRACT_INFO_ACTION = "extract_info_action_type"


@dataclass(frozen=True, slots=True)
class ExecutedAction:
    """One execution of one action. Written again with the same ``action_id`` it replaces what was there.

    ``return_value`` is a :class:`TransferReturnValue` for transfers, any JSON for other actions, ``None`` while it
    runs. ``attempts`` is the evidence of a transfer, one JSON object for each dialled destination (transfers.md,
    Outcomes); ``verified`` says whether media was seen in both directions.
    """

    action_id: str
    name: str
    action_type: str
    started_at: float
    ended_at: float | None = None
    description: str = ""
    parameters_hard_coded: Mapping[str, object] = field(default_factory=dict)
    parameters_from_llm: Mapping[str, object] = field(default_factory=dict)
    return_value: object = None
    error_message: str | None = None
    attempts: tuple[Mapping[str, object], ...] = ()
    verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a call's timeline. ``seq`` counts from 1 within the call; a gap means that lines were dropped."""

    call_id: str
    seq: int
    at: float
    kind: str
    leg: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One SIP message as it was on the wire, secrets masked. Addresses are ``host:port``."""

    call_id: str
    seq: int
    at: float
    direction: Direction
    transport: str
    local: str
    remote: str
    data: bytes
    session: str = ""

    @property
    def source(self) -> str:
        return self.remote if self.direction == "in" else self.local

    @property
    def destination(self) -> str:
        return self.local if self.direction == "in" else self.remote


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """An inbound call announced by ``POST /v2/prepare_inbound``. Its id goes into ``X-EI: S.<id>;`` and is meant to
    become the id of the call that uses it."""

    prepared_id: str
    workspace_id: str
    model_id: str
    from_number: str
    to_number: str
    custom_variables: Mapping[str, object]
    created_at: float
    expires_at: float
    used_by: str | None = None


class ClaimRefusal(StrEnum):
    """Why a prepared call could not be joined; the call goes on without it and its record says so."""

    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    FOREIGN = "foreign"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: the prepared call, or the refusal."""

    prepared: PreparedCall | None = None
    refusal: ClaimRefusal | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One process that writes records."""

    node_id: str
    started_at: float
    heartbeat_at: float


@dataclass(frozen=True, slots=True)
class CallDetails:
    """A call with everything that its API record shows."""

    call: CallRecord
    transcript: tuple[TranscriptLine, ...] = ()
    actions: tuple[ExecutedAction, ...] = ()
