"""The embedded voices: espeak-ng (always there) and flite (when the machine has it), chosen by `open_voice`.

Both render sentence by sentence, join who asks for the same sentence at the same time, and keep what was rendered
in a bounded cache: greetings and announcements repeat on every call.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import tempfile
import wave
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence

from .espeak_worker import AUDIO, DONE, SPEAK
from .pipe import ERROR, Helper, python_helper
from .ports import (
    Pcm,
    SpeechBusyError,
    SpeechCrashError,
    SpeechError,
    SpeechTimeoutError,
    SpeechUnavailableError,
    Voice,
)

DEFAULT_TIMEOUT = 10.0
"""Seconds for one sentence, where the caller of `open_voice` names no limit (setting timeouts.speech)."""

MAX_SENTENCE = 400
"""Characters given to an engine at once."""

MAX_TEXT = 10_000
"""Characters of one `speak`; what is beyond is not spoken."""

_SENTENCE_END = re.compile(r"(?<=[.!?;:。！？])\s+|\n+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f<>]+")


def sentences(text: str) -> list[str]:
    """Text in pieces of at most MAX_SENTENCE characters, cut at sentence ends, else at spaces."""
    found: list[str] = []
    for sentence in _SENTENCE_END.split(text[:MAX_TEXT]):
        rest = " ".join(_CONTROL.sub(" ", sentence).split())
        while len(rest) > MAX_SENTENCE:
            cut = rest.rfind(" ", 0, MAX_SENTENCE)
            cut = cut if cut > 0 else MAX_SENTENCE
            found.append(rest[:cut])
            rest = rest[cut:].strip()
        if any(character.isalnum() for character in rest):
            found.append(rest)
    return found


class PhraseCache:
    """What was rendered last, at most `entries` phrases and `size` bytes; the least recently used goes first."""

    def __init__(self, entries: int = 256, size: int = 16 * 1024 * 1024) -> None:
        self._entries = entries
        self._limit = size
        self._size = 0
        self._phrases: OrderedDict[tuple[str, str], Pcm] = OrderedDict()

    def __len__(self) -> int:
        return len(self._phrases)

    @property
    def size(self) -> int:
        """Bytes of sound that are kept."""
        return self._size

    def get(self, key: tuple[str, str]) -> Pcm | None:
        pcm = self._phrases.get(key)
        if pcm is not None:
            self._phrases.move_to_end(key)
        return pcm

    def put(self, key: tuple[str, str], pcm: Pcm) -> None:
        """Keeps the phrase unless it alone would take more than a quarter of the cache."""
        if key in self._phrases or len(pcm.data) > self._limit // 4:
            return
        self._phrases[key] = pcm
        self._size += len(pcm.data)
        while self._size > self._limit or len(self._phrases) > self._entries:
            _, dropped = self._phrases.popitem(last=False)
            self._size -= len(dropped.data)


class RenderedVoice(ABC):
    """A voice that renders whole sentences: cache, joining, bounded queue. A subclass renders one."""

    def __init__(
        self, name: str, *, provider: str, timeout: float, max_waiting: int, cache: PhraseCache | None
    ) -> None:
        self._name = name
        self.provider = provider
        self.timeout = timeout
        self.cache = cache or PhraseCache()
        self._max_waiting = max_waiting
        self._pending: dict[tuple[str, str], asyncio.Task[Pcm]] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def waiting(self) -> int:
        """Sentences that are being rendered or wait for it."""
        return len(self._pending)

    async def speak(self, text: str, language: str = "en-US") -> AsyncIterator[Pcm]:
        """One piece for each sentence; the next is rendered while the caller takes this one."""
        rest = sentences(text)
        task = self._ask(rest[0], language) if rest else None
        for index in range(len(rest)):
            assert task is not None
            # Shielded: a sentence belongs to everybody who waits for it, and to the cache.
            pcm = await asyncio.shield(task)
            if index + 1 < len(rest):
                task = self._ask(rest[index + 1], language)
            if pcm.data:
                yield pcm

    def _ask(self, sentence: str, language: str) -> asyncio.Task[Pcm]:
        key = (language.lower(), sentence)
        task = self._pending.get(key)
        if task is None:
            if self.cache.get(key) is None and len(self._pending) >= self._max_waiting:
                raise SpeechBusyError(self.provider, "speak", f"{self._max_waiting} sentences are waiting")
            task = asyncio.get_running_loop().create_task(self._rendered(key))
            self._pending[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        return task

    def _finished(self, key: tuple[str, str], task: asyncio.Task[Pcm]) -> None:
        self._pending.pop(key, None)
        # Whoever waits gets the error; when nobody does any more, it is nobody's.
        if not task.cancelled():
            task.exception()

    async def _rendered(self, key: tuple[str, str]) -> Pcm:
        pcm = self.cache.get(key)
        if pcm is None:
            pcm = await self._render(key[1], key[0])
            self.cache.put(key, pcm)
        return pcm

    @abstractmethod
    async def _render(self, sentence: str, language: str) -> Pcm: ...

    async def close(self) -> None:
        pending = list(self._pending.values())
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


# BCP 47 primary or full tags whose espeak-ng voice has another name.
_ESPEAK_VOICES = {
    "en": "en-us",
    "zh": "cmn",
    "zh-cn": "cmn",
    "zh-hk": "yue",
    "no": "nb",
    "es-mx": "es-419",
    "es-us": "es-419",
    "fr": "fr-fr",
    "en-au": "en-gb",
    "en-ie": "en-gb",
}


def espeak_voices(language: str, variant: str = "") -> list[str]:
    """espeak-ng voice names for a language tag, best first: the tag itself, its language, English."""
    tag = language.lower().replace("_", "-")
    primary = tag.split("-")[0]
    names = dict.fromkeys((_ESPEAK_VOICES.get(tag, tag), _ESPEAK_VOICES.get(primary, primary), "en-us"))
    suffix = f"+{variant}" if variant else ""
    return [f"{name}{suffix}" for name in names]


class EspeakVoice(RenderedVoice):
    """espeak-ng in a helper process. `variant` is one of espeak-ng's timbres (``f3``, ``m5``); 22,050 samples a second.

    A crash or a time-out fails the sentence that it met; the next starts the process again.
    """

    def __init__(
        self,
        variant: str = "",
        *,
        timeout: float = DEFAULT_TIMEOUT,
        words_per_minute: int = 160,
        max_waiting: int = 64,
        cache: PhraseCache | None = None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        name = f"espeak:{variant}" if variant else "espeak"
        super().__init__(name, provider="espeak", timeout=timeout, max_waiting=max_waiting, cache=cache)
        self._variant = variant
        self._words_per_minute = words_per_minute
        self._lock = asyncio.Lock()
        self.helper = Helper(
            "espeak",
            command or python_helper("cordboard.speech.espeak_worker"),
            timeout=timeout,
            environment=environment,
        )

    async def _render(self, sentence: str, language: str) -> Pcm:
        request = {
            "text": sentence,
            "voices": espeak_voices(language, self._variant),
            "words_per_minute": self._words_per_minute,
        }
        async with self._lock:
            frames = await self.helper.request(SPEAK, json.dumps(request).encode(), last=DONE)
        kind, payload = frames[-1]
        if kind == ERROR:
            raise SpeechError("espeak", "speak", payload.decode(errors="replace")[:200])
        sound = b"".join(data for kind, data in frames[:-1] if kind == AUDIO)
        try:
            return Pcm(int(json.loads(payload)["rate"]), sound)
        except (ValueError, KeyError, TypeError):
            raise SpeechCrashError("espeak", "speak", "the helper process broke its protocol") from None

    async def close(self) -> None:
        await super().close()
        await self.helper.stop()


class FliteVoice(RenderedVoice):
    """The machine's own ``flite`` program, one short run for each sentence. English only.

    Raises SpeechUnavailableError where the program is not on the PATH.
    """

    def __init__(
        self,
        variant: str = "slt",
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_waiting: int = 64,
        parallel: int = 2,
        cache: PhraseCache | None = None,
        program: str | None = None,
    ) -> None:
        super().__init__(f"flite:{variant}", provider="flite", timeout=timeout, max_waiting=max_waiting, cache=cache)
        path = program or shutil.which("flite")
        if path is None:
            raise SpeechUnavailableError("flite", "start", "the program flite is not installed")
        if not re.fullmatch(r"[A-Za-z0-9_]+", variant):
            raise SpeechUnavailableError("flite", "start", f"no voice {variant!r}")
        self._program = path
        self._variant = variant
        self._slots = asyncio.Semaphore(parallel)

    async def _render(self, sentence: str, language: str) -> Pcm:
        async with self._slots:
            # Files of our own eyes only: arguments are shown to every user of the machine, and flite does not
            # write a text file's speech to a pipe.
            with tempfile.TemporaryDirectory(prefix="speech-") as folder:
                text, sound = os.path.join(folder, "text"), os.path.join(folder, "sound.wav")
                _write(text, sentence)
                await self._run("-voice", self._variant, "-f", text, "-o", sound)
                return _wave(_read(sound))

    async def _run(self, *arguments: str) -> None:
        process: asyncio.subprocess.Process | None = None
        try:
            async with asyncio.timeout(self.timeout):
                process = await asyncio.create_subprocess_exec(
                    self._program,
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    env={},
                    start_new_session=True,
                )
                await process.wait()
        except TimeoutError:
            raise SpeechTimeoutError("flite", "speak", f"no answer within {self.timeout:g} s") from None
        except OSError as error:
            raise SpeechUnavailableError("flite", "start", str(error)) from error
        finally:
            if process is not None and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise SpeechCrashError("flite", "speak", "no sound was written") from None


def _wave(data: bytes) -> Pcm:
    try:
        with wave.open(io.BytesIO(data)) as file:
            if file.getsampwidth() != 2 or file.getnchannels() != 1:
                raise SpeechCrashError("flite", "speak", "not 16 bit sound with one channel")
            return Pcm(file.getframerate(), file.readframes(len(data)))
    except (wave.Error, EOFError) as error:
        raise SpeechCrashError("flite", "speak", f"not a WAV file: {error}") from error


def open_voice(name: str = "espeak", *, timeout: float = DEFAULT_TIMEOUT) -> Voice:
    """The embedded voice called `name`: ``espeak``, ``espeak:f3`` (a timbre), ``flite``, ``flite:rms`` (a speaker).

    ``embedded``, ``default`` and the empty name are espeak. `timeout` is in seconds for each sentence
    (timeouts.speech). Raises SpeechUnavailableError for any other name and for a flite that is not installed.
    """
    provider, _, variant = name.strip().partition(":")
    match provider.lower():
        case "espeak" | "espeak-ng" | "embedded" | "default" | "":
            if variant and not re.fullmatch(r"[A-Za-z0-9_-]+", variant):
                raise SpeechUnavailableError("espeak", "start", f"no voice {variant!r}")
            return EspeakVoice(variant, timeout=timeout)
        case "flite":
            return FliteVoice(variant or "slt", timeout=timeout)
    raise SpeechUnavailableError(provider[:40], "start", "no voice of this name")
