"""The model port over any server that speaks the OpenAI chat completions API, through the ``openai`` package.

Every request leaves through `cordboard.egress`. Time limits: the first word or tool call (``timeouts.model``) and the
whole turn (``timeouts.model_turn``). A refusal that may pass (429, 5xx, a broken connection) is tried again with
growing pauses, but only while nothing has been said and only within the limit; after the first word a fault ends the
turn, since what was spoken cannot be taken back.

A tool call is checked before it is given on: an unknown tool and arguments that do not fit the schema go back to the
model once, with the fault; the same call made twice in a turn is one call.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import openai
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from cordboard.egress import EgressError, EgressTransport

from .model import (
    Message,
    ModelError,
    ModelEvent,
    ModelTimeoutError,
    Shape,
    TextDelta,
    Tool,
    ToolCall,
    TurnEnded,
)
from .tool_schema import violations

log = structlog.get_logger(__name__)
T = TypeVar("T")

MAXIMUM_ARGUMENTS = 20_000
"""Characters of one tool call's arguments."""
MAXIMUM_CALLS = 16
"""Tool calls in one turn."""
# What the package raises, or our reading of its objects, where the server's JSON is none or not what was promised.
_NONSENSE = (ValueError, TypeError, AttributeError, LookupError)


@dataclass(frozen=True, slots=True)
class OpenAiSettings:
    """Seconds from the settings of the same names. ``model`` is the server's name for the model."""

    base_url: str
    model: str
    api_key: SecretStr | None = None
    first_words: float = 8.0
    turn: float = 30.0
    retries: int = 3
    pause: float = 0.25
    """Before the first retry; each further one waits twice as long."""
    temperature: float | None = None


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class _Round:
    """What one request brought."""

    text: str = ""
    calls: dict[int, _Call] = field(default_factory=dict)
    finish: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class _Deadline:
    """The time limits of one turn."""

    def __init__(self, first: float, whole: float) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._first, self._whole = now + first, now + whole
        self.started = False
        """Something has come."""

    @property
    def at(self) -> float:
        return self._whole if self.started else min(self._first, self._whole)

    def allows(self, pause: float) -> bool:
        return self._loop.time() + pause < self.at


