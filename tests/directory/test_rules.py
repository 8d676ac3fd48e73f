"""The rules of single models: each row is one rule that a file can break."""

from __future__ import annotations

import pytest

from cordboard.directory import Destination, Gateway, LiveTransfer, destination_of, profile, profile_names
from cordboard.directory.support import NOT_CARRIED_OUT
from tests.directory.files import AGENT, GATEWAY, action, faults, good, transfer


def only_action(text: str) -> LiveTransfer:
    [found] = good(text).actions.values()
    assert isinstance(found, LiveTransfer)
    return found


@pytest.mark.parametrize(
    "uri",
    [
        "sip:user@domain.com",
        "sip:user@domain.com:5060",
        "sips:user@domain.com",
        "sip:+1234567890@provider.com",
        "sip:1001@pbx.company.com",
        "sip:user@[2001:db8::1]:5060;transport=tcp",
        "sip:<queue>@pbx.company.com",
        "sip:{X-Extension}@pbx.company.com",
        "sip:pbx.company.com",
    ],
)
def test_every_form_of_sip_uri_of_the_reference_is_taken(uri: str) -> None:
    mapping = ["input_variables_mapping: [{variable_name: queue, source: hardcoded, hardcoded_value: '1'}]"]
    gateway = "  - {name: all, host: h, allowed_domains: [domain.com, provider.com, '*.company.com', '2001:db8::1']}\n"
    assert only_action(transfer(*(mapping if "<" in uri else []), destination=f"sip_uri: '{uri}'") + gateway)


@pytest.mark.parametrize(
    ("lines", "destination", "mode", "rule"),
    [
        ([], "phone: 15550199", "", "must be E.164"),
        ([], "phone: +1555", "", "must be E.164"),
        ([], "phone: sip:a@b", "", "belongs in sip_uri"),
        ([], "phone: '{number} please'", "", "may hold +, digits and placeholders only"),
        ([], "sip_uri: +15550199", "", "must be written sip:user@host"),
        ([], "sip_uri: 'sip:a@b:99999'", "", "must be written sip:user@host"),
        ([], 'sip_uri: "sip:a@b\\r\\nX-Evil: 1"', "", "must not contain CR, LF or NUL"),
        ([], "sip_uri: 'sip:a@b?Replaces=1'", "", "without headers and maddr"),
        ([], "sip_uri: 'sip:a@b;maddr=203.0.113.1'", "", "without headers and maddr"),
        ([], "sip_uri: 'sip:a:secret@b'", "", "must be written sip:user@host"),
        ([], "sip_uri: 'http://b'", "", "must be written sip:user@host"),
        ([], "dynamic: +15550199", "", "must hold a placeholder"),
        (["phone: +15550199"], "sip_uri: sip:a@b", "", "exactly one of phone, sip_uri"),
        ([], "timeout: 5", "", "found none"),
        (["timeout: 0"], "", "", "greater than or equal to 1"),
        (["digits: 12x"], "", "", "digits must be"),
        (["key: 12"], "", "", "pattern"),
        (["retries: 1"], "", "cold_transfer", "retries needs a warm transfer"),
        (["screened: true"], "", "cold_transfer", "screened needs a warm transfer"),
        (["human_detection: true"], "", "cold_transfer", "human_detection needs a warm transfer"),
        (["refer_fallback: invite"], "", "", "refer_fallback belongs to cold transfers"),
        (["summarization_prompt: Sum up."], "", "", "belongs to warm_transfer_with_context"),
        (["on_menu: keys"], "", "", "menu_keys"),
        (["caller_id: {mode: fixed}"], "", "", "mode fixed needs it"),
        (["preserve_caller_id: true", "caller_id: {mode: fixed, number: +15550100}"], "", "", "contradicts"),
        (["sip_headers: [{name: Subject, value: a}]"], "", "", r"must match ^X-[A-Za-z0-9\-_]+$"),
        (["sip_headers: [{name: x-lower, value: a}]"], "", "", "must match"),
        (["sip_headers: [{name: X-, value: a}]"], "", "", "must match"),
        (["sip_headers: [{name: 'X-A: b', value: a}]"], "", "", "must match"),
        (["sip_headers: [{name: X-Ä, value: a}]"], "", "", "must match"),
        (['sip_headers: [{name: "X-A\\n", value: a}]'], "", "", "must match"),
        (['sip_headers: [{name: X-A, value: "a\\r\\nVia: b"}]'], "", "", "must not contain CR, LF or NUL"),
        (['sip_headers: [{name: X-A, value: "a\\0"}]'], "", "", "must not contain CR, LF or NUL"),
        (["sip_headers: [{name: X-A}]"], "", "", "exactly one of value and extractor"),
        (
            ["sip_headers: [{name: X-A, value: a, extractor: {prompt: b}}]"],
            "",
            "",
            "exactly one of value and extractor",
        ),
        (["sip_headers: [{name: X-A, value: a}, {name: X-a, value: b}]"], "", "", "x-a is given twice"),
        (['uui: "a\\nb"'], "", "", "must not contain CR, LF or NUL"),
        (["human_availability: {timezone: Mars, schedule: []}"], "", "", "not an IANA time zone"),
        (
            ["human_availability:", "  timezone: Europe/Berlin", "  schedule: [{weekday: monday, interval: []}]"],
            "",
            "",
            "at least 1 item",
        ),
        (
            [
                "human_availability:",
                "  timezone: Europe/Berlin",
                "  schedule: [{weekday: monday, interval: [{from: 18:00, to: 09:00}]}]",
            ],
            "",
            "",
            "from must be earlier than to",
        ),
    ],
)
def test_transfer_that_breaks_a_rule_is_refused(lines: list[str], destination: str, mode: str, rule: str) -> None:
    text = transfer(*lines, destination=destination or "sip_uri: sip:human@127.0.0.1", mode=mode or "warm_transfer")
    found = faults(text)
    assert any(rule in fault for fault in found), "\n".join(found)


