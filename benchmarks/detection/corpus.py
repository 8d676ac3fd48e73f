"""Makes the corpus: clips of ten classes, split by voice, phrase and tone plan into a tuning and a test half.

Everything comes from the seed. The halves share no voice, no sentence, no country's tone plan, no style of music and no
beep frequency.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cordboard.detection.tone_plans import PLANS, Tone
from cordboard.speech.music import hold_music

from . import sounds, texts
from .sounds import RATE, VOICES, Sound, Speech

HALVES = ("tuning", "test")
COUNTS = {
    "human": 520,
    "voicemail": 380,
    "phone_menu": 240,
    "machine": 240,
    "music": 200,
    "busy": 160,
    "ringback": 140,
    "sit": 120,
    "fax": 120,
    "silence": 120,
}
"""Clips of a class in both halves together."""

NOISES = ("clean", "line", "car", "babble")
CODECS = ("pcmu", "pcma", "gsm", "narrow")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of the clip, with its times in seconds."""

    text: str
    language: str
    started: float
    ended: float


@dataclass(slots=True)
class Clip:
    """One clip and the truth about it. Times in seconds from the answer."""

    name: str
    half: str
    label: str
    kind: str
    language: str = ""
    noise: str = "clean"
    codec: str = "pcmu"
    loss: float = 0.0
    started: float = 0.0
    """When the first sound of its own (not the line's noise) begins."""
    greeting_ended: float | None = None
    """When a person's first greeting is over."""
    tone_started: float | None = None
    """When the tone begins that shows what it is."""
    cause: int | None = None
    said: list[Said] = field(default_factory=list)
    samples: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, dtype=np.int16))


def half_of(items: Sequence[T], half: str) -> list[T]:
    return list(items[HALVES.index(half) :: 2])


