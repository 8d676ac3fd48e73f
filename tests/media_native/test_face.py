"""The C engine keeps the promises of the face over real sockets."""

from __future__ import annotations

import struct
import time
import wave
from array import array
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cordboard.media import (
    DTMF,
    PCMA,
    PCMU,
    Board,
    BoardClosedError,
    Dtmf,
    Ended,
    JackClosedError,
    Latched,
    Mark,
    MediaError,
    NoPortError,
    NotNegotiatedError,
    Recorded,
    Silent,
    UnsupportedCodecError,
)
from tests.media_native.party import ALAW, ULAW, Events, Party, settle, until

Make = Callable[..., Any]


def pair(board: Board, party: Make) -> tuple[Any, Any, Party, Party]:
    """Two µ-law jacks beside each other, bridged, and their far ends."""
    one = board.jack()
    two = board.jack(beside=one)
    caller, human = party(one), party(two)
    for jack, far in ((one, caller), (two, human)):
        jack.negotiated(receive=ULAW, send=0, remote=far.address, dtmf=101)
    one.hears(two)
    two.hears(one)
    settle(board)
    return one, two, caller, human


def test_a_bridge_carries_payloads_with_our_own_numbers(board: Board, party: Make) -> None:
    _, two, caller, human = pair(board, party)
    sent = [bytes([n]) * 160 for n in range(1, 6)]
    got = []
    for payload in sent:
        caller.send(payload)
        got.append(human.expect())
    assert [packet.payload for packet in got] == sent
    assert {packet.ssrc for packet in got} == {two.stats().ssrc_out} != {caller.ssrc}
    assert [packet.sequence - got[0].sequence for packet in got] == list(range(5))
    assert [packet.timestamp - got[0].timestamp for packet in got] == list(range(0, 5 * 160, 160))
    assert got[0].marker


def test_between_the_laws_it_is_translated(board: Board, party: Make) -> None:
    one, two, caller, _ = pair(board, party)
    human = party(two)
    two.negotiated(receive=ALAW, send=8, remote=human.address)
    settle(board)
    caller.send(bytes(range(160)))
    human.send(bytes(range(160)), 8)
    assert human.expect().payload_type == 8
    assert caller.expect().payload_type == 0
    assert one.stats().packets_out == 1


def test_a_peer_that_uses_the_second_of_two_codecs_is_heard(board: Board, party: Make) -> None:
    one, _, _, human = pair(board, party)
    caller = party(one)
    one.negotiated(receive={0: PCMU, 8: PCMA}, send=0, remote=caller.address)
    settle(board)
    caller.send(b"\xd5" * 160, 8)
    packet = human.expect()
    assert packet.payload_type == 0
    assert set(packet.payload) <= {0xFF, 0x7F, 0xFE}


def test_what_is_plugged_first_tells_latched_once(board: Board, party: Make) -> None:
    one, _, caller, _ = pair(board, party)
    events = Events(board)
    for _ in range(5):
        caller.send()
    assert until(lambda: events.of(Latched)) == [Latched(one, caller.address)]
    one.negotiated(receive=ULAW, send=0, remote=caller.address)
    until(lambda: one.stats().packets_in == 5)
    caller.send()
    assert len(until(lambda: len(events.of(Latched)) == 2 and events.of(Latched))) == 2


