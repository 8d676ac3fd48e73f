"""``GET /v2/calls/{call_id}/timeline``: what happened, line by line. Ours, not the reference's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from cordboard.api.calls import LARGEST
from cordboard.api.context import context, find_call
from cordboard.api.keys import requires
from cordboard.api.ports import Principal, Scope
from cordboard.api.shapes import Envelope, Timeline, iso

router = APIRouter(tags=["Calls"])


@router.get(
    "/v2/calls/{call_id}/timeline",
    operation_id="get-call-timeline",
    summary="Read the timeline of a call",
    responses={200: {"model": Envelope[Timeline]}},
    response_model=None,
)
async def get_timeline(
    call_id: str,
    request: Request,
    principal: Annotated[Principal, Depends(requires(Scope.READ))],
    after: Annotated[int, Query(ge=0, le=LARGEST, description="Only events after this seq")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> dict[str, Any]:
    call = (await find_call(request, call_id, principal.workspace_id)).call
    events = await context(request).records.timeline(call.call_id, after=after, limit=limit)
    return {
        "status": "ok",
        "response": {
            "call_id": call.call_id,
            "events": [
                {
                    "seq": event.seq,
                    "at": event.at,
                    "time": iso(event.at),
                    "kind": event.kind,
                    "leg": event.leg,
                    "data": dict(event.data),
                }
                for event in events
            ],
            "incomplete": call.incomplete,
        },
    }
