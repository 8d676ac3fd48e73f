"""A bridge between two codecs: the tone that goes in comes out, in packets of the other side's length, on the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from cordboard.media import G722, OPUS, PCMA, PCMU, Board, Codec
from tests.media_native.party import Party

pytest.importorskip("cordboard.media._engine", reason="the C media engine is not built")

from cordboard.media._engine import lib
from tests.media_native.test_codecs import our_decode, our_encode

CODECS: dict[str, tuple[int, Codec, Any, int, int]] = {  # payload type, codec, engine's, rate, clock
    "PCMU": (0, PCMU, lib.PCMU, 8000, 8000),
    "PCMA": (8, PCMA, lib.PCMA, 8000, 8000),
    "G722": (9, G722, lib.G722, 16000, 8000),
    "opus": (96, OPUS, lib.OPUS, 48000, 48000),
}
PAIRS = [(a, b) for a, b in product(CODECS, CODECS) if a != b]


def loudest(pcm: Any, rate: int) -> float:
    """The frequency with the most energy."""
    spectrum = np.abs(np.fft.rfft(pcm.astype(float) * np.hanning(len(pcm))))
    return float(np.argmax(spectrum) * rate / len(pcm))


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("ptime", [20, 60])
def test_a_tone_crosses_the_bridge(
    board: Board, party: Callable[..., Party], source: str, target: str, ptime: int
) -> None:
    if not (lib.board_has(CODECS[source][2]) and lib.board_has(CODECS[target][2])):
        pytest.skip("libopus is not installed")
    type_in, codec_in, engine_in, rate_in, clock_in = CODECS[source]
    type_out, codec_out, engine_out, rate_out, clock_out = CODECS[target]
    one, two = board.jack(), board.jack()
    caller, human = party(one), party(two)
    one.negotiated(receive={type_in: codec_in}, send=type_in, remote=caller.address)
    two.negotiated(receive={type_out: codec_out}, send=type_out, remote=human.address, ptime=ptime)
    human.send(b"\0" * 80, type_out)
    two.hears(one)
    pcm = np.asarray(9000 * np.sin(2 * np.pi * 1000 * np.arange(rate_in * 3 // 10) / rate_in), dtype=np.int16)
    payloads = our_encode(engine_in, pcm, rate_in // 50)
    begun = time.monotonic()
    for n, payload in enumerate(payloads):
        caller.send(payload, type_in)
        caller.timestamp += clock_in // 50 - 160
        time.sleep(max(0.0, begun + (n + 1) * 0.02 - time.monotonic()))
    got = human.collect(0.1)
    same_law = {source, target} <= {"PCMU", "PCMA"}  # relayed, with the packets of the other side
    length = 20 if same_law else ptime
    assert abs(len(got) - 300 // length) <= 1
    assert {packet.payload_type for packet in got} == {type_out}
    assert {b.timestamp - a.timestamp for a, b in pairwise(got)} == {clock_out * length // 1000}
    assert {b.sequence - a.sequence for a, b in pairwise(got)} == {1}
    out = our_decode(engine_out, [packet.payload for packet in got])
    assert len(out) == len(got) * length * rate_out // 1000
    assert abs(loudest(out[len(out) // 3 :], rate_out) - 1000) < 25
    assert 4000 < np.max(np.abs(out[len(out) // 3 :])) < 14000


@pytest.mark.parametrize("target", list(CODECS))
def test_clips_and_speech_are_heard_in_every_codec(board: Board, party: Callable[..., Party], target: str) -> None:
    payload_type, codec, engine, rate, _ = CODECS[target]
    if not lib.board_has(engine):
        pytest.skip("libopus is not installed")
    jack = board.jack()
    far = party(jack)
    jack.negotiated(receive={payload_type: codec}, send=payload_type, remote=far.address)
    tone = np.asarray(9000 * np.sin(2 * np.pi * 800 * np.arange(22050) / 22050), dtype=np.int16).tobytes()
    far.send(b"\0" * 80, payload_type)
    jack.hears(board.clip(tone, 22050))
    held = our_decode(engine, [packet.payload for packet in far.collect(0.4)])
    jack.say.write(tone, 22050)
    jack.hears(jack.say)
    said = our_decode(engine, [packet.payload for packet in far.collect(0.4)])
    for pcm in (held, said):
        assert abs(loudest(pcm[len(pcm) // 3 :], rate) - 800) < 15


def test_a_re_invite_that_changes_the_codec_loses_no_audio(board: Board, party: Callable[..., Party]) -> None:
    """A re-INVITE that changes codec or RTP port loses audio: not here. (field lesson 30)"""
    one, two = board.jack(), board.jack()
    caller, human = party(one), party(two)
    for jack, far in ((one, caller), (two, human)):
        jack.negotiated(receive={0: PCMU, 8: PCMA, 9: G722}, send=0, remote=far.address)
        far.send()
    for jack in (one, two):
        while not jack.stats().latched:  # a first packet that is still on its way would be relayed
            pass
    one.hears(two)
    two.hears(one)
    got = []
    former: Party | None = None
    begun = time.monotonic()
    for n in range(40):
        if n == 10:
            two.negotiated(receive={0: PCMU, 8: PCMA, 9: G722}, send=8, remote=human.address)
        if n == 20:
            two.negotiated(receive={0: PCMU, 8: PCMA, 9: G722}, send=9, remote=human.address)
        if n == 30:
            former, human = human, party(two)
            two.negotiated(receive={0: PCMU}, send=0, remote=human.address)
        caller.send(bytes([n + 1]) * 160)
        # The packet that is sent in the same moment may still go where it went before, and be coded as it was.
        packet = human.receive(0.2) or (former.expect() if former is not None else None)
        assert packet is not None
        got.append(packet)
        time.sleep(max(0.0, begun + (n + 1) * 0.02 - time.monotonic()))
    types = [packet.payload_type for packet in got]
    changes = [n for n, (before, after) in enumerate(pairwise(types), 1) if before != after]
    assert [types[n] for n in (0, *changes)] == [0, 8, 9, 0]
    assert all(0 <= change - asked <= 1 for change, asked in zip(changes, (10, 20, 30), strict=True))
    assert {b.sequence - a.sequence for a, b in pairwise(got)} == {1}
    assert len({packet.ssrc for packet in got}) == 1
    assert all(0 < b.timestamp - a.timestamp <= 320 for a, b in pairwise(got))
