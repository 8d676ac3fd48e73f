"""Keys, limits, errors, control, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from starlette.types import Message, Receive, Scope, Send

from cordboard.api.limits import RateLimit, RequestLimits

from .house import ONE, TRACE, TWO, House, with_house
from .schema import COMPONENTS, faults


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic key-one", "key-one", "Bearer " + "x" * 9000]
)
@pytest.mark.parametrize("path", ["/v2/calls?model_id=m", "/v2/calls/done", "/v2/calls/done/sip"])
def test_without_a_key_nothing_is_told(tmp_path: Path, value: str | None, path: str) -> None:
    async def body(house: House) -> None:
        headers = {} if value is None else {"Authorization": value}
        response = await house.client.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert faults(response.json(), COMPONENTS["Detail"], COMPONENTS) == []
        assert response.json()["detail"]["request_id"] == response.headers["x-request-id"]

    with_house(tmp_path, body)


def test_the_scheme_is_read_without_regard_to_case(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        response = await house.client.get("/v2/calls/done", headers={"Authorization": "bearer key-one"})
        assert response.status_code == 200

    with_house(tmp_path, body)


def test_typed_text_reaches_a_live_call_only(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        async def say(call_id: str, content: object, headers: dict[str, str] = ONE) -> int:
            url = f"/v2/calls/{call_id}/messages"
            return (await house.client.post(url, json=content, headers=headers)).status_code

        assert await say("live", {"text": "a person, please"}) == 200
        assert house.control.heard == [("live", "a person, please")]
        assert await say("done", {"text": "hello"}) == 409
        assert await say("nope", {"text": "hello"}) == 404
        assert await say("live", {"text": "hello"}, TWO) == 404
        assert await say("live", {"text": "hello"}, TRACE) == 403
        for wrong in ({}, {"text": ""}, {"text": "  "}, {"text": 5}, {"text": "x" * 2001}, {"text": "x" * 20_000}):
            assert await say("live", wrong) == 422
        house.control.listening = False
        assert await say("live", {"text": "hello"}) == 409

    with_house(tmp_path, body)


def test_hanging_up(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        assert (await house.client.post("/v2/calls/live/hangup", headers=ONE)).status_code == 200
        assert (await house.client.post("/v2/calls/done/hangup", headers=ONE)).status_code == 409
        assert house.control.ended == ["live"]

    with_house(tmp_path, body)


def test_a_large_body_is_refused_with_and_without_its_length(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 1000

        for content in (b" " * 70_000, pieces()):
            response = await house.client.post("/v2/prepare_inbound", content=content, headers=ONE)
            assert response.status_code == 413
            assert faults(response.json(), COMPONENTS["Detail"], COMPONENTS) == []

    with_house(tmp_path, body)


def test_a_body_that_never_comes_is_given_up() -> None:
    async def run() -> list[Message]:
        sent: list[Message] = []

        async def never() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise AssertionError

        limits = RequestLimits(app, body_limit=10, body_timeout=0.01)
        await limits({"type": "http", "method": "POST", "headers": [], "path": "/"}, never, send)
        return sent

    assert asyncio.run(run())[0]["status"] == 408


def test_each_key_has_its_own_rate(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        codes = [(await house.client.get("/v2/calls/done", headers=ONE)).status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        refused = await house.client.get("/v2/calls/done", headers=ONE)
        assert int(refused.headers["retry-after"]) >= 1
        assert (await house.client.get("/v2/calls/foreign", headers=TWO)).status_code == 200
        guesses = [(await house.client.get("/v2/calls/done")).status_code for _ in range(4)]
        assert guesses == [401, 401, 401, 429]

    with_house(tmp_path, body, rate=0.001, burst=3)


def test_the_table_of_rates_is_bounded_and_buckets_refill() -> None:
    now = 0.0
    limit = RateLimit(2.0, 1, 3, lambda: now)
    for name in "abcdefgh":
        assert limit.take(name) == 0
    assert len(limit) == 3
    assert limit.take("h") == 0.5
    now = 0.5
    assert limit.take("h") == 0


def test_unknown_paths_and_methods_have_the_error_shape(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        for response, status in (
            (await house.client.get("/v2/nothing"), 404),
            (await house.client.delete("/v2/calls/done", headers=ONE), 405),
        ):
            assert response.status_code == status
            assert faults(response.json(), COMPONENTS["Detail"], COMPONENTS) == []

    with_house(tmp_path, body)


def test_an_unexpected_fault_says_nothing_about_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(house: House) -> None:
        async def broken(_call_id: str) -> None:
            raise RuntimeError("secret detail")

        monkeypatch.setattr(house.store, "get_call", broken)
        response = await house.client.get("/v2/calls/done", headers=ONE)
        assert response.status_code == 500
        assert faults(response.json(), COMPONENTS["Detail"], COMPONENTS) == []
        assert "secret" not in response.text

    with_house(tmp_path, body)


def test_a_database_that_is_away_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(house: House) -> None:
        async def away(*_: object) -> None:
            raise OperationalError("SELECT secret", {}, Exception("unable to open database file"))

        monkeypatch.setattr(house.store, "get_call", away)
        monkeypatch.setattr(house.store, "ping", away)
        response = await house.client.get("/v2/calls/done", headers=ONE)
        assert response.status_code == 503
        assert response.json()["detail"]["category"] == "unavailable"
        assert "secret" not in response.text
        health = await house.client.get("/health")
        assert (health.status_code, health.json()["database"]) == (503, "unavailable")

    with_house(tmp_path, body)


def test_health_tells_draining(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        well = await house.client.get("/health")
        assert (well.status_code, well.json()) == (
            200,
            {"status": "ok", "version": "9.9", "database": "ok", "live_calls": 3},
        )
        house.control.drains = True
        draining = await house.client.get("/health")
        assert (draining.status_code, draining.json()["status"]) == (503, "draining")

    with_house(tmp_path, body)


def test_metrics_count_routes_and_never_name_a_call(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        await house.client.get("/v2/calls/done", headers=ONE)
        await house.client.get("/v2/whatever-a-stranger-types")
        text = (await house.client.get("/metrics")).text
        assert 'route="/v2/calls/{call_id}",status="200"} 1.0' in text
        assert "cordboard_records_written_total" in text
        assert "cordboard_records_pending 0" in text
        assert "done" not in text
        assert "stranger" not in text

    with_house(tmp_path, body)


def test_the_description_lists_every_resource_and_its_key(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        description = (await house.client.get("/openapi.json")).json()
        assert {
            "/v2/prepare_inbound",
            "/v2/calls",
            "/v2/calls/{call_id}",
            "/v2/calls/{call_id}/timeline",
            "/v2/calls/{call_id}/sip",
            "/v2/calls/{call_id}/ladder",
            "/v2/calls/{call_id}/recordings/{name}",
            "/v2/calls/{call_id}/messages",
            "/v2/calls/{call_id}/hangup",
            "/health",
            "/metrics",
        } <= description["paths"].keys()
        for path, operations in description["paths"].items():
            if path.startswith("/v2/"):
                assert all("security" in operation for operation in operations.values())

    with_house(tmp_path, body)


def test_a_foreign_host_name_is_refused_where_names_are_set(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        assert (await house.client.get("/health")).status_code == 200
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://rebound.example") as other:
            assert (await other.get("/health")).status_code == 400

    with_house(tmp_path, body, allowed_hosts=("api.test",))
