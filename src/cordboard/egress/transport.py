"""The way out: connections to checked addresses only, whoever sits on top (our client, or the ``openai`` package).

A name is resolved here, its addresses are checked, and the connection goes to one of these very addresses; TLS still
asks for the certificate of the name. A pooled connection belongs to one origin and keeps its checked address. No
proxy of the environment is used: it would resolve names itself.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from .errors import (
    EgressConnectionError,
    EgressError,
    EgressRateError,
    EgressRefusedError,
    EgressTimeoutError,
    EgressTooLargeError,
)
from .limits import EgressLimits, RateLimiter
from .policy import AddressPolicy, check_host, plain
from .resolver import Resolver

PORTS = {"http": 80, "https": 443}


def origin_of(url: httpx.URL) -> str:
    """``scheme://host:port``, without anything that could be a secret."""
    host = url.raw_host.decode("ascii", "replace")
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{url.port or PORTS.get(url.scheme, 0)}"


def check_url(url: httpx.URL) -> None:
    """What no request may be sent to, before any name is resolved. Raises EgressRefusedError."""
    if url.scheme not in PORTS:
        raise EgressRefusedError("scheme", "", "a request leaves by http or https only")
    if not url.raw_host:
        raise EgressRefusedError("host", "", "the URL has no host")
    if url.userinfo:
        # RFC 3986 §7.5: what looks like a host in front of the @ misleads whoever reads it.
        raise EgressRefusedError("userinfo", origin_of(url), "a URL must not carry a user name or password")
    check_host(url.raw_host.decode("ascii", "replace"))


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, resolver: Resolver, policy: AddressPolicy, limit: float) -> None:
        self._resolver = resolver
        self._policy = policy
        self._limit = limit
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        origin = f"{host}:{port}"
        fault: Exception | None = None
        try:
            async with asyncio.timeout(min(self._limit, timeout) if timeout is not None else self._limit):
                addresses = self._policy.check(host, port, await self._resolver.resolve(host, port))
                for address in addresses:
                    try:
                        stream = await self._inner.connect_tcp(
                            address, port, None, local_address, socket_options=socket_options
                        )
                    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                        fault = error
                        continue
                    await self._confirm(stream, address, origin)
                    return stream
        except TimeoutError:
            raise EgressTimeoutError(origin, self._limit, "connect") from None
        raise EgressConnectionError(origin, f"no connection: {fault}")

    async def _confirm(self, stream: httpcore.AsyncNetworkStream, address: str, origin: str) -> None:
        peer = stream.get_extra_info("server_addr")
        if not isinstance(peer, tuple) or plain(ip_address(str(peer[0]))) != plain(ip_address(address)):
            await stream.aclose()
            raise EgressRefusedError("pinning", origin, "connected to an address that was not checked")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise EgressRefusedError("scheme", "", "no request leaves by a Unix socket")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


@contextmanager
def _typed(origin: str, limit: float) -> Any:
    try:
        yield
    except EgressError:
        raise
    except httpcore.TimeoutException as error:
        raise EgressTimeoutError(origin, limit, type(error).__name__) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
        raise EgressConnectionError(origin, f"{type(error).__name__}: {error}".rstrip(": ")) from error


class _LimitedStream(httpx.AsyncByteStream):
    """A body that is cut off at its limit, and tells its transport when it is over."""

    def __init__(self, inner: Any, origin: str, limits: EgressLimits, maximum: int, closed: Callable[[], None]) -> None:
        self._inner = inner
        self._origin = origin
        self._limits = limits
        self._maximum = maximum
        self._closed: Callable[[], None] | None = closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        with _typed(self._origin, self._limits.request):
            async for part in self._inner:
                size += len(part)
                if size > self._maximum:
                    raise EgressTooLargeError(self._origin, self._maximum)
                yield part

    async def aclose(self) -> None:
        closed, self._closed = self._closed, None
        try:
            await self._inner.aclose()
        finally:
            if closed is not None:
                closed()


class EgressTransport(httpx.AsyncBaseTransport):
    """One hop, checked and limited; follows no redirect. Raises EgressError."""

    def __init__(
        self,
        resolver: Resolver,
        policy: AddressPolicy,
        limits: EgressLimits,
        *,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._rate = RateLimiter(limits.per_second)
        self._clock = clock
        self._open = 0
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(),
            max_connections=limits.at_once,
            max_keepalive_connections=min(20, limits.at_once),
            keepalive_expiry=15.0,
            network_backend=_PinnedBackend(resolver, policy, limits.connect),
        )

    @property
    def open_requests(self) -> int:
        """Requests whose answers have not been closed."""
        return self._open

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        check_url(url)
        origin = origin_of(url)
        self._rate.take(origin, self._clock())
        if self._open >= self._limits.at_once:
            raise EgressRateError(origin, f"more than {self._limits.at_once} requests at once")
        self._open += 1
        try:
            with _typed(origin, self._limits.request):
                answer = await self._pool.handle_async_request(
                    httpcore.Request(
                        request.method,
                        httpcore.URL(
                            scheme=url.raw_scheme,
                            host=url.raw_host,
                            port=url.port,
                            target=url.raw_path,
                        ),
                        headers=request.headers.raw,
                        content=request.stream,
                        # An SNI of the caller's choice would undo the check of the certificate's name.
                        extensions={key: value for key, value in request.extensions.items() if key == "timeout"},
                    )
                )
        except BaseException:
            self._open -= 1
            raise
        maximum = request.extensions.get("maximum_response", self._limits.max_response)
        stream = _LimitedStream(answer.stream, origin, self._limits, maximum, self._release)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream, request=request)

    def _release(self) -> None:
        self._open -= 1

    async def aclose(self) -> None:
        await self._pool.aclose()
