"""The narrator: whole sentences from the configured voice, or from the fallback voice when it fails or is late."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from cordboard.speech.ports import SpeechError, SpeechTimeoutError, Voice

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Narration:
    """Speech: 16-bit signed native samples, one channel, ``rate`` Hz."""

    rate: int
    data: bytes

    @property
    def seconds(self) -> float:
        return len(self.data) / 2 / self.rate


class Narrator:
    """``limit`` is the time for rendering one text in whole, seconds, for each voice that is tried."""

    def __init__(self, voice: Voice, fallback: Voice | None, *, language: str, limit: float) -> None:
        self._voices = [voice] + ([fallback] if fallback is not None and fallback is not voice else [])
        self._language = language
        self._limit = limit

    async def render(self, text: str) -> Narration:
        """The sound of ``text``. Raises SpeechError when no voice can say it."""
        fault: SpeechError | None = None
        for voice in self._voices:
            try:
                async with asyncio.timeout(self._limit):
                    pieces = [piece async for piece in voice.speak(text, self._language)]
            except TimeoutError:
                fault = SpeechTimeoutError(voice.name, "speak", f"nothing within {self._limit:g} s")
            except SpeechError as error:
                fault = error
            except Exception as error:
                log.exception("voice_broken", provider=voice.name)
                fault = SpeechError(voice.name, "speak", type(error).__name__)
            else:
                if not pieces:
                    return Narration(8000, b"")
                return Narration(pieces[0].rate, b"".join(piece.data for piece in pieces))
            log.warning("voice_failed", provider=fault.provider, stage=fault.stage, detail=fault.detail)
        assert fault is not None
        raise fault

    async def prefetch(self, texts: list[str]) -> None:
        """Render what will certainly be needed, so that the voice's cache has it; failures wait for the real use."""
        for text in texts:
            try:
                await self.render(text)
            except SpeechError:
                return
