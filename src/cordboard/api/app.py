"""The REST application, put together from one file per resource."""

from __future__ import annotations

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from cordboard.api.ports import AgentDirectory, ApiSettings, CallControl, KeyDirectory
from cordboard.records.ports import CallReader, PreparedCalls


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
    """The API over the given ports. Without `agents`, prepare_inbound takes any model id as it comes."""
    raise NotImplementedError
