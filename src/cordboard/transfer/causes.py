"""What happened -> outcome and reason: the one table.

Order of evidence: what our own side knows (``LocalCause``) outranks a Q.850 cause, which outranks the SIP status,
because a gateway that adds ``Reason: Q.850`` (RFC 3326 §2) quotes the network, while the status is its translation
(RFC 3398 §7.2.4.1). A Q.850 cause without a row (16 normal clearing, 31 unspecified, 127 interworking) says nothing
and leaves the word to the status.

``docs/reference/outcomes.md`` is generated from here by :func:`outcomes_markdown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .events import Label, LocalCause, ScreeningAnswer
from .outcome import AttemptResult, Outcome, Reason

_TIMEOUT = Outcome.TIMEOUT
_ERROR = Outcome.CONNECTION_ERROR


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``source`` is the RFC or Q.850 line, or the rule of our own that decides it."""

    outcome: Outcome
    reason: Reason
    source: str
    meaning: str = ""

    @property
    def result(self) -> AttemptResult:
        """The row without its source."""
        return AttemptResult(self.outcome, self.reason)


# The final status of an INVITE, or the status line that a NOTIFY carried (RFC 3515 §2.4.5).
SIP_STATUS: Mapping[int, Row] = {
    401: Row(_ERROR, Reason.AUTHENTICATION_FAILED, "RFC 3261 §21.4.2", "Unauthorized"),
    402: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "RFC 3261 §21.4.3", "Payment Required"),
    403: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "RFC 3261 §21.4.4", "Forbidden"),
    404: Row(_ERROR, Reason.NUMBER_NOT_FOUND, "RFC 3261 §21.4.5", "Not Found"),
    405: Row(_ERROR, Reason.TRANSFER_METHOD_UNSUPPORTED, "RFC 3261 §21.4.6", "Method Not Allowed"),
    406: Row(_ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "RFC 3261 §21.4.7", "Not Acceptable"),
    407: Row(_ERROR, Reason.AUTHENTICATION_FAILED, "RFC 3261 §21.4.8", "Proxy Authentication Required"),
    408: Row(_TIMEOUT, Reason.NO_ANSWER, "RFC 3261 §21.4.9", "Request Timeout"),
    410: Row(_ERROR, Reason.NUMBER_NOT_FOUND, "RFC 3261 §21.4.10", "Gone"),
    414: Row(_ERROR, Reason.INVALID_DESTINATION, "RFC 3261 §21.4.12", "Request-URI Too Long"),
    415: Row(_ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "RFC 3261 §21.4.13", "Unsupported Media Type"),
    416: Row(_ERROR, Reason.INVALID_DESTINATION, "RFC 3261 §21.4.14", "Unsupported URI Scheme"),
    420: Row(_ERROR, Reason.TRANSFER_METHOD_UNSUPPORTED, "RFC 3261 §21.4.15", "Bad Extension"),
    421: Row(_ERROR, Reason.TRANSFER_METHOD_UNSUPPORTED, "RFC 3261 §21.4.16", "Extension Required"),
    428: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "RFC 8224 §6.2.2", "Use Identity Header"),
    433: Row(_ERROR, Reason.REJECTED_BY_DESTINATION, "RFC 5079", "Anonymity Disallowed"),
    436: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "RFC 8224 §6.2.2", "Bad Identity Info"),
    437: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "RFC 8224 §6.2.2", "Unsupported Credential"),
    438: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "RFC 8224 §6.2.2", "Invalid Identity Header"),
    480: Row(_TIMEOUT, Reason.NO_ANSWER, "RFC 3261 §21.4.18", "Temporarily Unavailable"),
    482: Row(_ERROR, Reason.ROUTING_LOOP, "RFC 3261 §21.4.20", "Loop Detected"),
    483: Row(_ERROR, Reason.ROUTING_LOOP, "RFC 3261 §21.4.21", "Too Many Hops"),
    484: Row(_ERROR, Reason.NUMBER_INCOMPLETE, "RFC 3261 §21.4.22", "Address Incomplete"),
    485: Row(_ERROR, Reason.INVALID_DESTINATION, "RFC 3261 §21.4.23", "Ambiguous"),
    486: Row(_ERROR, Reason.BUSY, "RFC 3261 §21.4.24", "Busy Here"),
    488: Row(_ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "RFC 3261 §21.4.26", "Not Acceptable Here"),
    493: Row(_ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "RFC 3261 §21.4.28", "Undecipherable"),
    600: Row(_ERROR, Reason.BUSY, "RFC 3261 §21.6.1", "Busy Everywhere"),
    603: Row(_ERROR, Reason.REJECTED_BY_DESTINATION, "RFC 3261 §21.6.2", "Decline"),
    604: Row(_ERROR, Reason.NUMBER_NOT_FOUND, "RFC 3261 §21.6.3", "Does Not Exist Anywhere"),
    606: Row(_ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "RFC 3261 §21.6.4", "Not Acceptable"),
    607: Row(_ERROR, Reason.REJECTED_BY_DESTINATION, "RFC 8197", "Unwanted"),
    608: Row(_ERROR, Reason.REJECTED_BY_DESTINATION, "RFC 8688", "Rejected"),
}
# Any status that has no row of its own, by its hundreds (RFC 3261 §8.1.3.2).
SIP_CLASS: Mapping[int, Row] = {
    3: Row(_ERROR, Reason.DESTINATION_UNAVAILABLE, "RFC 3261 §21.3", "redirected, and the redirection not followed"),
    4: Row(_ERROR, Reason.DESTINATION_UNAVAILABLE, "RFC 3261 §21.4", "any other request failure"),
    5: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "RFC 3261 §21.5", "any server failure"),
    6: Row(_ERROR, Reason.REJECTED_BY_DESTINATION, "RFC 3261 §21.6", "any other global failure"),
}

