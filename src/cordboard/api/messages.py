"""Acting on a live call: ``POST /v2/calls/{call_id}/messages`` and ``…/hangup``. Ours, not the reference's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cordboard.api.context import context, find_call
from cordboard.api.errors import ApiError
from cordboard.api.keys import requires
from cordboard.api.ports import Principal, Scope
from cordboard.api.shapes import StatusOnly

router = APIRouter(tags=["Control"])
Controller = Annotated[Principal, Depends(requires(Scope.WRITE))]


class Typed(BaseModel):
    """What the caller would have said."""

    model_config = ConfigDict(extra="ignore", strict=True)

    text: str = Field(min_length=1, max_length=10_000)

    @field_validator("text")
    @classmethod
    def said(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value


@router.post(
    "/v2/calls/{call_id}/messages",
    operation_id="type-to-call",
    summary="Feed typed caller text into the conversation",
    responses={200: {"model": StatusOnly}},
)
async def type_to_call(call_id: str, typed: Typed, request: Request, principal: Controller) -> dict[str, str]:
    """404 for an unknown call; 409 for one that has ended or cannot listen now (on hold, bridged)."""
    here = context(request)
    if len(typed.text) > here.settings.text_limit:
        raise ApiError(422, f"body.text: at most {here.settings.text_limit} characters (string_too_long)")
    call = (await find_call(request, call_id, principal.workspace_id)).call
    if not call.open or not here.control.typed(call.call_id, typed.text):
        raise ApiError(409, "The call has ended or its agent does not listen now")
    return {"status": "ok"}


@router.post(
    "/v2/calls/{call_id}/hangup",
    operation_id="hang-up-call",
    summary="End a live call",
    responses={200: {"model": StatusOnly}},
)
async def hang_up(call_id: str, request: Request, principal: Controller) -> dict[str, str]:
    """404 for an unknown call; 409 for one that has ended."""
    call = (await find_call(request, call_id, principal.workspace_id)).call
    if not call.open or not context(request).control.hang_up(call.call_id):
        raise ApiError(409, "The call has ended")
    return {"status": "ok"}
