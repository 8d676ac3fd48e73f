"""A local server that speaks the OpenAI chat completions API, as well or as badly as a test asks of it.

Real HTTP on loopback. Each request takes the next `Answer` of the script; the last one is given again and again. Where
the order of requests is open, a function of the request's body answers instead.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.http_server import Exchange, HttpServer, http_server


@dataclass(frozen=True)
class Call:
    """A tool call; `arguments` is the text as the model wrote it, or an object."""

    name: str
    arguments: str | dict[str, Any] = field(default_factory=dict)
    id: str = "call_1"

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class Answer:
    """What one request gets."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    status: int = 200
    retry_after: str = ""
    finish: str = ""
    cut_after: int | None = None
    """Break the connection after this many pieces of the stream."""
    wait: asyncio.Event | None = None
    """Wait for this before the first byte."""
    wait_after: int | None = None
    """Wait for `wait` after this many pieces of the stream instead."""
    malformed: bool = False
    """The stream's second event is no JSON."""


def _pieces(answer: Answer) -> list[dict[str, Any]]:
    """The deltas: text word by word, arguments in halves."""
    words = answer.text.split(" ")
    deltas: list[dict[str, Any]] = [
        {"content": word if index == len(words) - 1 else f"{word} "} for index, word in enumerate(words) if answer.text
    ]
    for index, call in enumerate(answer.calls):
        middle = len(call.text) // 2
        function = {"name": call.name, "arguments": call.text[:middle]}
        deltas.append({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]})
        rest = {"index": index, "function": {"arguments": call.text[middle:]}}
        deltas.append({"tool_calls": [rest]})
    return deltas


@dataclass
class OpenAiServer:
    """`requests` are the bodies in order, `keys` the Authorization header of each."""

    http: HttpServer
    script: list[Answer]
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    respond: Callable[[dict[str, Any]], Answer | str] | None = None

    @property
    def base_url(self) -> str:
        return self.http.url("/v1")

    async def handle(self, exchange: Exchange) -> None:
        if exchange.seen.target != "/v1/chat/completions":
            await exchange.answer(404, {"error": {"message": "no such endpoint"}})
            return
        self.requests.append(exchange.seen.json())
        self.keys.append(exchange.seen.header("Authorization"))
        if self.respond is not None:
            given = self.respond(self.requests[-1])
            answer = Answer(given) if isinstance(given, str) else given
        else:
            answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if answer.wait is not None and answer.wait_after is None:
            await answer.wait.wait()
        if answer.status != 200:
            headers = {"Retry_After": answer.retry_after} if answer.retry_after else {}
            error = {"error": {"message": f"scripted {answer.status}", "type": "test", "code": None}}
            await exchange.answer(answer.status, error, **headers)
        elif self.requests[-1].get("stream"):
            await self._stream(exchange, answer)
        else:
            await exchange.answer(200, self._whole(answer))

    def _whole(self, answer: Answer) -> dict[str, Any]:
        return {
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 0,
            "model": "test",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": answer.finish or "stop",
                    "message": {"role": "assistant", "content": answer.text},
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        }

    async def _stream(self, exchange: Exchange, answer: Answer) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        deltas = _pieces(answer)
        for number, delta in enumerate(deltas):
            if answer.cut_after == number:
                exchange.writer.transport.abort()
                return
            if answer.wait is not None and answer.wait_after == number:
                await answer.wait.wait()
            await self._event(exchange, "{not json" if answer.malformed and number == 1 else self._chunk(delta))
        finish = answer.finish or ("tool_calls" if answer.calls else "stop")
        await self._event(exchange, self._chunk({}, finish))
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        await self._event(exchange, self._chunk(None, None, usage))
        await self._event(exchange, "[DONE]")
        await exchange.send(b"0\r\n\r\n")

    def _chunk(
        self, delta: dict[str, Any] | None, finish: str | None = None, usage: dict[str, int] | None = None
    ) -> dict[str, Any]:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        return {
            "id": "chatcmpl-test",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "test",
            "choices": choices,
            "usage": usage,
        }

    async def _event(self, exchange: Exchange, data: str | dict[str, Any]) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        event = f"data: {text}\n\n".encode()
        await exchange.send(f"{len(event):x}\r\n".encode() + event + b"\r\n")


@asynccontextmanager
async def openai_server(
    *script: Answer | str, respond: Callable[[dict[str, Any]], Answer | str] | None = None
) -> AsyncIterator[OpenAiServer]:
    """On a free port of loopback; text alone is an answer of that text."""
    answers: Sequence[Answer] = [Answer(each) if isinstance(each, str) else each for each in script] or [Answer("Yes.")]
    server: OpenAiServer | None = None

    async def handle(exchange: Exchange) -> None:
        assert server is not None
        await server.handle(exchange)

    async with http_server(handle) as http:
        server = OpenAiServer(http, list(answers), respond=respond)
        yield server
