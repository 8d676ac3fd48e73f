"""``GET /v2/calls/{call_id}/sip`` and ``…/ladder``: the masked SIP messages of a call, with a scope of their own."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse

from cordboard.api.calls import LARGEST
from cordboard.api.context import context, find_call
from cordboard.api.keys import requires
from cordboard.api.ports import Principal, Scope
from cordboard.api.shapes import Envelope, SipTrace, iso
from cordboard.records.ladder import render

router = APIRouter(tags=["Trace"])
Tracer = Annotated[Principal, Depends(requires(Scope.TRACE))]


@router.get(
    "/v2/calls/{call_id}/sip",
    operation_id="get-call-sip",
    summary="Read the SIP messages of a call",
    responses={200: {"model": Envelope[SipTrace]}},
    response_model=None,
)
async def get_sip(
    call_id: str,
    request: Request,
    principal: Tracer,
    after: Annotated[int, Query(ge=0, le=LARGEST, description="Only messages after this seq")] = 0,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 1000,
) -> dict[str, Any]:
    call = (await find_call(request, call_id, principal.workspace_id)).call
    messages = await context(request).records.sip_messages(call.call_id, after=after, limit=limit)
    return {
        "status": "ok",
        "response": {
            "call_id": call.call_id,
            "messages": [
                {
                    "seq": message.seq,
                    "at": message.at,
                    "time": iso(message.at),
                    "direction": message.direction,
                    "transport": message.transport,
                    "local": message.local,
                    "remote": message.remote,
                    "session": message.session,
                    "text": message.data.decode("utf-8", "replace"),
                    "base64": base64.b64encode(message.data).decode("ascii"),
                }
                for message in messages
            ],
            "truncated": call.sip_truncated,
            "incomplete": call.incomplete,
        },
    }


@router.get(
    "/v2/calls/{call_id}/ladder",
    operation_id="get-call-ladder",
    summary="Read the SIP ladder of a call as text",
    response_class=PlainTextResponse,
)
async def get_ladder(call_id: str, request: Request, principal: Tracer) -> PlainTextResponse:
    call = (await find_call(request, call_id, principal.workspace_id)).call
    messages = await context(request).records.sip_messages(call.call_id, limit=5_000)
    return PlainTextResponse(render(messages, truncated=call.sip_truncated))
