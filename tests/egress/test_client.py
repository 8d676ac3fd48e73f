"""The one HTTP client, over real connections: names, redirects, rebinding, credentials, time, size and rate."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cordboard.egress import (
    AddressPolicy,
    EgressConnectionError,
    EgressError,
    EgressLimits,
    EgressRateError,
    EgressRefusedError,
    EgressTimeoutError,
    EgressTooLargeError,
    HttpClient,
    RateLimiter,
)
from tests.egress.certificates import self_signed
from tests.support.http_server import Exchange, http_server

LOOPBACK = AddressPolicy.of(["127.0.0.1/32"])


class Names:
    """A name server of the test: each question takes the next answer of its name, the last one again and again."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            return [host] if host[0].isdigit() or ":" in host else []
        given = self.answers[host]
        return given.pop(0) if len(given) > 1 else given[0]


async def ok(exchange: Exchange) -> None:
    await exchange.answer(200, b"fine")


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_request_goes_out_whole_and_its_answer_comes_back() -> None:
    async def main() -> None:
        async def echo(exchange: Exchange) -> None:
            await exchange.answer(201, exchange.seen.body, X_One="1")

        async with http_server(echo) as server, HttpClient(LOOPBACK) as client:
            answer = await client.request(
                "post", server.url("/a?b=c"), headers=[("X-Name", "Zoë")], body=b"{}", limit=5
            )
            assert (answer.status, answer.body, answer.header("x-one"), answer.success) == (201, b"{}", "1", True)
            seen = server.seen[0]
            assert (seen.method, seen.target) == ("POST", "/a?b=c")
            assert seen.header("X-Name") == "Zoë"
            assert seen.header("User-Agent") == "Cordboard"
            assert client.transport.open_requests == 0

    run(main)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://127.0.0.1:{port}/", "loopback"),
        ("http://[::1]:{port}/", "loopback"),
        ("http://[::ffff:127.0.0.1]:{port}/", "loopback"),
        ("http://[::ffff:7f00:1]:{port}/", "loopback"),
        ("http://2130706433:{port}/", "numeric-host"),
        ("http://0x7f000001:{port}/", "numeric-host"),
        ("http://127.1:{port}/", "numeric-host"),
        ("http://localhost:{port}/", "loopback"),
        ("http://inside.test:{port}/", "private"),
        ("http://169.254.169.254/latest/meta-data/", "metadata"),
        ("http://user:pass@127.0.0.1:{port}/", "userinfo"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://127.0.0.1/", "scheme"),
        ("ftp://127.0.0.1/", "scheme"),
        ("http:///path", "host"),
        ("//127.0.0.1/", "scheme"),
        ("http://exa mple/", "host"),
        ("http://nowhere.test/", "unresolved"),
    ],
)
def test_what_must_not_be_reached_is_refused_by_name(url: str, rule: str) -> None:
    """Issue 5: egress refuses private and metadata addresses, by name."""

    async def main() -> None:
        names = Names(localhost=[["127.0.0.1", "::1"]], inside_test=[["10.0.0.1"]])
        async with http_server(ok) as server, HttpClient(resolver=names) as client:
            with pytest.raises(EgressRefusedError) as caught:
                await client.request("GET", url.format(port=server.port))
            assert caught.value.rule == rule
            assert server.seen == []

    run(main)


def test_the_systems_own_resolver_is_not_trusted_with_localhost() -> None:
    async def main() -> None:
        async with http_server(ok) as server, HttpClient() as client:
            with pytest.raises(EgressRefusedError, match="loopback"):
                await client.request("GET", server.url(host="localhost"))
            assert server.seen == []

    run(main)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_private_address_is_refused(status: int) -> None:
    """Issue 5: by redirect."""

    async def main() -> None:
        async def away(exchange: Exchange) -> None:
            await exchange.answer(status, Location="http://169.254.169.254/latest/meta-data/")

        async with http_server(away) as server, HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressRefusedError, match="metadata"):
                await client.request("GET", server.url())
            assert len(server.seen) == 1

    run(main)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://0x7f.1/", "http://a:b@127.0.0.1/", "//10.0.0.1/x"])
