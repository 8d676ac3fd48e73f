"""Hold music from files, without making the other calls wait."""

from __future__ import annotations

import asyncio
import threading
import wave
from pathlib import Path
from typing import Any, cast

import pytest

from cordboard.calls import hold
from cordboard.calls.hold import HoldMusic


class Board:
    """Counts the clips that it made."""

    def __init__(self) -> None:
        self.made = 0

    def clip(self, pcm16: bytes, rate: int, loop: bool = True) -> object:
        self.made += 1
        return object()


def music(folder: Path) -> str:
    path = folder / "music.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    return str(path)


def test_a_file_is_read_beside_the_loop_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls at once; a long file on a slow disk must not stop every other call."""
    threads: list[int] = []
    read = hold.read_wav

    def watched(path: Path) -> tuple[bytes, int]:
        threads.append(threading.get_ident())
        return read(path)

    monkeypatch.setattr(hold, "read_wav", watched)

    async def run() -> None:
        board, file = Board(), music(tmp_path)
        held = HoldMusic(cast(Any, board), cast(Any, object()), None)
        one, two = await asyncio.gather(held.clip(file, print), held.clip(file, print))
        assert one is two
        assert await held.clip(file, print) is one
        assert board.made == 1
        assert threading.get_ident() not in threads

    asyncio.run(run())


def test_a_file_that_is_not_there_is_replaced_and_named() -> None:
    async def run() -> None:
        builtin, told = object(), list[str]()
        held = HoldMusic(cast(Any, Board()), cast(Any, builtin), None)
        assert await held.clip("/nowhere/music.wav", told.append) is builtin
        assert "/nowhere/music.wav" in told[0]

    asyncio.run(run())
