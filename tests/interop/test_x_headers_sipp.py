"""The rules of X-headers: from the caller's INVITE into variables, and out again in the transfer's INVITE and REFER.

SIPp as the person, or as the caller's switch, lets a call through only with the headers that it expects.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from cordboard.sip.address import Address
from cordboard.sip.message import Request, parse_message
from tests.support.casting import (
    Played,
    Scene,
    agent,
    all_of,
    caller,
    cold,
    nothing_left,
    of,
    stage,
    transfer,
)
from tests.support.house import House
from tests.support.sipp import Sipp

pytestmark = pytest.mark.interop

Results = dict[str, Any]
FORWARDED = [
    {"name": "X-Account-ID", "value": "{X-Account-ID}"},
    {"name": "X-Customer-Name", "value": "{X-Customer-Name}"},
    {"name": "X-Handled-By", "value": "cordboard"},
]
PEOPLE = {
    "forwarded": "person-reads-headers.xml",
    "unknown": "person-answers.xml",
    "challenged": "person-challenges.xml",
    "escaped": "person-answers.xml",
    "large": "person-answers.xml",
    "nul": "person-answers.xml",
}
HEADERS = {
    "forwarded": "X-Customer-Name: Jane Doe\r\nx-account-id: ACC-98765\r\nX-Language: es\r\nX-Priority:   high  \r\n"
    "X-Bad.Name: 1\r\nX-Also!Bad: 2\r\nX-CUSTOMER-name: Sales\r\nX_Underscore: no x-header",
    "unknown": "X-Other: 1",
    "challenged": "X-Account-ID: ACC-98765",
    "escaped": "X-Account-ID: %0d%0aX-Evil: 1\r\nX-Room: a@evil.example;maddr=10.0.0.1?X-Evil=1",
    "cold": "X-Account-ID: ACC-98765\r\nX-Customer-Name: Jane Doe",
    "cold-escaped": 'X-Account-ID: %0d%0aX-Evil: 1\r\nX-Customer-Name: a&b=c;d?e<f>"g"',
    "large": f"X-Account-ID: {'x' * 1200}",
}
NUMBERS = {
    name: f"+155504{index:02}"
    for index, name in enumerate((*HEADERS, "injected-CR", "injected-LF", "injected-both", "nul"))
}
SCENARIOS = {"cold": "refer-with-headers.xml", "cold-escaped": "refer-reported.xml"}
INJECTED = {"CR": "a\rX-Evil: 1", "LF": "a\nX-Evil: 1", "both": "a\r\nX-Evil: 1"}

RULE = {"CR": "CR", "LF": "LF", "both": "CR"}


async def timeline(h: House, call_id: str) -> list[dict[str, Any]]:
    async with h.api() as api:
        answer = await api.get(f"/v2/calls/{call_id}/timeline", params={"limit": 5000})
    events: list[dict[str, Any]] = answer.json()["response"]["events"]
    return events


async def prepare(api: httpx.AsyncClient, name: str, variables: dict[str, object]) -> str:
    answer = await api.post("/v2/prepare_inbound", json={"model_id": name, "custom_variables": variables})
    assert answer.status_code == 200, answer.text
    identifier: str = answer.json()["synthflow_call_id"]
    return identifier


async def forward(h: House, folder: Path, name: str, people: dict[str, Sipp]) -> Played:
    """One call whose caller asks for a person."""
    person = people.get(name)
    if person is not None:
        await person.start()
    keys = {"headers": HEADERS[name], "report": "200 OK"}
    phone = caller(h, folder / name, NUMBERS[name], SCENARIOS.get(name, "caller-presses.xml"), keys)
    await phone.start()
    scene = Scene(h, NUMBERS[name])
    await scene.opened()
    await scene.claimed()
    if person is not None:
        await scene.hang_up()
    await scene.over()
    (await phone.finish()).check()
    if person is not None:
        (await person.finish()).check()
    return Played(await scene.record(), scene.sip, scene)


async def inject(h: House, folder: Path, kind: str) -> tuple[Played, list[dict[str, Any]]]:
    """A prepared call whose variable would end the header."""
    name = f"injected-{kind}"
    async with h.api() as api:
        prepared = await prepare(api, name, {"reference": INJECTED[kind]})
    phone = caller(h, folder / name, NUMBERS[name], keys={"headers": f"X-EI: S.{prepared};"})
    await phone.start()
    scene = Scene(h, NUMBERS[name])
    await scene.opened()
    await scene.claimed()
    await scene.spoken("sorry")
    await scene.hang_up()
    await scene.over()
    (await phone.finish()).check()
    return Played(await scene.record(), scene.sip, scene), await timeline(h, scene.call_id)


async def with_nul(h: House, folder: Path, person: Sipp) -> Played:
    """A prepared call whose variable holds a NUL."""
    await person.start()
    async with h.api() as api:
        prepared = await prepare(api, "nul", {"reference": "a\0b"})
    phone = caller(h, folder / "nul", NUMBERS["nul"], keys={"headers": f"X-EI: S.{prepared};"})
    await phone.start()
    scene = Scene(h, NUMBERS["nul"])
    await scene.opened()
    await scene.claimed()
    await scene.hang_up()
    await scene.over()
    (await phone.finish()).check()
    (await person.finish()).check()
    return Played(await scene.record(), scene.sip, scene)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("x-headers")
    people = {name: Sipp(scenario, folder / name / "person") for name, scenario in PEOPLE.items()}
    sip_headers: dict[str, list[dict[str, str]]] = {
        "forwarded": [
            *FORWARDED,
            {"name": "X-Priority", "value": "{x-PRIORITY}"},
            {"name": "X-Mixed", "value": "acc={X-Account-ID};lang={X-Language}"},
        ],
        **{
            name: [{"name": "X-Reference", "value": "{reference}"}]
            for name in ("nul", *(f"injected-{kind}" for kind in INJECTED))
        },
    }

    async def main() -> Results:
        agents = []
        for name, number in NUMBERS.items():
            fields: dict[str, Any] = {"sip_headers": sip_headers.get(name, FORWARDED)}
            if name == "challenged":
                fields["gateway"] = "trunk"
            if name in people:
                user = "{X-Room}" if name == "escaped" else "human"
                action = transfer(name, f"sip:{user}@127.0.0.1:{people[name].port}", **fields)
            elif name.startswith("cold"):
                action = cold(name, **fields)
            else:
                action = transfer(name, "sip:human@127.0.0.1:9", **fields)
            agents.append(agent(name, number, action, greeting_message="Hello {X-Customer-Name}"))
        async with stage(folder, *agents) as h:
            results: Results = await all_of(
                {
                    **{
                        name: lambda name=name: forward(h, folder, name, people)  # type: ignore[misc]
                        for name in HEADERS
                    },
                    **{
                        kind: lambda kind=kind: inject(h, folder, kind)  # type: ignore[misc]
                        for kind in INJECTED
                    },
                    "nul": lambda: with_nul(h, folder, people["nul"]),
                }
            )
            return results | await all_of({"left": lambda: nothing_left(h)})

    return asyncio.run(main())


def sent_invite(one: Played) -> Request:
    message = parse_message(one.sip.messages("target-1", "out", "INVITE")[0].encode())
    assert isinstance(message, Request)
    return message


def test_headers_become_variables(played: Results) -> None:
    """Each X-header is a variable under its own name; what is none is not; the greeting already has them."""
    record = of(played, "forwarded").record
    assert record["prompt_variables"] == {
        "X-Customer-Name": "Jane Doe, Sales",
        "x-account-id": "ACC-98765",
        "X-Language": "es",
        "X-Priority": "high",
    }
    assert record["transcript"].startswith("bot: Hello Jane Doe, Sales")


def test_repeated_header_is_joined(played: Results) -> None:
    """A header that comes twice, in whatever case, is one variable with both values (RFC 3261 §7.3.1)."""
    assert of(played, "forwarded").record["prompt_variables"]["X-Customer-Name"] == "Jane Doe, Sales"


def test_illegal_names_are_ignored_with_a_warning(played: Results) -> None:
    """The call goes on without them, and the record names the header and the rule."""
    one: Played = of(played, "forwarded")
    assert one.record["status"] == "completed"
    assert [warning.partition(":")[0] for warning in one.record["warnings"]] == ["X-Bad.Name", "X-Also!Bad"]
    assert all(r"^X-[A-Za-z0-9\-_]+$" in warning for warning in one.record["warnings"])


def test_values_are_forwarded_to_the_person(played: Results) -> None:
    """Forwarded, looked up without regard to case, put together, and static: the person's switch read all of them."""
    one: Played = of(played, "forwarded")
    assert one.outcome == ("transfer-success", "none")
    request = sent_invite(one)
    assert request.headers.get("X-Mixed") == "acc=ACC-98765;lang=es"
    assert request.headers.get("X-Handled-By") == "cordboard"
    assert request.headers.get("X-Bad.Name") is None
    assert request.headers.get("X-Language") is None


