"""The tables of the record, in SQLAlchemy Core. The migrations create them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

nodes = Table(
    "nodes",
    metadata,
    Column("node_id", String(64), primary_key=True),
    Column("started_at", Double, nullable=False),
    Column("heartbeat_at", Double, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("node_id", String(64), nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("type", String(16), nullable=False),
    Column("from_number", Text, nullable=False),
    Column("to_number", Text, nullable=False),
    Column("status", String(32), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("answered_at", Double),
    Column("ended_at", Double),
    Column("duration", Integer, nullable=False),
    Column("end_call_reason", Text),
    Column("custom_end_call_reason", Text),
    Column("error_message", Text, nullable=False),
    Column("telephony_hangup", String(16)),
    Column("telephony_disconnect_reason", String(32)),
    Column("name", Text, nullable=False),
    Column("lead_name", Text),
    Column("timezone", Text, nullable=False),
    Column("prompt_variables", JSON, nullable=False),
    Column("custom_variables", JSON, nullable=False),
    Column("collected_variables", JSON(none_as_null=True)),
    Column("warnings", JSON, nullable=False),
    Column("external_id", Text),
    Column("diversion", Text),
    Column("prepared_id", String(64)),
    Column("sip_call_id", Text, nullable=False),
    Column("recordings", JSON, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    Column("incomplete", Boolean, nullable=False),
    Column("sip_truncated", Boolean, nullable=False),
    Index("ix_calls_workspace_id_model_id_started_at", "workspace_id", "model_id", "started_at"),
    Index("ix_calls_started_at", "started_at"),
    Index("ix_calls_ended_at_node_id", "ended_at", "node_id"),
)


def _call_id() -> Column[str]:
    return Column("call_id", String(64), ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True)


transcript_lines = Table(
    "transcript_lines",
    metadata,
    _call_id(),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("speaker", String(8), nullable=False),
    Column("text", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
)

executed_actions = Table(
    "executed_actions",
    metadata,
    _call_id(),
    Column("action_id", String(128), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("action_type", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("description", Text, nullable=False),
    Column("parameters_hard_coded", JSON, nullable=False),
    Column("parameters_from_llm", JSON, nullable=False),
    Column("return_value", JSON(none_as_null=True)),
    Column("error_message", Text),
    Column("attempts", JSON, nullable=False),
    Column("verified", Boolean),
)

events = Table(
    "events",
    metadata,
    _call_id(),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("leg", Text, nullable=False),
    Column("data", JSON, nullable=False),
)

sip_messages = Table(
    "sip_messages",
    metadata,
    _call_id(),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("direction", String(4), nullable=False),
    Column("transport", String(8), nullable=False),
    Column("local", Text, nullable=False),
    Column("remote", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

prepared_calls = Table(
    "prepared_calls",
    metadata,
    Column("prepared_id", String(64), primary_key=True),
    Column("workspace_id", Text, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("from_number", Text, nullable=False),
    Column("to_number", Text, nullable=False),
    Column("custom_variables", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_by", String(64)),
    Index("ix_prepared_calls_expires_at", "expires_at"),
    Index("ix_prepared_calls_from_number_to_number", "from_number", "to_number"),
)
