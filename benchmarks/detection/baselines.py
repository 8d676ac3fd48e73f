"""Two rules to measure beside: Asterisk's AMD application with its documented defaults, and timing alone.

The AMD rule is written here from its documentation (app_amd, amd.conf): no code of it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME = 160  # samples at 8 kHz: 20 ms


@dataclass(frozen=True, slots=True)
class Opinion:
    """``human``, ``machine`` or ``unsure``, and when."""

    label: str
    at: float


def asterisk_amd(samples: NDArray[np.int16]) -> Opinion:
    """initial_silence 2500, greeting 1500, after_greeting_silence 800, total_analysis_time 5000, min_word_length 100,
    between_words_silence 50, maximum_number_of_words 2, maximum_word_length 5000 ms; silence_threshold 256."""
    initial, in_greeting, in_word = True, False, True
    silent = voiced = unbroken = words = 0
    for index in range(len(samples) // FRAME):
        elapsed = (index + 1) * 20
        at = elapsed / 1000
        if elapsed >= 5000:
            return Opinion("unsure", at)
        frame = samples[index * FRAME : (index + 1) * FRAME].astype(np.int32)
        if np.abs(frame).mean() < 256:
            silent += 20
            if silent >= 50:
                in_word = False
                unbroken = 0
            if initial and silent >= 2500:
                return Opinion("machine", at)
            if in_greeting and silent >= 800:
                return Opinion("human", at)
            continue
        unbroken += 20
        voiced += 20
        if unbroken >= 100 and not in_word:
            words += 1
            in_word = True
        if unbroken >= 5000 or words >= 2 or (in_greeting and voiced >= 1500):
            return Opinion("machine", at)
        silent = 0
        if unbroken >= 100 and not in_greeting:
            initial = False
            in_greeting = True
    return Opinion("unsure", len(samples) / 8000)


def timing_only(samples: NDArray[np.int16]) -> Opinion:
    """A person speaks for less than 2.6 s and is then quiet for 0.7 s; loudness against the quietest so far.

    It looks at no spectrum and never changes its mind.
    """
    floor = 1e9
    spoken = quiet = 0.0
    for index in range(len(samples) // FRAME):
        at = (index + 1) * 0.02
        frame = samples[index * FRAME : (index + 1) * FRAME].astype(np.float64)
        power = float(np.mean(frame * frame)) + 1.0
        floor = min(floor * 1.005, max(power, 50.0))
        if power > max(16 * floor, 8000.0):
            spoken += 0.02
            quiet = 0.0
            if spoken >= 2.6:
                return Opinion("machine", at)
        elif spoken >= 0.1:
            quiet += 0.02
            if quiet >= 0.7:
                return Opinion("human", at)
        elif at >= 4.0:
            return Opinion("machine", at)
    return Opinion("unsure", len(samples) / 8000)
