"""Prepared inbound calls: registered over the API on any node, claimed once by the INVITE that names them.

These are read and written at once, not through the queue: whoever gets an id may use it in the next moment, on another
node.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from cordboard.records.models import Claim, ClaimRefusal, PreparedCall
from cordboard.records.ports import PreparedLimitError
from cordboard.records.rows import prepared_of
from cordboard.records.settings import RecordSettings
from cordboard.records.tables import prepared_calls
from cordboard.records.text import clean, to_object


class PreparedStore:
    """The :class:`~cordboard.records.ports.PreparedCalls` over a database."""

    def __init__(
        self, engine: AsyncEngine, settings: RecordSettings | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._settings = settings or RecordSettings()
        self._clock = clock

    async def prepare(
        self,
        *,
        workspace_id: str,
        model_id: str,
        from_number: str,
        to_number: str,
        custom_variables: Mapping[str, object],
    ) -> PreparedCall:
        now = self._clock()
        row = {
            "prepared_id": str(uuid.uuid4()),
            "workspace_id": clean(workspace_id),
            "model_id": clean(model_id),
            "from_number": clean(from_number),
            "to_number": clean(to_number),
            "custom_variables": to_object(custom_variables),
            "created_at": now,
            "expires_at": now + self._settings.prepared_lifetime,
            "used_by": None,
        }
        async with self._engine.begin() as connection:
            waiting = await connection.scalar(
                select(func.count()).where(prepared_calls.c.expires_at > now, prepared_calls.c.used_by.is_(None))
            )
            if (waiting or 0) >= self._settings.prepared_limit:
                raise PreparedLimitError(f"{waiting} prepared calls wait for their INVITE")
            await connection.execute(insert(prepared_calls), row)
        return PreparedCall(**row)  # type: ignore[arg-type]

    async def get_prepared(self, prepared_id: str) -> PreparedCall | None:
        async with self._engine.connect() as connection:
            query = select(prepared_calls).where(prepared_calls.c.prepared_id == clean(prepared_id))
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else prepared_of(row)

    async def claim_prepared(self, prepared_id: str, *, workspace_id: str | None, call_id: str) -> Claim:
        found = await self.get_prepared(prepared_id)
        if found is None:
            return Claim(refusal=ClaimRefusal.UNKNOWN)
        if workspace_id is not None and found.workspace_id != workspace_id:
            return Claim(refusal=ClaimRefusal.FOREIGN)
        if found.used_by is not None:
            return Claim(refusal=ClaimRefusal.USED)
        now = self._clock()
        if found.expires_at <= now:
            return Claim(refusal=ClaimRefusal.EXPIRED)
        # Two INVITEs may carry the same id, on two nodes: the one whose update counts has it.
        statement = (
            update(prepared_calls)
            .where(
                prepared_calls.c.prepared_id == found.prepared_id,
                prepared_calls.c.used_by.is_(None),
                prepared_calls.c.expires_at > now,
            )
            .values(used_by=call_id)
            .returning(*prepared_calls.c)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return Claim(refusal=ClaimRefusal.USED) if row is None else Claim(prepared=prepared_of(row))

    async def claim_matching(
        self, from_number: str, to_number: str, *, workspace_id: str | None, call_id: str
    ) -> Claim:
        query = (
            select(prepared_calls.c.prepared_id)
            .where(
                prepared_calls.c.from_number == clean(from_number),
                prepared_calls.c.to_number == clean(to_number),
                prepared_calls.c.used_by.is_(None),
                prepared_calls.c.expires_at > self._clock(),
            )
            .limit(2)
        )
        if workspace_id is not None:
            query = query.where(prepared_calls.c.workspace_id == workspace_id)
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).scalars().all()
        if not found:
            return Claim(refusal=ClaimRefusal.UNKNOWN)
        if len(found) > 1:
            return Claim(refusal=ClaimRefusal.AMBIGUOUS)
        return await self.claim_prepared(found[0], workspace_id=workspace_id, call_id=call_id)