# ITU-T Q.850 (05/98) §2.2, as carried by the Reason header.
Q850: Mapping[int, Row] = {
    1: Row(_ERROR, Reason.NUMBER_NOT_FOUND, "Q.850 cause 1", "unallocated number"),
    2: Row(_ERROR, Reason.UNREACHABLE, "Q.850 cause 2", "no route to transit network"),
    3: Row(_ERROR, Reason.UNREACHABLE, "Q.850 cause 3", "no route to destination"),
    17: Row(_ERROR, Reason.BUSY, "Q.850 cause 17", "user busy"),
    18: Row(_TIMEOUT, Reason.NO_ANSWER, "Q.850 cause 18", "no user responding"),
    19: Row(_TIMEOUT, Reason.NO_ANSWER, "Q.850 cause 19", "no answer from user (alerted)"),
    20: Row(_ERROR, Reason.DESTINATION_UNAVAILABLE, "Q.850 cause 20", "subscriber absent"),
    21: Row(_ERROR, Reason.REJECTED_BY_DESTINATION, "Q.850 cause 21", "call rejected"),
    22: Row(_ERROR, Reason.NUMBER_NOT_FOUND, "Q.850 cause 22", "number changed"),
    23: Row(_ERROR, Reason.DESTINATION_UNAVAILABLE, "Q.850 cause 23", "redirection to new destination"),
    25: Row(_ERROR, Reason.ROUTING_LOOP, "Q.850 cause 25", "exchange routing error"),
    27: Row(_ERROR, Reason.DESTINATION_UNAVAILABLE, "Q.850 cause 27", "destination out of order"),
    28: Row(_ERROR, Reason.NUMBER_INCOMPLETE, "Q.850 cause 28", "invalid number format (address incomplete)"),
    29: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "Q.850 cause 29", "facility rejected"),
    34: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "Q.850 cause 34", "no circuit available"),
    38: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "Q.850 cause 38", "network out of order"),
    41: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "Q.850 cause 41", "temporary failure"),
    42: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "Q.850 cause 42", "switching equipment congestion"),
    44: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "Q.850 cause 44", "requested circuit not available"),
    47: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "Q.850 cause 47", "resource unavailable"),
    50: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "Q.850 cause 50", "facility not subscribed"),
    53: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "Q.850 cause 53", "outgoing calls barred within CUG"),
    55: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "Q.850 cause 55", "incoming calls barred within CUG"),
    57: Row(_ERROR, Reason.TRANSFER_BLOCKED_BY_CARRIER, "Q.850 cause 57", "bearer capability not authorized"),
    58: Row(_ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "Q.850 cause 58", "bearer capability not presently available"),
    65: Row(_ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "Q.850 cause 65", "bearer capability not implemented"),
    69: Row(_ERROR, Reason.TRANSFER_METHOD_UNSUPPORTED, "Q.850 cause 69", "requested facility not implemented"),
    79: Row(_ERROR, Reason.TRANSFER_METHOD_UNSUPPORTED, "Q.850 cause 79", "service or option not implemented"),
    88: Row(_ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "Q.850 cause 88", "incompatible destination"),
    102: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "Q.850 cause 102", "recovery on timer expiry"),
    111: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "Q.850 cause 111", "protocol error"),
}

