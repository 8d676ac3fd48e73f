"""Prepared calls: claimed once, by the right workspace, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cordboard.records import CallStatus, ClaimRefusal, PreparedCall, PreparedLimitError, RecordSettings, RecordStore
from cordboard.records.maintenance import sweep_prepared


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


SETTINGS = RecordSettings(prepared_lifetime=60.0, prepared_limit=3)


def with_store(folder: Path, body: Callable[[RecordStore, Clock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = Clock()
        store = await RecordStore.open(f"sqlite:///{folder}/records.db", SETTINGS, clock=clock)
        try:
            await body(store, clock)
        finally:
            await store.aclose()

    asyncio.run(run())


async def prepare(store: RecordStore, from_number: str = "+1", to_number: str = "+2") -> PreparedCall:
    return await store.prepare(
        workspace_id="w", model_id="m", from_number=from_number, to_number=to_number, custom_variables={"a": 1}
    )


def test_a_prepared_call_is_joined_once(tmp_path: Path) -> None:
    async def body(store: RecordStore, clock: Clock) -> None:
        prepared = await prepare(store)
        claim = await store.claim_prepared(prepared.prepared_id, workspace_id="w", call_id="c")
        assert claim.prepared == replace(prepared, used_by="c")
        again = await store.claim_prepared(prepared.prepared_id, workspace_id="w", call_id="d")
        assert (again.prepared, again.refusal) == (None, ClaimRefusal.USED)

    with_store(tmp_path, body)


def test_two_invites_at_the_same_moment_do_not_share_it(tmp_path: Path) -> None:
    async def body(store: RecordStore, clock: Clock) -> None:
        identifier = (await prepare(store)).prepared_id
        claims = await asyncio.gather(
            *(store.claim_prepared(identifier, workspace_id="w", call_id=f"c{n}") for n in range(8))
        )
        assert sum(claim.prepared is not None for claim in claims) == 1

    with_store(tmp_path, body)


def test_unknown_foreign_and_expired_are_told_apart_and_sweeping_forgets(tmp_path: Path) -> None:
    async def body(store: RecordStore, clock: Clock) -> None:
        identifier = (await prepare(store)).prepared_id

        async def refusal(name: str, workspace: str | None = "w") -> ClaimRefusal | None:
            return (await store.claim_prepared(name, workspace_id=workspace, call_id="c")).refusal

        assert await refusal("no-such-id") is ClaimRefusal.UNKNOWN
        assert await refusal("\x00\udcff") is ClaimRefusal.UNKNOWN
        assert await refusal(identifier, "other") is ClaimRefusal.FOREIGN
        clock.now += 61
        assert await refusal(identifier) is ClaimRefusal.EXPIRED
        assert await sweep_prepared(store.engine, clock.now) == 1
        assert await refusal(identifier) is ClaimRefusal.UNKNOWN

    with_store(tmp_path, body)


def test_an_invite_without_an_id_takes_the_only_match(tmp_path: Path) -> None:
    async def body(store: RecordStore, clock: Clock) -> None:
        async def match() -> ClaimRefusal | None:
            return (await store.claim_matching("+1", "+2", workspace_id="w", call_id="c")).refusal

        assert await match() is ClaimRefusal.UNKNOWN
        await prepare(store)
        await prepare(store, "+1", "+3")
        assert await match() is None
        assert await match() is ClaimRefusal.UNKNOWN
        await prepare(store)
        await prepare(store)
        assert await match() is ClaimRefusal.AMBIGUOUS

    with_store(tmp_path, body)


def test_waiting_calls_are_limited(tmp_path: Path) -> None:
    async def body(store: RecordStore, clock: Clock) -> None:
        for _ in range(3):
            await prepare(store)
        with pytest.raises(PreparedLimitError):
            await prepare(store)
        clock.now += 61
        await prepare(store)

    with_store(tmp_path, body)


def test_a_prepared_call_reads_as_registered_before_it_comes(tmp_path: Path) -> None:
    async def body(store: RecordStore, clock: Clock) -> None:
        prepared = await prepare(store)
        details = await store.get_call(prepared.prepared_id)
        assert details is not None
        assert details.call.status is CallStatus.REGISTERED
        assert details.call.custom_variables == {"a": 1}

    with_store(tmp_path, body)