def test_headers_survive_a_challenge(played: Results) -> None:
    """Lesson 29: the INVITE that carries the credentials carries the X-headers again."""
    one: Played = of(played, "challenged")
    assert one.outcome == ("transfer-success", "none")
    assert one.sip.starts("target-1", "out").count("INVITE") == 2


def test_unknown_variable_is_empty_and_warned_of(played: Results) -> None:
    """The header goes out empty, and the record says which variable nobody knew."""
    one: Played = of(played, "unknown")
    assert one.outcome == ("transfer-success", "none")
    assert sent_invite(one).headers.get("X-Account-ID") == ""
    assert sent_invite(one).headers.get("X-Handled-By") == "cordboard"
    for name in ("X-Account-ID", "X-Customer-Name"):
        assert sum(warning.startswith(f"{name}: unknown variable") for warning in one.record["warnings"]) == 1


def test_cold_transfer_carries_headers_inside_refer_to(played: Results) -> None:
    """The caller's switch found them there, with Referred-By (RFC 3261 §19.1.1, RFC 3892)."""
    assert of(played, "cold").outcome == ("transfer-success", "none")


def test_values_inside_refer_to_are_escaped(played: Results) -> None:
    """A value with the characters of URIs, and one with %0d%0a, comes out of the Refer-To as it went in."""
    one: Played = of(played, "cold-escaped")
    assert one.outcome == ("transfer-success", "none")
    message = parse_message(one.sip.messages("caller", "out", "REFER")[0].encode())
    text = message.headers.get("Refer-To")
    assert text is not None
    assert "%250d%250a" in text.lower()
    headers = dict(Address.parse(text).uri.headers)
    assert sorted(headers) == ["X-Account-ID", "X-Customer-Name", "X-Handled-By"]
    assert len(message.headers.get_all("Refer-To")) == 1


