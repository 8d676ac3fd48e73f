"""The detector on recordings, the confusion table, and labelled captures."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np

from cordboard.detection import Capture, Detector, Label, detect_file, detect_files

from .sounds import Sound, babbling, cadence, frames, quiet


def write(path: Path, sound: Sound, rate: int = 16_000, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    step = 16_000 // rate
    samples = (np.clip(sound[::step], -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return path


def test_folders_name_the_labels(tmp_path: Path) -> None:
    busy = cadence((425,), (0.5, 0.5), 4)
    hello = np.concatenate((quiet(0.5), babbling(0.8), quiet(2)))
    write(tmp_path / "busy" / "a.wav", busy, rate=8000)
    write(tmp_path / "human" / "b.wav", hello, channels=2)
    write(tmp_path / "silence" / "c.wav", hello)
    report = detect_files([tmp_path])
    assert [result.label for result in report.results] == [Label.BUSY, Label.HUMAN, Label.HUMAN]
    assert report.confusion[Label.SILENCE]["human"] == 1
    assert "WRONG" in report.lines[2]
    assert "WRONG" not in report.lines[0]
    assert report.table[0].split()[-1] == "right"
    assert report.table[1].endswith("100.0%")


def test_an_unreadable_file_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(b"RIFF nothing")
    (tmp_path / "empty.wav").write_bytes(b"")
    report = detect_files([path, tmp_path / "empty.wav", tmp_path / "absent.wav"])
    assert [bool(result.error) for result in report.results] == [True, True, True]
    assert report.table == []


def test_a_file_outside_a_labelled_folder_has_no_expectation(tmp_path: Path) -> None:
    result = detect_file(write(tmp_path / "call.wav", cadence((480, 620), (0.25, 0.25), 3), rate=8000))
    assert (result.label, result.held, result.expected) == (Label.BUSY, True, None)
    assert dict(result.scores)["tones"] == 1.0


def test_a_capture_can_be_measured_again(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "captures", "../../call 1:leg/2")
    detector = Detector()
    for frame in frames(quiet(0.5), babbling(0.8), quiet(2)):
        capture.feed(frame)
        for event in detector.feed(frame):
            capture.event(event)
    path = capture.close(label="human", call="c1")
    assert path is not None
    assert path.parent == tmp_path / "captures"
    assert path.stat().st_mode & 0o077 == 0
    facts = json.loads(path.with_suffix("").with_name(path.stem + ".json").read_text())
    assert (facts["label"], facts["call"]) == ("human", "c1")
    assert facts["events"][0]["label"] == "human"
    assert detect_file(path).label is Label.HUMAN
    assert capture.close() is None


def test_a_capture_is_limited(tmp_path: Path) -> None:
    capture = Capture(tmp_path, "long", limit=1.0)
    for frame in frames(quiet(3)):
        capture.feed(frame)
    path = capture.close()
    assert path is not None
    with wave.open(str(path)) as file:
        assert file.getnframes() == 8000