# A final non-2xx to the REFER itself (RFC 3515 §2.4.2); anything else is refer_rejected.
REFER_STATUS: Mapping[int, Row] = {
    401: Row(_ERROR, Reason.AUTHENTICATION_FAILED, "RFC 3261 §22.2", "challenged, and no credentials that it takes"),
    405: Row(_ERROR, Reason.TRANSFER_METHOD_UNSUPPORTED, "RFC 3261 §21.4.6", "REFER not allowed"),
    407: Row(_ERROR, Reason.AUTHENTICATION_FAILED, "RFC 3261 §22.3", "challenged, and no credentials that it takes"),
    489: Row(_ERROR, Reason.TRANSFER_METHOD_UNSUPPORTED, "RFC 6665 §8.3.2", "event package refer unknown"),
    501: Row(_ERROR, Reason.TRANSFER_METHOD_UNSUPPORTED, "RFC 3261 §21.5.2", "REFER not implemented"),
}
REFER_REJECTED = Row(_ERROR, Reason.REFER_REJECTED, "RFC 3515 §2.4.2", "any other final response to the REFER")
REFER_UNANSWERED = Row(_ERROR, Reason.REFER_NO_REPORT, "RFC 3261 §17.1.2.2", "REFER never answered (Timer F)")
REFER_NO_REPORT = Row(_ERROR, Reason.REFER_NO_REPORT, "RFC 3515 §2.4.4", "accepted, and no final report in time")

