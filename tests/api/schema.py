"""As much of JSON Schema 2020-12 as the published shapes use, and those shapes, in our own words."""

from __future__ import annotations

from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def faults(value: Any, schema: dict[str, Any], components: dict[str, Any], path: str = "$") -> list[str]:
    """Where `value` breaks `schema`; references are looked up in `components` by their last part."""
    if "$ref" in schema:
        return faults(value, components[schema["$ref"].rsplit("/", 1)[1]], components, path)
    found: list[str] = []
    for key in ("anyOf", "oneOf"):
        if key in schema and all(faults(value, option, components, path) for option in schema[key]):
            found.append(f"{path}: fits none of {key}")
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return [*found, f"{path}: {type(value).__name__} is not {kinds}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: {value!r} is not in {schema['enum']}")
    if isinstance(value, dict):
        found += [f"{path}: lacks {name}" for name in schema.get("required", []) if name not in value]
        properties = schema.get("properties", {})
        extra = schema.get("additionalProperties")
        for name, item in value.items():
            if name in properties:
                found += faults(item, properties[name], components, f"{path}.{name}")
            elif isinstance(extra, dict):
                found += faults(item, extra, components, f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += faults(item, schema["items"], components, f"{path}[{index}]")
    return found


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


S, I, O = {"type": "string"}, {"type": "integer"}, {"type": "object"}  # noqa: E741
TEXT_OR_NULL = {"type": ["string", "null"]}
STATUSES = [
    "pending", "ringing", "in-progress", "completed", "no-answer", "busy", "failed", "canceled", "user-canceled",
    "hangup_on_voicemail", "left_voicemail", "spam", "paused", "registered",
]  # fmt: skip
REASONS = [
    "human_pick_up_cut_off", "voicemail", "voicemail_cut_off", "voicemail_message_left", "agent_ended_call",
    "human_ended_call", "custom_end_call", "user_canceled", "timeout", "error",
]  # fmt: skip

COMPONENTS: dict[str, Any] = {
    "Pagination": {
        "type": "object",
        "required": ["total_records", "limit", "offset"],
        "properties": {"total_records": I, "limit": I, "offset": I},
    },
    "ExecutedAction": {
        "type": "object",
        "required": ["name", "action_type", "return_value"],
        "properties": {
            "name": S,
            "action_type": S,
            "description": S,
            "parameters_hard_coded": {"type": ["object", "string"]},
            "parameters_from_llm": {"type": ["object", "string"]},
            "error_message": TEXT_OR_NULL,
            "return_value": {
                "anyOf": [
                    {
                        "type": "object",
                        "required": ["status", "failed_reason"],
                        "properties": {"status": S, "failed_reason": TEXT_OR_NULL, "human_connected_at": S},
                    },
                    O,
                    S,
                    {"type": "null"},
                ]
            },
            "return_value_status": S,
            "is_relevant_action": S,
            "timestamp": S,
            "timestamp_datetime": S,
        },
    },
    "ExecutedActions": {"type": "object", "additionalProperties": {"$ref": "#/ExecutedAction"}},
    "Call": {
        "type": "object",
        "required": ["call_id", "model_id", "status", "call_status", "executed_actions", "start_time", "duration"],
        "properties": {
            **dict.fromkeys(
                ("call_id", "model_id", "campaign_type", "phone_number_from", "phone_number_to", "name", "transcript",
                 "error_message", "start_time", "timezone", "telephony_start", "telephony_end"), S,
            ),
            **dict.fromkeys(("duration", "telephony_duration", "telephony_ringing_duration"), I),
            "recording_url": TEXT_OR_NULL,
            "custom_end_call_reason": TEXT_OR_NULL,
            "end_call_reason": {"type": "string", "enum": REASONS},
            "executed_actions": {"$ref": "#/ExecutedActions"},
            "prompt_variables": O,
            "type_of_call": {"type": "string", "enum": ["inbound", "outbound"]},
            "telephony_hangup": {"type": "string", "enum": ["caller", "callee"]},
            "telephony_disconnect_reason": {
                "type": "string",
                "enum": ["unknown", "callee_hangup", "caller_hangup", "error", "forbidden"],
            },
            "status": {"type": "string", "enum": STATUSES},
            "call_status": {"type": "string", "enum": STATUSES},
            "collected_variables": {"type": ["object", "null"]},
        },
    },
    "CallListItem": {
        "type": "object",
        "required": ["call_id", "model_id", "call_status", "status", "executed_actions", "start_time"],
        "properties": {
            **dict.fromkeys(
                ("call_id", "model_id", "end_call_reason", "lead_phone_number", "type_of_call", "call_status",
                 "start_time", "agent_phone_number", "campaign_type", "phone_number_from", "phone_number_to"), S,
            ),
            **dict.fromkeys(
                ("recording_url", "recording_duration", "transcript", "error_message", "lead_name", "name",
                 "deployment_type", "timezone", "telephony_hangup", "telephony_disconnect_reason", "telephony_start",
                 "telephony_end"), TEXT_OR_NULL,
            ),
            "duration": I,
            "telephony_duration": {"type": ["integer", "null"]},
            "agents_used": {"type": "array", "items": S},
            "labels": {"type": "array", "items": S},
            "executed_actions": {"$ref": "#/ExecutedActions"},
            "collected_variables": {"type": ["object", "null"]},
        },
    },
    "Detail": {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "detail": {
                "type": "object",
                "required": ["status", "description", "request_id", "category"],
                "properties": dict.fromkeys(("status", "description", "request_id", "category"), S),
            }
        },
    },
}  # fmt: skip


def envelope(item: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["status", "response"],
        "properties": {
            "status": S,
            "response": {
                "type": "object",
                "required": ["pagination", "calls"],
                "properties": {
                    "pagination": {"$ref": "#/Pagination"},
                    "calls": {"type": "array", "items": {"$ref": f"#/{item}"}},
                },
            },
        },
    }


PREPARED_KEYS = frozenset(
    (
        "call_status",
        "synthflow_call_id",
        "direction",
        "model_id",
        "workspace_id",
        "custom_variables",
        "duration",
        "end_call_reason",
        "judge_results",
        "is_voicemail",
        "lead_phone_number",
        "voicemail_not_detected_during_call_but_detected_in_post_call",
        "voicemail_during_call_but_not_voicemail_in_post_call",
        "timeline",
        "twilio_call_sid",
        "egress_recording_url",
        "agents_used",
        "original_payload",
        "executed_actions",
        "prompt_variables",
        "voicemail_message_left",
        "recording_sid",
        "secondary_call_id",
        "recording_url",
        "payload_received",
        "language",
        "type_of_call",
        "recording_duration",
        "transcript",
        "error_message_payload_validation",
        "error_message",
        "node_and_stage_time_track",
        "start_time",
        "campaign_name",
        "lead_name",
        "labels",
        "agent_phone_number",
        "deployment_type",
        "timezone",
    )
)
