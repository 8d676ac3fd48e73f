"""Recordings: placed by RTP time, both channels on one timeline, pauses that are silence."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from cordboard.media import Recorded
from tests.media.stage import Stage
from tests.support.audio import level, make_tone, read_stereo, tone_present, tone_seconds, tone_windows


def part(pcm: bytes, start: float, end: float) -> bytes:
    return pcm[2 * round(start * 8000) : 2 * round(end * 8000)]


def test_said_and_heard_lie_at_the_same_moment(tmp_path: Path) -> None:
    stage = Stage()
    caller = stage.party()
    recording = stage.board.record(tmp_path / "call.wav", caller.jack.said, caller.jack.heard)
    stage.run(1)
    caller.jack.hears(caller.jack.say)
    caller.jack.say.write(make_tone(900, 1), 8000)
    caller.talk(500)
    stage.run(1)
    caller.hush()
    stage.run(1)
    recording.close()
    stage.run(0.02)
    assert stage.board.events()[-1] == Recorded(recording, str(tmp_path / "call.wav"), 3.0)
    rate, said, heard = read_stereo(tmp_path / "call.wav")
    assert rate == 8000
    assert len(said) == len(heard) == 48000
    for pcm, frequency in ((said, 500), (heard, 900)):
        assert level(part(pcm, 0, 0.98)) == 0
        assert min(tone_windows(part(pcm, 1.05, 1.95), 8000, frequency)) > 0.99
        assert level(part(pcm, 2.05, 3)) == 0
    assert stage.board.stats().recordings == 0


def test_packets_are_placed_by_their_timestamp_not_by_their_arrival(tmp_path: Path) -> None:
    stage = Stage()
    caller = stage.party()
    recording = stage.board.record(tmp_path / "call.wav", caller.jack.said, None)
    packets = []
    for _ in range(50):
        packets.append(caller.packet(caller.tone(500)))
        caller.timestamp = (caller.timestamp + 160) & 0xFFFFFFFF
    # The network holds ten packets back and lets them go at once, the last first; it loses two.
    for index in [*range(10), 10]:
        caller.deliver(packets[index])
        stage.run(0.02)
    stage.run(0.18)
    for index in range(20, 10, -1):
        caller.deliver(packets[index])
    stage.run(0.02)
    for index in range(21, 50):
        if index not in (30, 31):
            caller.deliver(packets[index])
        stage.run(0.02)
    recording.close()
    stage.run(1)
    _, said, silent = read_stereo(tmp_path / "call.wav")
    assert tone_seconds(said, 8000, 500, 0.95, window=0.02) == pytest.approx(0.96, abs=0.021)
    assert level(silent) == 0
    assert level(part(said, 0.605, 0.635)) == 0


def test_pause_writes_silence_and_keeps_the_timeline(tmp_path: Path) -> None:
    """A card number is not in the recording, and what follows is where it belongs."""
    stage = Stage()
    caller = stage.party()
    caller.talk(500)
    caller.jack.hears(stage.board.clip(make_tone(900, 1), 8000))
    recording = stage.board.record(tmp_path / "call.wav", caller.jack.said, caller.jack.heard)
    stage.run(1)
    recording.pause()
    recording.pause()
    assert recording.paused
    stage.run(2)
    recording.resume()
    stage.run(1)
    recording.pause()
    stage.run(0.5)
    recording.close()
    stage.run(0.1)
    _, *channels = read_stereo(tmp_path / "call.wav")
    for pcm, frequency in zip(channels, (500, 900), strict=True):
        assert len(pcm) == 2 * 8000 * 4.5
        assert tone_present(part(pcm, 0.05, 0.95), 8000, frequency, 0.99, 0.8)
        assert level(part(pcm, 1.01, 2.99)) == 0
        assert tone_present(part(pcm, 3.05, 3.95), 8000, frequency, 0.99, 0.8)
        assert level(part(pcm, 4.01, 4.5)) == 0


def test_two_recordings_and_the_whisper_is_in_the_second_only(tmp_path: Path) -> None:
    """Field lesson 27: the customer hears the private summary."""
    stage = Stage()
    caller, human = stage.party(), stage.party(seed=2)
    first = stage.board.record(tmp_path / "caller.wav", caller.jack.said, caller.jack.heard)
    second = stage.board.record(tmp_path / "human.wav", human.jack.said, human.jack.heard)
    caller.talk(500)
    human.talk(900)
    caller.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    human.jack.hears(human.jack.say)
    human.jack.say.write(make_tone(1500, 1), 8000)
    stage.run(1)
    caller.jack.hears(human.jack)
    human.jack.hears(caller.jack)
    stage.run(1)
    first.close()
    second.close()
    stage.run(0.1)
    _, said, heard = read_stereo(tmp_path / "caller.wav")
    assert max(tone_windows(heard, 8000, 1500)) < 0.05
    assert tone_present(part(heard, 0, 1), 8000, 300, 0.9, 0.8)
    assert tone_present(part(heard, 1, 2), 8000, 900, 0.9, 0.8)
    assert tone_present(said, 8000, 500, 0.9, 1.8)
    _, said, heard = read_stereo(tmp_path / "human.wav")
    assert tone_present(part(heard, 0, 1), 8000, 1500, 0.9, 0.8)
    assert tone_present(part(heard, 1, 2), 8000, 500, 0.9, 0.8)
    assert tone_present(said, 8000, 900, 0.9, 1.8)


def test_a_recording_outlives_its_jack(tmp_path: Path) -> None:
    stage = Stage()
    caller = stage.party()
    caller.talk(500)
    recording = stage.board.record(tmp_path / "call.wav", caller.jack.said, caller.jack.heard)
    stage.run(1)
    caller.jack.close()
    stage.run(1)
    recording.close()
    recording.close()
    stage.run(0.1)
    _, said, _ = read_stereo(tmp_path / "call.wav")
    assert len(said) == 32000
    assert tone_seconds(said, 8000, 500) == pytest.approx(1, abs=0.11)


def test_the_file_can_be_read_at_every_moment(tmp_path: Path) -> None:
    """kill -9 leaves a file that players open."""
    stage = Stage()
    caller = stage.party()
    caller.talk(500)
    stage.board.record(tmp_path / "call.wav", caller.jack.said, caller.jack.heard)
    for _ in range(8):
        stage.run(0.5)
        data = (tmp_path / "call.wav").read_bytes()
        assert struct.unpack("<I", data[40:44])[0] == len(data) - 44
    assert len(data) - 44 >= 4 * 8000 * 2.5


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("path", ["missing/folder/call.wav", "/dev/full"])
def test_a_file_that_cannot_be_written_is_told_and_the_call_goes_on(tmp_path: Path, path: str) -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.jack.hears(person.jack)
    recording = stage.board.record(tmp_path / path, caller.jack.said, None)
    person.talk()
    stage.run(0.9)
    recording.close()
    stage.run(0.02)
    told = stage.board.events()[-1]
    assert isinstance(told, Recorded)
    assert told.error
    assert len(caller.sent) >= 45


def test_a_party_without_a_socket_is_recorded(tmp_path: Path) -> None:
    stage = Stage()
    caller, browser = stage.party(), stage.board.pcm_jack(16000)
    browser.hears(caller.jack)
    caller.talk(500)
    recording = stage.board.record(tmp_path / "call.wav", browser.said, browser.heard)
    for _ in range(50):
        browser.write(make_tone(1000, 0.02, 16000))
        stage.run(0.02)
    recording.close()
    stage.run(0.02)
    _, said, heard = read_stereo(tmp_path / "call.wav")
    assert tone_seconds(said, 8000, 1000, 0.9) >= 0.8
    assert tone_seconds(heard, 8000, 500, 0.9) >= 0.8
