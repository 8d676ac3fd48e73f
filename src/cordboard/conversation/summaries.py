"""The briefing of a transfer: what the person is told about the call before the caller comes.

The model writes it from the transcript, by the action's `summarization_prompt`, within `timeouts.summary`. Where it
cannot (the rules, a fault, too late), the message template is spoken: the person never gets silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, cast

import structlog

from cordboard.variables import Place, escape

from .model import Message, Model, ModelError, StructuredModel, TextDelta
from .transcript import AS_DATA, framed

log = structlog.get_logger(__name__)

MAXIMUM_SUMMARY = 1500
"""Characters: about a minute and a half of speech."""
DEFAULT_PROMPT = (
    "Say who is calling, what they want, what has been done already, and what is still open. Two or three short "
    "sentences, to be spoken to the colleague who takes the call."
)
NOTHING_TO_SAY = "A caller from the automatic assistant."

_SYSTEM = (
    f"You brief a person who is about to take over a telephone call. {AS_DATA} Write plain spoken text only: no lists, "
    "no markup, no greeting. Say nothing that the record does not hold."
)


@dataclass(frozen=True, slots=True)
class Briefing:
    """What is spoken. ``error`` says why it is the template, where it is."""

    text: str
    source: Literal["model", "template"] = "model"
    error: str = ""


async def summarise(
    messages: Sequence[Message], model: Model | None, *, prompt: str, template: str, limit: float
) -> Briefing:
    """The briefing; ``prompt`` and ``template`` come with their placeholders filled. Never raises."""
    reserve = template.strip() or NOTHING_TO_SAY
    # Whoever answers in shapes writes freely as well; the rules do neither.
    if not isinstance(model, StructuredModel):
        return Briefing(reserve, "template", "no model: the rules cannot summarise")
    asked = [
        Message("system", _SYSTEM),
        Message("user", f"{framed(messages)}\n\nHow to brief: {prompt.strip() or DEFAULT_PROMPT}"),
    ]
    try:
        async with asyncio.timeout(limit):
            text = await _written(model, asked)
    except TimeoutError:
        error = f"no summary within {limit:g} s"
    except ModelError as fault:
        error = str(fault)
    else:
        if text:
            return Briefing(text)
        error = "the summary was empty"
    log.warning("summary_failed", provider=model.name, detail=error)
    return Briefing(reserve, "template", error)


async def _written(model: Model, asked: Sequence[Message]) -> str:
    words = ""
    async with aclosing(cast("Any", model.turn(asked, ()))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                words += event.text
            if len(words) > MAXIMUM_SUMMARY:
                break
    spoken = " ".join(escape(words, Place.TEXT).split())
    if len(spoken) <= MAXIMUM_SUMMARY:
        return spoken
    cut = spoken[:MAXIMUM_SUMMARY]
    end = max(cut.rfind(mark) for mark in ".!?")
    return cut[: end + 1] if end > 0 else cut
