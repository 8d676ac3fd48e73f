"""One live call between real softphones (Debian's baresip): what each party hears, and what it must never hear.

The agent speaks in a tone of its own, the whisper is another tone, caller and person hold one tone each; the recordings
that the softphones made are searched for them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.audio import make_tone, tone_seconds
from tests.support.baresip import Baresip, read_mono
from tests.support.house import AGENT_TONE, WHISPER_TONE, House, house
from tests.support.wav import write_mono

from cordboard.transfer.ports import TransferClaimed, TransferFinished, TransferNews

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


async def _bridged(h: House) -> None:
    await h.until(lambda: [n for n in h.of(TransferNews) if n.name == "bridged"], what="the bridge")


def test_key_zero_reaches_a_person_and_the_whisper_stays_private(tmp_path: Path) -> None:
    """Caller: greeting, announcement, music, person's tone, never the whisper. Person: whisper, then the caller's tone."""

    async def main() -> None:
        microphone = write_mono(tmp_path / "caller.wav", make_tone(CALLER_TONE, 30))
        other = write_mono(tmp_path / "person.wav", make_tone(PERSON_TONE, 30))
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
