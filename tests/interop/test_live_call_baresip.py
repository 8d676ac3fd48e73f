"""One live call between real softphones (Debian's baresip): what each party hears, and what it must never hear.

The agent speaks in a tone of its own, the whisper is another tone, caller and person hold one tone each; the recordings
that the softphones made are searched for them.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from cordboard.transfer.ports import TransferClaimed, TransferFinished, TransferNews
from tests.support.audio import make_silence, make_tone, tone_seconds, write_wav
from tests.support.baresip import Baresip, read_mono
from tests.support.house import AGENT_TONE, WHISPER_TONE, House, house

pytestmark = pytest.mark.interop

CALLER_TONE = 440
PERSON_TONE = 880


def tones(path: Path) -> dict[int, float]:
    """Seconds for which each of the four tones dominates a recording."""
    pcm = read_mono(path)
    return {
        frequency: tone_seconds(pcm, 8000, frequency)
        for frequency in (CALLER_TONE, PERSON_TONE, AGENT_TONE, WHISPER_TONE)
    }


def wav(path: Path, pcm: bytes) -> Path:
    """A softphone's microphone: 8 kHz, mono."""
    write_wav(path, 8000, pcm)
    return path


def run(*command: str) -> None:
    """A program that must succeed."""
    subprocess.run(command, check=True)


async def _bridged(h: House) -> None:
    await h.until(lambda: [n for n in h.of(TransferNews) if n.name == "bridged"], what="the bridge")


def test_key_zero_reaches_a_person_and_the_whisper_stays_private(tmp_path: Path) -> None:
    """The caller hears the agent, music and the person, never the whisper; the person the whisper, then the caller."""

    async def main() -> None:
        microphone = wav(tmp_path / "caller.wav", make_tone(CALLER_TONE, 30))
        other = wav(tmp_path / "person.wav", make_tone(PERSON_TONE, 30))
        phone = await asyncio.to_thread(Baresip, "human", tmp_path, other, auto_answer=True)
        caller = await asyncio.to_thread(Baresip, "caller", tmp_path, microphone)
        try:
            async with house(tmp_path, person_port=phone.port) as h:
                caller.dial(h.uri)
                await asyncio.to_thread(caller.wait, "CALL_ESTABLISHED")
                caller.key("0")
                await _bridged(h)
                await asyncio.sleep(2)  # the parties talk
                caller.command("hangup")
                await asyncio.to_thread(phone.wait, "CALL_CLOSED")
                await h.until(lambda: h.of(TransferFinished), what="the end of the transfer")
                await h.until(lambda: not h.server.live_calls(), what="the end of the call")
                claim = h.of(TransferClaimed)[0]
                records = await h.records()
        finally:
            caller.close()
            phone.close()
        assert (str(claim.claim.outcome), str(claim.claim.reason)) == ("transfer-success", "none")
        assert claim.claim.verified
        assert claim.caller_silence_ms <= 40
        action = records[0]["executed_actions"]["person"]
        assert action["return_value"]["status"] == "transfer-success"
        assert records[0]["telephony_hangup"] == "caller"

        heard_by_person = tones(phone.heard())
        assert heard_by_person[WHISPER_TONE] >= 0.1
        assert heard_by_person[CALLER_TONE] >= 1.0
        assert heard_by_person[AGENT_TONE] == 0
        heard_by_caller = tones(caller.heard())
        assert heard_by_caller[PERSON_TONE] >= 1.0
        assert heard_by_caller[AGENT_TONE] >= 0.2
        assert heard_by_caller[WHISPER_TONE] == 0

    asyncio.run(main())


def test_a_spoken_wish_reaches_a_person(tmp_path: Path) -> None:
    """A speech file as the caller's microphone: the embedded recogniser understands it and the person is dialled."""

    async def main() -> None:
        speech = tmp_path / "wish.wav"
        if shutil.which("flite") is None:
            pytest.skip("flite is not installed (Debian: flite)")
        command = ["flite", "-voice", "slt", "-t", "I want to talk to a person", "-o", str(speech)]
        await asyncio.to_thread(run, *command)
        await asyncio.to_thread(run, "sox", str(speech), "-r", "8000", str(tmp_path / "said.wav"))
        said = read_mono(tmp_path / "said.wav")
        # baresip plays the file from the answer on: the greeting comes first, then the wish, then the caller's tone.
        microphone = wav(
            tmp_path / "caller.wav", make_silence(1.5) + said + make_silence(2.5) + make_tone(CALLER_TONE, 20)
        )
        other = wav(tmp_path / "person.wav", make_tone(PERSON_TONE, 30))
        phone = await asyncio.to_thread(Baresip, "human", tmp_path, other, auto_answer=True)
        caller = await asyncio.to_thread(Baresip, "caller", tmp_path, microphone)
        try:
            async with house(tmp_path, person_port=phone.port, speech={"recogniser": "pocketsphinx"}) as h:
                caller.dial(h.uri)
                await asyncio.to_thread(caller.wait, "CALL_ESTABLISHED")
                await _bridged(h)
                await asyncio.sleep(2)  # the parties talk
                phone.command("hangup")
                await asyncio.to_thread(caller.wait, "CALL_CLOSED")
                await h.until(lambda: not h.server.live_calls(), what="the end of the call")
                records = await h.records()
        finally:
            caller.close()
            phone.close()
        assert "human: i want to talk to a person" in records[0]["transcript"]
        assert records[0]["executed_actions"]["person"]["return_value"]["status"] == "transfer-success"
        assert tones(phone.heard())[CALLER_TONE] >= 0.5
        assert tones(caller.heard())[PERSON_TONE] >= 1.0

    asyncio.run(main())
