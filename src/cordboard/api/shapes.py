"""The answers of the v2 reference as models, and how records become them.

Keys whose value is not known yet are left out where the reference does not allow null. Beyond the reference every
record has ``call_status`` (what its live service answers) beside ``status``, and our own keys at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from cordboard.records.models import (
    CallDetails,
    CallRecord,
    CallType,
    ExecutedAction,
    TranscriptLine,
    TransferReturnValue,
)

Item = TypeVar("Item")


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class ErrorDetail(Shape):
    status: str
    description: str
    request_id: str
    category: str


class ErrorBody(Shape):
    detail: ErrorDetail


class Pagination(Shape):
    total_records: int
    limit: int
    offset: int


class ExecutedActionShape(Shape):
    name: str
    action_type: str
    description: str = ""
    parameters_hard_coded: dict[str, Any] = {}
    parameters_from_llm: dict[str, Any] = {}
    error_message: str | None = None
    return_value: Any = None
    return_value_status: str | None = None
    is_relevant_action: str = "true"
    timestamp: str
    timestamp_datetime: str
    attempts: list[dict[str, Any]] = Field(default=[], description="Evidence: one object for each dialled destination")
    verified: bool | None = Field(default=None, description="Whether media was seen in both directions")


class CallShape(Shape):
    call_id: str
    model_id: str
    status: str
    call_status: str
    type_of_call: str
    phone_number_from: str
    phone_number_to: str
    campaign_type: str
    name: str
    transcript: str
    duration: int
    recording_url: str | None = None
    end_call_reason: str | None = None
    custom_end_call_reason: str | None = None
    error_message: str = ""
    executed_actions: dict[str, ExecutedActionShape] = {}
    prompt_variables: dict[str, Any] = {}
    start_time: str = Field(description="Epoch milliseconds as text")
    timezone: str
    telephony_hangup: str | None = None
    telephony_disconnect_reason: str | None = None
    telephony_duration: int | None = None
    telephony_ringing_duration: int | None = None
    telephony_start: str | None = None
    telephony_end: str | None = None
    collected_variables: dict[str, Any] | None = None


class CallListItemShape(Shape):
    call_id: str
    model_id: str
    call_status: str
    status: str
    type_of_call: str
    start_time: str
    phone_number_from: str
    phone_number_to: str
    lead_phone_number: str
    agent_phone_number: str
    executed_actions: dict[str, ExecutedActionShape] = {}


class Page(Shape, Generic[Item]):
    pagination: Pagination
    calls: list[Item]


class Envelope(Shape, Generic[Item]):
    status: str
    response: Item


class StatusOnly(Shape):
    status: str


class TimelineEvent(Shape):
    seq: int
    at: float = Field(description="Epoch seconds")
    time: str = Field(description="The same in ISO 8601, UTC")
    kind: str
    leg: str
    data: dict[str, Any]


class Timeline(Shape):
    call_id: str
    events: list[TimelineEvent]
    incomplete: bool = Field(description="Parts of the record were dropped because the database was slow or away")


class SipMessageShape(Shape):
    seq: int
    at: float
    time: str
    direction: str
    transport: str
    local: str
    remote: str
    session: str
    text: str = Field(description="The message, secrets masked; bytes that are not UTF-8 as U+FFFD")
    base64: str


class SipTrace(Shape):
    call_id: str
    messages: list[SipMessageShape]
    truncated: bool
    incomplete: bool


def iso(at: float | None) -> str | None:
    """`at` in ISO 8601, UTC, with milliseconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(at: float) -> int:
    return round(at * 1000)


def transcript_text(lines: Sequence[TranscriptLine]) -> str:
    """One line ``bot: …`` or ``human: …`` for each utterance; line breaks inside one become spaces."""
    return "\n".join(f"{line.speaker}: {' '.join(line.text.split())}" for line in lines)


def action_shape(action: ExecutedAction) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "name": action.name,
        "action_type": action.action_type,
        "description": action.description,
        "parameters_hard_coded": dict(action.parameters_hard_coded),
        "parameters_from_llm": dict(action.parameters_from_llm),
        "error_message": action.error_message,
        "return_value": action.return_value,
        "is_relevant_action": "true",
        "timestamp": f"{action.started_at:.6f}",
        "timestamp_datetime": iso(action.started_at),
        "attempts": [dict(attempt) for attempt in action.attempts],
    }
    result = action.return_value
    if isinstance(result, TransferReturnValue):
        value = {"status": result.status, "failed_reason": result.failed_reason}
        connected = iso(result.human_connected_at)
        if connected is not None:
            value["human_connected_at"] = connected
        shape["return_value"] = value
        shape["return_value_status"] = result.status
    if action.verified is not None:
        shape["verified"] = action.verified
    return shape


