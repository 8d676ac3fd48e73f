"""The embedded recogniser, fed with telephone sound of the embedded voices."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from cordboard.conversation.rules import RuleAction, Rules
from cordboard.speech.ports import Grammar, Recogniser, SpeechBusyError, SpeechError, SpeechTimeoutError, Utterance
from cordboard.speech.recogniser import PocketsphinxHearing, PocketsphinxRecogniser
from cordboard.speech.voices import open_voice

from .sound import telephone
from .test_voices import READY_THEN, said

PERSON = Rules([RuleAction("person", "LIVE_TRANSFER", "Use this when the caller asks for a person.")]).phrases()
"""What a sample agent listens for: competing branches do their work only in a grammar of real size."""


async def heard(
    recogniser: PocketsphinxRecogniser, sounds: Sequence[bytes], grammar: Grammar = PERSON, *, expect: int | None = None
) -> list[Utterance]:
    """Feeds each sound in 20 ms pieces and takes one utterance for each (or `expect` in all)."""
    hearing = recogniser.listen(grammar)
    for sound in sounds:
        for start in range(0, len(sound), 640):
            hearing.feed(memoryview(sound)[start : start + 640])
    found = []
    async with asyncio.timeout(20):
        async for utterance in hearing:
            found.append(utterance)
            if len(found) == (len(sounds) if expect is None else expect):
                break
    await hearing.close()
    return found


async def spoken(name: str, *texts: str) -> list[bytes]:
    voice = open_voice(name)
    try:
        return [telephone(await said(voice, text)) for text in texts]
    finally:
        await voice.close()


def tone(seconds: float, level: float = 0.2) -> bytes:
    wave = level * 32767 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * 16000)) / 16000)
    return wave.astype("<i2").tobytes()


def silence(seconds: float) -> bytes:
    return bytes(round(seconds * 16000) * 2)


@pytest.mark.parametrize(
    "voice",
    ["espeak", pytest.param("flite", marks=pytest.mark.skipif(shutil.which("flite") is None, reason="no flite"))],
)
def test_the_wish_for_a_person_survives_a_telephone_line(voice: str) -> None:
    async def run() -> None:
        recogniser = PocketsphinxRecogniser(workers=1)
        try:
            sounds = await spoken(voice, "I want to talk to a person.", "Can somebody help me?")
            for utterance in await heard(recogniser, sounds):
                assert utterance.fault is None
                assert utterance.intent == "person", utterance
                assert 0.5 < utterance.ended - utterance.started < 4
        finally:
            await recogniser.close()

    asyncio.run(run())


def test_unrelated_sentences_are_not_taken_for_the_wish() -> None:
    """Competing branches and the filler refuse what the grammar was not made for."""

    async def run() -> None:
        recogniser = PocketsphinxRecogniser(workers=1)
        try:
            sounds = await spoken(
                "flite" if shutil.which("flite") else "espeak",
                "What are your opening hours?",
                "The weather is nice today.",
                "The quick brown fox jumps over the lazy dog.",
                "My printer is out of paper.",
                "We will be late because of the snow.",
                "I forgot to bring my keys.",
            )
            intents = [utterance.intent for utterance in await heard(recogniser, sounds)]
            assert intents == [None] * len(sounds)
        finally:
            await recogniser.close()

    asyncio.run(run())


def test_unknown_words_do_not_spoil_a_grammar() -> None:
    async def run() -> None:
        recogniser = PocketsphinxRecogniser(workers=1)
        grammar = Grammar({"person": (*PERSON.intents["person"], "zyxwvu please", "qqqq")}, PERSON.competing)
        try:
            sounds = await spoken("espeak", "I want to talk to a person.")
            assert [utterance.intent for utterance in await heard(recogniser, sounds, grammar)] == ["person"]
        finally:
            await recogniser.close()

    asyncio.run(run())


def test_a_phrase_that_cannot_be_read_is_refused_at_once() -> None:
    async def run() -> None:
        recogniser = PocketsphinxRecogniser()
        assert isinstance(recogniser, Recogniser)
        with pytest.raises(SpeechError):
            recogniser.listen(Grammar({"x": ("(open",)}))
        assert recogniser.hearings == 0

    asyncio.run(run())


ANSWERS = READY_THEN + (
    "while True:\n"
    "    head = sys.stdin.buffer.read(5)\n"
    "    if len(head) < 5: break\n"
    "    body = sys.stdin.buffer.read(struct.unpack('!cI', head)[1])\n"
    '    send(b\'D\', b\'{"text": "%d", "intent": null, "confidence": 1}\' % len(body))\n'
)
"""A helper that answers with the number of bytes it was sent."""


def scripted(program: str, **options: float) -> PocketsphinxRecogniser:
    settings = {"timeout": 5.0, **options}
    return PocketsphinxRecogniser(
        workers=1,
        command=(sys.executable, "-c", program),
        timeout=settings["timeout"],
        max_waiting=int(settings.get("max_waiting", 16)),
        max_hearings=int(settings.get("max_hearings", 8)),
        utterance_limit=settings.get("utterance_limit", 8.0),
    )


def test_speech_is_cut_at_silence_with_its_times() -> None:
    async def run() -> None:
        recogniser = scripted(ANSWERS)
        sound = silence(0.5) + tone(1.0) + silence(1.0) + tone(0.6) + silence(1.0)
        first, second = await heard(recogniser, [sound], expect=2)
        assert first.ended == pytest.approx(1.5, abs=0.3)
        assert first.started == pytest.approx(0.2, abs=0.1)
        assert second.started == pytest.approx(2.2, abs=0.1)
        await recogniser.close()

    asyncio.run(run())


def test_endless_speech_is_cut_at_the_limit() -> None:
    async def run() -> None:
        recogniser = scripted(ANSWERS, utterance_limit=1.0)
        found = await heard(recogniser, [silence(0.2) + tone(3.0) + silence(1)], expect=3)
        assert all(int(utterance.text) <= 16 + 32000 for utterance in found)
        await recogniser.close()

    asyncio.run(run())


def test_no_recogniser_free_is_a_typed_fault_and_the_legs_are_bounded() -> None:
    async def run() -> None:
        recogniser = scripted(READY_THEN + "time.sleep(60)", timeout=0.5, max_hearings=1)
        words = silence(0.4) + tone(0.5) + silence(1)
        hearing = recogniser.listen(PERSON)
        with pytest.raises(SpeechBusyError):
            recogniser.listen(PERSON)
        await hearing.close()
        found = await heard(recogniser, [words] * 8)
        assert all(utterance.fault is not None for utterance in found)
        assert any(isinstance(utterance.fault, SpeechBusyError) for utterance in found)
        assert recogniser.hearings == 0
        await recogniser.close()

    asyncio.run(run())


def test_a_late_recogniser_is_a_typed_fault() -> None:
    async def run() -> None:
        recogniser = scripted(READY_THEN + "time.sleep(60)", timeout=0.4)
        (utterance,) = await heard(recogniser, [silence(0.4) + tone(0.5) + silence(1)])
        assert isinstance(utterance.fault, SpeechTimeoutError)
        assert utterance.text == ""
        await recogniser.close()

    asyncio.run(run())


def test_a_crashed_recogniser_starts_again() -> None:
    async def run() -> None:
        recogniser = PocketsphinxRecogniser(workers=1)
        try:
            await recogniser.warm(PERSON)
            (helper,) = recogniser.pool.helpers
            assert helper.pid is not None
            os.kill(helper.pid, signal.SIGKILL)
            sounds = await spoken("espeak", *["I want to talk to a person."] * 2)
            found = await heard(recogniser, sounds)
            # The death is noticed before the first, or costs the first.
            assert found[-1].intent == "person"
            assert helper.starts == 2
        finally:
            await recogniser.close()

    asyncio.run(run())


def test_the_loop_is_free_while_a_recogniser_works() -> None:
    """Decoding holds the interpreter's lock of whoever does it: never this process's."""

    async def run() -> int:
        recogniser = PocketsphinxRecogniser(workers=1)
        turns = 0
        try:
            await recogniser.warm(PERSON)
            sound = (await spoken("espeak", "I want to talk to a person. " * 3))[0]
            task = asyncio.ensure_future(recogniser.pool.decode(PERSON, sound))
            while not task.done():
                await asyncio.sleep(0.001)
                turns += 1
            assert task.result().fault is None
        finally:
            await recogniser.close()
        return turns

    # Counted, not timed: a loop that stands still takes one or two turns, however busy the machine is.
    assert asyncio.run(run()) > 10


def test_discard_forgets_and_close_ends_the_iteration() -> None:
    async def run() -> None:
        recogniser = scripted(ANSWERS)
        hearing: PocketsphinxHearing = recogniser.listen(PERSON)
        hearing.feed(silence(0.4) + tone(1.0))
        assert hearing.speaking
        hearing.discard()
        hearing.feed(silence(2.0))
        assert not hearing.speaking
        await hearing.close()
        hearing.feed(tone(1.0))
        assert [utterance async for utterance in hearing] == []
        await recogniser.close()

    asyncio.run(run())
