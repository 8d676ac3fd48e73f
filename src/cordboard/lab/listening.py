"""Manners on the telephone: waiting until the other side has finished speaking."""

from __future__ import annotations

import asyncio

import numpy as np

from cordboard.calls.leg import Leg

SPEECH_LEVEL = 300
"""Root mean square of int16 samples above which a frame counts as sound."""
FRAME = 0.02


async def wait_for_quiet(leg: Leg, *, quiet: float = 0.8, limit: float = 20.0) -> bool:
    """Return once something has been heard and then nothing for ``quiet`` seconds; False after ``limit`` seconds."""
    done = asyncio.Event()
    heard = 0
    silent = 0

    def hear(frame: memoryview) -> None:
        nonlocal heard, silent
        samples = np.frombuffer(frame, dtype=np.int16).astype(np.float64)
        if float(np.sqrt(np.mean(samples * samples))) > SPEECH_LEVEL:
            heard += 1
            silent = 0
        elif heard >= 5:
            silent += 1
            if silent * FRAME >= quiet:
                done.set()

    stop = leg.user_agent.listen(leg, hear)
    try:
        async with asyncio.timeout(limit):
            await done.wait()
    except TimeoutError:
        return False
    else:
        return True
    finally:
        stop()
