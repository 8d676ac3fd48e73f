"""The embedded recogniser: pocketsphinx with a full grammar, in a bounded pool of helper processes.

A hearing cuts its leg's sound into utterances by voice activity, on the loop and cheaply; an utterance that has
ended goes to the first free helper. So a few helpers serve many legs, and only who speaks needs one. English,
16 kHz; telephone sound may be resampled from 8 kHz.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from .activity import FRAME_SECONDS, EnergyActivity
from .grammar import GrammarError, parse
from .pipe import ERROR, Helper, python_helper
from .pocketsphinx_worker import DONE, GRAMMAR, KEY_BYTES, UNKNOWN, UTTERANCE
from .ports import (
    FRAME_SAMPLES,
    Grammar,
    SpeechBusyError,
    SpeechCrashError,
    SpeechError,
    Utterance,
    VoiceActivity,
)

FRAME_BYTES = FRAME_SAMPLES * 2

PRE_ROLL = 0.3
"""Seconds before the onset that belong to the utterance: the gate opens after the first sounds."""

SHORTEST = 0.12
"""Seconds of voice below which it was a click."""

MAX_SEGMENTS = 4
"""Utterances of one leg that wait for a helper; a further one is answered with a fault."""

MAX_RESULTS = 32
"""Utterances that wait to be taken from a hearing; the oldest goes first."""


class PocketsphinxPool:
    """`workers` decoders. At most `max_waiting` utterances wait, and none longer than `timeout` seconds."""

    def __init__(
        self,
        *,
        workers: int,
        timeout: float,
        max_waiting: int,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.timeout = timeout
        self._max_waiting = max_waiting
        self._waiting = 0
        command = command or python_helper("cordboard.speech.pocketsphinx_worker")
        self.helpers = [
            Helper("pocketsphinx", command, timeout=timeout, environment=environment) for _ in range(workers)
        ]
        # Last in, first out: a quiet house uses one warm helper and never starts the others.
        self._free: asyncio.LifoQueue[Helper] = asyncio.LifoQueue()
        for helper in reversed(self.helpers):
            self._free.put_nowait(helper)

    async def decode(self, grammar: Grammar, sound: bytes) -> Utterance:
        """Raises SpeechBusyError when no helper is free in time, or another SpeechError."""
        if self._free.empty() and self._waiting >= self._max_waiting:
            raise SpeechBusyError("pocketsphinx", "decode", f"no recogniser free, {self._waiting} utterances wait")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.timeout):
                helper = await self._free.get()
        except TimeoutError:
            raise SpeechBusyError("pocketsphinx", "decode", f"no recogniser free for {self.timeout:g} s") from None
        finally:
            self._waiting -= 1
        try:
            return await self._decode(helper, grammar, sound)
        finally:
            self._free.put_nowait(helper)

    async def warm(self, grammar: Grammar) -> None:
        """Starts a helper and compiles the grammar, so that the first utterance does not wait for it."""
        await self.decode(grammar, b"")

    async def _decode(self, helper: Helper, grammar: Grammar, sound: bytes) -> Utterance:
        key, request = _request(
            tuple((intent, phrases) for intent, phrases in grammar.intents.items()), grammar.competing
        )
        kind, payload = (await helper.request(UTTERANCE, key + sound, last=DONE, others=(UNKNOWN,)))[-1]
        if kind == UNKNOWN:
            kind, payload = (await helper.request(GRAMMAR, request, last=DONE))[-1]
            if kind == DONE:
                kind, payload = (await helper.request(UTTERANCE, key + sound, last=DONE, others=(UNKNOWN,)))[-1]
        if kind == ERROR:
            raise SpeechError("pocketsphinx", "decode", payload.decode(errors="replace")[:200])
        try:
            result = json.loads(payload)
            return Utterance(str(result["text"]), result["intent"], float(result["confidence"]))
        except (ValueError, KeyError, TypeError):
            raise SpeechCrashError("pocketsphinx", "decode", "the helper process broke its protocol") from None

    async def close(self) -> None:
        for helper in self.helpers:
            await helper.stop()


@lru_cache(maxsize=256)
def _request(intents: tuple[tuple[str, tuple[str, ...]], ...], competing: tuple[str, ...]) -> tuple[bytes, bytes]:
    content = {"intents": dict(intents), "competing": competing}
    key = hashlib.sha256(json.dumps(content).encode()).digest()[:KEY_BYTES]
    return key, json.dumps({"key": key.hex(), **content}).encode()


class PocketsphinxHearing:
    """One leg's ear. `feed` costs a level measurement a frame; decoding happens elsewhere."""

    def __init__(
        self,
        pool: PocketsphinxPool,
        grammar: Grammar,
        activity: VoiceActivity,
        *,
        end_silence: float,
        utterance_limit: float,
        closed: Callable[[PocketsphinxHearing], None],
    ) -> None:
        self._pool = pool
        self._grammar = grammar
        self._activity = activity
        self._end_frames = max(1, round(end_silence / FRAME_SECONDS))
        self._limit_frames = max(1, round(utterance_limit / FRAME_SECONDS))
        self._on_closed = closed
        self._rest = bytearray()
        self._before: deque[bytes] = deque(maxlen=round(PRE_ROLL / FRAME_SECONDS))
        self._frames: list[bytes] = []
        self._frame = 0
        self._voiced = 0
        self._quiet = 0
        self._generation = 0
        self._segments: deque[tuple[int, Utterance, bytes, float]] = deque()
        self._results: deque[Utterance] = deque(maxlen=MAX_RESULTS)
        self._changed = asyncio.Event()
        self._work = asyncio.Event()
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(self._decode())

    @property
    def speaking(self) -> bool:
        """An utterance is in progress."""
        return bool(self._frames)

    def feed(self, pcm: bytes | memoryview) -> None:
        if self._closed:
            return
        self._rest += pcm
        while len(self._rest) >= FRAME_BYTES:
            frame = bytes(self._rest[:FRAME_BYTES])
            del self._rest[:FRAME_BYTES]
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        self._frame += 1
        active = self._activity.feed(frame)
        if not self._frames:
            if not active:
                self._before.append(frame)
                return
            self._frames = [*self._before]
            self._before.clear()
        self._frames.append(frame)
        self._voiced += active
        self._quiet = 0 if active else self._quiet + 1
        if self._quiet >= self._end_frames or len(self._frames) >= self._limit_frames:
            self._end()

    def _end(self) -> None:
        frames, self._frames = self._frames, []
        voiced, self._voiced = self._voiced, 0
        quiet, self._quiet = self._quiet, 0
        if voiced * FRAME_SECONDS < SHORTEST:
            return
        started = (self._frame - len(frames)) * FRAME_SECONDS
        utterance = Utterance("", started=started, ended=(self._frame - quiet) * FRAME_SECONDS)
        if len(self._segments) >= MAX_SEGMENTS:
            fault = SpeechBusyError("pocketsphinx", "listen", f"no recogniser free, {MAX_SEGMENTS} utterances wait")
            self._result(replace(utterance, fault=fault))
            return
        now = asyncio.get_running_loop().time()
        # A long silence at the end is taken for words by a grammar that has to be finished.
        sound = b"".join(frames[: len(frames) - quiet])
        self._segments.append((self._generation, utterance, sound, now))
        self._work.set()

    def discard(self) -> None:
        self._generation += 1
        self._segments.clear()
        self._results.clear()
        self._frames = []
        self._before.clear()
        self._rest.clear()
        self._voiced = self._quiet = 0
        self._activity.reset()

    def _result(self, utterance: Utterance) -> None:
        self._results.append(utterance)
        self._changed.set()

    async def _decode(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._work.clear()
            while self._segments:
                generation, utterance, sound, since = self._segments.popleft()
                try:
                    heard = await self._pool.decode(self._grammar, sound)
                    utterance = replace(utterance, text=heard.text, intent=heard.intent, confidence=heard.confidence)
                except SpeechError as error:
                    utterance = replace(utterance, fault=error)
                if generation == self._generation:
                    self._result(replace(utterance, latency=loop.time() - since))

    async def __aiter__(self) -> AsyncIterator[Utterance]:
        while True:
            while self._results:
                yield self._results.popleft()
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._changed.set()
        self._on_closed(self)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class PocketsphinxRecogniser:
    """`Recogniser` on this machine.

    `timeout` (seconds, timeouts.speech) limits waiting for a helper and its answer, each. An utterance ends after
    `end_silence` seconds without voice (beyond the activity detector's own), or at `utterance_limit` seconds.
    `max_hearings` legs may listen at once.
    """

    name = "pocketsphinx"

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        workers: int = 2,
        max_waiting: int = 16,
        max_hearings: int = 512,
        end_silence: float = 0.3,
        utterance_limit: float = 8.0,
        activity: Callable[[], VoiceActivity] = EnergyActivity,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.pool = PocketsphinxPool(
            workers=workers, timeout=timeout, max_waiting=max_waiting, command=command, environment=environment
        )
        self._max_hearings = max_hearings
        self._end_silence = end_silence
        self._utterance_limit = utterance_limit
        self._activity = activity
        self._hearings: set[PocketsphinxHearing] = set()

    @property
    def hearings(self) -> int:
        """Open ears; zero after every leg has gone."""
        return len(self._hearings)

    def listen(self, phrases: Grammar) -> PocketsphinxHearing:
        """Raises SpeechBusyError when too many listen, SpeechError for a phrase that cannot be read."""
        if len(self._hearings) >= self._max_hearings:
            raise SpeechBusyError("pocketsphinx", "listen", f"{self._max_hearings} legs are listening")
        try:
            for phrase in (*phrases.competing, *(p for group in phrases.intents.values() for p in group)):
                parse(phrase)
        except GrammarError as error:
            raise SpeechError("pocketsphinx", "listen", str(error)) from error
        hearing = PocketsphinxHearing(
            self.pool,
            phrases,
            self._activity(),
            end_silence=self._end_silence,
            utterance_limit=self._utterance_limit,
            closed=self._hearings.discard,
        )
        self._hearings.add(hearing)
        return hearing

    async def warm(self, phrases: Grammar) -> None:
        """Starts a helper with this grammar ahead of the first call. Raises SpeechError."""
        await self.pool.warm(phrases)

    async def close(self) -> None:
        for hearing in list(self._hearings):
            await hearing.close()
        await self.pool.close()
