"""The client: whole requests with redirects, within limits of time and size.

Redirects are followed here, hop by hop, and each hop is checked like a first request. Beyond the origin of the first
request nothing of it goes along that could be a credential: only ``Accept``, ``Accept-Language`` and ``User-Agent``,
and never a body.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from .errors import (
    EgressConnectionError,
    EgressRefusedError,
    EgressTimeoutError,
    EgressTooLargeError,
)
from .limits import EgressLimits
from .policy import AddressPolicy
from .resolver import Resolver, SystemResolver
from .transport import PORTS, EgressTransport, check_url, origin_of

Headers = Sequence[tuple[str, str]]

_REDIRECTS = (301, 302, 303, 307, 308)
_HARMLESS = ("accept", "accept-language", "user-agent")
# RFC 9110 §7.6.1, §8.6: the framing of a message is ours alone.
_OURS = (
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
    "proxy-authorization",
    "proxy-connection",
)
USER_AGENT = "Cordboard"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole answer. ``url`` is where it came from at last; ``seconds`` from the first byte out to the last one in."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    seconds: float = 0.0
    hops: int = 0

    @property
    def success(self) -> bool:
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> object:
        """The body as JSON. Raises ValueError."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class HttpClient:
    """``transport`` may be shared with other clients of HTTP, which then obey the same policy and limits."""

    def __init__(
        self,
        policy: AddressPolicy | None = None,
        limits: EgressLimits | None = None,
        *,
        resolver: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or EgressLimits()
        self._own_resolver = SystemResolver() if resolver is None else None
        self._clock = clock
        self.transport = EgressTransport(
            resolver or self._own_resolver or SystemResolver(),
            policy or AddressPolicy(),
            self.limits,
            ssl_context=ssl_context,
            clock=clock,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self.transport.aclose()
        if self._own_resolver is not None:
            self._own_resolver.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        body: bytes | None = None,
        limit: float | None = None,
        max_response: int | None = None,
    ) -> HttpResponse:
        """Send it and read the whole answer, whatever its status. ``limit`` is seconds for everything.

        Raises EgressRefusedError, EgressRateError, EgressTimeoutError, EgressTooLargeError, EgressConnectionError.
        """
        limit = self.limits.request if limit is None else limit
        started = self._clock()
        target = _parse(url)
        if body is not None and len(body) > self.limits.max_request:
            raise EgressRefusedError("request-size", origin_of(target), "the request's body is too large")
        maximum = self.limits.max_response if max_response is None else max_response
        try:
            async with asyncio.timeout(limit):
                return await self._follow(method.upper(), target, _checked(headers), body, limit, maximum, started)
        except TimeoutError:
            raise EgressTimeoutError(origin_of(target), limit) from None

    async def _follow(
        self,
        method: str,
        url: httpx.URL,
        headers: list[tuple[str, str]],
        body: bytes | None,
        limit: float,
        maximum: int,
        started: float,
    ) -> HttpResponse:
        for hop in range(self.limits.redirects + 1):
            request = httpx.Request(
                method,
                url,
                headers=[
                    (k.encode("ascii"), v.encode("utf-8")) for k, v in (*headers, ("Accept-Encoding", "identity"))
                ],
                content=body,
                extensions={
                    "timeout": {"connect": self.limits.connect, "read": limit, "write": limit, "pool": limit},
                    "maximum_response": maximum,
                },
            )
            answer = await self.transport.handle_async_request(request)
            try:
                onward = answer.headers.get("location") if answer.status_code in _REDIRECTS else None
                if onward is None:
                    raw = b"".join([part async for part in answer.stream])  # type: ignore[union-attr]
                    return HttpResponse(
                        answer.status_code,
                        tuple(answer.headers.multi_items()),
                        _unpacked(raw, answer.headers.get("content-encoding", ""), maximum, origin_of(url)),
                        str(url),
                        self._clock() - started,
                        hop,
                    )
            finally:
                await answer.aclose()
            method, url, headers, body = _redirected(method, url, headers, body, answer.status_code, onward)
        raise EgressRefusedError("redirects", origin_of(url), f"more than {self.limits.redirects} redirects")


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise EgressRefusedError("url", "", f"not a URL: {error}") from None
    check_url(parsed)
    return parsed


def _checked(headers: Headers) -> list[tuple[str, str]]:
    checked = []
    for name, value in headers:
        if name.lower() in _OURS:
            raise EgressRefusedError("header", "", f"the header {name} is set by the client")
        # RFC 9110 §5.1, §5.5
        if not name or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name):
            raise EgressRefusedError("header", "", "a header's name must be a token (RFC 9110 §5.1)")
        if any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in value):
            raise EgressRefusedError("header", "", f"the header {name} holds a control character (RFC 9110 §5.5)")
        checked.append((name, value.strip(" \t")))
    if not any(name.lower() == "user-agent" for name, _ in checked):
        checked.append(("User-Agent", USER_AGENT))
    return checked


def _redirected(
    method: str, url: httpx.URL, headers: list[tuple[str, str]], body: bytes | None, status: int, location: str
) -> tuple[str, httpx.URL, list[tuple[str, str]], bytes | None]:
    try:
        onward = url.join(location).copy_with(fragment=None)
        onward.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        raise EgressRefusedError("redirect", origin_of(url), "the Location is no URL") from None
    check_url(onward)
    if url.scheme == "https" and onward.scheme != "https":
        raise EgressRefusedError("downgrade", origin_of(url), "a redirect from https to http")
    # RFC 9110 §15.4: 303 always becomes a GET, 301 and 302 turn a POST into one, 307 and 308 keep the method.
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers = [(name, value) for name, value in headers if not name.lower().startswith("content-")]
    if not _same_site(url, onward):
        if body is not None or method not in ("GET", "HEAD"):
            raise EgressRefusedError("redirect-body", origin_of(onward), "a redirect would hand the request to another")
        headers = [(name, value) for name, value in headers if name.lower() in _HARMLESS]
    return method, onward, headers, body


def _same_site(url: httpx.URL, onward: httpx.URL) -> bool:
    """One origin (RFC 6454 §5), or the step from http to https on the default ports of one host."""
    before = (url.scheme, url.raw_host, url.port or PORTS[url.scheme])
    after = (onward.scheme, onward.raw_host, onward.port or PORTS[onward.scheme])
    if before == after:
        return True
    return before == ("http", url.raw_host, 80) and after == ("https", url.raw_host, 443)


def _unpacked(raw: bytes, encoding: str, maximum: int, origin: str) -> bytes:
    """A body that was packed although we asked for it as it is; a small one that unpacks to a large one is refused."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return raw
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise EgressConnectionError(origin, f"the answer is packed in a way that nobody asked for: {encoding[:32]}")
    unpacker = zlib.decompressobj(wbits=47)
    try:
        body = unpacker.decompress(raw, maximum + 1)
    except zlib.error as error:
        raise EgressConnectionError(origin, f"the answer cannot be unpacked: {error}") from None
    if len(body) > maximum or unpacker.unconsumed_tail:
        raise EgressTooLargeError(origin, maximum)
    return body
