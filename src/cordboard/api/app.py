"""The REST application, put together from one file per resource."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cordboard.api import calls, errors, health, messages, prepare_inbound, recordings, sip_trace, timeline
from cordboard.api.context import Context
from cordboard.api.keys import documented
from cordboard.api.limits import RateLimit, RequestLimits
from cordboard.api.metrics import RequestMetrics
from cordboard.api.ports import AgentDirectory, ApiSettings, CallControl, KeyDirectory
from cordboard.api.shapes import ErrorBody
from cordboard.records.ports import CallReader, PreparedCalls

RESOURCES = (prepare_inbound, calls, timeline, sip_trace, recordings, messages)


def create_app(
    records: CallReader,
    keys: KeyDirectory,
    prepared: PreparedCalls,
    control: CallControl,
    settings: ApiSettings,
    *,
    agents: AgentDirectory | None = None,
    metrics: CollectorRegistry | None = None,
) -> FastAPI:
    """The API over the given ports. Without `agents`, prepare_inbound takes any model id as it comes. `metrics` is
    the registry that ``/metrics`` shows; without it the API shows only its own."""
    app = FastAPI(
        title="Cordboard",
        summary="Voice agents that hand live calls to people",
        version=settings.version,
        openapi_url="/openapi.json",
        # The pages of FastAPI load scripts from elsewhere; the description itself is enough.
        docs_url=None,
        redoc_url=None,
    )
    registry = metrics if metrics is not None else CollectorRegistry()
    app.state.metrics = registry
    app.state.context = Context(
        records=records,
        keys=keys,
        prepared=prepared,
        control=control,
        settings=settings,
        agents=agents,
        rates=RateLimit(settings.rate, settings.burst, settings.rate_table),
        strangers=RateLimit(settings.rate, settings.burst, settings.rate_table),
    )
    errors.install(app)
    refusals: dict[int | str, dict[str, Any]] = {status: {"model": ErrorBody} for status in (401, 403, 404, 422, 429)}
    for resource in RESOURCES:
        app.include_router(resource.router, dependencies=[Depends(documented)], responses=refusals)
    app.include_router(health.router)
    # The last one added sees a request first.
    app.add_middleware(RequestLimits, body_limit=settings.body_limit, body_timeout=settings.body_timeout)
    app.add_middleware(RequestMetrics, registry=registry)
    if "*" not in settings.allowed_hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts), www_redirect=False)
    return app