def test_hold_then_person_then_hold_is_one_stream(board: Board, party: Make) -> None:
    one, _two, caller, human = pair(board, party)
    hold = board.clip(array("h", [1000] * 8000).tobytes(), 8000)
    caller.send()
    one.hears(hold)
    got = caller.collect(0.12)
    assert 5 <= len(got) <= 8
    one.hears(_two)
    settle(board)
    human.send(b"\x01" * 160)
    got += caller.collect(0.05)
    assert got[-1].payload == b"\x01" * 160
    one.hears(hold)
    got += caller.collect(0.12)
    assert [packet.sequence - got[0].sequence for packet in got] == list(range(len(got)))
    assert len({packet.ssrc for packet in got}) == 1
    steps = [(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(got)]
    assert all(0 < step <= 480 for step in steps)
    assert hold.duration_ms == 1000


def test_a_muted_person_does_not_stop_a_bridge(board: Board, party: Make) -> None:
    one, two, caller, _ = pair(board, party)
    caller.send()
    one.hears(board.clip(bytes(16000), 8000))
    caller.collect(0.06)
    one.hears(two)
    during = caller.collect(0.15)
    assert len(during) >= 4, "the old source goes on while the new one is silent"
    caller.collect(0.15)
    assert caller.collect(0.1) == []


def test_keys_are_told_and_follow_the_cord_with_their_type_renumbered(board: Board, party: Make) -> None:
    one, two, caller, _ = pair(board, party)
    human = party(two)
    two.negotiated(receive={0: PCMU, 96: DTMF}, send=0, remote=human.address, dtmf=96)
    events = Events(board)
    caller.send()
    for duration, end in ((160, 0), (320, 0), (480, 1), (480, 1), (480, 1)):
        caller.sequence += 1
        caller.send_raw(caller.header(101, duration == 160) + struct.pack("!BBH", 5, end << 7 | 10, duration))
    assert until(lambda: events.of(Dtmf)) == [Dtmf(one, "5", 60)]
    got = [packet for packet in human.collect(0.1) if packet.payload_type == 96]
    assert [packet.payload[1] >> 7 for packet in got] == [0, 0, 1, 1, 1]
    assert len({packet.timestamp for packet in got}) == 1


def test_keys_are_sent(board: Board, party: Make) -> None:
    one, _, caller, _ = pair(board, party)
    caller.send()
    until(lambda: one.stats().packets_in)
    one.send_dtmf("1#", duration_ms=60)
    got = [packet for packet in caller.collect(0.6) if packet.payload_type == 101]
    assert sorted({packet.payload[0] for packet in got}) == [1, 11]
    assert sum(packet.payload[1] >> 7 for packet in got) == 6
    assert all(packet.marker == (packet.payload[2:] == b"\x00\xa0") for packet in got)
    for bad in ("x", "1" * 65):
        with pytest.raises(ValueError):
            one.send_dtmf(bad)
    one.negotiated(receive=ULAW, send=0, remote=caller.address)
    with pytest.raises(NotNegotiatedError):
        one.send_dtmf("1")


def test_speech_is_played_to_its_mark_and_flushed(board: Board, party: Make) -> None:
    one, _, caller, _ = pair(board, party)
    events = Events(board)
    caller.send()
    one.hears(one.say)
    assert one.say.write(array("h", [500] * 800).tobytes(), 8000) == pytest.approx(100, abs=1)
    one.say.mark(7)
    got = caller.collect(0.3)
    assert len(got) == 5
    assert until(lambda: events.of(Mark)) == [Mark(one, 7)]
    one.say.write(bytes(16000), 8000)
    one.say.mark(8)
    until(lambda: caller.receive())
    assert one.say.flush() > 500
    assert one.say.queued_ms == 0
    assert len(caller.collect(0.15)) <= 1
    assert [event.id for event in events.of(Mark)] == [7]


def test_a_clip_that_ends_says_so(board: Board, party: Make) -> None:
    one, _, caller, _ = pair(board, party)
    events = Events(board)
    caller.send()
    clip = board.clip(bytes(1600), 8000, loop=False)
    one.hears(clip)
    assert len(caller.collect(0.3)) == 5
    assert until(lambda: events.of(Ended)) == [Ended(one, clip)]


def test_strangers_reach_no_ear(board: Board, party: Make) -> None:
    one, _, caller, human = pair(board, party)
    caller.send(b"\x01" * 160)
    assert human.expect().payload == b"\x01" * 160
    stranger = party(one)
    for n in range(30):
        stranger.send(b"\x66" * 160)
        forged = party(one)
        forged.ssrc = caller.ssrc
        forged.sequence = caller.sequence + n
        forged.send(b"\x66" * 160)
        caller.send(b"\x01" * 160)
        original, caller.ssrc = caller.ssrc, 0xBAD
        caller.send(b"\x66" * 160)
        caller.ssrc = original
    got = human.collect(0.1)
    assert len(got) == 30
    assert {packet.payload for packet in got} == {b"\x01" * 160}
    time.sleep(0.3)  # and silence does not open the door again
    for _ in range(20):
        stranger.send(b"\x66" * 160)
    assert human.collect(0.1) == []


@pytest.mark.parametrize("latched", [True, False])
def test_another_address_reaches_no_ear(board: Board, party: Make, latched: bool) -> None:
    """Neither before the named party has spoken nor after, whatever SSRC, numbers or type it takes."""
    one, _, caller, human = pair(board, party)
    if latched:
        caller.send(b"\x01" * 160)
        assert human.expect().payload == b"\x01" * 160
    foreign = party(one, "127.0.0.2")
    foreign.host = "127.0.0.1"  # where it sends to
    for n in range(60):
        foreign.ssrc = caller.ssrc if n % 2 else 0xBAD
        foreign.sequence, foreign.timestamp = caller.sequence, caller.timestamp
        foreign.send(b"\x66" * 160, payload_type=101 if n % 3 == 0 else 0)
    time.sleep(0.3)
    for _ in range(20):
        foreign.send(b"\x66" * 160)
    assert human.collect(0.1) == []
    caller.send(b"\x02" * 160)
    assert human.expect().payload == b"\x02" * 160
    assert one.stats().remote == caller.address


def test_another_port_of_the_same_host_must_prove_itself(board: Board, party: Make) -> None:
    one, two, _, human = pair(board, party)
    del two
    behind_nat = party(one)
    events = Events(board)
    for _ in range(3):
        behind_nat.send()
    assert human.collect(0.1) == []
    for _ in range(10):
        behind_nat.send()
    assert human.expect()
    assert until(lambda: events.of(Latched)) == [Latched(one, behind_nat.address)]
    assert one.stats().remote == behind_nat.address
    human.send()
    assert behind_nat.expect()


def test_at_most_fifty_packets_leave_to_an_address_that_does_not_answer(board: Board, party: Make) -> None:
    _, _, caller, human = pair(board, party)
    for _ in range(60):
        caller.send()
    assert len(human.collect(0.3)) == 50
    human.send()
    caller.expect()
    caller.send()
    assert human.expect()


def test_a_new_address_of_an_offer_is_believed(board: Board, party: Make) -> None:
    one, _, caller, human = pair(board, party)
    caller.send()
    human.expect()
    moved = party(one)
    one.negotiated(receive=ULAW, send=0, remote=moved.address)
    settle(board)
    moved.send(b"\x03" * 160)
    assert human.expect().payload == b"\x03" * 160
    human.send(b"\x04" * 160)
    assert moved.expect().payload == b"\x04" * 160


def test_negotiating_again_loses_nothing(board: Board, party: Make) -> None:
    one, _, caller, human = pair(board, party)
    got = []
    for n in range(20):
        caller.send(bytes([n]) * 160)
        if n % 5 == 4:
            one.negotiated(receive=ULAW, send=0, remote=caller.address, dtmf=101, direction="sendrecv")
        got.append(human.expect())
    assert [packet.payload[0] for packet in got] == list(range(20))
    assert [packet.sequence - got[0].sequence for packet in got] == list(range(20))


def test_direction_is_kept(board: Board, party: Make) -> None:
    one, _, caller, human = pair(board, party)
    one.negotiated(receive=ULAW, send=0, remote=caller.address, direction="sendonly")
    settle(board)
    caller.send()
    human.send()
    assert caller.expect()
    assert human.receive(0.1) is None
    one.negotiated(receive=ULAW, send=0, remote=caller.address, direction="recvonly")
    caller.send()
    human.send()
    assert human.expect()
    assert caller.receive(0.1) is None


@pytest.mark.parametrize("ptime", [10, 20, 30, 60])
def test_packets_have_the_negotiated_length(board: Board, party: Make, ptime: int) -> None:
    one, _, caller, _ = pair(board, party)
    one.negotiated(receive=ULAW, send=0, remote=caller.address, ptime=ptime)
    settle(board)
    caller.send()
    one.hears(board.clip(bytes(16000), 8000))
    got = caller.collect(0.4)
    assert {len(packet.payload) for packet in got} == {8 * ptime}
    assert 0.3 <= len(got) * ptime / 1000 <= 0.5


def test_silence_of_a_party_is_told_once(engine: Any, open_with: Make, party: Make) -> None:
    board = open_with(engine, silent_after=0.3)
    one, _, caller, _ = pair(board, party)
    events = Events(board)
    caller.send()
    until(lambda: any(event.jack is one for event in events.of(Silent)))
    time.sleep(0.3)
    assert len([event for event in events.of(Silent) if event.jack is one]) == 1
    caller.send()
    until(lambda: len([event for event in events.of(Silent) if event.jack is one]) == 2)


def test_tapped_frames_are_what_was_said(board: Board, party: Make) -> None:
    one, _, caller, _ = pair(board, party)
    tap = one.tap()
    for _ in range(10):
        caller.send(b"\x10" * 160)
    caller.timestamp += 800
    caller.send(b"\x10" * 160)
    frames: list[array[int]] = []

    def fetch() -> bool:
        ids, pcm = board.frames()
        for n, id in enumerate(ids):
            assert id == tap.id
            frames.append(array("h", pcm[n * 320 : n * 320 + 320]))
        return len(frames) >= 15

    until(fetch)
    loud = [max(map(abs, frame)) > 10000 for frame in frames]
    assert loud.count(True) >= 10
    assert loud.count(False) >= 3, "the pause is there as silence"
    tap.close()
    one.close()


def test_a_recording_has_both_sides_in_their_places(board: Board, party: Make, tmp_path: Path) -> None:
    one, _, caller, human = pair(board, party)
    caller.send()
    human.send()
    path = tmp_path / "call.wav"
    recording = board.record(path, one.said, one.heard)
    for n in range(30):
        caller.send(b"\x10" * 160)
        if n >= 15:
            human.send(b"\x90" * 160)
        else:
            human.timestamp += 160
        if n == 24:
            recording.pause()
            assert recording.paused
        time.sleep(0.02)
    recording.close()
    events = Events(board)
    recorded = until(lambda: events.of(Recorded))[0]
    assert (recorded.path, recorded.error) == (str(path), "")
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        samples = array("h", file.readframes(10**6))
    left, right = samples[::2], samples[1::2]
    assert len(left) / 8000 == pytest.approx(recorded.seconds, abs=0.001)
    begins = next(n for n, sample in enumerate(right) if abs(sample) > 10000)
    assert 0.2 < begins / 8000 < 0.5
    assert sum(abs(sample) > 10000 for sample in left) > 0.3 * 8000
    assert max(map(abs, left[-160:])) < 100, "paused: the timeline goes on in silence"


def test_a_recording_that_cannot_be_written_says_so(board: Board, party: Make) -> None:
    one, _, _, _ = pair(board, party)
    events = Events(board)
    board.record("/nonexistent/file.wav", one.said, None).close()
    assert until(lambda: events.of(Recorded))[0].error


def test_a_mix_gives_each_ear_the_others(board: Board, party: Make) -> None:
    one, two, caller, human = pair(board, party)
    third_jack = board.jack(beside=one)
    third = party(third_jack)
    third_jack.negotiated(receive=ULAW, send=0, remote=third.address)
    mix = board.mix()
    for jack in (one, two, third_jack):
        mix.add(jack)
        jack.hears(mix)
    got: list[list[Any]] = [[], [], []]
    for _ in range(30):
        caller.send(b"\x10" * 160)
        for n, far in enumerate((human, third)):
            far.send(b"\xff" * 160)
            got[n + 1] += far.collect(0.003)
        got[0] += caller.collect(0.012)
    assert 0x10 in got[1][-1].payload or min(got[1][-1].payload) < 0x30
    assert min(got[2][-1].payload) < 0x30
    assert set(got[0][-1].payload) <= {0xFF, 0x7F, 0xFE, 0x7E}, "nobody hears itself"
    for each in got:
        assert [packet.sequence - each[0].sequence for packet in each] == list(range(len(each)))
    mix.close()


def test_a_party_without_a_socket(board: Board, party: Make) -> None:
    one, _, caller, _ = pair(board, party)
    stream = board.pcm_jack(16000)
    one.hears(stream)
    stream.hears(one)
    caller.send()
    assert stream.write(array("h", [3000] * 3200).tobytes()) == pytest.approx(200, abs=40)
    heard = bytearray()
    got = []
    for _ in range(15):
        caller.send(b"\x10" * 160)
        got += caller.collect(0.02)
        heard += stream.read()
    assert 9 <= len(got) <= 12
    assert max(map(abs, array("h", bytes(heard)))) > 10000
    stream.close()


def test_a_stream_without_a_socket_follows_its_call_to_any_thread(engine: Any, open_with: Make, party: Make) -> None:
    board = open_with(engine, threads=3)
    for _ in range(6):
        one = board.jack()
        caller = party(one)
        one.negotiated(receive=ULAW, send=0, remote=caller.address)
        stream = board.pcm_jack(16000)
        one.hears(stream)
        stream.hears(one)
        caller.send(b"\x10" * 160)
        stream.write(array("h", [3000] * 1600).tobytes())
        assert len(caller.collect(0.15)) >= 4
        assert until(stream.read)
    others = [board.jack(), board.jack()]
    with pytest.raises(MediaError):
        others[0].hears(others[1])


def test_closing_is_idempotent_and_final(board: Board, party: Make) -> None:
    one, two, caller, human = pair(board, party)
    caller.send()
    human.expect()
    one.close()
    one.close()
    assert one.closed
    for command in (lambda: one.hears(two), one.tap, lambda: one.send_dtmf("1")):
        with pytest.raises(JackClosedError):
            command()
    two.hears(one)  # hears nothing then
    until(lambda: board.stats().jacks == 1)
    board.close()
    board.close()
    with pytest.raises(BoardClosedError):
        board.jack()


def test_what_cannot_be_negotiated(board: Board, party: Make) -> None:
    jack = board.jack()
    good: dict[str, Any] = {"receive": ULAW, "send": 0, "remote": ("127.0.0.1", 9)}
    for bad in ({"ptime": 5}, {"ptime": 61}, {"send": 128}, {"send": 8}, {"direction": "up"}, {"remote": ("name", 9)}):
        with pytest.raises(ValueError):
            jack.negotiated(**(good | bad))
    with pytest.raises(UnsupportedCodecError):
        jack.negotiated(receive={0: PCMU, 3: type(PCMU)("GSM")}, send=0, remote=("127.0.0.1", 9))


def test_closed_ports_are_held_back(engine: Any, open_with: Make) -> None:
    board = open_with(engine, ports=(41000, 41003), quarantine=0.3)
    jacks = [board.jack(), board.jack()]
    assert {jack.port for jack in jacks} == {41000, 41002}
    with pytest.raises(NoPortError):
        board.jack()
    jacks[0].close()
    with pytest.raises(NoPortError):
        board.jack()
    until(lambda: board.stats().ports_quarantined == 1)

    def again() -> bool:
        try:
            return bool(board.jack())
        except NoPortError:
            return False

    until(again)


def test_ipv6(engine: Any, open_with: Make, party: Make) -> None:
    board = open_with(engine, ip="::1")
    one, two = board.jack(), board.jack()
    caller, human = party(one, "::1"), party(two, "::1")
    one.negotiated(receive=ULAW, send=0, remote=caller.address)
    two.negotiated(receive=ULAW, send=0, remote=human.address)
    two.hears(one)
    settle(board)
    caller.send(b"\x05" * 160)
    assert human.expect().payload == b"\x05" * 160


def test_a_report_comes_with_round_trip_and_loss(board: Board, party: Make) -> None:
    one, _, caller, _ = pair(board, party)
    caller.send()
    until(lambda: one.stats().packets_in)
    now = int((time.time() + 2208988800 - 0.15) * 65536) & 0xFFFFFFFF
    ssrc = one.stats().ssrc_out
    report = struct.pack("!BBHI", 0x81, 201, 7, caller.ssrc) + struct.pack(
        "!IIIIII", ssrc, 0x40000007, 9, 80, now, 6554
    )
    control = party(one)
    control.socket.sendto(report, ("127.0.0.1", one.port + 1))
    stats = until(lambda: (found := one.stats()).rtcp_seen and found)
    assert stats.remote_lost == 7
    assert 20 < stats.round_trip_ms < 90