def actions_shape(actions: Sequence[ExecutedAction]) -> dict[str, Any]:
    """A map by action name; a second execution of the same name is ``name_2`` and so on."""
    shape: dict[str, Any] = {}
    for action in actions:
        key, count = action.name, 1
        while key in shape:
            count += 1
            key = f"{action.name}_{count}"
        shape[key] = action_shape(action)
    return shape


def recording_url(call: CallRecord, base: str) -> str | None:
    if not call.recordings:
        return None
    return f"{base}/v2/calls/{call.call_id}/recordings/{call.recordings[0].name}"


def telephony(call: CallRecord) -> dict[str, Any]:
    """What the network did, in milliseconds. Absent until it is known."""
    shape: dict[str, Any] = {}
    if call.telephony_hangup is not None:
        shape["telephony_hangup"] = str(call.telephony_hangup)
    if call.telephony_disconnect_reason is not None:
        shape["telephony_disconnect_reason"] = str(call.telephony_disconnect_reason)
    if call.ended_at is not None:
        shape["telephony_duration"] = max(0, milliseconds(call.ended_at) - milliseconds(call.started_at))
    return shape


def ringing(call: CallRecord) -> int | None:
    end = call.answered_at if call.answered_at is not None else call.ended_at
    return None if end is None else max(0, milliseconds(end) - milliseconds(call.started_at))


def common_shape(details: CallDetails, base: str) -> dict[str, Any]:
    call = details.call
    shape = {
        "call_id": call.call_id,
        "model_id": call.model_id,
        "status": str(call.status),
        "call_status": str(call.status),
        "type_of_call": str(call.type),
        "campaign_type": str(call.type),
        "phone_number_from": call.from_number,
        "phone_number_to": call.to_number,
        "name": call.name,
        "duration": call.duration,
        "transcript": transcript_text(details.transcript),
        "recording_url": recording_url(call, base),
        "error_message": call.error_message,
        "executed_actions": actions_shape(details.actions),
        "start_time": str(milliseconds(call.started_at)),
        "timezone": call.timezone,
        "collected_variables": None if call.collected_variables is None else dict(call.collected_variables),
        **telephony(call),
    }
    if call.end_call_reason is not None:
        shape["end_call_reason"] = call.end_call_reason
    return shape


def call_shape(details: CallDetails, base: str) -> dict[str, Any]:
    """``Call`` of the reference, followed by our own keys."""
    call = details.call
    shape = common_shape(details, base)
    shape["custom_end_call_reason"] = call.custom_end_call_reason
    shape["prompt_variables"] = dict(call.prompt_variables)
    shape["telephony_start"] = iso(call.started_at)
    if call.ended_at is not None:
        shape["telephony_end"] = iso(call.ended_at)
    rang = ringing(call)
    if rang is not None:
        shape["telephony_ringing_duration"] = rang
    shape |= {
        "workspace_id": call.workspace_id,
        "custom_variables": dict(call.custom_variables),
        "external_id": call.external_id,
        "diversion": call.diversion,
        "prepared_id": call.prepared_id,
        "warnings": list(call.warnings),
        "transcript_lines": [
            {"speaker": line.speaker, "text": line.text, "started": iso(line.started_at), "ended": iso(line.ended_at)}
            for line in details.transcript
        ],
        "answered_at": iso(call.answered_at),
        "sip_call_id": call.sip_call_id,
        "recordings": [
            {"name": item.name, "url": f"{base}/v2/calls/{call.call_id}/recordings/{item.name}"}
            for item in call.recordings
        ],
        "node_id": call.node_id,
        "interrupted": call.interrupted,
        "incomplete": call.incomplete,
        "sip_truncated": call.sip_truncated,
    }
    return shape


def list_item_shape(details: CallDetails, base: str) -> dict[str, Any]:
    """``CallListItem`` of the reference."""
    call = details.call
    inbound = call.type is CallType.INBOUND
    shape = common_shape(details, base)
    # The list's schema says a date where the single call's says a date and a time.
    started, ended = iso(call.started_at), iso(call.ended_at)
    return shape | {
        "judge_results": None,
        "lead_phone_number": call.from_number if inbound else call.to_number,
        "agent_phone_number": call.to_number if inbound else call.from_number,
        "agents_used": [call.model_id] if call.model_id else [],
        "recording_duration": None,
        "lead_name": call.lead_name,
        "labels": [],
        "deployment_type": None,
        "telephony_start": started and started[:10],
        "telephony_end": ended and ended[:10],
        "interrupted": call.interrupted,
        "incomplete": call.incomplete,
    }
