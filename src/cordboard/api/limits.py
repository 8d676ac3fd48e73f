"""Limits on requests: the size and time of a body, the rate of a key or of an address without one."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cordboard.api.errors import answer

# On every answer that does not say otherwise: records are nobody's to keep or to guess a type of.
DEFAULT_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class RateLimit:
    """Token buckets by name, in a bounded table: the one that was used longest ago is forgotten, which only ever
    gives somebody a fresh bucket. ``rate`` is tokens a second, ``burst`` the size of a bucket."""

    def __init__(self, rate: float, burst: int, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._size = size
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str) -> float:
        """Take one token: 0.0, or the seconds until there is one."""
        now = self._clock()
        tokens, then = self._buckets.pop(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[name] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._size:
            self._buckets.popitem(last=False)
        return wait


class RequestLimits:
    """ASGI middleware: gives each request its id, reads its body within the limits and passes it on whole."""

    def __init__(self, app: ASGIApp, *, body_limit: int, body_timeout: float) -> None:
        self._app = app
        self._limit = body_limit
        self._timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = identifier

        async def identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers.append((b"x-request-id", identifier.encode()))
                headers += [item for item in DEFAULT_HEADERS if item[0] not in present]
                message["headers"] = headers
            await send(message)

        if self._declared_too_large(scope):
            await answer(413, f"The body is limited to {self._limit} bytes", scope)(scope, receive, identified)
            return
        content = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return
                    content += message.get("body", b"")
                    if len(content) > self._limit:
                        response = answer(413, f"The body is limited to {self._limit} bytes", scope)
                        await response(scope, receive, identified)
                        return
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            await answer(408, "The body did not arrive in time", scope)(scope, receive, identified)
            return
        pending = True

        async def replay() -> Message:
            nonlocal pending
            if pending:
                pending = False
                return {"type": "http.request", "body": bytes(content), "more_body": False}
            return await receive()

        await self._app(scope, replay, identified)

    def _declared_too_large(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"content-length":
                return value.isdigit() and len(value) < 20 and int(value) > self._limit
        return False
