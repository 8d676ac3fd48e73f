"""Alembic's environment: runs on the connection that :mod:`cordboard.records.database` hands in."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from cordboard.records.tables import metadata


def run() -> None:
    connection = context.config.attributes["connection"]
    assert isinstance(connection, Connection)
    # SQLite cannot alter most of a table in place: later migrations copy it (batch mode).
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite"
    )
    with context.begin_transaction():
        context.run_migrations()


run()
