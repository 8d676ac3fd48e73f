"""Every outcome of a transfer, each against SIPp as the person or as the caller's own switch, all on one server.

What is asserted is what a user reads: the record over the REST interface.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.casting import (
    NOTHING,
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
from tests.support.ports import free_port
from tests.support.sipp import Sipp

pytestmark = pytest.mark.interop

LEFT = "nothing left"
SUCCESS = "transfer-success"
TIMEOUT = "transfer-failed-timeout"
ERROR = "transfer-failed-connection-error"


@dataclass(frozen=True)
class Case:
    """``person`` is a scenario with its keys; None: nobody listens; ``silent``: somebody who never answers."""

    name: str
    expected: tuple[str, str]
    person: tuple[str, Mapping[str, str]] | None = None
    caller: tuple[str, Mapping[str, str]] = ("caller-presses.xml", {})
    silent: bool = False
    cold: bool = False
    status: int | None = None
    q850: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


def refuses(name: str, reason: str, status: str, extra: str = NOTHING, q850: int | None = None) -> Case:
    outcome = TIMEOUT if reason == "no_answer" else ERROR
    return Case(
        name,
        (outcome, reason),
        ("person-refuses.xml", {"status": status, "extra": extra}),
        status=int(status[:3]),
        q850=q850,
    )


def refer(name: str, expected: tuple[str, str], scenario: str, sip_status: int, **keys: str) -> Case:
    return Case(name, expected, caller=(scenario, keys), cold=True, status=sip_status)


CASES = (
    Case("answered", (SUCCESS, "none"), ("person-answers.xml", {}), status=200),
    Case(
        "acknowledged-late",
        (SUCCESS, "none"),
        ("person-answers.xml", {}),
        caller=("caller-acknowledges-late.xml", {}),
        status=200,
    ),
    Case("rings-out", (TIMEOUT, "no_answer"), ("person-rings.xml", {}), status=180, fields={"timeout": 1}),
    Case("late-200", (TIMEOUT, "no_answer"), ("person-answers-too-late.xml", {}), status=180, fields={"timeout": 1}),
    refuses("busy", "busy", "486 Busy Here"),
    refuses("busy-everywhere", "busy", "600 Busy Everywhere"),
    refuses("busy-by-q850", "busy", "503 Service Unavailable", 'Reason: Q.850;cause=17;text="User busy"', 17),
    refuses("declined", "rejected_by_destination", "603 Decline"),
    refuses("not-found", "number_not_found", "404 Not Found"),
    refuses("no-carrier", "carrier_unavailable", "503 Service Unavailable"),
    refuses("no-codec", "media_negotiation_failed", "488 Not Acceptable Here"),
    refuses("away", "no_answer", "480 Temporarily Unavailable"),
    refuses("forbidden", "transfer_blocked_by_carrier", "403 Forbidden"),
    Case("nobody", (ERROR, "unreachable")),
    Case("silence", (ERROR, "unreachable"), silent=True),
    Case("no-media", (ERROR, "media_negotiation_failed"), ("person-answers-without-media.xml", {}), status=200),
    Case("mute", (ERROR, "media_negotiation_failed"), ("person-answers-mute.xml", {}), status=200),
    refer("refer-declined", (ERROR, "refer_rejected"), "refer-refused.xml", 603, status="603 Decline"),
    refer(
        "refer-not-allowed",
        (ERROR, "transfer_method_unsupported"),
        "refer-refused.xml",
        405,
        status="405 Method Not Allowed",
        extra="Allow: INVITE, ACK, CANCEL, BYE",
    ),
    refer(
        "refer-challenged",
        (ERROR, "authentication_failed"),
        "refer-refused.xml",
        401,
        status="401 Unauthorized",
        extra='WWW-Authenticate: Digest realm="carrier", nonce="1"',
    ),
    refer("refer-success", (SUCCESS, "none"), "refer-reported.xml", 200, report="200 OK"),
    refer("refer-to-busy", (ERROR, "busy"), "refer-reported.xml", 486, report="486 Busy Here"),
    refer("refer-trying", (ERROR, "refer_no_report"), "refer-trying-only.xml", 100),
    refer("refer-silent", (ERROR, "refer_no_report"), "refer-unreported.xml", 202),
    refer(
        "refer-without-subscription", (ERROR, "refer_no_report"), "refer-unreported.xml", 202, extra="Refer-Sub: false"
    ),
    refer("refer-then-bye", (ERROR, "refer_no_report"), "refer-then-bye.xml", 202),
)
Results = dict[str, Played | BaseException | None]
NUMBERS = {case.name: f"+155502{index:02}" for index, case in enumerate(CASES)}
RETURNED = [case for case in CASES if not case.cold and case.expected[0] != SUCCESS]
BRIDGED = ("answered", "acknowledged-late", "mute")
COLD = [case for case in CASES if case.cold]


def ids(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


async def play(h: House, case: Case, person: Sipp | None, folder: Path) -> Played:
    number = NUMBERS[case.name]
    if person is not None:
        await person.start()
    scenario, keys = case.caller
    phone = caller(h, folder, number, scenario, keys)
    await phone.start()
    scene = Scene(h, number)
    await scene.opened()
    claim = (await scene.claimed()).claim
    if not case.cold:
        if str(claim.outcome) != SUCCESS:
            await scene.spoken("sorry")
        await scene.hang_up()
    await scene.over()
    (await phone.finish()).check()
    if person is not None:
        (await person.finish()).check()
    return Played(await scene.record(), scene.sip, scene)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    folder = tmp_path_factory.mktemp("outcomes")

    async def main(quiet: int) -> Results:
        people: dict[str, Sipp] = {}
        agents = []
        for case in CASES:
            port = free_port(1)
            if case.person is not None:
                scenario, keys = case.person
                people[case.name] = Sipp(scenario, folder / case.name / "person", keys=keys)
                port = people[case.name].port
            elif case.silent:
                port = quiet
            action = (
                cold(case.name, **case.fields)
                if case.cold
                else transfer(case.name, f"sip:human@127.0.0.1:{port}", **case.fields)
            )
            agents.append(agent(case.name, NUMBERS[case.name], action))
        async with stage(folder, *agents) as h:
            results = await all_of(
                {
                    case.name: lambda case=case: play(h, case, people.get(case.name), folder / case.name)  # type: ignore[misc]
                    for case in CASES
                }
            )
            return results | await all_of({LEFT: lambda: nothing_left(h)})

    with ExitStack() as stack:
        quiet = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        quiet.bind(("127.0.0.1", 0))
        yield asyncio.run(main(quiet.getsockname()[1]))


def by_name(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def result(played: Results, case: Case) -> Played:
    one = of(played, case.name)
    assert one is not None
    return one


@ids(CASES)
def test_outcome_and_reason(played: Results, case: Case) -> None:
    """The record tells the outcome and the reason of the table, and the status that it rests on."""
    one = result(played, case)
    assert one.outcome == case.expected
    assert one.attempt["sip_status"] == case.status
    assert one.attempt["q850"] == case.q850
    assert one.attempt["method"] == ("REFER" if case.cold else "INVITE")


@ids(CASES)
def test_evidence_has_its_times_in_order(played: Results, case: Case) -> None:
    """Every attempt tells when it started, rang, was answered, connected, bridged and ended, as far as it came."""
    attempt = result(played, case).attempt
    order = ("started", "ringing", "answered", "human_connected", "bridged", "ended")
    times = [attempt[name] for name in order if attempt[name] is not None]
    assert times == sorted(times)
    assert attempt["started"] is not None
    assert attempt["ended"] is not None
    record = result(played, case).record
    assert attempt["started"] >= float(record["start_time"]) / 1000
    if case.name in ("answered", "rings-out", "late-200"):
        assert attempt["ringing"] is not None
    assert (attempt["answered"] is not None) == (case.status == 200)
    assert (attempt["bridged"] is not None) == (case.name in BRIDGED)
    if not case.cold:
        assert attempt["invite_bytes"] > 300
    assert (attempt["result"]["outcome"], attempt["result"]["reason"]) == case.expected


@ids(CASES)
def test_only_media_both_ways_is_verified(played: Results, case: Case) -> None:
    """A cold success is what somebody reported, and is not called verified (seeds: outcome states)."""
    one = result(played, case)
    assert one.action["verified"] == (case.expected[0] == SUCCESS and not case.cold)
    assert ("human_connected_at" in one.action["return_value"]) == (case.name in BRIDGED)


@ids(CASES)
def test_call_ends_as_it_ended(played: Results, case: Case) -> None:
    """The call is completed, the hang-up is ours or the caller's, nothing is interrupted, incomplete or warned of."""
    record = result(played, case).record
    by_caller = case.name == "refer-then-bye"
    assert record["status"] == "completed"
    assert record["end_call_reason"] == ("human_ended_call" if by_caller else "agent_ended_call")
    assert record["telephony_hangup"] == ("caller" if by_caller else "callee")
    assert record["telephony_disconnect_reason"] == ("caller_hangup" if by_caller else "callee_hangup")
    assert record["warnings"] == []
    assert record["error_message"] == ""
    assert not record["interrupted"]
    assert not record["incomplete"]
    assert list(record["executed_actions"]) == ["person"]


