"""Screening by voice, measured through the embedded recogniser: what is heard in yes, in no and in everything else."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cordboard.detection import SCREENING_GRAMMAR, Screening
from cordboard.speech.recogniser import PocketsphinxRecogniser

from . import sounds, texts
from .sounds import RATE, VOICES, Speech


@dataclass(slots=True)
class Heard:
    """Counts by what was said (yes, no, unrelated) and by what was understood (accepted, declined, none)."""

    table: dict[str, Counter[str]] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)

    @property
    def false_yes(self) -> tuple[int, int]:
        row = self.table.get("unrelated", Counter())
        return row["accepted"], row.total()


def utterances(repeat: int) -> list[tuple[str, str]]:
    """What is said; the unrelated ones are more than 150."""
    english = [*texts.SHORT_GREETINGS["en"], *texts.BUSINESS_GREETINGS["en"], *texts.AGAIN["en"]]
    machines = [text for greeting in (*texts.VOICEMAIL["en"], *texts.MENU["en"]) for text in greeting]
    unrelated = dict.fromkeys((*texts.UNRELATED, *english, *machines))
    return (
        [("yes", text) for text in texts.YES * repeat]
        + [("no", text) for text in texts.NO * repeat]
        + [("unrelated", text) for text in unrelated]
    )


async def _listen(cache: Path, said: list[tuple[str, str]], seed: int) -> Heard:
    random = np.random.default_rng(seed)
    speech = Speech(cache)
    recogniser = PocketsphinxRecogniser(workers=1)
    result = Heard()
    voices = [*VOICES["tuning"], *VOICES["test"]]
    try:
        for kind, text in said:
            voice = str(random.choice(voices))
            sound = speech.say(text, "en", voice, speed=int(random.integers(14, 19)) * 10)
            sound = np.concatenate((sounds.silence(0.6), sound, sounds.silence(1.2)))
            sound = sounds.at_level(sound, float(random.uniform(-28, -16)))
            noise = sounds.noise(random, str(random.choice(("line", "car"))), len(sound), sound)
            level = 10 ** ((-22 - random.uniform(18, 35)) / 20)
            samples = np.clip((sound + noise * level) * 32767, -32768, 32767).astype(np.int16)
            samples = sounds.codec(samples, str(random.choice(("pcmu", "pcma"))))
            wide = np.clip(sounds.resample(samples.astype(np.float64), RATE, 16000), -32768, 32767).astype("<i2")
            screening = Screening()
            hearing = recogniser.listen(SCREENING_GRAMMAR)
            hearing.feed(wide.tobytes())
            try:
                async with asyncio.timeout(5.0):
                    async for utterance in hearing:
                        # One utterance is enough for one sentence, unless it was cut at its pauses.
                        screening.utterance(utterance)
                        if screening.answered or utterance.ended > len(wide) / 16000 - 1.5:
                            break
            except TimeoutError:
                pass
            await hearing.close()
            answer = screening.answered.answer.value if screening.answered else "none"
            result.table.setdefault(kind, Counter())[answer] += 1
            if answer != {"yes": "accepted", "no": "declined"}.get(kind, "none"):
                heard = screening.answered.text if screening.answered else ""
                result.mistakes.append(f"{kind}: {text!r} ({voice}): {answer} {heard!r}")
    finally:
        await recogniser.close()
    return result


def measure(cache: Path, *, repeat: int = 3, limit: int | None = None, seed: int = 7) -> Heard:
    """Says everything once (yes and no `repeat` times, in other voices) on a simulated line; `limit` takes a sample."""
    said = utterances(repeat)
    if limit is not None:
        order = np.random.default_rng(seed).permutation(len(said))[:limit]
        said = [said[int(index)] for index in order]
    return asyncio.run(_listen(cache, said, seed))
