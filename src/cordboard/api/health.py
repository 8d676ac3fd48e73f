"""``GET /health`` for load balancers and ``GET /metrics`` for Prometheus. Neither needs a key: neither names a person,
a number or a call."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from cordboard.api.context import context

router = APIRouter(tags=["Operation"])
DATABASE_TIMEOUT = 2.0


@router.get("/health", operation_id="health", summary="Say whether this node takes calls")
async def health(request: Request) -> JSONResponse:
    """200 when calls are taken; 503 while draining or when the database does not answer. A database that is away
    does not end running calls; it keeps new ones from being recorded."""
    here = context(request)
    database = "ok"
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT):
            await here.records.ping()
    except Exception:
        database = "unavailable"
    draining = here.control.draining()
    status = "draining" if draining else "ok" if database == "ok" else "degraded"
    found: dict[str, Any] = {
        "status": status,
        "version": here.settings.version,
        "database": database,
        "live_calls": here.control.live_calls(),
    }
    return JSONResponse(found, 200 if status == "ok" else 503)


@router.get("/metrics", operation_id="metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    registry = request.app.state.metrics
    assert isinstance(registry, CollectorRegistry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
