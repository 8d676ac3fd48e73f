"""Reading calls: the reference's shapes, workspace isolation, filters, and our own resources beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from .house import ONE, OPERATOR, TRACE, TWO, House, with_house
from .schema import COMPONENTS, envelope, faults

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "synthflow-v2.openapi.yml"


def published() -> dict[str, Any] | None:
    if not REFERENCE.exists():
        return None
    schemas: dict[str, Any] = yaml.safe_load(REFERENCE.read_text())["components"]["schemas"]
    return schemas


def test_one_call_has_the_shape_of_the_reference_and_the_transfer_in_it(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        response = await house.client.get("/v2/calls/done", headers=ONE)
        assert response.status_code == 200
        answer = response.json()
        assert faults(answer, envelope("Call"), COMPONENTS) == []
        if (schemas := published()) is not None:
            assert faults(answer, schemas["GetCallResponse"], schemas) == []
        (call,) = answer["response"]["calls"]
        assert call["status"] == call["call_status"] == "completed"
        assert call["transcript"] == "bot: Good morning\nhuman: <script>alert(1)</script>"
        assert (call["start_time"], call["duration"]) == ("1700000000250", 30)
        assert (call["telephony_ringing_duration"], call["telephony_duration"]) == (1000, 31000)
        assert call["recording_url"] == "http://api.test/v2/calls/done/recordings/caller.wav"
        actions = call["executed_actions"]
        assert list(actions) == ["action_transfer_call", "action_transfer_call_2", "look_up"]
        assert actions["action_transfer_call"]["return_value"] == {
            "status": "transfer-failed-timeout",
            "failed_reason": "no_answer",
        }
        success = actions["action_transfer_call_2"]
        assert success["return_value"]["human_connected_at"] == "2023-11-14T22:13:30.500Z"
        assert success["attempts"] == [{"destination": "sip:bob@example.com", "sip_status": 200}]
        assert success["verified"] is True
        assert call["warnings"] == ["header ignored: X-Bad Name"]

    with_house(tmp_path, body)


def test_a_live_call_has_the_shape_too(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        answer = (await house.client.get("/v2/calls/live", headers=ONE)).json()
        assert faults(answer, envelope("Call"), COMPONENTS) == []
        if (schemas := published()) is not None:
            assert faults(answer, schemas["GetCallResponse"], schemas) == []
        assert answer["response"]["calls"][0]["status"] == "ringing"

    with_house(tmp_path, body)


def test_the_list_has_the_shape_of_the_reference(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        answer = (await house.client.get("/v2/calls", params={"model_id": "model-1"}, headers=ONE)).json()
        assert faults(answer, envelope("CallListItem"), COMPONENTS) == []
        if (schemas := published()) is not None:
            assert faults(answer, schemas["ListCallsResponse"], schemas) == []
        response = answer["response"]
        assert response["pagination"] == {"total_records": 2, "limit": 20, "offset": 0}
        assert [call["call_id"] for call in response["calls"]] == ["live", "done"]

    with_house(tmp_path, body)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": "1"}, ["live"]),
        ({"limit": "1", "offset": "1"}, ["done"]),
        ({"call_status": "completed"}, ["done"]),
        ({"to_date": "1700000050000"}, ["done"]),
        ({"from_date": "1700000050000"}, ["live"]),
        ({"duration_min": "30", "duration_max": "30"}, ["done"]),
        ({"lead_phone_number": "+15550002"}, ["live"]),
        ({"model_id": "model-2"}, []),
        ({"limit": "2000000000"}, ["live", "done"]),
    ],
)
def test_filters(tmp_path: Path, query: dict[str, str], expected: list[str]) -> None:
    async def body(house: House) -> None:
        params = {"model_id": "model-1", **query}
        answer = (await house.client.get("/v2/calls", params=params, headers=ONE)).json()
        assert [call["call_id"] for call in answer["response"]["calls"]] == expected

    with_house(tmp_path, body)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "query.model_id"),
        ({"model_id": "m", "limit": "many"}, "query.limit"),
        ({"model_id": "m", "limit": "0"}, "query.limit"),
        ({"model_id": "m", "offset": "-1"}, "query.offset"),
        ({"model_id": "m", "from_date": "9" * 30}, "query.from_date"),
    ],
)
def test_a_bad_query_names_the_field_and_the_rule(tmp_path: Path, query: dict[str, str], field: str) -> None:
    async def body(house: House) -> None:
        response = await house.client.get("/v2/calls", params=query, headers=ONE)
        assert response.status_code == 422
        assert faults(response.json(), COMPONENTS["Detail"], COMPONENTS) == []
        description = response.json()["detail"]["description"]
        assert description.startswith(f"{field}: ")
        assert "(" in description

    with_house(tmp_path, body)


@pytest.mark.parametrize("path", ["", "/timeline", "/sip", "/ladder", "/recordings/caller.wav"])
def test_a_foreign_call_looks_like_an_unknown_one(tmp_path: Path, path: str) -> None:
    async def body(house: House) -> None:
        foreign = await house.client.get(f"/v2/calls/done{path}", headers=TWO)
        unknown = await house.client.get(f"/v2/calls/nope{path}", headers=TWO)
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json()["detail"]["category"] == "not_found"
        assert (await house.client.get(f"/v2/calls/done{path}", headers=OPERATOR)).status_code == 200

    with_house(tmp_path, body)


@pytest.mark.parametrize("call_id", ["x" * 5000, "%00", "%ff%fe", "..%2f..%2fetc"])
def test_a_hostile_call_id_is_unknown(tmp_path: Path, call_id: str) -> None:
    async def body(house: House) -> None:
        assert (await house.client.get(f"/v2/calls/{call_id}", headers=ONE)).status_code == 404

    with_house(tmp_path, body)


def test_timeline_in_order_and_from_where_one_left_off(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        response = (await house.client.get("/v2/calls/done/timeline", headers=ONE)).json()["response"]
        assert [(event["seq"], event["kind"], event["leg"]) for event in response["events"]] == [
            (1, "leg.answered", "caller"),
            (2, "transfer.step", ""),
        ]
        rest = (await house.client.get("/v2/calls/done/timeline?after=1", headers=ONE)).json()["response"]
        assert [event["seq"] for event in rest["events"]] == [2]

    with_house(tmp_path, body)


def test_the_trace_needs_its_own_scope_and_is_masked(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        for path in ("sip", "ladder"):
            assert (await house.client.get(f"/v2/calls/done/{path}", headers=ONE)).status_code == 403
        assert (await house.client.get("/v2/calls/done", headers=TRACE)).status_code == 403
        trace = await house.client.get("/v2/calls/done/sip", headers=TRACE)
        (message,) = trace.json()["response"]["messages"]
        assert message["text"].startswith("INVITE")
        assert "secret" not in trace.text
        ladder = await house.client.get("/v2/calls/done/ladder", headers=TRACE)
        assert ladder.headers["content-type"].startswith("text/plain")
        assert "INVITE" in ladder.text

    with_house(tmp_path, body)


def test_a_recording_is_served_in_ranges_and_nothing_outside_its_folder(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        url = "/v2/calls/done/recordings/caller.wav"
        whole = await house.client.get(url, headers=ONE)
        assert (whole.status_code, whole.content) == (200, b"RIFF0123456789")
        assert whole.headers["content-type"] == "audio/wav"
        part = await house.client.get(url, headers={**ONE, "Range": "bytes=4-6"})
        assert (part.status_code, part.content) == (206, b"012")
        for name in ("evil", "nope.wav", "..%2f..%2fsecret"):
            assert (await house.client.get(f"/v2/calls/done/recordings/{name}", headers=ONE)).status_code == 404

    with_house(tmp_path, body)