def test_every_hop_is_checked_like_the_first(location: str) -> None:
    async def main() -> None:
        async def away(exchange: Exchange) -> None:
            await exchange.answer(302, Location=location)

        async with http_server(away) as server, HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressRefusedError):
                await client.request("GET", server.url())
            assert len(server.seen) == 1

    run(main)


def test_a_name_that_changes_its_address_reaches_nothing_inside() -> None:
    """Issue 5: by rebinding. The second answer is checked like the first, and nothing resolves behind our back."""

    async def main() -> None:
        names = Names(rebind_test=[["127.0.0.1"], ["127.0.0.2"]])
        async with http_server(ok) as server, HttpClient(LOOPBACK, resolver=names) as client:
            url = server.url(host="rebind.test")
            assert (await client.request("GET", url)).status == 200
            with pytest.raises(EgressRefusedError, match="loopback"):
                await client.request("GET", url)
            assert names.asked == ["rebind.test", "rebind.test"]
            assert len(server.seen) == 1

    run(main)


def test_the_checked_address_is_the_one_connected_to_and_the_host_header_keeps_the_name() -> None:
    """One question for each connection: between check and connection there is no second look-up to poison."""

    async def main() -> None:
        names = Names(api_test=[["127.0.0.1"]])
        async with http_server(ok) as server, HttpClient(LOOPBACK, resolver=names) as client:
            await client.request("GET", server.url(host="api.test"))
            assert names.asked == ["api.test"]
            assert server.seen[0].header("Host") == f"api.test:{server.port}"

    run(main)


def test_the_next_address_is_tried_where_the_first_does_not_answer() -> None:
    async def main() -> None:
        names = Names(two_test=[["127.0.0.3", "127.0.0.1"]])
        policy = AddressPolicy.of(["127.0.0.0/8"])
        async with http_server(ok) as server, HttpClient(policy, resolver=names) as client:
            assert (await client.request("GET", server.url(host="two.test"))).status == 200

    run(main)


def test_tls_asks_for_the_certificate_of_the_name_not_of_the_address(tmp_path: Path) -> None:
    """The pinned address must not weaken TLS: the name is sent and checked."""

    async def main() -> None:
        certificate, key = self_signed(tmp_path, "api.test")
        served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        served.load_cert_chain(certificate, key)
        trusted = ssl.create_default_context(cafile=str(certificate))
        names = Names(api_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
        async with (
            http_server(ok, tls=served) as server,
            HttpClient(LOOPBACK, resolver=names, ssl_context=trusted) as client,
        ):
            assert (await client.request("GET", server.url(host="api.test"))).status == 200
            with pytest.raises(EgressConnectionError, match="certificate"):
                await client.request("GET", server.url(host="other.test"))

    run(main)


async def _hop(location: str, status: int = 302) -> Callable[[Exchange], Awaitable[None]]:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(status, Location=location)

    return handler


def test_credentials_stay_with_their_origin() -> None:
    """No credential of any kind crosses to another origin, under whatever header name it goes."""

    async def main() -> None:
        async with http_server(ok) as other, http_server(await _hop(other.url("/in"))) as first:
            async with HttpClient(LOOPBACK) as client:
                answer = await client.request(
                    "GET",
                    first.url(),
                    headers=[("Authorization", "Bearer s"), ("X-Api-Key", "s"), ("Cookie", "s"), ("Accept", "a/b")],
                )
            assert (answer.status, answer.hops) == (200, 1)
            assert first.seen[0].header("Authorization") == "Bearer s"
            seen = other.seen[0]
            assert [seen.header(name) for name in ("Authorization", "X-Api-Key", "Cookie")] == [None] * 3
            assert seen.header("Accept") == "a/b"

    run(main)


def test_credentials_go_along_within_the_origin() -> None:
    async def main() -> None:
        async def once(exchange: Exchange) -> None:
            if exchange.seen.target == "/":
                await exchange.answer(307, Location="/again")
            else:
                await exchange.answer(200)

        async with http_server(once) as server, HttpClient(LOOPBACK) as client:
            await client.request("POST", server.url(), headers=[("Authorization", "Bearer s")], body=b"data")
            again = server.seen[1]
            assert (again.method, again.body, again.header("Authorization")) == ("POST", b"data", "Bearer s")

    run(main)


@pytest.mark.parametrize("status", [307, 308])
def test_a_body_is_never_handed_to_another_origin(status: int) -> None:
    async def main() -> None:
        async with http_server(ok) as other, http_server(await _hop(other.url(), status)) as first:
            async with HttpClient(LOOPBACK) as client:
                with pytest.raises(EgressRefusedError) as caught:
                    await client.request("POST", first.url(), body=b"private")
            assert caught.value.rule == "redirect-body"
            assert other.seen == []

    run(main)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_post_becomes_a_get_without_body(status: int) -> None:
    """RFC 9110 §15.4."""

    async def main() -> None:
        async with http_server(ok) as other, http_server(await _hop(other.url(), status)) as first:
            async with HttpClient(LOOPBACK) as client:
                await client.request("POST", first.url(), body=b"private", headers=[("Content-Type", "text/plain")])
            seen = other.seen[0]
            assert (seen.method, seen.body, seen.header("Content-Type")) == ("GET", b"", None)

    run(main)


def test_redirects_end() -> None:
    async def main() -> None:
        async with http_server(await _hop("/again")) as server, HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressRefusedError) as caught:
                await client.request("GET", server.url())
            assert caught.value.rule == "redirects"
            assert len(server.seen) == EgressLimits().redirects + 1

    run(main)


