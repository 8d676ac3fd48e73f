"""``GET /v2/calls/{call_id}/recordings/{name}``: the audio of a call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse

from cordboard.api.context import context, find_call
from cordboard.api.errors import ApiError
from cordboard.api.keys import requires
from cordboard.api.ports import Principal, Scope
from cordboard.records.recordings import find_recording

router = APIRouter(tags=["Recordings"])


@router.get(
    "/v2/calls/{call_id}/recordings/{name}",
    operation_id="get-call-recording",
    summary="Read a recording of a call",
    response_class=FileResponse,
)
async def get_recording(
    call_id: str,
    name: str,
    request: Request,
    principal: Annotated[Principal, Depends(requires(Scope.READ))],
) -> FileResponse:
    """WAV, two channels. Ranges are served (RFC 9110 §14)."""
    call = (await find_call(request, call_id, principal.workspace_id)).call
    path: Path | None = find_recording(call, name, context(request).settings.recordings)
    if path is None:
        raise ApiError(404, "This call has no such recording")
    return FileResponse(path, media_type="audio/wav")
