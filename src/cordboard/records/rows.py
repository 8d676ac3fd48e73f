"""From the values of :mod:`cordboard.records.models` to rows and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping

from cordboard.records.models import (
    CallRecord,
    CallStatus,
    CallType,
    DisconnectReason,
    Event,
    ExecutedAction,
    Json,
    PreparedCall,
    Recording,
    SipMessage,
    TelephonyHangup,
    TranscriptLine,
    TransferReturnValue,
)
from cordboard.records.text import clean, to_json, to_object

_OBJECTS = frozenset({"prompt_variables", "custom_variables"})


def call_columns(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of :class:`CallRecord` as column values."""
    row: dict[str, Any] = {}
    for name, value in changes.items():
        if name in _OBJECTS:
            row[name] = to_object(value)
        elif name == "collected_variables":
            row[name] = None if value is None else to_object(value)
        elif name == "recordings":
            row[name] = [{"name": clean(item.name), "path": clean(item.path)} for item in value]
        elif name == "warnings":
            row[name] = [clean(text) for text in value]
        elif isinstance(value, str):
            row[name] = clean(str(value))
        else:
            row[name] = value
    return row


def call_row(call: CallRecord) -> dict[str, Any]:
    return call_columns({name: getattr(call, name) for name in CallRecord.__dataclass_fields__})


def call_of(row: RowMapping) -> CallRecord:
    values = {name: row[name] for name in CallRecord.__dataclass_fields__}
    values["type"] = CallType(values["type"])
    values["status"] = CallStatus(values["status"])
    if values["telephony_hangup"] is not None:
        values["telephony_hangup"] = TelephonyHangup(values["telephony_hangup"])
    if values["telephony_disconnect_reason"] is not None:
        values["telephony_disconnect_reason"] = DisconnectReason(values["telephony_disconnect_reason"])
    values["warnings"] = tuple(values["warnings"])
    values["recordings"] = tuple(Recording(item["name"], item["path"]) for item in values["recordings"])
    return CallRecord(**values)


def action_row(call_id: str, seq: int, action: ExecutedAction) -> dict[str, Any]:
    result: Json
    if isinstance(action.return_value, TransferReturnValue):
        # The mark tells a transfer's result from another action's JSON when it is read back.
        result = {"transfer": to_json(action.return_value)}
    elif action.return_value is None:
        result = None
    else:
        result = {"value": to_json(action.return_value)}
    return {
        "call_id": call_id,
        "action_id": clean(action.action_id),
        "seq": seq,
        "name": clean(action.name),
        "action_type": clean(action.action_type),
        "started_at": action.started_at,
        "ended_at": action.ended_at,
        "description": clean(action.description),
        "parameters_hard_coded": to_object(action.parameters_hard_coded),
        "parameters_from_llm": to_object(action.parameters_from_llm),
        "return_value": result,
        "error_message": None if action.error_message is None else clean(action.error_message),
        "attempts": [to_object(attempt) for attempt in action.attempts],
        "verified": action.verified,
    }


def action_of(row: RowMapping) -> ExecutedAction:
    stored: Any = row["return_value"]
    result: object = None
    if isinstance(stored, dict) and "transfer" in stored:
        result = TransferReturnValue(**stored["transfer"])
    elif isinstance(stored, dict):
        result = stored.get("value")
    return ExecutedAction(
        action_id=row["action_id"],
        name=row["name"],
        action_type=row["action_type"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        description=row["description"],
        parameters_hard_coded=row["parameters_hard_coded"],
        parameters_from_llm=row["parameters_from_llm"],
        return_value=result,
        error_message=row["error_message"],
        attempts=tuple(row["attempts"]),
        verified=row["verified"],
    )


def line_of(row: RowMapping) -> TranscriptLine:
    return TranscriptLine(row["call_id"], row["seq"], row["speaker"], row["text"], row["started_at"], row["ended_at"])


def event_of(row: RowMapping) -> Event:
    return Event(row["call_id"], row["seq"], row["at"], row["kind"], row["leg"], row["data"])


def sip_of(row: RowMapping) -> SipMessage:
    return SipMessage(**{name: row[name] for name in SipMessage.__dataclass_fields__})


def prepared_of(row: RowMapping) -> PreparedCall:
    return PreparedCall(**{name: row[name] for name in PreparedCall.__dataclass_fields__})