def test_https_is_not_given_up_for_http(tmp_path: Path) -> None:
    async def main() -> None:
        certificate, key = self_signed(tmp_path, "api.test")
        served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        served.load_cert_chain(certificate, key)
        async with http_server(ok) as plain, http_server(await _hop(plain.url()), tls=served) as server:
            client = HttpClient(
                LOOPBACK,
                resolver=Names(api_test=[["127.0.0.1"]]),
                ssl_context=ssl.create_default_context(cafile=str(certificate)),
            )
            async with client:
                with pytest.raises(EgressRefusedError) as caught:
                    await client.request("GET", server.url(host="api.test"))
            assert caught.value.rule == "downgrade"
            assert plain.seen == []

    run(main)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "evil.test"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Bad Name", "x"),
        ("X-A", "a\r\nX-B: b"),
        ("X-A", "a\x00b"),
        ("", "x"),
    ],
)
def test_a_header_cannot_change_the_message(name: str, value: str) -> None:
    async def main() -> None:
        async with http_server(ok) as server, HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressRefusedError) as caught:
                await client.request("GET", server.url(), headers=[(name, value)])
            assert caught.value.rule == "header"
            assert server.seen == []

    run(main)


def test_an_answer_that_never_comes_ends_at_the_limit() -> None:
    async def main() -> None:
        async def never(exchange: Exchange) -> None:
            await asyncio.Event().wait()

        async with http_server(never) as server, HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressTimeoutError) as caught:
                await client.request("GET", server.url(), limit=0.05)
            assert caught.value.seconds == 0.05
            assert client.transport.open_requests == 0

    run(main)


def test_an_answer_that_drips_ends_at_the_limit() -> None:
    """Each byte is in time, the whole is not."""

    async def main() -> None:
        async def drip(exchange: Exchange) -> None:
            await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                await exchange.send(b".")
                await asyncio.sleep(0.01)

        async with http_server(drip) as server, HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressTimeoutError):
                await client.request("GET", server.url(), limit=0.1)

    run(main)


def test_a_resolver_that_hangs_ends_at_the_connect_limit() -> None:
    class Hangs:
        async def resolve(self, host: str, port: int) -> list[str]:
            await asyncio.Event().wait()
            return []

    async def main() -> None:
        async with HttpClient(limits=EgressLimits(connect=0.05), resolver=Hangs()) as client:
            with pytest.raises(EgressTimeoutError) as caught:
                await client.request("GET", "http://slow.test/")
            assert caught.value.stage == "connect"

    run(main)


