"""What a transfer came to, why, and the evidence for it.

An outcome is one of five states, a closed set that the record, the API and webhooks spell as here. A reason says
why; reasons are a separate set that grows and whose members are never renamed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """The closed set of five, in the wire spelling."""

    SUCCESS = "transfer-success"
    TIMEOUT = "transfer-failed-timeout"
    CONNECTION_ERROR = "transfer-failed-connection-error"
    CANCELLED = "transfer-cancelled"
    SCREENING_REJECTED = "transfer-screening-rejected"


class Reason(StrEnum):
    """Why. Extend, never rename."""

    NONE = "none"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"
    PHONE_MENU = "phone_menu"
    NO_HUMAN = "no_human"
    FAX = "fax"
    QUEUE_TIMEOUT = "queue_timeout"
    NUMBER_NOT_FOUND = "number_not_found"
    NUMBER_INCOMPLETE = "number_incomplete"
    DESTINATION_UNAVAILABLE = "destination_unavailable"
    REJECTED_BY_DESTINATION = "rejected_by_destination"
    TRANSFER_BLOCKED_BY_CARRIER = "transfer_blocked_by_carrier"
    CARRIER_UNAVAILABLE = "carrier_unavailable"
    ROUTING_LOOP = "routing_loop"
    MEDIA_NEGOTIATION_FAILED = "media_negotiation_failed"
    TRANSFER_METHOD_UNSUPPORTED = "transfer_method_unsupported"
    AUTHENTICATION_FAILED = "authentication_failed"
    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls_failed"
    REFER_REJECTED = "refer_rejected"
    REFER_NO_REPORT = "refer_no_report"
    TRANSFER_OUTSIDE_AVAILABILITY = "transfer_outside_availability"
    INVALID_DESTINATION = "invalid_destination"
    HEADER_INVALID = "header_invalid"
    DECLINED = "declined"
    CALLER_HUNG_UP = "caller_hung_up"
    CANCELLED_BY_OPERATOR = "cancelled_by_operator"
    SHUTDOWN = "shutdown"
    TARGET_HUNG_UP = "target_hung_up"


class Method(StrEnum):
    """How an attempt reaches its destination."""

    INVITE = "INVITE"  # a leg of our own, bridged
    REFER = "REFER"  # RFC 3515, in the caller's dialog


class Proof(StrEnum):
    """What a success rests on."""

    MEDIA = "media"  # we saw media from both legs after the bridge
    MEDIA_BEFORE_BRIDGE = "media_before_bridge"  # from both since their answers, but not from both after the bridge
    FINAL_NOTIFY = "final_notify"  # RFC 3515 §2.4.4
    WEAK_200 = "weak_200"  # a gateway that reports 200 before a person answered
    BYE = "bye"  # a gateway whose only report is its BYE


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt ended, apart from the transfer's own outcome."""

    outcome: Outcome
    reason: Reason


@dataclass(frozen=True, slots=True)
class Attempt:
    """One dialled destination. Times are seconds on the clock of the events' ``at``; None where it never happened."""

    index: int
    target: int
    destination: str
    gateway: str
    method: Method
    caller_id: str = "agent"
    sip_status: int | None = None
    sip_text: str = ""
    q850: int | None = None
    started: float | None = None
    ringing: float | None = None
    answered: float | None = None
    human_connected: float | None = None
    bridged: float | None = None
    ended: float | None = None
    verdict: str | None = None
    scores: tuple[tuple[str, float], ...] = ()
    screening: str | None = None
    invite_bytes: int | None = None
    result: AttemptResult | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that an outcome rests on.

    ``verified`` is true only where media was seen in both directions after the bridge. ``caller_silence_ms`` is
    measured by the driver in what we sent the caller between the announcement and the outcome. ``notes`` holds what
    belongs to no attempt, and what came after the claim.
    """

    attempts: tuple[Attempt, ...] = ()
    verified: bool = False
    proof: Proof | None = None
    caller_silence_ms: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """The one ending of a transfer. ``at`` is the time of the event that decided it."""

    outcome: Outcome
    reason: Reason
    verified: bool
    attempt: int | None
    at: float
    evidence: Evidence = field(default_factory=Evidence)
