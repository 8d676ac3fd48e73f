"""The board on its own thread, over real sockets on loopback: descriptors, quarantine, leaks, threads."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cordboard.media import (
    DTMF,
    PCMA,
    PCMU,
    Board,
    BoardClosedError,
    BoardSettings,
    Clip,
    Codec,
    Dtmf,
    Event,
    Jack,
    Latched,
    Mark,
    Mix,
    NoPortError,
    PcmJack,
    Recordable,
    Recording,
    Say,
    Tap,
    open_board,
)
from tests.support.audio import make_tone, tone_present

LIMIT = 10.0


@pytest.fixture
def board() -> Iterator[Board]:
    board = open_board(BoardSettings(quarantine=0.2), engine="python")
    yield board
    board.close()


def wait(board: Board, done: Callable[[], bool], events: list[Event] | None = None) -> list[Event]:
    """Collect events, woken by the board's descriptor, until `done`."""
    events = [] if events is None else events
    end = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > end:
            raise AssertionError(f"not within {LIMIT} s; events: {events}")
        select.select([board.fileno()], [], [], 0.05)
        events += board.events()
    return events


def connect(left: Jack, right: Jack, codec: Codec = PCMU, payload_type: int = 0) -> None:
    """Two jacks talk to each other over loopback."""
    for one, other in ((left, right), (right, left)):
        one.negotiated(
            receive={payload_type: codec, 101: DTMF},
            send=payload_type,
            dtmf=101,
            remote=("127.0.0.1", other.port),
        )


def test_everything_has_the_face(board: Board) -> None:
    assert board.engine == "python"
    assert board.notices
    assert isinstance(board, Board)
    jack, pcm = board.jack(), board.pcm_jack()
    assert isinstance(jack, Jack)
    assert isinstance(pcm, PcmJack)
    assert isinstance(board.clip(make_tone(440, 0.1), 8000), Clip)
    assert isinstance(board.mix(), Mix)
    assert isinstance(jack.say, Say)
    assert isinstance(jack.tap(), Tap)
    assert isinstance(jack.said, Recordable)
    assert isinstance(board.record("/dev/null", jack.said, jack.heard), Recording)
    assert jack.port % 2 == 0
    assert jack.keys == ()


def test_a_bridge_over_real_sockets(board: Board) -> None:
    """Caller and person at the far ends, our two legs between them, the laws transcoded, a key across."""
    far_caller, caller, person, far_person = (board.jack() for _ in range(4))
    connect(far_caller, caller)
    connect(person, far_person, PCMA, 8)
    far_caller.hears(board.clip(make_tone(500, 1), 8000))
    far_person.hears(board.clip(make_tone(900, 1), 8000))
    caller.hears(person)
    person.hears(caller)
    tap = far_caller.tap()
    far_caller.send_dtmf("5")
    got = bytearray()
    events: list[Event] = []

    def enough() -> bool:
        ids, pcm = board.frames()
        assert set(ids) <= {tap.id}
        got.extend(pcm.tobytes())
        return len(got) > 16000 and any(isinstance(each, Dtmf) and each.jack is far_person for each in events)

    wait(board, enough, events)
    assert tone_present(bytes(got), 16000, 900, 0.9, 0.2)
    assert {each.jack.id for each in events if isinstance(each, Latched)} == {
        each.id for each in (far_caller, caller, person, far_person)
    }


def test_the_loop_is_woken_by_the_descriptor(board: Board) -> None:
    async def listen() -> Event:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Event] = loop.create_future()

        def ready() -> None:
            for event in board.events():
                if isinstance(event, Mark) and not told.done():
                    told.set_result(event)

        loop.add_reader(board.fileno(), ready)
        jack, peer = board.jack(), board.jack()
        connect(jack, peer)
        jack.hears(jack.say)
        jack.say.write(make_tone(440, 0.06), 8000)
        jack.say.mark(9)
        try:
            event = await asyncio.wait_for(told, LIMIT)
        finally:
            loop.remove_reader(board.fileno())
        assert event == Mark(jack, 9)
        return event

    asyncio.run(listen())


def test_the_descriptor_is_quiet_when_all_has_been_fetched(board: Board) -> None:
    jack = board.jack()
    jack.say.mark(1)
    assert select.select([board.fileno()], [], [], LIMIT)[0]
    board.frames()
    assert select.select([board.fileno()], [], [], 0)[0]
    assert board.events() == [Mark(jack, 1)]
    assert not select.select([board.fileno()], [], [], 0)[0]


