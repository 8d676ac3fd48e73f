"""The writer: what a live call tells it is in the database soon, in order, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from cordboard.records import (
    TRANSFER_ACTION,
    CallRecord,
    CallStatus,
    CallType,
    ExecutedAction,
    Recording,
    RecordSettings,
    RecordStore,
    RecordWriter,
    TelephonyHangup,
    TransferReturnValue,
)
from cordboard.records import writer as writer_module
from cordboard.records.batch import write

QUICK = RecordSettings(flush=0.01, retry_first=0.01, retry_last=0.05, busy_timeout=0.01, drain=2.0)


def a_call(call_id: str = "call-1", **changes: object) -> CallRecord:
    call = CallRecord(call_id, "model-1", "space-1", CallType.INBOUND, "+15550001", "+15550100", 1000.0)
    return replace(call, **changes)  # type: ignore[arg-type]


def with_writer(
    folder: Path,
    body: Callable[[RecordStore, RecordWriter], Awaitable[None]],
    settings: RecordSettings = QUICK,
    clock: Callable[[], float] = lambda: 1000.0,
) -> None:
    async def run() -> None:
        store = await RecordStore.open(f"sqlite:///{folder}/records.db", settings, clock=clock)
        writer = RecordWriter(store.engine, settings, clock=clock)
        await writer.start()
        try:
            await body(store, writer)
        finally:
            await writer.aclose()
            await store.aclose()

    asyncio.run(run())


def test_everything_told_is_read_back(tmp_path: Path) -> None:
    async def body(store: RecordStore, writer: RecordWriter) -> None:
        writer.open_call(a_call(prompt_variables={"X-Account": "7"}, external_id="e-1"))
        writer.update_call("call-1", status=CallStatus.IN_PROGRESS, answered_at=1002.0)
        writer.event("call-1", "leg.answered", leg="caller", data={"status": 200}, at=1002.0)
        writer.transcript("call-1", "bot", "Good morning", started=1002.5, ended=1003.0)
        writer.transcript("call-1", "human", "A person, please", started=1004.0)
        writer.warning("call-1", "header ignored: X-Bad Name")
        writer.warning("call-1", "header ignored: X-Bad Name")
        writer.sip_message("call-1", "in", "udp", "10.0.0.1:5060", "10.0.0.2:5060", b"BYE sip:a SIP/2.0\r\n\r\n")
        action = ExecutedAction("a-1", "action_transfer_call", TRANSFER_ACTION, 1005.0)
        writer.action("call-1", action)
        done = replace(
            action,
            ended_at=1020.0,
            return_value=TransferReturnValue("transfer-success", "none", 1015.25),
            attempts=({"destination": "sip:+15550200@example.com", "sip_status": 200},),
            verified=True,
        )
        writer.action("call-1", done)
        writer.close_call(
            "call-1",
            status=CallStatus.COMPLETED,
            end_call_reason="human_ended_call",
            telephony_hangup=TelephonyHangup.CALLER,
            at=1062.4,
        )
        writer.update_call("call-1", recordings=(Recording("caller.wav", "call-1/caller.wav"),))
        await writer.flush()
        details = await store.get_call("call-1")
        assert details is not None
        call = details.call
        assert (call.status, call.duration, call.ended_at) == (CallStatus.COMPLETED, 60, 1062.4)
        assert call.telephony_hangup is TelephonyHangup.CALLER
        assert call.warnings == ("header ignored: X-Bad Name",)
        assert call.recordings == (Recording("caller.wav", "call-1/caller.wav"),)
        assert call.prompt_variables == {"X-Account": "7"}
        assert (call.node_id, call.external_id, call.open) == ("node-1", "e-1", False)
        assert [line.text for line in details.transcript] == ["Good morning", "A person, please"]
        assert details.actions == (done,)
        (event,) = await store.timeline("call-1")
        assert (event.seq, event.kind, event.leg, event.data) == (1, "leg.answered", "caller", {"status": 200})
        (message,) = await store.sip_messages("call-1")
        assert (message.source, message.destination) == ("10.0.0.2:5060", "10.0.0.1:5060")

    with_writer(tmp_path, body)


def test_the_first_ending_stands(tmp_path: Path) -> None:
    async def body(store: RecordStore, writer: RecordWriter) -> None:
        writer.open_call(a_call())
        writer.close_call("call-1", status=CallStatus.NO_ANSWER, end_call_reason="timeout", at=1010.0)
        writer.close_call("call-1", status=CallStatus.COMPLETED, end_call_reason="human_ended_call", at=1020.0)
        await writer.flush()
        details = await store.get_call("call-1")
        assert details is not None
        assert (details.call.status, details.call.ended_at, details.call.duration) == (CallStatus.NO_ANSWER, 1010.0, 0)

    with_writer(tmp_path, body)


def test_a_late_message_of_a_closed_call_is_kept_and_one_of_an_unknown_call_counted(tmp_path: Path) -> None:
    async def body(store: RecordStore, writer: RecordWriter) -> None:
        writer.open_call(a_call())
        writer.close_call("call-1", status=CallStatus.COMPLETED, end_call_reason="human_ended_call")
        await writer.flush()
        writer.sip_message("call-1", "out", "udp", "a:1", "b:2", b"ACK sip:b SIP/2.0\r\n\r\n")
        writer.event("nobody", "leg.answered")
        await writer.flush()
        assert len(await store.sip_messages("call-1")) == 1
        assert writer.counts()["unknown_call"] == 1

    with_writer(tmp_path, body)


def test_text_that_no_database_takes_is_made_storable(tmp_path: Path) -> None:
    async def body(store: RecordStore, writer: RecordWriter) -> None:
        writer.open_call(
            a_call(from_number="bad\x00\udcff\ud800", prompt_variables={"n": float("nan"), "t": (1, "\x00")})
        )
        writer.transcript("call-1", "human", "\udc80ok")
        await writer.flush()
        details = await store.get_call("call-1")
        assert details is not None
        assert details.call.from_number == "bad\ufffd\ufffd\ufffd"
        assert details.call.prompt_variables == {"n": None, "t": [1, "\ufffd"]}
        assert details.transcript[0].text == "\ufffdok"
        assert writer.counts()["rejected"] == 0

    with_writer(tmp_path, body)


def test_the_trace_of_a_call_is_limited_and_says_so(tmp_path: Path) -> None:
    async def body(store: RecordStore, writer: RecordWriter) -> None:
        writer.open_call(a_call())
        for _ in range(5):
            writer.sip_message("call-1", "in", "udp", "a:1", "b:2", b"x" * 400)
        await writer.flush()
        details = await store.get_call("call-1")
        assert details is not None
        assert details.call.sip_truncated
        assert len(await store.sip_messages("call-1")) == 2

    with_writer(tmp_path, body, replace(QUICK, sip_bytes_per_call=1000))


def test_a_locked_database_delays_the_record_but_neither_the_caller_nor_the_order(tmp_path: Path) -> None:
    async def body(store: RecordStore, writer: RecordWriter) -> None:
        lock = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        writer.open_call(a_call())
        for number in range(30):
            writer.event("call-1", f"step.{number}")
        while writer.counts()["retries"] < 3:
            await asyncio.sleep(0.01)
        assert await store.get_call("call-1") is None
        lock.execute("ROLLBACK")
        lock.close()
        await writer.flush()
        assert [event.kind for event in await store.timeline("call-1")] == [f"step.{n}" for n in range(30)]
        assert writer.counts()["rejected"] == 0

    with_writer(tmp_path, body)


def test_past_the_limit_sip_is_lost_first_then_events_and_the_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_door = asyncio.Event()

    async def away(*arguments: object) -> None:
        if not open_door.is_set():
            raise OperationalError("insert", {}, Exception("database is away"))
        await write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writer_module, "write", away)

    async def body(store: RecordStore, writer: RecordWriter) -> None:
        writer.open_call(a_call())
        while not writer.counts()["retries"]:
            await asyncio.sleep(0.005)
        for number in range(6):
            writer.sip_message("call-1", "in", "udp", "a:1", "b:2", b"m%d" % number)
        for number in range(40):
            writer.event("call-1", f"step.{number}")
        for number in range(5):
            writer.transcript("call-1", "human", f"line {number}", started=1000.0 + number)
        counts = writer.counts()
        assert counts["pending"] <= 21
        assert counts["lost_sip"] == 6
        assert counts["lost_event"] > 20
        assert counts["lost_line"] == 0
        writer.close_call("call-1", status=CallStatus.COMPLETED, end_call_reason="human_ended_call")
        open_door.set()
        await writer.flush()
        details = await store.get_call("call-1")
        assert details is not None
        assert details.call.incomplete
        assert details.call.status is CallStatus.COMPLETED
        assert len(details.transcript) == 5
        kinds = [event.kind for event in await store.timeline("call-1")]
        assert kinds
        assert kinds == [f"step.{number}" for number in range(len(kinds))]

    with_writer(tmp_path, body, replace(QUICK, queue_limit=20))


def test_a_row_that_the_database_refuses_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def picky(engine: object, batch: object) -> None:
        if any(row["kind"] == "poison" for row in batch.events):  # type: ignore[attr-defined]
            raise ValueError("cannot bind")
        await write(engine, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(writer_module, "write", picky)

    async def body(store: RecordStore, writer: RecordWriter) -> None:
        writer.open_call(a_call())
        for kind in ("first", "poison", "last"):
            writer.event("call-1", kind)
        await writer.flush()
        assert [event.kind for event in await store.timeline("call-1")] == ["first", "last"]
        assert writer.counts()["rejected"] == 1

    with_writer(tmp_path, body)


def test_closing_with_a_dead_database_ends_in_time_and_tells_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise OSError("no database")

    monkeypatch.setattr(writer_module, "write", away)

    async def run() -> int:
        settings = replace(QUICK, drain=0.1, retry_last=60.0, retry_first=0.01)
        store = await RecordStore.open(f"sqlite:///{tmp_path}/records.db", settings)
        writer = RecordWriter(store.engine, settings)
        await writer.start()
        writer.open_call(a_call())
        writer.event("call-1", "only")
        async with asyncio.timeout(5):
            left = await writer.aclose()
        await store.aclose()
        return left

    assert asyncio.run(run()) == 2


def test_more_calls_than_a_batch_holds_keep_their_references_whole(tmp_path: Path) -> None:
    async def body(store: RecordStore, writer: RecordWriter) -> None:
        for number in range(25):
            writer.open_call(a_call(f"call-{number}"))
            writer.event(f"call-{number}", "opened")
        await writer.flush()
        for number in range(25):
            assert len(await store.timeline(f"call-{number}")) == 1
        assert writer.counts()["rejected"] == 0

    with_writer(tmp_path, body, replace(QUICK, batch_rows=4))


def test_ended_calls_are_forgotten_before_live_ones(tmp_path: Path) -> None:
    async def body(store: RecordStore, writer: RecordWriter) -> None:
        for number in range(3):
            writer.open_call(a_call(f"call-{number}"))
        writer.open_call(a_call("one-too-many"))
        assert writer.counts()["lost_call"] == 1
        writer.close_call("call-1", status=CallStatus.COMPLETED, end_call_reason="human_ended_call")
        writer.open_call(a_call("call-3"))
        assert writer.counts()["live_calls"] == 3
        writer.event("call-1", "too late")
        assert writer.counts()["unknown_call"] == 1

    with_writer(tmp_path, body, replace(QUICK, known_calls=3))
