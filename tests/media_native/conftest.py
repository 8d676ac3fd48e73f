from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cordboard.media import Board, BoardSettings, Jack, open_board
from tests.media_native.party import Party

try:
    import cordboard.media._engine  # noqa: F401

    BUILT = True
except ImportError:  # pragma: no cover
    BUILT = False


@pytest.fixture
def engine() -> str:
    if not BUILT:
        pytest.skip("the C media engine is not built")
    return "c"


@pytest.fixture
def open_with() -> Iterator[Callable[..., Board]]:
    """Boards with settings of the test's own, closed when it ends."""
    boards: list[Board] = []

    def make(engine: Any, **settings: Any) -> Board:
        settings.setdefault("quarantine", 0.1)
        boards.append(open_board(BoardSettings(**settings), engine=engine))
        return boards[-1]

    yield make
    for board in boards:
        board.close()


@pytest.fixture
def board(engine: str, open_with: Callable[..., Board]) -> Board:
    return open_with(engine)


@pytest.fixture
def native(board: Board) -> Board:
    return board


@pytest.fixture
def party() -> Iterator[Callable[..., Party]]:
    parties: list[Party] = []

    def make(jack: Jack | None = None, host: str = "127.0.0.1") -> Party:
        parties.append(Party(jack, host))
        return parties[-1]

    yield make
    for each in parties:
        each.close()