def test_values_in_a_destination_cannot_change_it(played: Results) -> None:
    """A variable in the user part can add no host, parameter or header; %0d%0a stays the text that it was."""
    one: Played = of(played, "escaped")
    assert one.outcome == ("transfer-success", "none")
    request = sent_invite(one)
    assert request.uri.host == "127.0.0.1"
    assert request.uri.headers == ()
    assert request.headers.get("X-Account-ID") == "%0d%0aX-Evil: 1"
    assert request.headers.get("X-Evil") is None


@pytest.mark.parametrize("kind", sorted(INJECTED))
def test_nothing_can_end_a_header(played: Results, kind: str) -> None:
    """CR or LF in a variable: header_invalid, the rule is named, and nothing is dialled."""
    one, events = of(played, kind)
    assert one.outcome == ("transfer-failed-connection-error", "header_invalid")
    assert one.action["attempts"] == []
    assert one.sip.starts("target-1", "out") == []
    told = [event["data"].get("text", "") for event in events if event["kind"] == "transfer.note"]
    assert any("X-Reference" in text and f"{RULE[kind]} is not allowed in a header value" in text for text in told)


def test_nul_never_leaves(played: Results) -> None:
    """The store of prepared calls keeps no NUL: what goes out is U+FFFD in its place, in one header."""
    one: Played = of(played, "nul")
    assert one.outcome == ("transfer-success", "none")
    assert sent_invite(one).headers.get("X-Reference") == "a\ufffdb"
    assert "\0" not in one.sip.messages("target-1", "out", "INVITE")[0]


def test_large_invite_is_warned_of(played: Results) -> None:
    """More than 1300 bytes over UDP may be lost on the way: the headers are sent all the same, and the record warns."""
    one: Played = of(played, "large")
    assert one.outcome == ("transfer-success", "none")
    assert one.attempt["invite_bytes"] > 1300
    assert sent_invite(one).headers.get("X-Account-ID") == "x" * 1200
    assert any(str(one.attempt["invite_bytes"]) in warning for warning in one.record["warnings"])


def test_nothing_stays_behind(played: Results) -> None:
    """No session, dialog, transaction, timer, jack, port or transfer is left."""
    of(played, "left")
