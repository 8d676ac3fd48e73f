"""``GET /v2/calls`` and ``GET /v2/calls/{call_id}`` in the shapes of the reference."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from cordboard.api.context import context, find_call
from cordboard.api.keys import requires, workspace_filter
from cordboard.api.ports import Principal, Scope
from cordboard.api.shapes import CallListItemShape, CallShape, Envelope, Page, call_shape, list_item_shape
from cordboard.records.ports import CallFilter

router = APIRouter(tags=["Calls"])
Reader = Annotated[Principal, Depends(requires(Scope.READ))]
# The largest number that every database here takes as an offset, a duration or milliseconds.
LARGEST = 2**31 - 1
LATEST = 2**47


def base_url(request: Request) -> str:
    """The base of links, without a trailing slash."""
    return context(request).settings.public_url or str(request.base_url).rstrip("/")


@router.get(
    "/v2/calls",
    operation_id="list-calls",
    summary="Page through one agent's calls",
    responses={200: {"model": Envelope[Page[CallListItemShape]]}},
    response_model=None,
)
async def list_calls(
    request: Request,
    principal: Reader,
    model_id: Annotated[str, Query(min_length=1, max_length=128)],
    limit: Annotated[int, Query(ge=1, le=LARGEST)] = 20,
    offset: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    from_date: Annotated[int | None, Query(ge=0, le=LATEST, description="Epoch milliseconds")] = None,
    to_date: Annotated[int | None, Query(ge=0, le=LATEST, description="Epoch milliseconds")] = None,
    call_status: Annotated[str | None, Query(max_length=32)] = None,
    duration_min: Annotated[int | None, Query(ge=0, le=LARGEST, description="Seconds")] = None,
    duration_max: Annotated[int | None, Query(ge=0, le=LARGEST, description="Seconds")] = None,
    lead_phone_number: Annotated[str | None, Query(max_length=128)] = None,
) -> dict[str, Any]:
    """Newest first. ``limit`` beyond the server's page limit is lowered to it; the answer says what was used."""
    here = context(request)
    limit = min(limit, here.settings.page_limit)
    page = await here.records.list_calls(
        CallFilter(
            workspace_id=workspace_filter(principal),
            model_id=model_id,
            status=call_status,
            started_from=None if from_date is None else from_date / 1000,
            started_to=None if to_date is None else to_date / 1000,
            duration_min=duration_min,
            duration_max=duration_max,
            lead_phone_number=lead_phone_number,
            limit=limit,
            offset=offset,
        )
    )
    base = base_url(request)
    return {
        "status": "ok",
        "response": {
            "pagination": {"total_records": page.total, "limit": limit, "offset": offset},
            "calls": [list_item_shape(item, base) for item in page.calls],
        },
    }


@router.get(
    "/v2/calls/{call_id}",
    operation_id="get-phone-call",
    summary="Read one call, inside a page of one",
    responses={200: {"model": Envelope[Page[CallShape]]}},
    response_model=None,
)
async def get_call(call_id: str, request: Request, principal: Reader) -> dict[str, Any]:
    details = await find_call(request, call_id, principal.workspace_id)
    return {
        "status": "ok",
        "response": {
            "pagination": {"total_records": 1, "limit": 1, "offset": 0},
            "calls": [call_shape(details, base_url(request))],
        },
    }