LOCAL: Mapping[LocalCause, Row] = {
    LocalCause.RING_TIMEOUT: Row(_TIMEOUT, Reason.NO_ANSWER, "the action's ring timeout", "our own ring timer"),
    LocalCause.TRANSACTION_TIMEOUT: Row(
        _ERROR, Reason.UNREACHABLE, "RFC 3261 §17.1.1.2", "no response at all to the INVITE (Timer B)"
    ),
    LocalCause.TRANSPORT_ERROR: Row(_ERROR, Reason.UNREACHABLE, "RFC 3261 §8.1.3.1", "the transport failed"),
    LocalCause.RESOLUTION_FAILED: Row(_ERROR, Reason.UNREACHABLE, "RFC 3263 §4.3", "no address for the host"),
    LocalCause.TLS_FAILED: Row(_ERROR, Reason.TLS_FAILED, "RFC 5922 §7", "handshake or certificate refused"),
    LocalCause.INVALID_DESTINATION: Row(
        _ERROR, Reason.INVALID_DESTINATION, "transfer rule 10", "neither E.164 nor a SIP URI"
    ),
    LocalCause.HEADER_INVALID: Row(
        _ERROR, Reason.HEADER_INVALID, "RFC 3261 §25.1", "a header name or value breaks its rule"
    ),
    LocalCause.DIAL_POLICY: Row(_ERROR, Reason.INVALID_DESTINATION, "transfer rule 10", "refused by the dial policy"),
    LocalCause.OUTSIDE_AVAILABILITY: Row(
        _ERROR, Reason.TRANSFER_OUTSIDE_AVAILABILITY, "transfer rule 10", "outside the action's hours"
    ),
    LocalCause.GATEWAY_LIMIT: Row(
        _ERROR, Reason.CARRIER_UNAVAILABLE, "the gateway's own limit", "more calls than the gateway takes"
    ),
    LocalCause.NO_MEDIA_PORTS: Row(
        _ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "media.ports", "no port left for the leg's media"
    ),
    LocalCause.UNUSABLE_ANSWER: Row(
        _ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "RFC 3264 §7", "answered without media that we can use"
    ),
    LocalCause.NO_MEDIA: Row(
        _ERROR, Reason.MEDIA_NEGOTIATION_FAILED, "transfer rule 12", "no media from a leg by timeouts.bridge_media"
    ),
    LocalCause.TARGET_HUNG_UP: Row(
        _ERROR, Reason.TARGET_HUNG_UP, "RFC 3261 §15", "the person hung up before the bridge"
    ),
    LocalCause.INTERNAL_ERROR: Row(_ERROR, Reason.CARRIER_UNAVAILABLE, "none", "our own failure to place the leg"),
}

# The person hangs up after the answer and before the bridge, by what was going on.
HUNG_UP_DETECTING = Row(_TIMEOUT, Reason.NO_HUMAN, "after the answer, detecting", "hung up while we detect")
HUNG_UP_SCREENING = Row(
    Outcome.SCREENING_REJECTED, Reason.DECLINED, "after the answer, screening", "hung up while being screened"
)
HUNG_UP_BRIEFING = Row(_ERROR, Reason.TARGET_HUNG_UP, "after the answer, briefing", "hung up while being briefed")

# A label that ends an attempt at once, where the policy lets it.
DETECTION: Mapping[Label, Row] = {
    Label.VOICEMAIL: Row(_TIMEOUT, Reason.VOICEMAIL, "voicemail_detection", "a beep or a voicemail phrase"),
    Label.FAX: Row(_TIMEOUT, Reason.FAX, "ITU-T T.30", "a fax tone"),
    Label.PHONE_MENU: Row(_TIMEOUT, Reason.PHONE_MENU, "on_menu: fail", "a phone menu"),
    Label.BUSY: Row(_ERROR, Reason.BUSY, "ITU-T E.180", "busy tone in band"),
    Label.SIT: Row(
        _ERROR, Reason.DESTINATION_UNAVAILABLE, "ITU-T E.180", "special information tones without a known cause"
    ),
}
# What was last heard when the time for finding a person has run.
DETECTION_TIMEOUT: Mapping[Label | None, Row] = {
    None: Row(_TIMEOUT, Reason.NO_HUMAN, "human_detection_timeout", "nothing that could be named"),
    Label.HUMAN: Row(_TIMEOUT, Reason.NO_HUMAN, "human_detection_timeout", "a person, revoked"),
    Label.VOICEMAIL: Row(_TIMEOUT, Reason.VOICEMAIL, "human_detection_timeout", "voicemail, not ended early"),
    Label.PHONE_MENU: Row(_TIMEOUT, Reason.PHONE_MENU, "human_detection_timeout", "a phone menu"),
    Label.FAX: Row(_TIMEOUT, Reason.FAX, "human_detection_timeout", "a fax"),
    Label.SILENCE: Row(_TIMEOUT, Reason.NO_HUMAN, "human_detection_timeout", "silence"),
    Label.RINGBACK: Row(_TIMEOUT, Reason.NO_ANSWER, "human_detection_timeout", "ringing behind the answer"),
    Label.BUSY: Row(_ERROR, Reason.BUSY, "human_detection_timeout", "busy tone"),
    Label.MUSIC: Row(_TIMEOUT, Reason.QUEUE_TIMEOUT, "human_detection_timeout", "still in a queue"),
    Label.SIT: Row(_ERROR, Reason.DESTINATION_UNAVAILABLE, "human_detection_timeout", "special information tones"),
    Label.MACHINE: Row(_TIMEOUT, Reason.NO_HUMAN, "human_detection_timeout", "a machine, unsure which"),
}

