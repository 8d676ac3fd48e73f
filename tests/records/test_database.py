"""The tables: migrations make what the code expects, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from cordboard.records import (
    CallFilter,
    CallRecord,
    CallStatus,
    CallType,
    ExecutedAction,
    RecordSettings,
    RecordStore,
    RecordWriter,
)
from cordboard.records.database import DatabaseUrlError, migrate, normalise, open_engine
from cordboard.records.tables import metadata

POSTGRESQL = os.environ.get("CORDBOARD_TEST_POSTGRESQL", "")


def urls(folder: Path) -> list[str]:
    return [f"sqlite:///{folder}/records.db", *([POSTGRESQL] if POSTGRESQL else [])]


def differences(connection: Connection) -> list[object]:
    def ours(_name: str | None, kind: str, parents: object) -> bool:
        return kind != "table" or _name in metadata.tables

    return list(compare_metadata(MigrationContext.configure(connection, opts={"include_name": ours}), metadata))


def test_migrations_make_the_tables_and_may_run_again(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        engine = open_engine(url)
        await migrate(engine)
        await migrate(engine)
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
        await engine.dispose()

    for url in urls(tmp_path):
        asyncio.run(run(url))


def test_sqlite_runs_in_wal_mode_with_references_enforced(tmp_path: Path) -> None:
    async def run() -> None:
        engine = open_engine(f"sqlite:///{tmp_path}/deep/records.db")
        async with engine.connect() as connection:
            assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"
            assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1
        await engine.dispose()

    asyncio.run(run())


def test_database_urls() -> None:
    assert normalise("sqlite:///var/a.db") == "sqlite+aiosqlite:///var/a.db"
    assert normalise("postgresql://u:p@h/d") == "postgresql+asyncpg://u:p@h/d"
    for bad in ("mysql://h/d", "not a url"):
        with pytest.raises(DatabaseUrlError):
            normalise(bad)


def test_a_record_on_every_database(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        settings = RecordSettings(flush=0.01)
        store = await RecordStore.open(url, settings)
        async with store.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                await connection.execute(table.delete())
        writer = RecordWriter(store.engine, settings)
        await writer.start()
        for number in range(4):
            call_id = f"call-{number}"
            space = "w" if number else "other"
            writer.open_call(CallRecord(call_id, "m", space, CallType.INBOUND, f"+{number}\x00", "+2", 1000.0 + number))
            writer.event(call_id, "opened", data={"big": 2**53, "text": "\x00"})
            writer.sip_message(call_id, "in", "udp", "a:1", "b:2", b"\x00\xff")
            writer.action(call_id, ExecutedAction("a", "n", "custom_function_action_type", 1.0))
        await writer.flush()
        for number in range(4):
            action = ExecutedAction("a", "n", "custom_function_action_type", 1.0, return_value={"ok": [number]})
            writer.action(f"call-{number}", action)
            writer.close_call(f"call-{number}", status=CallStatus.COMPLETED, end_call_reason="x", at=2000.0)
        await writer.aclose()
        page = await store.list_calls(CallFilter(workspace_id="w", model_id="m", limit=2, offset=1))
        assert page.total == 3
        assert [item.call.call_id for item in page.calls] == ["call-2", "call-1"]
        assert page.calls[0].actions[0].return_value == {"ok": [2]}
        narrow = CallFilter(status="completed", started_from=1000.5, started_to=1002.5, duration_max=0)
        assert (await store.list_calls(narrow)).total == 2
        assert (await store.list_calls(CallFilter(lead_phone_number="+3\x00"))).total == 1
        assert (await store.sip_messages("call-1"))[0].data == b"\x00\xff"
        prepared = await store.prepare(
            workspace_id="w", model_id="m", from_number="+1", to_number="+2", custom_variables={}
        )
        assert (await store.claim_prepared(prepared.prepared_id, workspace_id="w", call_id="c")).prepared
        survivor = RecordWriter(store.engine, settings)
        survivor_closed = await survivor.start()
        assert survivor_closed == 0
        survivor.open_call(CallRecord("left", "m", "w", CallType.INBOUND, "+1", "+2", 1000.0))
        await survivor.flush()
        await survivor.aclose()
        assert await RecordWriter(store.engine, settings).start() == 1
        await store.aclose()

    for url in urls(tmp_path):
        asyncio.run(run(url))