class OpenAiModel:
    """``transport`` is the way out; its owner closes it."""

    def __init__(self, settings: OpenAiSettings, transport: EgressTransport) -> None:
        self.name = settings.model
        self._settings = settings
        key = settings.api_key.get_secret_value() if settings.api_key is not None else ""
        self._secret = key
        http: Any = httpx.AsyncClient(
            transport=_Shared(transport), trust_env=False, follow_redirects=False, timeout=settings.turn
        )
        self._client = openai.AsyncOpenAI(
            api_key=key or "none", base_url=settings.base_url, max_retries=0, timeout=settings.turn, http_client=http
        )

    async def aclose(self) -> None:
        await self._client.close()

    # A turn ---------------------------------------------------------------------------------------------------------

    async def turn(self, messages: Sequence[Message], tools: Sequence[Tool]) -> AsyncIterator[ModelEvent]:
        """See `Model.turn`."""
        wire = _Wire(messages, tools)
        deadline = _Deadline(self._settings.first_words, self._settings.turn)
        again = True
        while True:
            got = _Round()
            async with aclosing(self._stream(wire, got, deadline)) as pieces:
                async for piece in pieces:
                    yield TextDelta(piece)
            calls, faults = wire.calls(got)
            if not calls and not faults and not got.text.strip():
                faults = [("", "the answer was empty")]
            if faults and not calls:
                log.warning("model_call_refused", provider=self.name, faults=[text for _, text in faults])
                if not again:
                    raise ModelError(self.name, "tools", "; ".join(text for _, text in faults)[:300])
                again = False
                wire.correct(got, faults)
                continue
            for call in calls:
                yield call
            reason = "tools" if calls else "length" if got.finish == "length" else "stop"
            yield TurnEnded(reason, got.input_tokens, got.output_tokens)  # type: ignore[arg-type]
            return

    async def _stream(self, wire: _Wire, got: _Round, deadline: _Deadline) -> AsyncGenerator[str, None]:
        """One streamed answer, piece by piece, gathered in ``got``."""
        attempt = 0
        while True:
            try:
                stream: Any = await self._within(deadline, self._create(wire, stream=True))
                async with stream:
                    chunks = aiter(stream)
                    while True:
                        try:
                            chunk = await self._within(deadline, anext(chunks))
                        except StopAsyncIteration:
                            break
                        piece = _gather(got, chunk)
                        if piece or got.calls:
                            deadline.started = True
                        if piece:
                            yield piece
                if not got.finish:
                    raise ModelError(self.name, "stream", "the answer was cut off")
                return
            except (openai.APIError, EgressError, httpx.HTTPError, ModelError, *_NONSENSE) as error:
                if got.text or isinstance(error, ModelTimeoutError):
                    raise self._fault(error, "stream") from error
                await self._pause(error, attempt, deadline)
                attempt += 1
                got.calls.clear()

    def _create(self, wire: _Wire, *, stream: bool, shape: type[BaseModel] | None = None) -> Awaitable[Any]:
        options: dict[str, Any] = {"model": self._settings.model, "messages": wire.messages}
        if stream:
            options |= {"stream": True, "stream_options": {"include_usage": True}}
        if wire.tools:
            options["tools"] = wire.tools
        if self._settings.temperature is not None:
            options["temperature"] = self._settings.temperature
        if shape is not None:
            schema = {"name": shape.__name__, "schema": shape.model_json_schema(), "strict": True}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        created: Awaitable[Any] = self._client.chat.completions.create(**options)
        return created

    async def _within(self, deadline: _Deadline, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout_at(deadline.at):
                return await work
        except TimeoutError:
            stage = "stream" if deadline.started else "first words"
            raise ModelTimeoutError(self.name, stage, "the time limit has passed") from None

    async def _pause(self, error: Exception, attempt: int, deadline: _Deadline) -> None:
        """Wait before another try. Raises ModelError where there is none."""
        fault = self._fault(error, "connect")
        if not _passing(error) or attempt >= self._settings.retries:
            raise fault from error
        pause = max(self._settings.pause * 2**attempt, _retry_after(error))
        if not deadline.allows(pause):
            raise fault from error
        log.info("model_retry", provider=self.name, attempt=attempt + 1, pause=pause, detail=fault.detail)
        await asyncio.sleep(pause)

    def _fault(self, error: Exception, stage: str) -> ModelError:
        if isinstance(error, ModelError):
            return error
        if isinstance(error, _NONSENSE):
            return ModelError(self.name, stage, "the server's answer is no completion")
        text = str(error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error)
        if self._secret:
            text = text.replace(self._secret, "***")
        status = getattr(error, "status_code", None)
        detail = f"{type(error).__name__}: {text[:300]}" if status is None else f"HTTP {status}: {text[:300]}"
        return ModelError(self.name, stage, detail)

    # An answer in a shape -------------------------------------------------------------------------------------------

    async def parse(self, messages: Sequence[Message], shape: type[Shape]) -> Shape:
        """See `StructuredModel.parse`: JSON that is malformed or does not fit is asked for once more."""
        wire = _Wire(messages, ())
        deadline = _Deadline(self._settings.turn, self._settings.turn)
        fault = ""
        for _ in range(2):
            text = await self._whole(wire, shape, deadline)
            try:
                return shape.model_validate_json(_unfenced(text))
            except ValidationError as error:
                fault = "; ".join(
                    f"{'.'.join(map(str, each['loc'])) or 'JSON'}: {each['msg']}" for each in error.errors()
                )
                log.warning("model_structure_refused", provider=self.name, fault=fault[:300])
                wire.messages.append({"role": "assistant", "content": text[:MAXIMUM_ARGUMENTS]})
                wire.messages.append(
                    {"role": "user", "content": f"That is not valid: {fault[:500]}. Answer with the JSON object only."}
                )
        raise ModelError(self.name, "structure", fault[:300])

    async def _whole(self, wire: _Wire, shape: type[BaseModel], deadline: _Deadline) -> str:
        attempt = 0
        while True:
            try:
                completion = await self._within(deadline, self._create(wire, stream=False, shape=shape))
                content = completion.choices[0].message.content
                return content if isinstance(content, str) else ""
            except (openai.APIError, EgressError, httpx.HTTPError, *_NONSENSE) as error:
                await self._pause(error, attempt, deadline)
                attempt += 1


class _Shared(httpx.AsyncBaseTransport):
    """The egress transport without its end: closing the package's client leaves it open for the others."""

    def __init__(self, inner: EgressTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)


def _gather(got: _Round, chunk: Any) -> str:
    """Take a chunk in; the text that it adds."""
    usage = getattr(chunk, "usage", None)
    if usage is not None:
        got.input_tokens = usage.prompt_tokens or 0
        got.output_tokens = usage.completion_tokens or 0
    if not chunk.choices:
        return ""
    choice = chunk.choices[0]
    got.finish = choice.finish_reason or got.finish
    delta = choice.delta
    for position, part in enumerate(getattr(delta, "tool_calls", None) or ()):
        index = part.index if part.index is not None else position
        if len(got.calls) >= MAXIMUM_CALLS and index not in got.calls:
            continue
        call = got.calls.setdefault(index, _Call())
        call.id = part.id or call.id
        function = part.function
        if function is not None:
            call.name = function.name or call.name
            if len(call.arguments) <= MAXIMUM_ARGUMENTS:
                call.arguments += function.arguments or ""
    piece = delta.content if delta is not None and isinstance(delta.content, str) else ""
    got.text += piece
    return piece


def _passing(error: Exception) -> bool:
    """Whether another try may help."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 429) or error.status_code >= 500
    if isinstance(error, EgressError):
        return type(error).__name__ in ("EgressConnectionError", "EgressRateError")
    if isinstance(error, openai.APIConnectionError) and isinstance(error.__cause__, EgressError):
        return _passing(error.__cause__)
    return (
        isinstance(error, openai.APIConnectionError | httpx.TransportError | ModelError)
        or type(error) is openai.APIError
    )


def _retry_after(error: Exception) -> float:
    response = getattr(error, "response", None)
    value = response.headers.get("retry-after", "") if response is not None else ""
    return float(value) if re.fullmatch(r"\d{1,4}(\.\d{1,3})?", value) else 0.0


def _unfenced(text: str) -> str:
    fenced = re.fullmatch(r"\s*```(?:json)?\s*(.*?)\s*```\s*", text, re.DOTALL)
    return fenced[1] if fenced else text


class _Wire:
    """Messages and tools as the API wants them. Names of tools are made to fit ``^[A-Za-z0-9_-]{1,64}$``."""

    def __init__(self, messages: Sequence[Message], tools: Sequence[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            name = _tool_name(tool.name)
            number = 2
            while name in self._tools:
                name = f"{_tool_name(tool.name)[:60]}_{number}"
                number += 1
            self._tools[name] = tool
        self._names = {tool.name: name for name, tool in self._tools.items()}
        self.tools: list[dict[str, Any]] = [
            {
                "type": "function",
                "function": {"name": name, "description": tool.description, "parameters": _parameters(tool)},
            }
            for name, tool in self._tools.items()
        ]
        self.messages: list[dict[str, Any]] = self._convert(messages)
        self._used = {call.id for message in messages for call in message.tool_calls}

    def _convert(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        wire: list[dict[str, Any]] = []
        open_calls: list[str] = []
        for message in messages:
            if message.role == "tool" and message.tool_call_id in open_calls:
                open_calls.remove(message.tool_call_id)
                wire.append({"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text})
                continue
            # The API refuses a history in which a call has no result, and a result that has no call.
            wire += [{"role": "tool", "tool_call_id": each, "content": "Done."} for each in open_calls]
            open_calls = [call.id for call in message.tool_calls]
            if message.role == "tool":
                wire.append({"role": "system", "content": f"Result of an action: {message.text}"})
            elif message.tool_calls:
                calls = [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {
                            "name": self._names.get(call.name, _tool_name(call.name)),
                            "arguments": json.dumps(dict(call.arguments), default=str),
                        },
                    }
                    for call in message.tool_calls
                ]
                wire.append({"role": message.role, "content": message.text or None, "tool_calls": calls})
            else:
                wire.append({"role": message.role, "content": message.text})
        wire += [{"role": "tool", "tool_call_id": each, "content": "Done."} for each in open_calls]
        return wire

    def calls(self, got: _Round) -> tuple[list[ToolCall], list[tuple[str, str]]]:
        """The calls that may run, each once, and the faults of the others as ``(call id, text)``."""
        good: list[ToolCall] = []
        faults: list[tuple[str, str]] = []
        seen: set[tuple[str, str]] = set()
        for index, call in sorted(got.calls.items()):
            call.id = self._unique(call.id or f"call_{index}")
            tool = self._tools.get(call.name)
            if tool is None:
                faults.append((call.id, f"there is no tool {call.name[:64]!r}"))
                continue
            try:
                arguments = json.loads(call.arguments or "{}")
            except (ValueError, RecursionError):
                faults.append((call.id, f"{call.name}: the arguments are not valid JSON"))
                continue
            wrong = list(violations({"type": "object", **_parameters(tool)}, arguments))
            if wrong:
                faults.append((call.id, f"{call.name}: {'; '.join(wrong[:5])}"))
                continue
            key = (call.name, json.dumps(arguments, sort_keys=True))
            if key not in seen:
                seen.add(key)
                good.append(ToolCall(call.id, tool.name, arguments))
        return good, faults

    def _unique(self, wanted: str) -> str:
        """Some servers call every call the same."""
        name, number = wanted, 2
        while name in self._used:
            name, number = f"{wanted}_{number}", number + 1
        self._used.add(name)
        return name

    def correct(self, got: _Round, faults: Sequence[tuple[str, str]]) -> None:
        """Tell the model what was wrong with its calls."""
        if not got.calls:
            self.messages.append({"role": "system", "content": "Answer the caller."})
            return
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": _tool_name(call.name), "arguments": _json_or_empty(call.arguments)},
            }
            for _, call in sorted(got.calls.items())
        ]
        self.messages.append({"role": "assistant", "content": got.text or None, "tool_calls": calls})
        self.messages += [{"role": "tool", "tool_call_id": name, "content": f"Error: {text}"} for name, text in faults]


def _tool_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "tool"


def _parameters(tool: Tool) -> Mapping[str, object]:
    return tool.parameters or {"type": "object", "properties": {}, "additionalProperties": False}


def _json_or_empty(text: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return "{}"
    return text