SCREENING: Mapping[ScreeningAnswer, Row] = {
    ScreeningAnswer.ACCEPTED: Row(Outcome.SUCCESS, Reason.NONE, "key 1 or yes", "accepted; the bridge decides"),
    ScreeningAnswer.DECLINED: Row(Outcome.SCREENING_REJECTED, Reason.DECLINED, "key 2 or no", "declined"),
    ScreeningAnswer.NO_ANSWER: Row(
        Outcome.SCREENING_REJECTED, Reason.DECLINED, "asked twice", "no answer to the question or its repetition"
    ),
}

# Endings that belong to no attempt.
CALLER_HUNG_UP = Row(
    Outcome.CANCELLED, Reason.CALLER_HUNG_UP, "transfer rule 5", "the caller hung up before the bridge"
)
CANCELLED_BY_OPERATOR = Row(
    Outcome.CANCELLED, Reason.CANCELLED_BY_OPERATOR, "transfer rule 13", "an operator or the system cancelled"
)
SHUTDOWN = Row(Outcome.CANCELLED, Reason.SHUTDOWN, "transfer rule 15", "the drain limit came")
# For an attempt only, never for a transfer: another leg of its round won.
COMPLETED_ELSEWHERE = Row(Outcome.CANCELLED, Reason.NONE, "transfer rule 7", "another leg was accepted first")
BRIDGED = Row(Outcome.SUCCESS, Reason.NONE, "transfer rule 12", "bridged, media both ways")
REFERRED = Row(Outcome.SUCCESS, Reason.NONE, "RFC 3515 §2.4.5", "final NOTIFY 2xx (or the gateway profile's evidence)")

# Nothing changes when the same destination is dialled again for these.
_PERMANENT = frozenset(
    {
        Reason.NUMBER_NOT_FOUND,
        Reason.NUMBER_INCOMPLETE,
        Reason.INVALID_DESTINATION,
        Reason.HEADER_INVALID,
        Reason.TRANSFER_OUTSIDE_AVAILABILITY,
        Reason.REJECTED_BY_DESTINATION,
        Reason.TRANSFER_METHOD_UNSUPPORTED,
        Reason.AUTHENTICATION_FAILED,
        Reason.ROUTING_LOOP,
        Reason.FAX,
        Reason.DECLINED,
    }
)