class Generator:
    """Makes the clips of one half."""

    def __init__(self, half: str, cache: Path, seed: int = 1) -> None:
        self.half = half
        self.random = np.random.default_rng([seed, HALVES.index(half)])
        self.speech = Speech(cache)
        self._plans = half_of([PLANS[country] for country in sorted(PLANS)], half)
        self.babble = self._make_babble()

    def clips(self, counts: Mapping[str, int] = COUNTS) -> Iterator[Clip]:
        for label, count in counts.items():
            for index in range(count // 2):
                yield self.clip(label, index)

    def clip(self, label: str, index: int) -> Clip:
        clip = Clip(f"{label}-{index:04d}", self.half, label, label)
        sound = getattr(self, f"_{label}")(clip)
        self._line(clip, sound)
        return clip

    # --- people and machines that speak ---------------------------------------------------------------------------

    def _language(self, tables: Mapping[str, object]) -> str:
        names = list(tables)
        weights = np.array([3.0 if name == "en" else 1.0 for name in names])
        return str(self.random.choice(names, p=weights / weights.sum()))

    def _voice(self, language: str) -> dict[str, object]:
        voices = [v for v in VOICES[self.half] if language == "en" or not v.startswith("flite:")]
        return {
            "voice": str(self.random.choice(voices)),
            "speed": int(self.random.integers(14, 20)) * 10,
            "pitch": int(self.random.integers(3, 8)) * 10,
        }

    def _say(self, clip: Clip, pieces: list[Sound], text: str, language: str, voice: dict[str, object]) -> None:
        started = sum(map(len, pieces)) / RATE
        sound = self.speech.say(text, language, **voice)  # type: ignore[arg-type]
        pieces.append(sound)
        clip.said.append(Said(text, language, started, started + len(sound) / RATE))

    def _pick(self, items: Sequence[T]) -> T:
        return items[int(self.random.integers(len(items)))]

    def _human(self, clip: Clip) -> Sound:
        random = self.random
        business = random.random() < 0.2
        if self.half == "test" and not business and random.random() < 0.15:
            language = str(random.choice(list(texts.OTHER_GREETINGS)))
            text = self._pick(texts.OTHER_GREETINGS[language])
        else:
            table = texts.BUSINESS_GREETINGS if business else texts.SHORT_GREETINGS
            language = self._language(table)
            text = self._pick(half_of(table[language], self.half))
        clip.kind = "business" if business else "short"
        clip.language = language
        voice = self._voice(language)
        pieces = [sounds.silence(random.uniform(0.05, 1.8))]
        self._say(clip, pieces, text, language, voice)
        again = half_of(texts.AGAIN.get(language, ("Hello?", "Hello?")), self.half)
        how = random.random()
        if how < 0.06:
            # "Hello? ... Hello?": one greeting with a pause in it.
            pieces.append(sounds.silence(random.uniform(0.25, 0.5)))
            self._say(clip, pieces, text if not business else self._pick(again), language, voice)
        clip.greeting_ended = clip.said[-1].ended
        rest = random.uniform(4.0, 6.0)
        if 0.06 < how < 0.35:
            wait = random.uniform(1.5, 3.5)
            pieces.append(sounds.silence(wait))
            self._say(clip, pieces, self._pick(again), language, voice)
            rest = random.uniform(3.0, 4.0)
        pieces.append(sounds.silence(rest))
        clip.started = clip.said[0].started
        return np.concatenate(pieces)

    def _sentences(
        self, clip: Clip, table: Mapping[str, Sequence[Sequence[str]]], pause: tuple[float, float]
    ) -> list[Sound]:
        language = self._language(table)
        voice = self._voice(language)
        clip.language = language
        pieces = [sounds.silence(self.random.uniform(0.1, 1.5))]
        wanted = self._pick(
            half_of(table[language], self.half) if language not in texts.OTHER_VOICEMAIL else table[language]
        )
        for index, text in enumerate(wanted):
            if index:
                pieces.append(sounds.silence(self.random.uniform(*pause)))
            self._say(clip, pieces, text, language, voice)
        clip.started = clip.said[0].started
        return pieces

    def _voicemail(self, clip: Clip) -> Sound:
        random = self.random
        other = self.half == "test" and random.random() < 0.12
        pieces = self._sentences(clip, texts.OTHER_VOICEMAIL if other else texts.VOICEMAIL, (0.2, 0.75))
        pieces.append(sounds.silence(random.uniform(0.2, 1.8)))
        clip.tone_started = sum(map(len, pieces)) / RATE
        pieces.append(self._beep(clip))
        pieces.append(sounds.silence(random.uniform(2.5, 4.0)))
        return np.concatenate(pieces)

    def _beep(self, clip: Clip) -> Sound:
        random = self.random
        # Even and odd steps of 50 Hz: the halves share no frequency.
        frequency = 400 + 100 * int(random.integers(0, 12)) + (50 if self.half == "test" else 0)
        length = float(random.uniform(0.15, 0.9))
        how = random.random()
        level = random.uniform(0.3, 1.0)
        if how < 0.1:
            clip.kind = "two beeps"
            beep = sounds.tone((frequency,), 0.18)
            return np.concatenate((beep, sounds.silence(0.1), beep)) * level
        if how < 0.2:
            clip.kind = "chime"
            return np.concatenate((sounds.tone((frequency,), 0.2), sounds.tone((frequency * 1.26,), 0.3))) * level
        return sounds.tone((frequency,), length) * level

    def _phone_menu(self, clip: Clip) -> Sound:
        pieces = self._sentences(clip, texts.MENU, (0.3, 1.0))
        pieces.append(sounds.silence(self.random.uniform(2.0, 4.0)))
        return np.concatenate(pieces)

    def _machine(self, clip: Clip) -> Sound:
        pieces = self._sentences(clip, texts.ANNOUNCEMENTS, (0.2, 0.8))
        pieces.append(sounds.silence(self.random.uniform(2.0, 5.0)))
        return np.concatenate(pieces)

    # --- tones, music, nothing ------------------------------------------------------------------------------------

    def _tone_of(self, kind: str) -> Tone:
        return self._pick([tone for tone in self._pick(self._plans) if tone.kind == kind])

    def _cadence(self, clip: Clip, kind: str) -> Sound:
        random = self.random
        shape = self._tone_of(kind)
        clip.kind = f"{shape.country} {'+'.join(f'{f:g}' for f in shape.frequencies)}"
        off = 1 + random.normal() * 0.003
        clip.started = clip.tone_started = float(random.uniform(0.1, 1.2))
        seconds = max(6.0, 1.6 * sum(shape.cadence))
        frequencies = [f * off for f in shape.frequencies]
        sound = sounds.cadence(frequencies, shape.cadence, seconds, modulation=shape.modulation)
        return np.concatenate((sounds.silence(clip.started), sound))

    def _busy(self, clip: Clip) -> Sound:
        return self._cadence(clip, "busy")

    def _ringback(self, clip: Clip) -> Sound:
        return self._cadence(clip, "ringback")

    def _sit(self, clip: Clip) -> Sound:
        random = self.random
        variants = (
            ("itu", (950, 1400, 1800), (0.33, 0.33, 0.33), 4),
            ("intercept", (913.8, 1370.6, 1776.7), (0.274, 0.274, 0.38), 22),
            ("vacant", (985.2, 1370.6, 1776.7), (0.38, 0.274, 0.38), 1),
            ("reorder", (913.8, 1428.5, 1776.7), (0.274, 0.38, 0.38), 42),
            ("no circuit", (985.2, 1428.5, 1776.7), (0.38, 0.38, 0.38), 34),
        )
        clip.kind, frequencies, lengths, clip.cause = self._pick(variants)
        clip.started = clip.tone_started = float(random.uniform(0.1, 1.2))
        gap = float(random.choice((0.0, 0.0, 0.015, 0.03)))
        pieces = [sounds.silence(clip.started)]
        for frequency, length in zip(frequencies, lengths, strict=True):
            pieces += [sounds.tone((frequency * (1 + random.normal() * 0.001),), length) * 0.6, sounds.silence(gap)]
        if random.random() < 0.6:
            pieces.append(sounds.silence(random.uniform(0.2, 0.8)))
            language = self._language(texts.ANNOUNCEMENTS)
            text = self._pick(self._pick(half_of(texts.ANNOUNCEMENTS[language], self.half)))
            self._say(clip, pieces, text, language, self._voice(language))
        pieces.append(sounds.silence(2.5))
        return np.concatenate(pieces)

    def _fax(self, clip: Clip) -> Sound:
        random = self.random
        clip.kind = str(random.choice(("cng", "ced", "ced+v21", "ansam")))
        clip.started = clip.tone_started = float(random.uniform(0.1, 2.0))
        off = random.uniform(-10, 10)
        if clip.kind == "cng":
            sound = sounds.cadence((1100 + 2 * off,), (0.5, 3.0), 7.5)
        elif clip.kind == "ansam":
            sound = sounds.ansam(4.0)
        else:
            pieces = [sounds.tone((2100 + off,), random.uniform(2.6, 4.0)), sounds.silence(0.075)]
            sound = np.concatenate([*pieces, sounds.v21(random, 2.0)] if clip.kind == "ced+v21" else pieces)
        return np.concatenate((sounds.silence(clip.started), sound, sounds.silence(1.5)))

    def _music(self, clip: Clip) -> Sound:
        random = self.random
        clip.kind = str(random.choice(sounds.STYLES[self.half]))
        clip.started = float(random.uniform(0.0, 1.0))
        seconds = random.uniform(8, 12)
        if clip.kind == "hold":
            loop = np.frombuffer(hold_music(RATE), dtype="<i2") / 32768
            sound = np.resize(np.roll(loop, -int(random.integers(len(loop)))), round(seconds * RATE))
        else:
            sound = sounds.music(random, clip.kind, seconds)
        return np.concatenate((sounds.silence(clip.started), sound))

    def _silence(self, clip: Clip) -> Sound:
        sound = sounds.silence(self.random.uniform(6, 12))
        if self.random.random() < 0.3:
            clip.kind = "clicks"
            for _ in range(3):
                place = int(self.random.integers(len(sound) - 400))
                sound[place : place + 200] += self.random.normal(size=200) * np.exp(-np.arange(200) / 50)
        return sound

    # --- the line --------------------------------------------------------------------------------------------------

    def _make_babble(self) -> Sound:
        length = 12 * RATE
        babble = np.zeros(length)
        for voice in VOICES[self.half][:10]:
            said = [
                self.speech.say(" ".join(sentences), "en", voice)
                for sentences in half_of(texts.VOICEMAIL["en"], self.half)[:4]
            ]
            babble += np.roll(np.resize(np.concatenate(said), length), int(self.random.integers(length)))
        return babble

    def _line(self, clip: Clip, sound: Sound) -> None:
        random = self.random
        clip.noise = str(random.choice(NOISES, p=(0.34, 0.26, 0.2, 0.2)))
        clip.codec = str(random.choice(CODECS))
        clip.loss = float(random.choice((0.0, 0.01, 0.03, 0.05), p=(0.55, 0.15, 0.15, 0.15)))
        level = float(random.uniform(-30, -14))
        sounding = bool(np.any(sound))
        if clip.label == "silence":
            sound = sound * 10 ** (-35 / 20)
        elif sounding:
            sound = sounds.at_level(sound, level)
        ratio = {
            "clean": 50.0,
            "line": random.uniform(15, 32),
            "car": random.uniform(12, 25),
            "babble": random.uniform(12, 22),
        }
        under = ratio[clip.noise] + (8 if clip.label == "silence" else 0)
        added = sounds.noise(random, clip.noise if clip.noise != "clean" else "line", len(sound), self.babble)
        mixed = sound + added * 10 ** ((level - under) / 20)
        samples = np.clip(mixed * 32767, -32768, 32767).astype(np.int16)
        samples = sounds.codec(samples, clip.codec)
        clip.samples = sounds.lose(random, samples, clip.loss) if clip.loss else samples


def write(folder: Path, seed: int = 1, counts: Mapping[str, int] = COUNTS) -> int:
    """Writes ``folder/half/label/name.wav`` and ``folder/half/clips.json``; returns how many clips there are."""
    total = 0
    for half in HALVES:
        facts = []
        for clip in Generator(half, folder / "speech", seed).clips(counts):
            path = folder / half / clip.label / f"{clip.name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE)
                file.writeframes(clip.samples.astype("<i2").tobytes())
            clip.samples = np.zeros(0, dtype=np.int16)
            fact = asdict(clip)
            del fact["samples"]
            facts.append(fact)
        (folder / half / "clips.json").write_text(json.dumps(facts, indent=1) + "\n")
        total += len(facts)
    return total


def read(folder: Path, half: str) -> Iterator[Clip]:
    """The clips of one half, as `write` left them."""
    for fact in json.loads((folder / half / "clips.json").read_text()):
        said = [Said(**each) for each in fact.pop("said")]
        clip = Clip(**fact, said=said)
        with wave.open(str(folder / half / clip.label / f"{clip.name}.wav")) as file:
            clip.samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)
        yield clip
