"""Reading the record. What a live call told the writer is here after at most ``flush`` seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cordboard.records.database import migrate, open_engine
from cordboard.records.models import (
    CallDetails,
    CallRecord,
    CallStatus,
    CallType,
    Event,
    ExecutedAction,
    PreparedCall,
    SipMessage,
    TranscriptLine,
)
from cordboard.records.ports import CallFilter, CallPage
from cordboard.records.prepared import PreparedStore
from cordboard.records.rows import action_of, call_of, event_of, line_of, prepared_of, sip_of
from cordboard.records.settings import DEFAULT_DATABASE, RecordSettings
from cordboard.records.tables import (
    calls,
    events,
    executed_actions,
    prepared_calls,
    sip_messages,
    transcript_lines,
)
from cordboard.records.text import clean


class RecordStore(PreparedStore):
    """The :class:`~cordboard.records.ports.CallReader` and :class:`~cordboard.records.ports.PreparedCalls` over a
    database. Safe to share; ``engine`` also serves the writer."""

    def __init__(
        self, engine: AsyncEngine, settings: RecordSettings | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(engine, settings, clock=clock)
        self.engine = engine

    @classmethod
    async def open(
        cls,
        url: str = DEFAULT_DATABASE,
        settings: RecordSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Connect to `url` and bring its tables to the newest version. Raises
        :class:`~cordboard.records.database.DatabaseUrlError` and SQLAlchemy's errors."""
        settings = settings or RecordSettings()
        engine = open_engine(url, busy_timeout=settings.busy_timeout)
        try:
            await migrate(engine)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine, settings, clock=clock)

    async def aclose(self) -> None:
        """Close the connections; close the writer first."""
        await self.engine.dispose()

    async def ping(self) -> None:
        async with self.engine.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")

    async def get_call(self, call_id: str) -> CallDetails | None:
        call_id = clean(call_id)
        async with self.engine.connect() as connection:
            row = (await connection.execute(select(calls).where(calls.c.call_id == call_id))).mappings().one_or_none()
            if row is None:
                query = select(prepared_calls).where(prepared_calls.c.prepared_id == call_id)
                found = (await connection.execute(query)).mappings().one_or_none()
                if found is None:
                    return None
                if found["used_by"] is not None:
                    query = select(calls).where(calls.c.call_id == found["used_by"])
                    row = (await connection.execute(query)).mappings().one_or_none()
                if row is None:
                    return CallDetails(_registered(prepared_of(found)))
            return (await _details(connection, [call_of(row)]))[0]

    async def list_calls(self, criteria: CallFilter) -> CallPage:
        conditions = _conditions(criteria)
        async with self.engine.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(calls).where(*conditions))
            query = (
                select(calls)
                .where(*conditions)
                .order_by(calls.c.started_at.desc(), calls.c.call_id)
                .limit(criteria.limit)
                .offset(criteria.offset)
            )
            rows = (await connection.execute(query)).mappings().all()
            found = await _details(connection, [call_of(row) for row in rows])
        return CallPage(total or 0, tuple(found))

    async def timeline(self, call_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        query = (
            select(events)
            .where(events.c.call_id == clean(call_id), events.c.seq > after)
            .order_by(events.c.seq)
            .limit(limit)
        )
        async with self.engine.connect() as connection:
            return [event_of(row) for row in (await connection.execute(query)).mappings()]

    async def sip_messages(self, call_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[SipMessage]:
        query = (
            select(sip_messages)
            .where(sip_messages.c.call_id == clean(call_id), sip_messages.c.seq > after)
            .order_by(sip_messages.c.seq)
            .limit(limit)
        )
        async with self.engine.connect() as connection:
            return [sip_of(row) for row in (await connection.execute(query)).mappings()]


def _conditions(criteria: CallFilter) -> list[ColumnElement[bool]]:
    result: list[ColumnElement[bool]] = []
    if criteria.workspace_id is not None:
        result.append(calls.c.workspace_id == clean(criteria.workspace_id))
    if criteria.model_id is not None:
        result.append(calls.c.model_id == clean(criteria.model_id))
    if criteria.status is not None:
        result.append(calls.c.status == clean(criteria.status))
    if criteria.started_from is not None:
        result.append(calls.c.started_at >= criteria.started_from)
    if criteria.started_to is not None:
        result.append(calls.c.started_at <= criteria.started_to)
    if criteria.duration_min is not None:
        result.append(calls.c.duration >= criteria.duration_min)
    if criteria.duration_max is not None:
        result.append(calls.c.duration <= criteria.duration_max)
    if criteria.lead_phone_number is not None:
        number = clean(criteria.lead_phone_number)
        inbound = calls.c.type == str(CallType.INBOUND)
        result.append(or_(inbound & (calls.c.from_number == number), ~inbound & (calls.c.to_number == number)))
    return result


async def _details(connection: AsyncConnection, found: Sequence[CallRecord]) -> list[CallDetails]:
    if not found:
        return []
    ids = [call.call_id for call in found]
    lines: dict[str, list[TranscriptLine]] = {}
    actions: dict[str, list[ExecutedAction]] = {}
    query: Any = (
        select(transcript_lines)
        .where(transcript_lines.c.call_id.in_(ids))
        .order_by(transcript_lines.c.started_at, transcript_lines.c.seq)
    )
    for row in (await connection.execute(query)).mappings():
        lines.setdefault(row["call_id"], []).append(line_of(row))
    query = select(executed_actions).where(executed_actions.c.call_id.in_(ids)).order_by(executed_actions.c.seq)
    for row in (await connection.execute(query)).mappings():
        actions.setdefault(row["call_id"], []).append(action_of(row))
    return [
        CallDetails(call, tuple(lines.get(call.call_id, ())), tuple(actions.get(call.call_id, ()))) for call in found
    ]


def _registered(prepared: PreparedCall) -> CallRecord:
    """A prepared call that has not come yet, as the reference shows it: a record in its initial state."""
    return CallRecord(
        call_id=prepared.prepared_id,
        model_id=prepared.model_id,
        workspace_id=prepared.workspace_id,
        type=CallType.INBOUND,
        from_number=prepared.from_number,
        to_number=prepared.to_number,
        started_at=prepared.created_at,
        status=CallStatus.REGISTERED,
        custom_variables=prepared.custom_variables,
        prepared_id=prepared.prepared_id,
    )
