"""Plans: what is refused with its field and rule, and what the machine gets of the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cordboard.transfer.effects import CallerId
from cordboard.transfer.outcome import Method, Outcome
from cordboard.transfer.plan import (
    Destination,
    Fallback,
    Header,
    Kind,
    Mode,
    Option,
    Plan,
    PlanError,
    render_headers,
)
from cordboard.transfer.policy import OnFailure, OnMenu
from cordboard.variables import HeaderRuleError, Scope, Variables

PERSON = Destination(Kind.SIP, "sip:1001@pbx.example", "office")
NUMBER = Destination(Kind.TEL, "+14155551234", "carrier", ring_timeout=20)
WARM = Plan(Mode.WARM_MESSAGE, (PERSON,), whisper="A caller.")
COLD = Plan(Mode.COLD, (NUMBER,))
ALL = frozenset(Option)


def rules(plan: Plan, supported: frozenset[Option] = ALL) -> set[tuple[str, str]]:
    with pytest.raises(PlanError) as caught:
        plan.validate(supported)
    return {(fault.field, fault.rule) for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"retries": 1}, "retries", "no_retries_on_cold"),
        ({"destinations": (NUMBER, PERSON)}, "destinations", "one_destination_on_cold"),
        ({"whisper": "hello"}, "whisper", "warm_only"),
        ({"screening": True}, "screening", "warm_only"),
        ({"digits": "12"}, "digits", "warm_only"),
        ({"human_detection": True}, "human_detection", "warm_only"),
    ],
)
def test_what_a_cold_plan_cannot_do(changes: dict[str, Any], field: str, rule: str) -> None:
    assert rules(replace(COLD, **changes)) == {(field, rule)}


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"destinations": ()}, "destinations", "destination_required"),
        ({"destinations": (PERSON,) * 17}, "destinations", "too_many"),
        ({"retries": 6}, "retries", "out_of_range"),
        ({"retries": -1}, "retries", "out_of_range"),
        ({"pause_before": 31.0}, "pause_before", "out_of_range"),
        ({"human_timeout": 1801.0}, "human_timeout", "out_of_range"),
        ({"digits": "12x"}, "digits", "invalid_digits"),
        ({"on_menu": OnMenu.KEYS}, "menu_keys", "belongs_to_on_menu_keys"),
        ({"refer_fallback": True}, "refer_fallback", "cold_only"),
        ({"on_failure": {Outcome.SUCCESS: Fallback.END}}, "on_failure", "success_is_no_failure"),
        ({"headers": (Header("Via", "x"),)}, "headers[0]", "header_invalid"),
        ({"headers": (Header("X-A", "x\r\nVia: y"),)}, "headers[0]", "header_invalid"),
        ({"headers": (Header("X-A", "x"), Header("x-a", "x"))}, "headers[1]", "header_twice"),
        ({"headers": (Header("X-A", "x", "prompt"),)}, "headers[0]", "template_or_extractor"),
    ],
)
def test_faults_of_a_warm_plan(changes: dict[str, Any], field: str, rule: str) -> None:
    assert (field, rule) in rules(replace(WARM, **changes))


@pytest.mark.parametrize(
    ("destination", "valid"),
    [
        (Destination(Kind.TEL, "+14155551234"), True),
        (Destination(Kind.TEL, "4155551234"), False),
        (Destination(Kind.TEL, "{results.number}"), True),
        (Destination(Kind.SIP, "sip:user@domain.com:5060"), True),
        (Destination(Kind.SIP, "sips:user@domain.com"), True),
        (Destination(Kind.SIP, "sip:+1234567890@provider.com"), True),
        (Destination(Kind.SIP, "sip:1001@[2001:db8::1]:5070;transport=tcp"), True),
        (Destination(Kind.SIP, "sip:<queue_ref>@pbx.example"), True),
        (Destination(Kind.SIP, "http://x"), False),
        (Destination(Kind.SIP, "sip:"), False),
        (Destination(Kind.SIP, "sip:a@b\r\nVia: x"), False),
        (Destination(Kind.DYNAMIC, ""), False),
        (Destination(Kind.SIP, "sip:a@b", ring_timeout=0), False),
    ],
)
def test_destinations(destination: Destination, valid: bool) -> None:
    plan = replace(WARM, destinations=(destination,))
    if valid:
        plan.validate()
    else:
        assert {field.partition("[")[0] for field, _ in rules(plan)} == {"destinations"}


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": Mode.WARM_SUMMARY},
        {"human_detection": True},
        {"voicemail_detection": True},
        {"early_media_detection": True},
        {"release_after_bridge": True},
        {"headers": (Header("X-Intent", extractor="Why do they call?"),)},
        {"on_failure": {Outcome.TIMEOUT: Fallback.TAKE_MESSAGE}},
        {"on_failure": {Outcome.TIMEOUT: Fallback.SCHEDULE_CALLBACK}},
    ],
)
def test_an_option_that_nobody_carries_out_is_refused_and_never_ignored(changes: dict[str, Any]) -> None:
    plan = replace(WARM, **changes)
    plan.validate(ALL)
    assert {rule for _, rule in rules(plan, frozenset())} == {"not_supported"}


def test_every_fault_is_named_at_once() -> None:
    plan = replace(COLD, retries=1, destinations=(Destination(Kind.TEL, "1"),), screening=True)
    assert rules(plan) == {
        ("retries", "no_retries_on_cold"),
        ("destinations[0].value", "invalid_destination"),
        ("screening", "warm_only"),
    }


def test_rounds_of_sequential_and_simultaneous_destinations() -> None:
    plan = replace(WARM, destinations=(PERSON, NUMBER), retries=1)
    assert plan.policy().rounds == ((0,), (0,), (1,), (1,))
    assert replace(plan, simultaneous=True).policy().rounds == ((0, 1), (0, 1))
    assert plan.policy().targets[1].ring_timeout == 20


def test_cold_with_a_fallback_goes_on_as_an_invite_to_the_same_destination() -> None:
    policy = replace(COLD, refer_fallback=True, whisper="A caller.").policy()
    assert [(target.method, target.destination) for target in policy.targets] == [
        (Method.REFER, "+14155551234"),
        (Method.INVITE, "+14155551234"),
    ]
    assert policy.rounds == ((0,), (1,))
    assert policy.fallback_round == 1


def test_failure_and_caller_id() -> None:
    plan = replace(
        WARM,
        caller_id=CallerId.ORIGINAL,
        on_failure={Outcome.TIMEOUT: Fallback.TAKE_MESSAGE, Outcome.CONNECTION_ERROR: Fallback.END},
        return_to_agent=True,
    )
    policy = plan.policy(ALL)
    assert policy.on_failure == {Outcome.TIMEOUT: OnFailure.RETURN, Outcome.CONNECTION_ERROR: OnFailure.END}
    assert policy.fallback == {Outcome.TIMEOUT: "take_message"}
    assert policy.on_person_left is OnFailure.RETURN
    assert policy.targets[0].caller_id_refusals == {403}
    assert WARM.policy().targets[0].caller_id_refusals == frozenset()
    assert WARM.policy().whisper
    assert not replace(WARM, whisper="  ").policy().whisper


def test_headers_are_filled_and_checked() -> None:
    variables = Variables()
    variables.set(Scope.HEADERS, "X-Account-ID", "ACC-1")
    plan = replace(WARM, headers=(Header("X-Account-ID", "{x-account-id}"), Header("X-Intent", extractor="Why?")))
    assert render_headers(plan, variables, extracted={"X-Intent": "billing"}) == (
        ("X-Account-ID", "ACC-1"),
        ("X-Intent", "billing"),
    )
    with pytest.raises(HeaderRuleError, match="X-Intent: LF"):
        render_headers(plan, variables, extracted={"X-Intent": "a\nb"})
