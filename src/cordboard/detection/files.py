"""The detector on recordings: one line for each file, and a confusion table where folders name the labels."""

from __future__ import annotations

import wave
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .detector import Detector, Parameters
from .spectrum import HOP, RATE
from .verdicts import Event, Label, Verdict

LONGEST = 1800.0
"""Seconds of a file that are read."""


class RecordingError(Exception):
    """A file that cannot be read as sound. `path` and `rule` say which and why."""

    def __init__(self, path: Path, rule: str) -> None:
        super().__init__(f"{path}: {rule}")
        self.path = path
        self.rule = rule


@dataclass(frozen=True, slots=True)
class FileResult:
    """What the detector said of one file. `label` is the last verdict, `expected` the folder's label if it is one."""

    path: Path
    label: Label | None
    held: bool
    seconds: float
    events: tuple[Event, ...]
    scores: tuple[tuple[str, float], ...]
    expected: Label | None = None
    error: str = ""

    @property
    def line(self) -> str:
        """For a terminal: path, last verdict, then every event with its time."""
        if self.error:
            return f"{self.path}: {self.error}"
        told = " ".join(
            f"{event.at:.2f}s:{event.label}{'!' if event.held else '?'}{f'({event.q850})' if event.q850 else ''}"
            if isinstance(event, Verdict)
            else f"{event.at:.2f}s:revoked"
            for event in self.events
        )
        scores = " ".join(f"{name}={value:g}" for name, value in self.scores)
        wrong = " WRONG" if self.expected is not None and self.label is not self.expected else ""
        return f"{self.path}: {self.label or 'none'}{wrong} [{told}] {scores}"


@dataclass(slots=True)
class Report:
    """Every file's result, and the confusion table of those whose folder is a label."""

    results: list[FileResult] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [result.line for result in self.results]

    @property
    def confusion(self) -> dict[Label, Counter[str]]:
        """True label -> last verdict (``none`` without one) -> files."""
        table: dict[Label, Counter[str]] = {}
        for result in self.results:
            if result.expected is not None and not result.error:
                table.setdefault(result.expected, Counter())[result.label or "none"] += 1
        return table

    @property
    def table(self) -> list[str]:
        """The confusion table for a terminal; empty where no folder names a label."""
        confusion = self.confusion
        if not confusion:
            return []
        columns = [each.value for each in Label if any(each.value in row for row in confusion.values())]
        columns += ["none"] if any("none" in row for row in confusion.values()) else []
        width = max(10, *(len(name) for name in columns))
        lines = ["true \\ said".ljust(12) + "".join(name.rjust(width + 1) for name in columns) + "right".rjust(9)]
        for label, row in confusion.items():
            cells = "".join(str(row.get(name, 0) or ".").rjust(width + 1) for name in columns)
            lines.append(label.value.ljust(12) + cells + f"{row[label.value] / row.total():8.1%}")
        return lines


def read_recording(path: Path) -> NDArray[np.int16]:
    """A WAV file as 16 kHz int16; of two channels the first (what came from the party). Raises RecordingError."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise RecordingError(path, f"{8 * file.getsampwidth()} bits a sample; 16 are read")
            rate, channels = file.getframerate(), file.getnchannels()
            if not 4000 <= rate <= 192_000:
                raise RecordingError(path, f"{rate} samples a second")
            data = np.frombuffer(file.readframes(min(file.getnframes(), round(LONGEST * rate))), dtype="<i2")
    except (wave.Error, EOFError, OSError) as error:
        raise RecordingError(path, str(error) or type(error).__name__) from error
    samples: NDArray[np.float64] = data[: len(data) // channels * channels : channels].astype(np.float64)
    if rate == RATE or not len(samples):
        return np.asarray(samples.astype(np.int16))
    if rate > RATE:
        # Averaging over the step takes away most of what would fold back.
        step = rate // RATE + (rate % RATE > 0)
        samples = np.convolve(samples, np.ones(step) / step, mode="same")
    if rate * 2 == RATE:
        return _doubled(samples)
    places = np.arange(int(len(samples) * RATE / rate)) * (rate / RATE)
    return np.asarray(np.clip(np.interp(places, np.arange(len(samples)), samples), -32768, 32767).astype(np.int16))


def _doubled(samples: NDArray[np.float64]) -> NDArray[np.int16]:
    """8 kHz to 16 kHz through a windowed sinc of 31 taps."""
    offsets = np.arange(-15, 16)
    taps = np.sinc(offsets / 2) * np.hamming(31)
    wide = np.zeros(2 * len(samples))
    wide[::2] = samples
    return np.clip(np.convolve(wide, taps, mode="same"), -32768, 32767).astype(np.int16)


def recordings(paths: Iterable[Path]) -> Iterator[Path]:
    """The files themselves, and every WAV file under each folder, in order of name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix.lower() == ".wav" and each.is_file())
        else:
            yield path


def detect_file(path: Path, parameters: Parameters | None = None) -> FileResult:
    """One file from its start, which is taken for the answer."""
    expected = next((Label(part) for part in (path.parent.name,) if part in set(Label)), None)
    try:
        samples = read_recording(path)
    except RecordingError as error:
        return FileResult(path, None, False, 0.0, (), (), expected, error.rule)
    detector = Detector(parameters=parameters)
    events: list[Event] = []
    for start in range(0, len(samples), HOP):
        events += detector.feed(samples[start : start + HOP].tobytes())
    return FileResult(
        path, detector.label, detector.held, len(samples) / RATE, tuple(events), detector.scores, expected
    )


def detect_files(paths: Sequence[str | Path]) -> Report:
    """``cordboard detect FILE|FOLDER…``: the report's `lines`, then its `table`.

    A file that cannot be read is a line, not an error.
    """
    return Report([detect_file(path) for path in recordings(Path(each) for each in paths)])