@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_that_is_too_large_is_not_read(announced: bool) -> None:
    async def main() -> None:
        async def large(exchange: Exchange) -> None:
            length = "Content-Length: 1000000\r\n" if announced else "Connection: close\r\n"
            await exchange.send(f"HTTP/1.1 200 OK\r\n{length}\r\n".encode())
            for _ in range(100):
                await exchange.send(b"x" * 10000)

        async with http_server(large) as server, HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressTooLargeError):
                await client.request("GET", server.url(), max_response=20000)
            assert client.transport.open_requests == 0

    run(main)


def test_a_small_answer_that_unpacks_to_a_large_one_is_refused() -> None:
    async def main() -> None:
        async def bomb(exchange: Exchange) -> None:
            size = 50_000_000 if exchange.seen.target == "/bomb" else 100
            await exchange.answer(200, gzip.compress(b"x" * size), Content_Encoding="gzip")

        async with http_server(bomb) as server, HttpClient(LOOPBACK) as client:
            assert (await client.request("GET", server.url("/small"))).body == b"x" * 100
            with pytest.raises(EgressTooLargeError):
                await client.request("GET", server.url("/bomb"))

    run(main)


def test_a_request_that_is_too_large_does_not_leave() -> None:
    async def main() -> None:
        limits = EgressLimits(max_request=10)
        async with http_server(ok) as server, HttpClient(LOOPBACK, limits) as client:
            with pytest.raises(EgressRefusedError) as caught:
                await client.request("POST", server.url(), body=b"x" * 11)
            assert caught.value.rule == "request-size"

    run(main)


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_a_peer_that_breaks_off_or_talks_nonsense_is_a_connection_error(answer: bytes) -> None:
    async def main() -> None:
        async def broken(exchange: Exchange) -> None:
            await exchange.send(answer)

        async with http_server(broken) as server, HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressConnectionError):
                await client.request("GET", server.url())
            assert client.transport.open_requests == 0

    run(main)


def test_a_closed_port_is_a_connection_error() -> None:
    async def main() -> None:
        async with http_server(ok) as server:
            url = server.url()
        async with HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressConnectionError):
                await client.request("GET", url)

    run(main)


def test_too_many_requests_to_one_host_are_refused_at_once() -> None:
    async def main() -> None:
        limits = EgressLimits(per_second=1)
        async with http_server(ok) as server, HttpClient(LOOPBACK, limits, clock=lambda: 0.0) as client:
            for _ in range(2):
                await client.request("GET", server.url())
            with pytest.raises(EgressRateError):
                await client.request("GET", server.url())

    run(main)


def test_too_many_requests_at_once_are_refused_and_the_place_is_given_back() -> None:
    async def main() -> None:
        release = asyncio.Event()
        arrived = asyncio.Event()

        async def waits(exchange: Exchange) -> None:
            arrived.set()
            await release.wait()
            await exchange.answer(200)

        async with http_server(waits) as server, HttpClient(LOOPBACK, EgressLimits(at_once=1)) as client:
            first = asyncio.ensure_future(client.request("GET", server.url()))
            await arrived.wait()
            with pytest.raises(EgressRateError):
                await client.request("GET", server.url())
            release.set()
            assert (await first).status == 200
            assert (await client.request("GET", server.url())).status == 200

    run(main)


def test_a_rate_recovers_with_time_and_its_table_is_bounded() -> None:
    limiter = RateLimiter(2, burst=1)
    limiter.take("a", 0.0)
    with pytest.raises(EgressRateError):
        limiter.take("a", 0.1)
    limiter.take("a", 0.6)
    for number in range(3000):
        limiter.take(f"host{number}", 1.0)
    assert len(limiter._buckets) <= 1024


def test_errors_name_the_origin_and_never_the_query() -> None:
    """A URL's query may hold a key; the log must not."""

    async def main() -> None:
        async with http_server(ok) as server:
            url = server.url("/path?key=secret")
        async with HttpClient(LOOPBACK) as client:
            with pytest.raises(EgressError) as caught:
                await client.request("GET", url, headers=[("Authorization", "Bearer secret")])
            assert "secret" not in str(caught.value)
            assert "127.0.0.1" in str(caught.value)

    run(main)


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve names itself: the check would be for nothing."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def main() -> None:
        async with http_server(ok) as server, HttpClient(LOOPBACK) as client:
            assert (await client.request("GET", server.url())).status == 200

    run(main)
