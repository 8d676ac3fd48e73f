"""Announcing an inbound call: the seed's request and answer, and every way in which the body can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .house import ONE, OPERATOR, TRACE, FakeAgents, House, with_house
from .schema import COMPONENTS, PREPARED_KEYS, faults
from .test_calls import published

SEED: dict[str, Any] = {
    "from_number": "+1234567890",
    "to_number": "+1987654321",
    "model_id": "model-1",
    "workspace_id": "space-1",
    "custom_variables": {"customer_name": "John Doe", "account_id": "A12345"},
}


def test_the_seed_request_gets_the_seed_answer_and_the_call_can_be_joined(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        response = await house.client.post("/v2/prepare_inbound", json=SEED, headers=ONE)
        assert response.status_code == 200
        answer = response.json()
        assert answer.keys() >= PREPARED_KEYS
        if (schemas := published()) is not None:
            assert faults(answer, schemas["PrepareInboundResponse"], schemas) == []
        identifier = answer["synthflow_call_id"]
        assert list(answer)[:6] == [
            "call_status",
            "synthflow_call_id",
            "direction",
            "model_id",
            "workspace_id",
            "custom_variables",
        ]
        assert (answer["call_status"], answer["direction"]) == ("registered", "inbound")
        assert answer["custom_variables"] == SEED["custom_variables"]
        registered = (await house.client.get(f"/v2/calls/{identifier}", headers=ONE)).json()
        assert registered["response"]["calls"][0]["status"] == "registered"
        claim = await house.store.claim_prepared(identifier, workspace_id="space-1", call_id="done")
        assert claim.prepared is not None
        joined = (await house.client.get(f"/v2/calls/{identifier}", headers=ONE)).json()
        assert joined["response"]["calls"][0]["call_id"] == "done"

    with_house(tmp_path, body, FakeAgents())


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"from_number": 15}, 422, "body.from_number: "),
        ({"to_number": "bob@example.com"}, 422, "body.to_number: "),
        ({"model_id": ["m"]}, 422, "body.model_id: "),
        ({"model_id": "x" * 500}, 422, "body.model_id: "),
        ({"custom_variables": [{"key": "a", "value": "b"}]}, 422, "body.custom_variables: "),
        ({"custom_variables": {"": "b"}}, 422, "body.custom_variables: "),
        ({"custom_variables": {"a\r\nb": "b"}}, 422, "body.custom_variables: "),
        ({"model_id": "", "to_number": ""}, 422, "body.model_id: "),
        ({"workspace_id": "space-2"}, 403, "workspace_id: "),
        ({"model_id": "model-2"}, 404, "model_id: "),
        ({"model_id": "nobody"}, 404, "model_id: "),
        ({"model_id": ""}, 404, "to_number: "),
    ],
)
def test_a_wrong_body_names_the_field(tmp_path: Path, change: dict[str, Any], status: int, named: str) -> None:
    async def body(house: House) -> None:
        response = await house.client.post("/v2/prepare_inbound", json={**SEED, **change}, headers=ONE)
        assert response.status_code == status
        assert faults(response.json(), COMPONENTS["Detail"], COMPONENTS) == []
        assert named in response.json()["detail"]["description"]

    with_house(tmp_path, body, FakeAgents())


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 400), (b"[]", 422), (b"null", 422), (b"", 422), (b"\xff\xfe", 400), (b"[" * 30_000, 400)],
)
def test_a_body_that_is_no_object(tmp_path: Path, content: bytes, status: int) -> None:
    async def body(house: House) -> None:
        headers = {**ONE, "Content-Type": "application/json"}
        response = await house.client.post("/v2/prepare_inbound", content=content, headers=headers)
        assert response.status_code == status
        assert faults(response.json(), COMPONENTS["Detail"], COMPONENTS) == []

    with_house(tmp_path, body)


def test_unknown_keys_are_tolerated_and_the_number_alone_finds_the_agent(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        asked = {"to_number": "+15550100", "something_new": {"a": 1}}
        answer = (await house.client.post("/v2/prepare_inbound", json=asked, headers=ONE)).json()
        assert (answer["model_id"], answer["workspace_id"]) == ("model-1", "space-1")
        operator = (await house.client.post("/v2/prepare_inbound", json=asked, headers=OPERATOR)).json()
        assert operator["workspace_id"] == "space-1"

    with_house(tmp_path, body, FakeAgents())


def test_too_many_waiting_calls_are_refused_for_a_while(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        for _ in range(5):
            await house.client.post("/v2/prepare_inbound", json=SEED, headers=ONE)
        response = await house.client.post("/v2/prepare_inbound", json=SEED, headers=ONE)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"

    with_house(tmp_path, body)


def test_a_key_without_the_scope_may_not(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        assert (await house.client.post("/v2/prepare_inbound", json=SEED, headers=TRACE)).status_code == 403

    with_house(tmp_path, body)