def test_a_closed_port_is_held_back() -> None:
    board = open_board(BoardSettings(ports=(28400, 28405), quarantine=0.3), engine="python")
    try:
        jacks = [board.jack() for _ in range(3)]
        assert {jack.port for jack in jacks} == {28400, 28402, 28404}
        with pytest.raises(NoPortError):
            board.jack()
        closed_at = time.monotonic()
        jacks[1].close()
        wait(board, lambda: board.stats().ports_quarantined == 1)
        with pytest.raises(NoPortError):
            board.jack()
        wait(board, lambda: board.stats().ports_quarantined == 0)
        assert time.monotonic() - closed_at >= 0.3
        assert board.jack().port == jacks[1].port
    finally:
        board.close()


def test_a_port_that_another_program_has_is_passed_over() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 28503))  # where RTCP would be
        board = open_board(BoardSettings(ports=(28502, 28505)), engine="python")
        try:
            assert board.jack().port == 28504
            with pytest.raises(NoPortError):
                board.jack()
        finally:
            board.close()


def test_two_thousand_jacks_leave_nothing_behind() -> None:
    board = open_board(BoardSettings(quarantine=0.0), engine="python")
    try:
        before = len(os.listdir("/proc/self/fd"))
        clip = board.clip(make_tone(300, 0.1), 8000)
        for _ in range(50):
            jacks = [board.jack() for _ in range(40)]
            for one, other in zip(jacks[::2], jacks[1::2], strict=True):
                connect(one, other)
                one.hears(clip)
                other.hears(one)
                one.tap()
            for jack in jacks:
                jack.close()
            wait(board, lambda: board.stats().ports_open == 0)
        clip.close()
        stats = board.stats()
        assert (stats.jacks, stats.taps, stats.clips, stats.ports_open, stats.ports_quarantined) == (0, 0, 0, 0, 0)
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        board.close()


def test_closing_the_board_gives_everything_back() -> None:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        board = open_board(engine="python")
        jacks = [board.jack() for _ in range(5)]
        board.mix().add(jacks[0])
        board.close()
        board.close()
        with pytest.raises(BoardClosedError):
            board.jack()
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_many_threads_may_command_at_once(board: Board) -> None:
    clip = board.clip(make_tone(300, 0.1), 8000)
    faults: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for number in range(40):
                one, other = board.jack(), board.jack()
                connect(one, other)
                one.hears(clip if number % 2 else one.say, cut="now" if number % 3 else "late")
                one.say.write(make_tone(440, 0.1, 16000), 16000)
                other.hears(one)
                other.tap()
                one.send_dtmf("1")
                one.say.mark(seed)
                one.stats()
                board.stats()
                one.say.flush()
                other.close()
                one.close()
        except BaseException as error:
            faults.append(error)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    wait(board, lambda: board.frames() is not None and not any(worker.is_alive() for worker in workers))
    assert faults == []
    wait(board, lambda: board.stats().ports_open == 0)


def test_commands_do_not_wait_for_the_engine(board: Board) -> None:
    jack, peer = board.jack(), board.jack()
    started = time.monotonic()
    for _ in range(500):
        jack.hears(jack.say)
        jack.hears(peer)
    assert time.monotonic() - started < 0.5


def test_jacks_over_ipv6() -> None:
    try:
        board = open_board(BoardSettings(ip="::1"), engine="python")
        left, right = board.jack(), board.jack()
    except NoPortError:
        pytest.skip("no IPv6 on loopback")
    try:
        for one, other in ((left, right), (right, left)):
            one.negotiated(receive={0: PCMU}, send=0, remote=("0:0:0:0:0:0:0:1", other.port))
        left.hears(board.clip(make_tone(440, 1), 8000))
        wait(board, lambda: right.stats().packets_in > 5)
        assert right.stats().remote == ("::1", left.port)
    finally:
        board.close()


def test_a_thing_of_another_board_is_refused(board: Board) -> None:
    other = open_board(engine="python")
    try:
        with pytest.raises(TypeError):
            board.jack().hears(other.jack())
        with pytest.raises(ValueError):
            board.jack().tap(rate=8000)
        with pytest.raises(ValueError):
            board.clip(b"", 8000)
        with pytest.raises(ValueError):
            board.pcm_jack(11025)
    finally:
        other.close()
