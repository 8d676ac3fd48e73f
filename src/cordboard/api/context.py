"""What every resource of one application shares."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from cordboard.api.errors import ApiError
from cordboard.api.limits import RateLimit
from cordboard.api.ports import AgentDirectory, ApiSettings, CallControl, KeyDirectory
from cordboard.records.models import CallDetails
from cordboard.records.ports import CallReader, PreparedCalls


@dataclass(frozen=True, slots=True)
class Context:
    records: CallReader
    keys: KeyDirectory
    prepared: PreparedCalls
    control: CallControl
    settings: ApiSettings
    agents: AgentDirectory | None
    rates: RateLimit
    strangers: RateLimit


def context(request: Request) -> Context:
    found = request.app.state.context
    assert isinstance(found, Context)
    return found


async def find_call(request: Request, call_id: str, workspace_id: str) -> CallDetails:
    """The call, where it belongs to `workspace_id` (``*``: any). A foreign call is 404 like an unknown one, so that
    nobody learns that it exists."""
    found = await context(request).records.get_call(call_id) if len(call_id) <= 64 else None
    if found is None or workspace_id not in ("*", found.call.workspace_id):
        raise ApiError(404, f"No call {call_id[:64]!r}")
    return found
