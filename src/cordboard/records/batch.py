"""Writing one batch in one transaction. Every statement may be repeated: a commit whose answer was lost is written
again without harm."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.dml import Insert

from cordboard.records.queue import Batch, Row
from cordboard.records.tables import calls, events, executed_actions, nodes, sip_messages, transcript_lines


def insert(dialect: str, table: Table) -> Any:
    """The INSERT of the dialect, which knows ON CONFLICT."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_once(dialect: str, table: Table) -> Insert:
    statement: Insert = insert(dialect, table).on_conflict_do_nothing()
    return statement


def upsert(dialect: str, table: Table, *, keep: tuple[str, ...] = ()) -> Insert:
    """Insert, or replace the row of the same primary key except for the columns in `keep`."""
    statement = insert(dialect, table)
    changed = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if not column.primary_key and column.name not in keep
    }
    result: Insert = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changed)
    return result


async def write(engine: AsyncEngine, batch: Batch) -> None:
    async with engine.begin() as connection:
        dialect = connection.dialect.name
        if batch.calls:
            await connection.execute(insert_once(dialect, calls), batch.calls)
        if batch.updates:
            await _write_updates(connection, batch.updates)
        if batch.actions:
            await connection.execute(upsert(dialect, executed_actions, keep=("seq",)), batch.actions)
        for table, rows in (
            (transcript_lines, batch.lines),
            (events, batch.events),
            (sip_messages, batch.sip),
        ):
            if rows:
                await connection.execute(insert_once(dialect, table), rows)


async def _write_updates(connection: AsyncConnection, updates: dict[str, Row]) -> None:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for call_id, changes in updates.items():
        groups.setdefault(tuple(sorted(changes)), []).append({"of_call": call_id, **changes})
    for columns, rows in groups.items():
        statement = (
            update(calls)
            .where(calls.c.call_id == bindparam("of_call"))
            .values({column: bindparam(column) for column in columns})
        )
        await connection.execute(statement, rows)


async def beat(engine: AsyncEngine, node_id: str, started_at: float, now: float) -> None:
    """Say that the node is alive."""
    async with engine.begin() as connection:
        await connection.execute(
            upsert(connection.dialect.name, nodes),
            {"node_id": node_id, "started_at": started_at, "heartbeat_at": now},
        )
