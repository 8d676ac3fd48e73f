"""Two engines, one face: fed the same packets and the same commands, both send the same audio.

The Python engine is the oracle. Hypothesis makes up what arrives and what is plugged, and shrinks a difference.
"""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordboard.media import COMFORT_NOISE, PCMA, PCMU, Board, BoardSettings, Jack, open_board
from tests.media_native.party import Packet, Party, until

pytest.importorskip("cordboard.media._engine", reason="the C media engine is not built")

RECEIVE = {0: PCMU, 8: PCMA, 13: COMFORT_NOISE}
RELAXED = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def boards() -> Iterator[list[Board]]:
    opened = [
        open_board(BoardSettings(quarantine=0.0), engine="c"),
        open_board(BoardSettings(quarantine=0.0), engine="python"),
    ]
    yield opened
    for board in opened:
        board.close()


def in_force(board: Any) -> None:
    """The Python engine takes commands up at its next turn, which may come after the next packet."""
    if board.engine == "python":
        until(lambda: not board._commands)
        time.sleep(0.003)


class Call:
    """Two parties on one engine."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.jacks: list[Jack] = [board.jack()]
        self.jacks.append(board.jack(beside=self.jacks[0]))
        self.far = [Party(jack) for jack in self.jacks]
        self.heard: list[list[Packet]] = [[], []]
        self.sent = [0, 0]
        for party in self.far:
            party.ssrc, party.sequence, party.timestamp = 7, 1000, 5000
        for who in (0, 1):
            self.negotiate(who, 0)
            self.packet(who, 1, 0, 255)  # an address that answers; nobody listens yet

    def negotiate(self, who: int, send: int) -> None:
        self.jacks[who].negotiated(receive=RECEIVE, send=send, remote=self.far[who].address)
        in_force(self.board)

    def plug(self, who: int, source: int | None) -> None:
        self.jacks[who].hears(None if source is None else self.jacks[source], "now")
        in_force(self.board)

    def packet(self, who: int, step: int, payload_type: int, seed: int, size: int = 160) -> None:
        far = self.far[who]
        far.sequence += step - 1
        far.timestamp += 160 * (step - 1)
        payload = random.Random(seed).randbytes(size) if seed != 255 else b"\xff" * size
        far.send(payload, payload_type)
        if step < 1:  # a straggler or a repetition: the stream goes on where it was
            far.sequence -= step - 1
            far.timestamp -= 160 * (step - 1)
            far.sequence -= 1
            far.timestamp -= 160
        self.sent[who] += 1
        self.settle(who)

    def settle(self, who: int) -> None:
        def taken() -> bool:
            stats = self.jacks[who].stats()
            return stats.packets_in + stats.duplicates + stats.rejected + stats.malformed >= self.sent[who]

        until(taken)
        for far, heard in zip(self.far, self.heard, strict=True):
            while (packet := far.receive(0.002 if heard is self.heard[1 - who] else 0.0002)) is not None:
                heard.append(packet)

    def close(self) -> None:
        for jack, far in zip(self.jacks, self.far, strict=True):
            jack.close()
            far.close()

    def audio(self) -> list[list[tuple[int, int, bytes]]]:
        """For each party: payload type, number counted from the first, and payload."""
        return [
            [(packet.payload_type, (packet.sequence - heard[0].sequence) & 0xFFFF, packet.payload) for packet in heard]
            for heard in self.heard
        ]


packets = st.tuples(
    st.just("packet"),
    st.sampled_from([0, 1]),
    st.sampled_from([1, 1, 1, 1, 1, 2, 3, 0, -1]),
    st.sampled_from([0, 0, 0, 8, 13, 77]),
    st.integers(0, 254),
    st.sampled_from([160, 160, 160, 80, 240, 1]),
)
plugs = st.tuples(st.just("plug"), st.sampled_from([0, 1]), st.sampled_from([None, 0, 1]))
laws = st.tuples(st.just("negotiate"), st.sampled_from([0, 1]), st.sampled_from([0, 8]))


@RELAXED
@given(commands=st.lists(st.one_of(packets, packets, packets, plugs, laws), max_size=24))
def test_the_same_packets_and_commands_send_the_same_audio(boards: list[Board], commands: list[Any]) -> None:
    results = []
    for board in boards:
        call = Call(board)
        call.plug(0, 1)
        call.plug(1, 0)
        for name, *arguments in commands:
            getattr(call, name)(*arguments)
        results.append(call.audio())
        call.close()
    assert results[0] == results[1]


@settings(RELAXED, max_examples=8)
@given(
    seed=st.integers(0, 2**32),
    send=st.sampled_from([0, 8]),
    ptime=st.sampled_from([10, 20, 40, 60]),
    clip=st.booleans(),
)
def test_clips_and_speech_are_encoded_alike(boards: list[Board], seed: int, send: int, ptime: int, clip: bool) -> None:
    pcm = array("h", [random.Random(seed + n).randrange(-32768, 32768) for n in range(960)]).tobytes()
    found = []
    for board in boards:
        jack = board.jack()
        far = Party(jack)
        jack.negotiated(receive=RECEIVE, send=send, remote=far.address, ptime=ptime)
        if clip:
            jack.hears(board.clip(pcm, 8000, loop=False))
        else:
            jack.say.write(pcm, 8000)
            jack.hears(jack.say)
        audio = b"".join(packet.payload for packet in far.collect(0.3))
        assert len(audio) % (8 * ptime) == 0
        found.append(audio[:960])
        jack.close()
        far.close()
    assert found[0] == found[1]
    assert len(found[0]) == 960


def test_resampled_audio_differs_by_no_more_than_a_filter(boards: list[Board]) -> None:
    """24 kHz speech: the two engines' filters are not the same, and yet the ear gets the same."""
    import numpy as np

    from cordboard.media.python import g711

    t = np.arange(24000) / 24000
    pcm = (8000 * np.sin(2 * np.pi * 500 * t) + 4000 * np.sin(2 * np.pi * 1700 * t)).astype(np.int16)
    found = []
    for board in boards:
        jack = board.jack()
        far = Party(jack)
        jack.negotiated(receive=RECEIVE, send=0, remote=far.address)
        jack.say.write(pcm.tobytes(), 24000)
        jack.hears(jack.say)
        far.send()
        audio = b"".join(packet.payload for packet in far.collect(0.8))
        found.append(g711.decode("PCMU", audio).astype(float)[:4800])
        jack.close()
        far.close()
    best = -99.0
    for shift in range(-40, 41):
        a, b = found[0][400 + shift : 4400 + shift], found[1][400:4400]
        best = max(best, 10 * np.log10(np.sum(b**2) / (np.sum((a - b) ** 2) + 1e-9)))
    print(f"alike to {best:.1f} dB")
    assert best > 15
