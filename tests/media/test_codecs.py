"""G.711, resampling and the packet formats, against known vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.media.python import dtmf, g711, rtcp, rtp
from cordboard.media.python.resample import Resampler, resample
from tests.support.audio import make_tone


def test_ulaw_known_values() -> None:
    pcm = np.array([0, -1, 1000, -1000, 32767, -32768, 8, -8], dtype=np.int16)
    assert g711.encode("PCMU", pcm).hex() == "ff7ece4e8000fe7e"
    assert g711.decode("PCMU", bytes([0x00, 0x80, 0x7F, 0xFF, 0xCE])).tolist() == [-32124, 32124, 0, 0, 988]


def test_alaw_known_values() -> None:
    pcm = np.array([0, -1, 1000, -1000, 32767, -32768], dtype=np.int16)
    assert g711.encode("PCMA", pcm).hex() == "d555fa7aaa2a"
    assert g711.decode("PCMA", bytes([0x55, 0xD5, 0xAA, 0x2A, 0xFA])).tolist() == [-8, 8, 32256, -32256, 1008]


@pytest.mark.parametrize("name", g711.NAMES)
def test_every_code_comes_back(name: str) -> None:
    codes = bytes(range(256))
    again = g711.encode(name, g711.decode(name, codes))
    # µ-law has two zeros; every other code is its own.
    assert [code for code, back in zip(codes, again, strict=True) if code != back] == ([0x7F] if name == "PCMU" else [])


@pytest.mark.parametrize("name", g711.NAMES)
def test_signal_to_noise_of_a_tone(name: str) -> None:
    pcm = np.frombuffer(make_tone(1020, 0.5), dtype=np.int16)
    noise = g711.decode(name, g711.encode(name, pcm)).astype(float) - pcm
    assert 10 * np.log10(np.sum(pcm.astype(float) ** 2) / np.sum(noise**2)) > 35


@pytest.mark.parametrize(("source", "target"), [("PCMU", "PCMA"), ("PCMA", "PCMU")])
def test_from_law_to_law_is_the_way_through_linear(source: str, target: str) -> None:
    codes = bytes(range(256))
    assert g711.transcode(source, target, codes) == g711.encode(target, g711.decode(source, codes))


@pytest.mark.parametrize(
    ("source", "target"), [(8000, 16000), (16000, 8000), (24000, 8000), (48000, 8000), (22050, 8000), (8000, 48000)]
)
def test_resampling_keeps_a_tone_and_its_place(source: int, target: int) -> None:
    out = resample(np.frombuffer(make_tone(1000, 1, source), dtype=np.int16), source, target).astype(float)
    ideal = np.frombuffer(make_tone(1000, 1, target), dtype=np.int16).astype(float)
    assert len(out) == target
    middle = slice(target // 10, -target // 10)
    assert 10 * np.log10(np.sum(ideal[middle] ** 2) / np.sum((out - ideal)[middle] ** 2)) > 60


def test_resampling_down_does_not_fold_high_tones_back() -> None:
    out = resample(np.frombuffer(make_tone(6000, 0.5, 16000), dtype=np.int16), 16000, 8000).astype(float)
    assert np.sqrt(np.mean(out[200:-200] ** 2)) < 20  # of 6951 before: 50 dB


@given(
    st.lists(st.integers(0, 700), min_size=1, max_size=8),
    st.sampled_from([(8000, 16000), (24000, 8000), (22050, 8000)]),
)
def test_a_stream_in_pieces_is_the_stream(pieces: list[int], rates: tuple[int, int]) -> None:
    pcm = np.random.default_rng(1).integers(-9000, 9000, sum(pieces)).astype(np.int16)
    whole = Resampler(*rates).feed(pcm)
    stream, at, out = Resampler(*rates), 0, []
    for piece in pieces:
        out.append(stream.feed(pcm[at : at + piece]))
        at += piece
    joined = np.concatenate(out)
    assert len(joined) == len(whole)
    assert np.max(np.abs(joined.astype(int) - whole), initial=0) <= 1


def test_rtp_header_with_csrc_extension_and_padding() -> None:
    data = bytes.fromhex("b280ffff0000000a0000000b 00000001 00000002 bede0001 aabbccdd".replace(" ", ""))
    packet = rtp.parse(data + b"voice" + b"\0\0\3")
    assert packet == rtp.Packet(0, True, 65535, 10, 11, b"voice")


@given(st.binary(max_size=64))
def test_parsers_survive_anything(data: bytes) -> None:
    rtp.parse(data)
    rtcp.parse(data)
    dtmf.parse(data)
    rtp.parse(b"\xb1\x00" + data)
    rtcp.parse(b"\x81\xc8" + data)


@pytest.mark.parametrize(
    "data",
    ["", "80", "80000000", "40000001000000020000000300", "8f000001000000020000000300", "a00000010000000200000003"],
)
def test_what_is_not_rtp(data: str) -> None:
    assert rtp.parse(bytes.fromhex(data)) is None


def test_padding_that_is_longer_than_the_payload_is_refused() -> None:
    assert rtp.parse(bytes.fromhex("a00000010000000200000003") + b"ab\x09") is None
    assert rtp.parse(bytes.fromhex("a00000010000000200000003") + b"ab\x00") is None


def test_rtcp_sender_report_with_block_comes_back() -> None:
    block = rtcp.Block(5, 12, 34, 70000, 80, 0x12345678, 65536)
    data = rtcp.build(7, "name", wall=1.5e9, sent=(160, 3, 480), block=block, bye=True)
    assert len(data) % 4 == 0
    assert rtcp.parse(data) == rtcp.Report(7, rtcp.middle(1.5e9), (block,), True)
    assert rtcp.parse(data[:-1]) is None


def test_reception_counts_loss_duplicates_and_wraps() -> None:
    reception = rtp.Reception(1, 65534)
    for index, sequence in enumerate([65534, 65535, 0, 2, 2, 1, 5]):
        reception.update(sequence, index * 160, index * 0.02)
    assert (reception.received, reception.lost, reception.duplicates, reception.reordered) == (6, 2, 1, 1)


def test_a_key_is_told_once_though_its_end_comes_three_times() -> None:
    receiver = dtmf.Receiver()
    told = [receiver.receive(dtmf.build(5, False, 160 * n), 1000, 0.02 * n) for n in (1, 2, 3)]
    told += [receiver.receive(dtmf.build(5, True, 800), 1000, 0.1) for _ in range(3)]
    assert [key for keys in told for key in keys] == [dtmf.Pressed("5", 100)]
    assert receiver.expire(9.0) == []


def test_a_key_whose_ends_are_lost_is_told_by_the_next_or_by_time() -> None:
    receiver = dtmf.Receiver()
    assert receiver.receive(dtmf.build(1, False, 320), 1000, 0.0) == []
    assert receiver.receive(dtmf.build(2, False, 160), 3000, 0.3) == [dtmf.Pressed("1", 40)]
    assert receiver.expire(0.4) == []
    assert receiver.expire(0.6) == [dtmf.Pressed("2", 20)]
    assert receiver.receive(dtmf.build(1, True, 800), 1000, 0.7) == []  # late, and told already


@pytest.mark.parametrize("digits", ["x", "5 5", "é", "1,2"])
def test_what_is_no_key(digits: str) -> None:
    with pytest.raises(ValueError):
        dtmf.check(digits)