def test_office_hours_are_read_as_the_reference_writes_them() -> None:
    found = only_action(
        transfer(
            "human_availability:",
            "  timezone: Europe/Berlin",
            "  active: true",
            "  schedule: [{weekday: monday, interval: [{from: 09:00, to: 17:30}]}]",
        )
    )
    assert found.human_availability is not None
    assert found.human_availability.schedule[0].interval[0].from_ == "09:00"


def test_failure_ends_a_cold_transfer_and_returns_from_a_warm_one() -> None:
    assert only_action(transfer(mode="cold_transfer")).failure == "end"
    assert only_action(transfer()).failure == "return"
    assert only_action(transfer("on_failure: return", mode="cold_transfer")).failure == "return"


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (["type: CUSTOM_ACTION", "name: A", "url: file:///etc/passwd"], "pattern"),
        (["type: CUSTOM_ACTION", "name: A"], "url: is required"),
        (["type: INFORMATION_EXTRACTOR", "name: A", "kind: SINGLE_CHOICE", "identifier: a"], "needs it"),
        (["type: INFORMATION_EXTRACTOR", "name: A", "kind: YES_NO", "identifier: a", "examples: [b]"], "OPEN_QUESTION"),
        (["type: SEND_DTMF", "name: A", "digits: hello"], "digits must be"),
        (["type: END_CALL", 'name: "A\\nB"'], "must not contain CR"),
    ],
)
def test_action_that_breaks_a_rule_is_refused(lines: list[str], rule: str) -> None:
    found = faults(action(*lines))
    assert any(rule in fault for fault in found), "\n".join(found)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("timezone: Nowhere", "not an IANA time zone"),
        ("language: english", "pattern"),
        ("greeting_message: ' '", "needs a greeting_message"),
        ("variables: {a b: c}", "not a name that a placeholder can hold"),
        ("phone_numbers: [five]", "must be E.164"),
        ("type: robot", "'inbound' or 'outbound'"),
        ("actions: [bye, bye]", "attached twice"),
    ],
)
def test_agent_that_breaks_a_rule_is_refused(line: str, rule: str) -> None:
    text = f"agents:\n  - model_id: a\n    name: A\n    {line}\n"
    if "greeting" not in line:
        text += "    greeting_message: Hi\n"
    found = faults(text)
    assert any(rule in fault for fault in found), "\n".join(found)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("host: sip:h", "host must be a name or an IP address"),
        ("host: 300.1.1.1", "not an IPv4 address"),
        ("host: h\n    profile: asterix", "there is no profile asterix; did you mean asterisk?"),
        ("host: h\n    override: {refer: maybe}", "override does not fit a profile: refer"),
        ("host: h\n    override: {refers: always}", "override does not fit a profile: refers"),
        ("host: h\n    override: {transport: [tls]}", "does not speak udp"),
        ("host: h\n    allowed_prefixes: [0049]", "a prefix must be + and digits"),
        ("host: h\n    allowed_domains: ['*']", "host must be a name"),
        ("host: h\n    addresses: [10.0.0.0/99]", "IP address, a CIDR block or a DNS name"),
        ("host: h\n    credentials: {username: u}", "password: is required"),
        ("host: h\n    max_calls: 0", "greater than or equal to 1"),
    ],
)
def test_gateway_that_breaks_a_rule_is_refused(line: str, rule: str) -> None:
    found = faults(f"gateways:\n  - name: a\n    {line}\n")
    assert any(rule in fault for fault in found), "\n".join(found)


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ("{transfer_condition: c}", "exactly one of phone_number and sip_uri"),
        ("{phone_number: +15550199, sip_uri: sip:a@127.0.0.1, transfer_condition: c}", "exactly one of"),
        ("{phone_number: +15550199}", "transfer_condition: is required"),
        ("{phone_number: 199, transfer_condition: c}", "must be E.164"),
    ],
)
def test_phone_book_that_breaks_a_rule_is_refused(entry: str, rule: str) -> None:
    found = faults(f"phonebooks:\n  - phone_book_id: a\n    name: A\n    entries: [{entry}]\n", GATEWAY)
    assert any(rule in fault for fault in found), "\n".join(found)


