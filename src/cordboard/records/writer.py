"""Writing records down without ever making a call wait.

The methods of :class:`RecordWriter` put rows in a bounded queue (:mod:`cordboard.records.queue` states what is lost
first); one task takes them out and writes them in batches, each in one transaction, soon enough that a killed process
loses at most ``flush`` seconds of what it had been told. A database that is slow, locked or away is tried again with
growing pauses, in order; a row that the database refuses for its content is logged, counted and left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Unpack

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cordboard.records.batch import beat, write
from cordboard.records.maintenance import close_interrupted, sweep_prepared
from cordboard.records.masking import TraceMask
from cordboard.records.models import (
    CallChanges,
    CallRecord,
    CallStatus,
    Direction,
    DisconnectReason,
    ExecutedAction,
    Speaker,
    TelephonyHangup,
)
from cordboard.records.queue import Batch, Kind, Pending
from cordboard.records.rows import action_row, call_columns, call_row
from cordboard.records.settings import RecordSettings
from cordboard.records.tally import Tallies, Tally
from cordboard.records.text import clean, to_object

log = structlog.get_logger(__name__)

# After so many unexplained failures in a row the rows are tried one by one: one of them may be the cause.
SUSPICIOUS = 5


class RecordWriter:
    """The :class:`~cordboard.records.ports.CallSink` over a database. Not thread-safe: everything on one loop.

    ``clock`` gives wall-clock epoch seconds.
    """

    def __init__(
        self, engine: AsyncEngine, settings: RecordSettings | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._settings = settings or RecordSettings()
        self._clock = clock
        self._mask = TraceMask(self._settings.masked_headers)
        self._tallies = Tallies(self._settings.known_calls)
        self._pending = Pending(self._settings.queue_limit, self._settings.queue_bytes, self._lost)
        self._counts: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._started_at = clock()

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Close what an earlier process of this node left open, sweep, and begin to write. The tables must exist
        (:func:`cordboard.records.database.migrate`). Returns the number of calls that were closed as interrupted."""
        now = self._clock()
        settings = self._settings
        self._started_at = now
        closed = await close_interrupted(self._engine, settings.node_id, now, lost=settings.heartbeat_lost, own=True)
        await sweep_prepared(self._engine, now - settings.prepared_kept)
        await beat(self._engine, settings.node_id, now, now)
        if closed:
            log.warning("calls closed as interrupted", count=closed)
        self._task = asyncio.create_task(self._run(), name="record writer")
        self._task.add_done_callback(_report_death)
        return closed

    async def flush(self) -> None:
        """Return when everything told so far is in the database. Waits as long as the database takes. Raises
        RuntimeError when the writer does not run."""
        while not self._idle.is_set():
            if self._task is None or self._task.done():
                raise RuntimeError("the record writer does not run")
            self._urgent.set()
            self._wake.set()
            waiting = asyncio.ensure_future(self._idle.wait())
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()

    async def aclose(self) -> int:
        """Write what waits, for at most ``drain`` seconds, and stop. Returns the number of rows given up."""
        self._closing.set()
        self._urgent.set()
        self._wake.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=self._settings.drain)
            if not done:
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._task
            self._task = None
        left = len(self._pending) + self._pending.in_flight
        if left:
            log.error("record rows given up at close", count=left)
        return left

    def counts(self) -> Mapping[str, int]:
        """Gauges (``pending``, ``live_calls``) and counters since the start (``written``, ``retries``, ``rejected``,
        ``lost_sip``, ``lost_event``, ``lost_line``, ``lost_action``, ``lost_call``, ``unknown_call``)."""
        return {
            "pending": len(self._pending) + self._pending.in_flight,
            "live_calls": self._tallies.live,
            **{name: self._counts[name] for name in ("written", "retries", "rejected", "unknown_call")},
            **{f"lost_{kind}": self._counts[f"lost_{kind}"] for kind in Kind},
        }

    # -- sink ---------------------------------------------------------------------------------------------------

    def open_call(self, call: CallRecord) -> None:
        if self._tallies.get(call.call_id) is not None:
            log.error("call opened twice", call_id=call.call_id)
            return
        tally = Tally(started_at=call.started_at, answered_at=call.answered_at, warnings=list(call.warnings))
        if not self._tallies.add(call.call_id, tally):
            self._lost(Kind.CALL, call.call_id)
            return
        if self._pending.call(call_row(replace(call, node_id=call.node_id or self._settings.node_id))):
            self._told()
        else:
            self._tallies.remove(call.call_id)

    def update_call(self, call_id: str, **changes: Unpack[CallChanges]) -> None:
        tally = self._known(call_id)
        if tally is None or not changes:
            return
        if "answered_at" in changes:
            tally.answered_at = changes["answered_at"]
        self._pending.update(call_id, call_columns(changes))
        self._told()

    def event(
        self,
        call_id: str,
        kind: str,
        *,
        leg: str = "",
        data: Mapping[str, object] | None = None,
        at: float | None = None,
    ) -> None:
        tally = self._known(call_id)
        if tally is None:
            return
        if tally.events >= self._settings.events_per_call:
            self._lost(Kind.EVENT, call_id)
            return
        tally.events += 1
        self._pending.event(
            {
                "call_id": call_id,
                "seq": tally.events,
                "at": self._clock() if at is None else at,
                "kind": clean(kind),
                "leg": clean(leg),
                "data": to_object(data),
            }
        )
        self._told()

    def transcript(
        self, call_id: str, speaker: Speaker, text: str, *, started: float | None = None, ended: float | None = None
    ) -> None:
        tally = self._known(call_id)
        if tally is None:
            return
        if tally.lines >= self._settings.lines_per_call:
            self._lost(Kind.LINE, call_id)
            return
        tally.lines += 1
        self._pending.line(
            {
                "call_id": call_id,
                "seq": tally.lines,
                "speaker": speaker,
                "text": clean(text),
                "started_at": self._clock() if started is None else started,
                "ended_at": ended,
            }
        )
        self._told()

    def action(self, call_id: str, action: ExecutedAction) -> None:
        tally = self._known(call_id)
        if tally is None:
            return
        seq = tally.actions.get(action.action_id)
        if seq is None:
            if len(tally.actions) >= self._settings.actions_per_call:
                self._lost(Kind.ACTION, call_id)
                return
            seq = tally.actions[action.action_id] = len(tally.actions) + 1
        self._pending.action(action_row(call_id, seq, action))
        self._told()

    def warning(self, call_id: str, text: str) -> None:
        tally = self._known(call_id)
        if tally is None or text in tally.warnings or len(tally.warnings) >= self._settings.warnings_per_call:
            return
        tally.warnings.append(text)
        self._pending.update(call_id, {"warnings": [clean(item) for item in tally.warnings]})
        self._told()

    def sip_message(
        self,
        call_id: str,
        direction: Direction,
        transport: str,
        local: str,
        remote: str,
        data: bytes,
        *,
        session: str = "",
        at: float | None = None,
    ) -> None:
        tally = self._known(call_id)
        if tally is None:
            return
        if tally.message_bytes + len(data) > self._settings.sip_bytes_per_call:
            if not tally.truncated:
                tally.truncated = True
                self._pending.update(call_id, {"sip_truncated": True})
                self._told()
            return
        tally.messages += 1
        tally.message_bytes += len(data)
        self._pending.sip(
            {
                "call_id": call_id,
                "seq": tally.messages,
                "at": self._clock() if at is None else at,
                "direction": direction,
                "transport": transport,
                "local": local,
                "remote": remote,
                "session": clean(session),
                "data": self._mask(bytes(data)),
            }
        )
        self._told()

    def close_call(
        self,
        call_id: str,
        *,
        status: CallStatus,
        end_call_reason: str,
        telephony_hangup: TelephonyHangup | None = None,
        telephony_disconnect_reason: DisconnectReason | None = None,
        error_message: str | None = None,
        at: float | None = None,
    ) -> None:
        tally = self._known(call_id)
        if tally is None or tally.closed:
            return
        ended = self._clock() if at is None else at
        answered = tally.answered_at
        changes = {
            "status": str(status),
            "end_call_reason": clean(end_call_reason),
            "ended_at": ended,
            "duration": 0 if answered is None else max(0, round(ended - answered)),
            # Another node may have taken this one for dead; the call itself knows better.
            "interrupted": False,
        }
        if telephony_hangup is not None:
            changes["telephony_hangup"] = str(telephony_hangup)
        if telephony_disconnect_reason is not None:
            changes["telephony_disconnect_reason"] = str(telephony_disconnect_reason)
        if error_message is not None:
            changes["error_message"] = clean(error_message)
        self._pending.update(call_id, changes)
        self._tallies.close(call_id)
        self._told()

    # -- inside -------------------------------------------------------------------------------------------------

    def _known(self, call_id: str) -> Tally | None:
        tally = self._tallies.get(call_id)
        if tally is None:
            self._counts["unknown_call"] += 1
        return tally

    def _told(self) -> None:
        self._idle.clear()
        self._wake.set()

    def _lost(self, kind: Kind, call_id: str) -> None:
        self._counts[f"lost_{kind}"] += 1
        if kind is Kind.CALL:
            log.error("call not recorded: too much waits for the database", call_id=call_id)
            return
        tally = self._tallies.get(call_id)
        if tally is not None and not tally.incomplete:
            tally.incomplete = True
            self._pending.update(call_id, {"incomplete": True})
            self._told()
            log.warning("record incomplete", call_id=call_id, lost=str(kind))

    async def _run(self) -> None:
        settings = self._settings
        next_beat = time.monotonic() + settings.heartbeat
        next_sweep = time.monotonic() + settings.sweep
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_beat - time.monotonic())):
                    await self._wake.wait()
            if len(self._pending):
                # Half of the time is for gathering rows, half for writing them.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(settings.flush / 2):
                        await self._urgent.wait()
                await self._write_all()
            self._wake.clear()
            self._urgent.clear()
            if not len(self._pending):
                self._idle.set()
                if self._closing.is_set():
                    return
            else:
                self._wake.set()
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + settings.heartbeat
                await self._housekeeping(sweep=now >= next_sweep)
                if now >= next_sweep:
                    next_sweep = now + settings.sweep

    async def _write_all(self) -> None:
        while len(self._pending):
            batch = self._pending.take(self._settings.batch_rows)
            await self._write(batch)
            self._pending.in_flight = 0

    async def _write(self, batch: Batch) -> None:
        """Write `batch`, however long the database is away."""
        pause = self._settings.retry_first
        failures = 0
        while True:
            try:
                async with asyncio.timeout(self._settings.write_timeout):
                    await write(self._engine, batch)
            except Exception as error:
                failures += 1
                if await self._is_content(error, failures):
                    await self._write_apart(batch, error)
                    return
                self._counts["retries"] += 1
                if failures == 1 or failures % 20 == 0:
                    log.warning("record database not writable, trying again", error=_name(error), failures=failures)
                await self._pause(pause)
                pause = min(pause * 2, self._settings.retry_last)
            else:
                self._counts["written"] += len(batch)
                if failures:
                    log.info("record database writable again", failures=failures)
                return

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt; closing shortens the wait."""
        if self._closing.is_set():
            await asyncio.sleep(self._settings.retry_first)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def _write_apart(self, batch: Batch, error: Exception) -> None:
        if len(batch) <= 1:
            self._counts["rejected"] += len(batch)
            log.error("record row rejected by the database", error=_name(error))
            return
        for part in batch.split():
            await self._write(part)

    async def _is_content(self, error: Exception, failures: int) -> bool:
        """Whether the rows, not the database's condition, are the cause."""
        if isinstance(error, IntegrityError | DataError | ProgrammingError):
            return True
        if isinstance(error, OperationalError | OSError | TimeoutError):
            return False
        if not isinstance(error, SQLAlchemyError):
            return True
        if not isinstance(error, DBAPIError):
            # A pool that ran out of connections says nothing about the rows.
            return failures >= SUSPICIOUS
        if error.connection_invalidated or failures < SUSPICIOUS:
            return False
        try:
            async with asyncio.timeout(self._settings.write_timeout), self._engine.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")
        except Exception:
            return False
        return True

    async def _housekeeping(self, *, sweep: bool) -> None:
        settings = self._settings
        now = self._clock()
        try:
            async with asyncio.timeout(settings.write_timeout):
                await beat(self._engine, settings.node_id, self._started_at, now)
                if sweep:
                    await sweep_prepared(self._engine, now - settings.prepared_kept)
                    await close_interrupted(
                        self._engine, settings.node_id, now, lost=settings.heartbeat_lost, own=False
                    )
        except Exception as error:
            log.warning("record housekeeping failed", error=_name(error))


def _report_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("record writer died", exc_info=task.exception())


def _name(error: Exception) -> str:
    """The kind of an error. Not its text, which can hold the rows' values, that is people's words; only what SQLite
    says of its own condition is safe and useful (``database is locked``)."""
    if isinstance(error, OperationalError):
        return f"{type(error.orig).__name__}: {error.orig}"
    origin = getattr(error, "orig", None)
    return type(error if origin is None else origin).__name__