def from_sip_status(status: int) -> Row:
    """The row of a final status; 1xx, 2xx and nonsense count as a failure of the carrier."""
    return SIP_STATUS.get(status) or SIP_CLASS.get(status // 100) or SIP_CLASS[5]


def from_failure(status: int | None, q850: int | None, local: LocalCause | None) -> Row:
    """Why a leg that was never answered has failed. Local knowledge, then Q.850, then the status."""
    if local is not None:
        return LOCAL[local]
    if q850 is not None and q850 in Q850:
        return Q850[q850]
    if status is not None:
        return from_sip_status(status)
    return LOCAL[LocalCause.INTERNAL_ERROR]


def from_refer_refusal(status: int, q850: int | None, local: bool) -> Row:
    """Why a REFER was not accepted. The Reason header tells of the referred call only after a 2xx: not used here."""
    if local:
        return REFER_UNANSWERED
    return REFER_STATUS.get(status, REFER_REJECTED)


def from_verdict(label: Label, q850: int | None) -> Row:
    """The row for a label that ends an attempt; a SIT with a known cause counts as that cause."""
    if label is Label.SIT and q850 is not None and q850 in Q850:
        return Q850[q850]
    return DETECTION[label]


def retryable(reason: Reason) -> bool:
    """Whether dialling the same destination again can end otherwise."""
    return reason not in _PERMANENT


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(row: Row) -> str:
    return f"`{row.outcome}` / `{row.reason}`"


def outcomes_markdown() -> str:
    """The text of docs/reference/outcomes.md; a test fails where the file differs."""
    none = "-"
    lines = [
        "# Outcomes and reasons",
        "",
        "Generated from `cordboard.transfer.causes`; do not edit.",
        "",
        "Each cell is outcome / reason. What our own side knows outranks a Q.850 cause in a Reason header, which",
        "outranks the SIP status. In cold mode a row applies to the status that the final NOTIFY reports.",
        "",
        "## SIP status",
        "",
        _line("status", "meaning", "warm (INVITE)", "cold (NOTIFY)", "source"),
        _line(*["---"] * 5),
    ]
    lines += [
        _line(str(status), row.meaning, _cells(row), _cells(row), row.source) for status, row in SIP_STATUS.items()
    ]
    lines += [
        _line(f"{hundreds}xx", row.meaning, _cells(row), _cells(row), row.source) for hundreds, row in SIP_CLASS.items()
    ]
    lines += ["", "## Q.850 cause (Reason header)", "", _line("cause", "meaning", "warm", "cold", "source")]
    lines += [_line(*["---"] * 5)]
    lines += [_line(str(cause), row.meaning, _cells(row), none, row.source) for cause, row in Q850.items()]
    lines += ["", "## Response to the REFER (cold)", "", _line("response", "meaning", "cold", "source")]
    lines += [_line(*["---"] * 4)]
    lines += [_line(str(status), row.meaning, _cells(row), row.source) for status, row in REFER_STATUS.items()]
    lines += [
        _line("other", REFER_REJECTED.meaning, _cells(REFER_REJECTED), REFER_REJECTED.source),
        _line("none", REFER_UNANSWERED.meaning, _cells(REFER_UNANSWERED), REFER_UNANSWERED.source),
        _line("2xx", REFER_NO_REPORT.meaning, _cells(REFER_NO_REPORT), REFER_NO_REPORT.source),
        _line("2xx", REFERRED.meaning, _cells(REFERRED), REFERRED.source),
    ]
    lines += ["", "## Our own side", "", _line("cause", "meaning", "warm", "source"), _line(*["---"] * 4)]
    lines += [_line(f"`{cause}`", row.meaning, _cells(row), row.source) for cause, row in LOCAL.items()]
    lines += ["", "## Who answered (warm)", "", _line("label", "meaning", "outcome", "decided by")]
    lines += [_line(*["---"] * 4)]
    lines += [_line(f"`{label}`", row.meaning, _cells(row), row.source) for label, row in DETECTION.items()]
    lines += [
        _line(f"`{label}`" if label else none, row.meaning, _cells(row), row.source)
        for label, row in DETECTION_TIMEOUT.items()
    ]
    lines += ["", "## Screening (warm)", "", _line("answer", "meaning", "outcome", "source"), _line(*["---"] * 4)]
    lines += [_line(f"`{answer}`", row.meaning, _cells(row), row.source) for answer, row in SCREENING.items()]
    lines += ["", "## Hang-ups and cancellations", "", _line("what", "warm", "cold", "source"), _line(*["---"] * 4)]
    for row, cold in (
        (HUNG_UP_DETECTING, False),
        (HUNG_UP_BRIEFING, False),
        (HUNG_UP_SCREENING, False),
        (CALLER_HUNG_UP, True),
        (CANCELLED_BY_OPERATOR, True),
        (SHUTDOWN, True),
        (BRIDGED, False),
    ):
        lines.append(_line(row.meaning, _cells(row), _cells(row) if cold else none, row.source))
    return "\n".join(lines) + "\n"
