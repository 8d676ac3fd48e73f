"""What the rest of the house knows of speech: voices, recognisers, voice activity.

Everything here is a Protocol or a frozen value. An engine (embedded, or somebody's service) satisfies
them structurally and is chosen by name. Sound is 16 bit signed little endian PCM with one channel.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

RECOGNISER_RATE = 16_000
"""Samples a second of everything that a recogniser or a voice activity detector is fed."""

FRAME_SAMPLES = 320
"""Samples of one voice activity frame: 20 ms at 16 kHz, the board's tap frame."""


@dataclass(frozen=True, slots=True)
class Pcm:
    """A stretch of sound: `data` is int16 little endian, one channel, `rate` samples a second."""

    rate: int
    data: bytes

    @property
    def seconds(self) -> float:
        return len(self.data) / 2 / self.rate


class SpeechError(Exception):
    """A speech engine could not do its work.

    `provider` names the engine (``espeak``, ``flite``, ``pocketsphinx``), `stage` what it was doing
    (``start``, ``speak``, ``listen``, ``decode``), `detail` what went wrong in words fit for a record.
    The call goes on after any of these: another voice, keys instead of words, an apology.
    """

    def __init__(self, provider: str, stage: str, detail: str) -> None:
        super().__init__(f"{provider}: {stage}: {detail}")
        self.provider = provider
        self.stage = stage
        self.detail = detail


class SpeechUnavailableError(SpeechError):
    """The engine, its program or its data is not installed, or its name is not known."""


class SpeechTimeoutError(SpeechError):
    """The engine gave nothing within the time limit; it has been stopped and starts afresh."""


class SpeechCrashError(SpeechError):
    """The engine's process ended or broke its protocol; the next request starts a new one."""


class SpeechBusyError(SpeechError):
    """Too much is asked at once: a bounded queue or pool is full (``no recogniser free``)."""


@runtime_checkable
class Voice(Protocol):
    """Text to speech."""

    @property
    def name(self) -> str:
        """The name that `open_voice` was given, for records and settings."""
        ...

    def speak(self, text: str, language: str = "en-US") -> AsyncIterator[Pcm]:
        """The sound of `text`, in pieces as they are ready; `language` is a BCP 47 tag.

        Leaving the iteration early (barge-in) stops the rendering. Text without anything to say gives no
        piece. Raises SpeechError from the iteration; pieces that came before it are good.
        """
        ...

    async def close(self) -> None:
        """Ends the engine's processes. Speaking afterwards starts them again."""
        ...


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a hearing listens for.

    `intents` maps an intent's name to its phrases, `competing` holds what callers say besides: without
    competing branches a grammar hears its own phrases in everything. A phrase is plain words, with
    ``[optional words]`` and ``(one | other)`` where wanted. Words that an engine does not know are
    its own business: it drops the word, or the phrase when too little is left.
    """

    intents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    competing: tuple[str, ...] = ()
    language: str = "en-US"


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech, understood or not.

    `text` is what was heard (lower case; empty when nothing in the grammar fits), `intent` the intent
    whose phrase it was (None: speech, but none of the intents), `confidence` 0 to 1. `started` and `ended`
    are seconds of sound since the hearing's first sample; `latency` the seconds between the moment the end of
    speech was known and the result. `fault` is set when the engine failed: something was said, and we do
    not know what. That is a result like any other, so that the one who listens can record it and ask again.
    """

    text: str
    intent: str | None = None
    confidence: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    latency: float = 0.0
    fault: SpeechError | None = None


class Hearing(Protocol):
    """One ear: sound in, utterances out. Belongs to one leg."""

    def feed(self, pcm: bytes | memoryview) -> None:
        """Sound at 16 kHz, any length of whole samples. Never blocks and never raises once closed."""
        ...

    def discard(self) -> None:
        """Forgets the utterance in progress and what waits (the caller was put on hold)."""
        ...

    def __aiter__(self) -> AsyncIterator[Utterance]:
        """Utterances as they end; the iteration ends after `close`."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Recogniser(Protocol):
    """Speech to text."""

    @property
    def name(self) -> str: ...

    def listen(self, phrases: Grammar) -> Hearing:
        """Opens an ear. Raises SpeechBusyError when as many are open as allowed. Needs a running loop."""
        ...

    async def close(self) -> None:
        """Closes every hearing and ends the engine's processes."""
        ...


@runtime_checkable
class VoiceActivity(Protocol):
    """Is somebody speaking? One instance for each leg, since it adapts to the line."""

    def feed(self, frame: bytes | memoryview) -> bool:
        """One frame of FRAME_SAMPLES samples (20 ms at 16 kHz); true while speech lasts."""
        ...

    def reset(self) -> None:
        """Forgets the line: the next frame is the first."""
        ...
