"""What is set right at start and from time to time: calls whose process is gone, prepared calls that ran out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, delete, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cordboard.records.batch import insert_once
from cordboard.records.models import CallStatus, EndCallReason, Interruption
from cordboard.records.tables import calls, events, executed_actions, nodes, prepared_calls, transcript_lines

MESSAGES = {
    Interruption.RESTART: "The server stopped during this call.",
    Interruption.NODE_LOST: "The node that carried this call was lost.",
}
# What a transfer ended as when nobody lived to see its end (transfers.md, Reasons).
INTERRUPTED_TRANSFER = {
    "transfer": {"status": "transfer-cancelled", "failed_reason": "shutdown", "human_connected_at": None}
}


async def close_interrupted(engine: AsyncEngine, node_id: str, now: float, *, lost: float, own: bool) -> int:
    """Close the open calls of dead nodes, and with `own` those of this node: only right before it takes calls.

    `lost` is the silence in seconds after which a node counts as dead. The end of a call is set to the last thing
    that was written about it, or its node's last heartbeat. Returns how many calls were closed.
    """
    alive = select(nodes.c.node_id).where(nodes.c.heartbeat_at >= now - lost)
    dead: ColumnElement[bool] = not_(calls.c.node_id.in_(alive))
    mine = calls.c.node_id == node_id
    condition = or_(mine, dead) if own else dead & not_(mine)
    async with engine.begin() as connection:
        query = (
            select(calls.c.call_id, calls.c.node_id, calls.c.started_at, calls.c.answered_at, nodes.c.heartbeat_at)
            .join_from(calls, nodes, calls.c.node_id == nodes.c.node_id, isouter=True)
            .where(calls.c.ended_at.is_(None), condition)
        )
        found = (await connection.execute(query)).mappings().all()
        closed = 0
        for row in found:
            why = Interruption.RESTART if row["node_id"] == node_id else Interruption.NODE_LOST
            closed += await _close(connection, row, why, now)
        return closed


async def _close(connection: AsyncConnection, row: Any, why: Interruption, now: float) -> int:
    call_id = row["call_id"]
    last_event, seq = (
        await connection.execute(
            select(func.max(events.c.at), func.max(events.c.seq)).where(events.c.call_id == call_id)
        )
    ).one()
    last_line = await connection.scalar(
        select(func.max(transcript_lines.c.started_at)).where(transcript_lines.c.call_id == call_id)
    )
    known = (row["started_at"], row["answered_at"], row["heartbeat_at"], last_event, last_line)
    ended = min(now, max(moment for moment in known if moment is not None))
    answered = row["answered_at"]
    result = await connection.execute(
        update(calls)
        # Two nodes may see the same dead one: the first closes.
        .where(calls.c.call_id == call_id, calls.c.ended_at.is_(None))
        .values(
            status=str(CallStatus.FAILED),
            end_call_reason=str(EndCallReason.ERROR),
            error_message=MESSAGES[why],
            ended_at=ended,
            duration=0 if answered is None else max(0, round(ended - answered)),
            interrupted=True,
        )
    )
    if result.rowcount != 1:
        return 0
    await connection.execute(
        update(executed_actions)
        .where(
            executed_actions.c.call_id == call_id,
            executed_actions.c.ended_at.is_(None),
            executed_actions.c.action_type == "transfer_call_action_type",
            executed_actions.c.return_value.is_(None),
        )
        .values(return_value=INTERRUPTED_TRANSFER, ended_at=ended, error_message=MESSAGES[why])
    )
    await connection.execute(
        insert_once(connection.dialect.name, events),
        {
            "call_id": call_id,
            "seq": (seq or 0) + 1,
            "at": now,
            "kind": "call.interrupted",
            "leg": "",
            "data": {"why": str(why), "last_known": ended},
        },
    )
    return 1


async def sweep_prepared(engine: AsyncEngine, expired_before: float) -> int:
    """Forget prepared calls that expired unused before that time, and used ones whose call is recorded anyway."""
    async with engine.begin() as connection:
        result = await connection.execute(delete(prepared_calls).where(prepared_calls.c.expires_at < expired_before))
        return int(result.rowcount)
