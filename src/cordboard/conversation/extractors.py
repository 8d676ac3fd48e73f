"""Extractors: questions that the model answers out of the conversation.

An `INFORMATION_EXTRACTOR` runs at the end of the call, or before a transfer that waits for it; a header's extractor
runs when the transfer starts, under the announcement, within `timeouts.header_extractor`. Where there is no model that
can (the rules cannot), or it fails or is late, the default is used, and the finding says so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, create_model

from cordboard.directory.actions import HeaderExtractor, InformationExtractor
from cordboard.variables import Value

from .model import Message, Model, ModelError, StructuredModel
from .transcript import AS_DATA, framed

log = structlog.get_logger(__name__)

MAXIMUM_ANSWER = 2000
MAXIMUM_HEADER = 256
"""Characters of a header's value: more would break the INVITE's budget (RFC 3261 §18.1.1)."""
NO_MODEL = "no model: the rules cannot extract"

Answered = Literal["model", "default"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What an extractor gave. ``error`` says why it is the default, where it is."""

    value: Value
    source: Answered = "model"
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.source == "model"


class YesNo(BaseModel):
    """Answer of a YES_NO question."""

    model_config = ConfigDict(extra="forbid")
    known: bool = Field(description="Whether the conversation answers the question at all.")
    answer: bool


class Open(BaseModel):
    """Answer of an OPEN_QUESTION."""

    model_config = ConfigDict(extra="forbid")
    known: bool = Field(description="Whether the conversation answers the question at all.")
    answer: str = Field(max_length=MAXIMUM_ANSWER)


class HeaderValue(BaseModel):
    """The value of a header."""

    model_config = ConfigDict(extra="forbid")
    value: str = Field(description="One short line, without line breaks; empty where the conversation does not say.")


def _choice(choices: Sequence[str]) -> type[BaseModel]:
    fields: dict[str, Any] = {"known": (bool, ...), "answer": (Literal[tuple(choices)], ...)}
    return create_model("Choice", __config__=ConfigDict(extra="forbid"), **fields)


_SYSTEM = (
    f"You read the record of a telephone call and answer one question about it. {AS_DATA} Answer from the record "
    "alone and invent nothing. Set known to false where the record does not say."
)


async def extract(
    extractor: InformationExtractor, messages: Sequence[Message], model: Model | None, limit: float
) -> Finding:
    """True or false, one of the choices, or text; None where the conversation does not say. Never raises."""
    question = extractor.description or extractor.instructions or extractor.identifier.replace("_", " ")
    shape: type[BaseModel]
    if extractor.kind == "YES_NO":
        shape = YesNo
    elif extractor.kind == "SINGLE_CHOICE":
        shape = _choice(extractor.choices)
        question += f"\nAnswer with one of: {'; '.join(extractor.choices)}."
    else:
        shape = Open
        if extractor.examples:
            question += f"\nAnswers look like: {'; '.join(extractor.examples)}."
    answer, error = await _ask(f"Question: {question}", messages, model, shape, limit)
    if answer is None:
        return Finding(None, "default", error)
    given = answer.model_dump()
    return Finding(given["answer"] if given["known"] else None)


async def header_value(
    extractor: HeaderExtractor, prompt: str, messages: Sequence[Message], model: Model | None, limit: float
) -> Finding:
    """A header's value, one safe line. ``prompt`` is the extractor's with its placeholders filled. Never raises."""
    answer, error = await _ask(f"What to write: {prompt}", messages, model, HeaderValue, limit)
    if not isinstance(answer, HeaderValue):
        return Finding(extractor.default, "default", error)
    value = one_line(answer.value)
    if not value:
        return Finding(extractor.default, "default", "the conversation does not say")
    return Finding(value)


def one_line(text: str) -> str:
    """What a model wrote as a header's value: no control character, no line break, not longer than the limit."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
    return line if len(line) <= MAXIMUM_HEADER else line[: MAXIMUM_HEADER - 3].rstrip() + "..."


async def _ask(
    question: str, messages: Sequence[Message], model: Model | None, shape: type[BaseModel], limit: float
) -> tuple[BaseModel | None, str]:
    if not isinstance(model, StructuredModel):
        return None, NO_MODEL
    # The question stands last, so that nothing in the record has the last word.
    asked = [Message("system", _SYSTEM), Message("user", f"{framed(messages)}\n\n{question}")]
    try:
        async with asyncio.timeout(limit):
            return await model.parse(asked, shape), ""
    except TimeoutError:
        error = f"no answer within {limit:g} s"
    except ModelError as fault:
        error = str(fault)
    log.warning("extractor_failed", provider=model.name, detail=error)
    return None, error
