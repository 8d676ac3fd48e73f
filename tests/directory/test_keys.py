"""API keys: shown once, kept as hashes, readable by nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from cordboard.directory.keys import SqlKeyStore, open_key_store

T = TypeVar("T")


def with_store(folder: Path, use: Callable[[SqlKeyStore], Awaitable[T]]) -> T:
    async def main() -> T:
        async with open_key_store(f"sqlite+aiosqlite:///{folder}/new/keys.db") as store:
            return await use(store)

    return asyncio.run(main())


def test_key_is_verified_until_it_is_revoked(tmp_path: Path) -> None:
    async def use(store: SqlKeyStore) -> None:
        key, text = await store.create("Dashboard", scopes=("calls:read",))
        found = await store.verify(text)
        assert found == key
        assert found.allows("calls:read")
        assert not found.allows("calls:write")
        assert text.startswith(key.prefix.rstrip("…"))
        assert await store.revoke(key.key_id, workspace_id="other") is False
        assert await store.revoke(key.key_id) is True
        assert await store.revoke(key.key_id) is False
        assert await store.verify(text) is None
        [listed] = await store.list()
        assert listed.revoked_at is not None
        assert not listed.allows("calls:read")

    with_store(tmp_path, use)


def test_text_that_is_no_key_is_refused(tmp_path: Path) -> None:
    async def use(store: SqlKeyStore) -> None:
        _key, text = await store.create("A")
        other, _text = await store.create("B")
        secret = text.rpartition("_")[2]
        for wrong in ("", "cb_", text[:-1], text + "x", f"cb_{other.key_id}_{secret}", text.upper(), "cb_" + "0" * 16):
            assert await store.verify(wrong) is None

    with_store(tmp_path, use)


def test_secret_is_not_in_the_database(tmp_path: Path) -> None:
    async def use(store: SqlKeyStore) -> str:
        return (await store.create("A"))[1]

    text = with_store(tmp_path, use)
    path = tmp_path / "new" / "keys.db"
    assert text[20:].encode() not in path.read_bytes()
    with sqlite3.connect(path) as connection:
        [(hashed, salt)] = connection.execute("select hash, salt from api_keys")
    assert (len(hashed), len(salt)) == (32, 16)


def test_keys_are_kept_and_listed_by_workspace(tmp_path: Path) -> None:
    async def make(store: SqlKeyStore) -> str:
        await store.create("A", "one")
        return (await store.create("B", "two"))[1]

    text = with_store(tmp_path, make)

    async def look(store: SqlKeyStore) -> None:
        assert [key.name for key in await store.list()] == ["A", "B"]
        assert [key.name for key in await store.list("two")] == ["B"]
        found = await store.verify(text)
        assert found is not None
        assert found.workspace_id == "two"
        assert found.created_at.tzinfo is not None

    with_store(tmp_path, look)


def test_key_needs_a_name_and_known_scopes(tmp_path: Path) -> None:
    async def use(store: SqlKeyStore) -> None:
        for name, scopes in (("", ("admin",)), ("A\nB", ("admin",)), ("A", ()), ("A", ("root",))):
            with pytest.raises(ValueError):
                await store.create(name, scopes=scopes)  # type: ignore[arg-type]

    with_store(tmp_path, use)