@ids(RETURNED)
def test_caller_is_back_with_the_agent(played: Results, case: Case) -> None:
    """After a failed warm transfer the agent says so and listens again; the announcement came before it.

    Where the person refuses at once, there may be no time for an announcement.
    """
    lines = [line["text"] for line in result(played, case).record["transcript_lines"]]
    assert [line for line in lines if line != "announcement"] == ["greeting", "sorry"]
    if case.name in ("rings-out", "late-200", "silence", "mute"):
        assert lines[1] == "announcement"


@ids(COLD)
def test_cold_transfer_dials_nobody_itself(played: Results, case: Case) -> None:
    """One REFER in the caller's dialog and no INVITE; after a failure the last words and our BYE."""
    one = result(played, case)
    assert one.sip.starts("caller", "out").count("REFER") == 1
    assert one.sip.starts("target-1", "out") == []
    lines = [line["text"] for line in one.record["transcript_lines"]]
    failed = case.expected[0] != SUCCESS and case.name != "refer-then-bye"
    assert lines == ["greeting", "announcement", *(["sorry"] if failed else [])]
    assert one.sip.starts("caller", "out").count("BYE") == (0 if case.name == "refer-then-bye" else 1)


def test_ring_timeout_cancels_the_ringing_leg(played: Results) -> None:
    """Lesson 8: the action's own limit ends the ringing with CANCEL, and the 487 is acknowledged."""
    one = result(played, by_name("rings-out"))
    assert one.sip.starts("target-1", "out") == ["INVITE", "CANCEL", "ACK"]
    assert one.sip.starts("target-1", "in")[-2:] == ["200 CANCEL", "487 INVITE"]
    rang = one.attempt["ended"] - one.attempt["started"]
    assert 0.9 <= rang <= 2.5


