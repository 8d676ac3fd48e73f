"""``POST /v2/prepare_inbound``: announce an inbound call before its INVITE and get its id."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cordboard.api.context import Context, context
from cordboard.api.errors import ApiError
from cordboard.api.keys import requires, sees
from cordboard.api.ports import ALL, Principal, Scope
from cordboard.api.shapes import milliseconds
from cordboard.records.models import PreparedCall
from cordboard.records.ports import PreparedLimitError

router = APIRouter(tags=["Calls"])

E164 = re.compile(r"\+?[0-9]{1,15}")
VARIABLES = 200


class PrepareInbound(BaseModel):
    """Unknown keys are tolerated. One of ``model_id`` and ``to_number`` says which agent answers."""

    model_config = ConfigDict(extra="ignore", strict=True)

    from_number: str = Field(default="", max_length=128, description="Caller, E.164")
    to_number: str = Field(default="", max_length=128, description="Number of the inbound agent, E.164")
    model_id: str = Field(default="", max_length=128)
    workspace_id: str | None = Field(default=None, max_length=128)
    custom_variables: dict[str, Any] = Field(default={}, max_length=VARIABLES)

    @field_validator("from_number", "to_number")
    @classmethod
    def number(cls, value: str) -> str:
        if value and not E164.fullmatch(value):
            raise ValueError("must be a number in E.164 form: + and at most 15 digits")
        return value

    @field_validator("custom_variables")
    @classmethod
    def names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not name or len(name) > 128 or any(ord(character) < 32 for character in name):
                raise ValueError("names must have 1 to 128 characters and no control characters")
        return value


def blank_record(prepared: PreparedCall) -> dict[str, Any]:
    """The answer of the reference, which is not enveloped: six keys that matter and a call record in its initial
    state."""
    return {
        "call_status": "registered",
        "synthflow_call_id": prepared.prepared_id,
        "direction": "inbound",
        "model_id": prepared.model_id,
        "workspace_id": prepared.workspace_id,
        "custom_variables": dict(prepared.custom_variables),
        "duration": None,
        "end_call_reason": None,
        "judge_results": None,
        "is_voicemail": None,
        "lead_phone_number": prepared.from_number or None,
        "voicemail_not_detected_during_call_but_detected_in_post_call": None,
        "voicemail_during_call_but_not_voicemail_in_post_call": None,
        "timeline": [],
        "twilio_call_sid": None,
        "egress_recording_url": None,
        "agents_used": [],
        "original_payload": None,
        "executed_actions": [],
        "prompt_variables": {},
        "voicemail_message_left": None,
        "recording_sid": None,
        "secondary_call_id": None,
        "recording_url": None,
        "payload_received": None,
        "language": None,
        "type_of_call": "inbound",
        "recording_duration": None,
        "transcript": None,
        "error_message_payload_validation": None,
        "error_message": None,
        "node_and_stage_time_track": {},
        "start_time": milliseconds(prepared.created_at),
        "campaign_name": None,
        "lead_name": None,
        "labels": [],
        "agent_phone_number": prepared.to_number,
        "deployment_type": None,
        "timezone": None,
        "expires_at": milliseconds(prepared.expires_at),
    }


def resolve(here: Context, asked: PrepareInbound, principal: Principal) -> tuple[str, str]:
    """The agent and the workspace that the call is prepared for."""
    workspace = asked.workspace_id or ("" if principal.workspace_id == ALL else principal.workspace_id)
    if workspace and not sees(principal, workspace):
        raise ApiError(403, "workspace_id: this key belongs to another workspace")
    if not asked.model_id and not asked.to_number:
        raise ApiError(422, "body.model_id: model_id or to_number must be given (missing)")
    if here.agents is None:
        return asked.model_id, workspace
    if asked.model_id:
        agent, field = here.agents.agent(asked.model_id), "model_id"
    else:
        agent, field = here.agents.agent_by_number(asked.to_number), "to_number"
    if agent is None or not sees(principal, agent.workspace_id) or workspace not in ("", agent.workspace_id):
        raise ApiError(404, f"{field}: no such agent in this workspace")
    return agent.model_id, agent.workspace_id


@router.post("/v2/prepare_inbound", operation_id="prepare-inbound", summary="Register an inbound call")
async def prepare_inbound(
    asked: PrepareInbound, request: Request, principal: Annotated[Principal, Depends(requires(Scope.WRITE))]
) -> dict[str, Any]:
    """Register an inbound call ahead of its INVITE. The id goes into the header ``X-EI: S.<id>;``."""
    here = context(request)
    model_id, workspace = resolve(here, asked, principal)
    try:
        prepared = await here.prepared.prepare(
            workspace_id=workspace,
            model_id=model_id,
            from_number=asked.from_number,
            to_number=asked.to_number,
            custom_variables=asked.custom_variables,
        )
    except PreparedLimitError as error:
        raise ApiError(503, "Too many prepared calls wait for their INVITE", headers={"Retry-After": "5"}) from error
    return blank_record(prepared)
