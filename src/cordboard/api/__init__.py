"""The REST API: the v2 reference's shapes over the record, and our own resources beside them."""

from cordboard.api.app import create_app
from cordboard.api.keys import HashedKeys, Key, digest
from cordboard.api.metrics import RecordCollector
from cordboard.api.ports import (
    ALL,
    Agent,
    AgentDirectory,
    ApiSettings,
    CallControl,
    KeyDirectory,
    Principal,
    Scope,
)

__all__ = [
    "ALL",
    "Agent",
    "AgentDirectory",
    "ApiSettings",
    "CallControl",
    "HashedKeys",
    "Key",
    "KeyDirectory",
    "Principal",
    "RecordCollector",
    "Scope",
    "create_app",
    "digest",
]