def test_late_answer_is_acknowledged_and_ended(played: Results) -> None:
    """Rule 6: a 200 that crosses our CANCEL gets ACK and BYE (RFC 3261 §9.1), and changes no outcome."""
    one = result(played, by_name("late-200"))
    assert one.sip.starts("target-1", "out") == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert "200 INVITE" in one.sip.starts("target-1", "in")


def test_answer_without_media_is_acknowledged_and_ended(played: Results) -> None:
    """Rule 6: a 200 without usable media gets ACK and BYE."""
    one = result(played, by_name("no-media"))
    assert one.sip.starts("target-1", "out") == ["INVITE", "ACK", "BYE"]


def test_mute_answer_is_no_success(played: Results) -> None:
    """Rule 12: a person who answers and from whom no packet ever comes is not a success."""
    one = result(played, by_name("mute"))
    assert one.sip.starts("target-1", "out") == ["INVITE", "ACK", "BYE"]


def test_own_200_is_repeated_until_the_ack(played: Results) -> None:
    """RFC 3261 §13.3.1.4: the 200 is sent again until the ACK comes, and the call goes on as usual."""
    one = result(played, by_name("acknowledged-late"))
    assert one.sip.starts("caller", "out").count("200 INVITE") >= 2


def test_unreachable_is_told_apart_from_no_answer(played: Results) -> None:
    """Nothing was received, so the evidence shows no status; the reason is ours."""
    for name in ("nobody", "silence"):
        attempt = result(played, by_name(name)).attempt
        assert attempt["sip_status"] is None
        assert attempt["answered"] is None


def test_challenged_refer_dies_with_its_reason(played: Results) -> None:
    """Lesson 3: a REFER that is challenged, and for which there are no credentials, is a failure at once."""
    one = result(played, by_name("refer-challenged"))
    assert one.attempt["ended"] - one.attempt["started"] < 2


def test_accepted_refer_is_no_success(played: Results) -> None:
    """Lessons 4 and 6: a 202 without a final report says so, with the advice that the referred call may still ring."""
    for name in ("refer-silent", "refer-trying", "refer-without-subscription", "refer-then-bye"):
        assert any("may still ring" in note for note in result(played, by_name(name)).attempt["notes"]), name


def test_nothing_stays_behind(played: Results) -> None:
    """After all of these calls no session, dialog, transaction, timer, jack, port or transfer is left."""
    of(played, LEFT)
