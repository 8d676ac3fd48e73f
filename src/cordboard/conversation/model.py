"""The model port: one streamed turn of a conversation, with tools.

The embedded model is `rules.RulesModel`; any other satisfies `Model` structurally. Nothing here does
input or output.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

Shape = TypeVar("Shape", bound=BaseModel)
Role = Literal["system", "user", "assistant", "tool"]


class ModelError(Exception):
    """The model could not finish: `provider`, `stage` (``connect``, ``stream``, ``tools``, ``structure``), `detail`."""

    def __init__(self, provider: str, stage: str, detail: str) -> None:
        super().__init__(f"{provider}: {stage}: {detail}")
        self.provider = provider
        self.stage = stage
        self.detail = detail


class ModelTimeoutError(ModelError):
    """No word and no tool call within the time limit."""


@dataclass(frozen=True, slots=True)
class Tool:
    """An action as the model sees it: `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants an action run.

    `id` is unique in the conversation; `arguments` fit the tool's schema, or who runs the action refuses them.
    """

    id: str
    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the conversation.

    `intent` is the recogniser's finding on a user's message, where it had one. An assistant's message lists the
    `tool_calls` that it made; a tool's message answers one of them by `tool_call_id`.
    """

    role: Role
    text: str
    intent: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of what the agent says next."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The last event of every turn that did not raise."""

    reason: Literal["stop", "tools", "length"] = "stop"
    input_tokens: int = 0
    output_tokens: int = 0


ModelEvent = TextDelta | ToolCall | TurnEnded


@runtime_checkable
class Model(Protocol):
    """A language model, or what stands in for one."""

    @property
    def name(self) -> str: ...

    def turn(self, messages: Sequence[Message], tools: Sequence[Tool]) -> AsyncIterator[ModelEvent]:
        """One answer to the conversation so far, ended by TurnEnded; leaving the iteration cancels it.

        Raises ModelError from the iteration.
        """
        ...


@runtime_checkable
class StructuredModel(Model, Protocol):
    """A model that also answers in a given shape. The rules are none."""

    async def parse(self, messages: Sequence[Message], shape: type[Shape]) -> Shape:
        """One answer that fits `shape`. Raises ModelError."""
        ...
