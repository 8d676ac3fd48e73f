"""The embedded voices: languages, cache, limits, crashes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time

import pytest

from cordboard.speech.ports import (
    Pcm,
    SpeechBusyError,
    SpeechCrashError,
    SpeechError,
    SpeechTimeoutError,
    SpeechUnavailableError,
    Voice,
)
from cordboard.speech.voices import (
    MAX_SENTENCE,
    EspeakVoice,
    FliteVoice,
    PhraseCache,
    espeak_voices,
    open_voice,
    sentences,
)

READY_THEN = (
    "import struct, sys, os, time\n"
    "out = sys.stdout.buffer\n"
    "def send(kind, data=b''): out.write(struct.pack('!cI', kind, len(data)) + data); out.flush()\n"
    "send(b'R')\n"
)


async def said(voice: Voice, text: str, language: str = "en-US") -> Pcm:
    pieces = [pcm async for pcm in voice.speak(text, language)]
    return Pcm(pieces[0].rate if pieces else 0, b"".join(pcm.data for pcm in pieces))


def test_espeak_speaks_several_languages_from_its_wheel_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine is needed: no program on the PATH, no data path."""

    async def run() -> None:
        voice = EspeakVoice(environment={})
        try:
            english = await said(voice, "Good morning.")
            german = await said(voice, "Good morning.", "de-DE")
            unknown = await said(voice, "Good morning.", "tlh-XX")
        finally:
            await voice.close()
        assert english.rate == 22050
        assert 0.4 < english.seconds < 3
        # The engine's noise differs from run to run; the words' length does not.
        assert abs(german.seconds - english.seconds) > 0.01
        assert abs(unknown.seconds - english.seconds) < 0.01

    asyncio.run(run())


def test_repeated_phrases_come_from_the_cache_and_simultaneous_ones_are_joined() -> None:
    async def run() -> None:
        voice = EspeakVoice()
        try:
            first, second = await asyncio.gather(
                said(voice, "Please hold the line."), said(voice, "Please hold the line.")
            )
            assert first == second
            assert len(voice.cache) == 1
            await voice.helper.stop()
            assert await said(voice, "Please hold the line.") == first
            assert voice.helper.pid is None, "the engine was not asked again"
            assert voice.waiting == 0
        finally:
            await voice.close()

    asyncio.run(run())


def test_a_crashed_engine_starts_again_for_the_next_sentence() -> None:
    async def run() -> None:
        voice = EspeakVoice()
        try:
            await said(voice, "One.")
            pid = voice.helper.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            # Whether the death is noticed before or while asking, at most one sentence is lost.
            with contextlib.suppress(SpeechCrashError):
                await said(voice, "Two.")
            assert (await said(voice, "Three.")).data
            assert voice.helper.starts == 2
        finally:
            await voice.close()

    asyncio.run(run())


def test_a_late_engine_is_stopped_at_the_time_limit() -> None:
    async def run() -> None:
        voice = EspeakVoice(timeout=0.5, command=(sys.executable, "-c", READY_THEN + "time.sleep(60)"))
        started = time.monotonic()
        with pytest.raises(SpeechTimeoutError):
            await said(voice, "Hello.")
        assert time.monotonic() - started < 5
        assert voice.helper.pid is None
        await voice.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "program",
    ["send(b'D', b'not json')", "out.write(b'Dgarbage-with-a-length-beyond-reason' * 9); out.flush()", "sys.exit(3)"],
)
def test_a_broken_engine_is_a_typed_error(program: str) -> None:
    async def run() -> None:
        voice = EspeakVoice(timeout=5, command=(sys.executable, "-c", READY_THEN + program))
        with pytest.raises(SpeechError):
            await said(voice, "Hello.")
        await voice.close()

    asyncio.run(run())


def test_an_engine_that_is_not_there_is_a_typed_error() -> None:
    async def run() -> None:
        voice = EspeakVoice(command=("/nonexistent/program",))
        with pytest.raises(SpeechUnavailableError):
            await said(voice, "Hello.")

    asyncio.run(run())


def test_the_queue_is_bounded() -> None:
    async def run() -> None:
        voice = EspeakVoice(timeout=2, max_waiting=2, command=(sys.executable, "-c", READY_THEN + "time.sleep(60)"))
        tasks = [asyncio.ensure_future(said(voice, f"Sentence {number}.")) for number in range(2)]
        while voice.waiting < 2:
            await asyncio.sleep(0)
        with pytest.raises(SpeechBusyError):
            await said(voice, "One too many.")
        await voice.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert voice.waiting == 0

    asyncio.run(run())


def test_barge_in_leaves_nothing_behind() -> None:
    async def run() -> None:
        voice = EspeakVoice()
        try:
            async for _ in voice.speak("First sentence. Second sentence. Third sentence."):
                break
            assert (await said(voice, "Another one.")).data
            while voice.waiting:
                await asyncio.sleep(0)
        finally:
            await voice.close()

    asyncio.run(run())


def test_no_engine_outlives_close() -> None:
    async def run() -> int:
        voice = EspeakVoice()
        await said(voice, "Hello.")
        pid = voice.helper.pid
        assert pid is not None
        await voice.close()
        return pid

    pid = asyncio.run(run())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_cache_is_bounded_in_entries_and_bytes() -> None:
    cache = PhraseCache(entries=3, size=1000)
    for number in range(5):
        cache.put(("en", str(number)), Pcm(8000, bytes(100)))
    assert len(cache) == 3
    assert cache.get(("en", "2")) is not None
    cache.put(("en", "5"), Pcm(8000, bytes(100)))
    assert cache.get(("en", "2")) is not None, "the least recently used goes, not the oldest"
    assert cache.get(("en", "3")) is None
    cache.put(("en", "long"), Pcm(8000, bytes(500)))
    assert cache.get(("en", "long")) is None
    assert cache.size == 300


def test_sentences_are_cut_cleaned_and_bounded() -> None:
    assert sentences("Hello. How are you?\nFine <b>!") == ["Hello.", "How are you?", "Fine b !"]
    assert sentences("  ...  ") == []
    assert all(len(piece) <= MAX_SENTENCE for piece in sentences("word " * 3000))


def test_language_tags_choose_voices() -> None:
    assert espeak_voices("en-US")[0] == "en-us"
    assert espeak_voices("pt_BR")[:2] == ["pt-br", "pt"]
    assert espeak_voices("de-DE", "f3")[1] == "de+f3"


@pytest.mark.parametrize("name", ["nobody", "espeak:../../x", "flite:a b"])
def test_an_unknown_voice_is_refused(name: str) -> None:
    with pytest.raises(SpeechUnavailableError):
        open_voice(name)


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_flite_speaks() -> None:
    async def run() -> None:
        voice = FliteVoice()
        pcm = await said(voice, "- Good morning. How are you?")
        assert pcm.rate == 16000
        assert 0.8 < pcm.seconds < 5
        await voice.close()

    asyncio.run(run())