class TestProfiles:
    """Profiles are data, merged deep."""

    def test_all_that_ship_are_whole(self) -> None:
        assert profile_names() == (
            "generic",
            "asterisk",
            "freepbx",
            "freeswitch",
            "kamailio",
            "twilio",
            "telnyx",
            "vonage",
        )
        for name in profile_names():
            assert profile(name).transport

    def test_extends_and_override_are_merged_deep(self) -> None:
        freepbx = profile("freepbx")
        assert freepbx.refer_to.host == "user_only"  # of asterisk
        assert freepbx.media.codecs == ("pcmu",)  # its own
        assert freepbx.media.dtmf == "rfc4733"  # of generic
        gateway = Gateway(name="a", host="h", profile="asterisk", override={"refer_to": {"max": 99}})
        assert (gateway.manners.refer_to.max, gateway.manners.refer_to.tel) == (99, "reject")
        assert profile("asterisk").refer_to.max == 512

    def test_facts_that_calls_rest_on(self) -> None:
        assert profile("asterisk").refer_to.tel == "reject"
        assert profile("asterisk").success == "weak_200"
        assert profile("freeswitch").success == "weak_200"
        assert profile("twilio").plus == "required"
        assert profile("twilio").caller_id.original == "refuse"
        assert profile("telnyx").caller_id.original == "diversion"
        assert profile("generic").refer == "ask"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("+15550199", "tel", "+15550199"),
        ("tel:+1-555-0199", "tel", "+15550199"),
        ("sip:a@b", "sip", "sip:a@b"),
        ("SIPS:a@b", "sip", "SIPS:a@b"),
    ],
)
def test_resolved_destination_is_a_number_or_a_uri(text: str, kind: str, value: str) -> None:
    found = destination_of(text)
    assert (found.kind, found.value, found.known) == (kind, value, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5550199",
        "sip:",
        "sip:a@b\r\nVia: c",
        "sip:a@b;maddr=c",
        "sip:a@b?X-A=1",
        "http://a",
        "sip:a@b c",
        "+1555'--",
    ],
)
def test_destination_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        destination_of(text)


def test_template_is_not_a_known_destination() -> None:
    assert not Destination("tel", "{number}").known


class TestNotCarriedOut:
    """What is kept as data and not done yet is said, never ignored."""

    @pytest.mark.parametrize(
        "line", ["screened: true", "retries: 2", "human_detection: true", "digits: 12", "introduction: true"]
    )
    def test_option_is_a_warning_with_its_line(self, line: str) -> None:
        name = line.partition(":")[0]
        if not any(row.field == name for row in NOT_CARRIED_OUT):
            pytest.skip(f"{name} is carried out by now")
        [warning] = good(transfer(line)).warnings
        assert str(warning) == f"file0.yaml:11: warning: agents[0].actions[0].{name}: not carried out yet"

    def test_default_is_no_warning(self) -> None:
        assert good(transfer("screened: false", "retries: 0")).warnings == ()

    def test_every_row_names_a_field_that_exists(self) -> None:
        for row in NOT_CARRIED_OUT:
            assert row.field in row.model.model_fields


def test_agent_without_actions_is_fine() -> None:
    assert good(AGENT.replace("    actions:\n", "")).agents["desk"].actions == ()
