"""What the parts of a directory say about each other."""

from __future__ import annotations

import pytest

from cordboard.directory import support
from cordboard.directory.actions import SendDtmf, SipHeader
from tests.directory.files import AGENT, GATEWAY, action, faults, good, transfer

BOOK = """\
phonebooks:
  - {phone_book_id: sales, name: Sales, entries: [{phone_number: +15550199, transfer_condition: c}]}
"""


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            [AGENT + "      - pearson\n", "actions: [{type: END_CALL, action_id: person, name: P}]\n"],
            "file0.yaml:7: error: agents[0].actions[0]: there is no action pearson; did you mean person?",
        ),
        (
            [transfer(destination="phone_book_id: sale"), BOOK],
            "file0.yaml:10: error: agents[0].actions[0].phone_book_id: there is no phone book sale; did you mean",
        ),
        (
            [transfer("gateway: lap")],
            "file0.yaml:11: error: agents[0].actions[0].gateway: there is no gateway lap; did you mean lab?",
        ),
        (
            [AGENT, "numbers:\n  - {phone_number: +15550111, model_id: desc}\n"],
            "file1.yaml:2: error: numbers[0].model_id: there is no agent desc; did you mean desk?",
        ),
        (
            [AGENT, "numbers:\n  - {phone_number: 15550100, model_id: other}\n"],
            "file1.yaml:2: error: numbers[0].phone_number: 15550100 belongs to the agent desk already, in file0.yaml:2",
        ),
        (
            [AGENT, "numbers:\n  - {phone_number: +15550111, model_id: desk, gateway: x}\n"],
            "file1.yaml:2: error: numbers[0].gateway: there is no gateway x",
        ),
        (
            [transfer("run_before: [look-up]")],
            "file0.yaml:11: error: agents[0].actions[0].run_before: there is no action look-up",
        ),
        (
            [transfer(destination="phone: +4930123456")],
            "file0.yaml:10: error: agents[0].actions[0].phone: no gateway carries +4930123456: its allowed_pre",
        ),
        (
            [transfer("gateway: lab", destination="sip_uri: sip:a@elsewhere.example")],
            "file0.yaml:10: error: agents[0].actions[0].sip_uri: the gateway lab does not carry sip:a@else",
        ),
        (
            [transfer(destination="phone: +15550100")],
            "file0.yaml:10: error: agents[0].actions[0].phone: +15550100 is a number of ours: the call would come back",
        ),
        (
            [BOOK.replace("+15550199", "+4930123456"), GATEWAY],
            "file0.yaml:2: error: phonebooks[0].entries[0]: no gateway carries +4930123456",
        ),
    ],
)
def test_reference_that_points_nowhere_is_a_fault(texts: list[str], expected: str) -> None:
    found = faults(*texts)
    assert any(fault.startswith(expected) for fault in found), "\n".join(found)


def test_key_that_asks_for_two_actions_is_a_fault() -> None:
    text = AGENT + "      - {type: END_CALL, name: A, key: 0}\n      - {type: END_CALL, name: B, key: '0'}\n"
    assert faults(text) == ["file0.yaml:8: error: agents[0].actions[1]: the key 0 asks for desk.a already"]


def test_other_workspaces_are_out_of_reach() -> None:
    bye = "actions: [{type: END_CALL, action_id: bye, name: Bye, workspace_id: other}]\n"
    assert any("bye is in another workspace" in fault for fault in faults(AGENT + "      - bye\n", bye))
    number = "numbers: [{phone_number: +15550111, model_id: desk, workspace_id: other}]\n"
    assert any("desk is in another workspace" in fault for fault in faults(AGENT, number))


class TestInputVariables:
    """Each ``<name>`` of an action is bound where the action is attached."""

    header = "sip_headers: [{name: X-Reference, value: <queue_ref>}]"

    def mapping(self, name: str, times: int = 1) -> str:
        one = f"{{variable_name: {name}, source: action_results, hardcoded_value: results.look_up.queue}}"
        return f"input_variables_mapping: [{', '.join([one] * times)}]"

    def test_bound_one_is_fine(self) -> None:
        directory = good(transfer(self.header, self.mapping("queue_ref")))
        [attached] = directory.actions_of(directory.agents["desk"])
        assert attached.attachment.input_variables_mapping[0].hardcoded_value == "results.look_up.queue"

    def test_unbound_one_is_a_fault(self) -> None:
        assert any("<queue_ref> of desk.person is not bound" in fault for fault in faults(transfer(self.header)))

    def test_one_that_the_action_does_not_have_is_a_fault(self) -> None:
        found = faults(transfer(self.header, self.mapping("queue_reff")))
        assert any("has no input variable <queue_reff>; did you mean queue_ref?" in fault for fault in found)

    def test_one_bound_twice_is_a_fault(self) -> None:
        found = faults(transfer(self.header, self.mapping("queue_ref", 2)))
        assert any("<queue_ref> is bound twice" in fault for fault in found)

    def test_binding_without_a_value_is_a_fault(self) -> None:
        line = "input_variables_mapping: [{variable_name: queue_ref, source: hardcoded}]"
        assert any("needs hardcoded_value" in fault for fault in faults(transfer(self.header, line)))


class TestWarnings:
    """What works, and probably not as meant."""

    def warnings(self, *texts: str) -> str:
        return "\n".join(map(str, good(*texts).warnings))

    def test_name_that_looks_like_a_typing_error(self) -> None:
        text = self.warnings(transfer("message_to_transfer_target: From {from_phone_numbr}."))
        assert "{from_phone_numbr}" in text
        assert "did you mean from_phone_number?" in text

    def test_names_that_are_known_or_may_be_prepared_are_silent(self) -> None:
        text = transfer("message_to_transfer_target: '{call_id} {X-Account-ID} {customer_name} {results.data.a} {x}'")
        assert self.warnings(text) == ""

    def test_language_that_the_embedded_recogniser_does_not_know(self) -> None:
        text = self.warnings(AGENT.replace("    actions:\n", "    language: de-DE\n"))
        assert "language: the embedded recogniser is English" in text

    def test_headers_that_a_cold_transfer_does_not_carry(self) -> None:
        text = transfer("sip_headers: [{name: X-A, value: b}]", mode="cold_transfer")
        text = text.replace("{name: lab,", "{name: lab, profile: asterisk,")
        assert "headers of a cold transfer do not get through" in self.warnings(text)

    def test_header_that_the_peer_keeps_for_itself(self) -> None:
        text = transfer("sip_headers: [{name: X-Twilio-CallSid, value: b}]")
        text = text.replace("{name: lab,", "{name: lab, profile: twilio,")
        assert "keeps X-Twilio" in self.warnings(text)

    def test_caller_id_that_the_peer_refuses(self) -> None:
        text = transfer("preserve_caller_id: true").replace("{name: lab,", "{name: lab, profile: twilio,")
        assert "refuses numbers that are not its customer's" in self.warnings(text)

    def test_peer_that_takes_no_refer(self) -> None:
        text = transfer(mode="cold_transfer").replace("{name: lab,", "{name: lab, override: {refer: never},")
        assert "takes no REFER" in self.warnings(text)

    def test_kind_of_action_that_is_not_built(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(support, "NOT_CARRIED_OUT", (support.NotYet(SendDtmf, "type"),))
        text = action("type: SEND_DTMF", "name: Dial", "digits: 12")
        assert "agents[0].actions[0].type: not carried out yet" in self.warnings(text)

    def test_extractor_in_a_header(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(support, "NOT_CARRIED_OUT", (support.NotYet(SipHeader, "extractor"),))
        text = transfer("sip_headers:", "  - {name: X-A, extractor: {prompt: Why they call}}")
        assert (
            "file0.yaml:12: warning: agents[0].actions[0].sip_headers[0].extractor: not carried out"
            in self.warnings(text)
        )


class TestLookups:
    """What routing a call asks."""

    gateways = (
        "gateways:\n"
        "  - {name: us, host: us.example, allowed_prefixes: [+1], addresses: [192.0.2.0/24]}\n"
        "  - {name: east, host: east.example, allowed_prefixes: [+1212, +49], allowed_domains: ['*.pbx.example']}\n"
        "  - {name: pbx, host: 198.51.100.7, allowed_domains: [a.pbx.example]}\n"
    )

    @pytest.mark.parametrize(
        "number", ["+15550100", "15550100", "0015550100", "tel:+15550100", "+1 (555) 0100", "1-555-0100"]
    )
    def test_number_is_found_with_or_without_plus(self, number: str) -> None:
        agent = good(AGENT).agent_by_number(number)
        assert agent is not None
        assert agent.model_id == "desk"

    @pytest.mark.parametrize("number", ["", "+", "5550100", "+15550101", "sip:x", "+15550100; DROP"])
    def test_other_number_is_not(self, number: str) -> None:
        assert good(AGENT).agent_by_number(number) is None

    def test_number_of_the_numbers_section_is_found(self) -> None:
        directory = good(AGENT, "numbers: [{phone_number: 1001, model_id: desk}]\n")
        assert directory.agent_by_number("1001") is directory.agents["desk"]

    def test_agent_is_found_in_its_workspace_only(self) -> None:
        directory = good(AGENT)
        assert directory.agent("desk", "default") is not None
        assert directory.agent("desk", "other") is None
        assert directory.agents_in("other") == ()

    @pytest.mark.parametrize(
        ("destination", "expected"),
        [
            ("+13105550100", "us"),
            ("+12125550100", "east"),
            ("+4930123456", "east"),
            ("+442071234567", None),
            ("sip:a@us.example", "us"),
            ("sip:a@US.Example.:5060;transport=tcp", "us"),
            ("sip:a@b.pbx.example", "east"),
            ("sip:a@a.pbx.example", "pbx"),
            ("sip:a@198.51.100.7", "pbx"),
            ("sip:a@evil.example", None),
            ("sip:a@us.example.evil.example", None),
            ("sip:us.example@evil.example", None),
            ("sip:a@pbx.example", None),
            ("not a destination", None),
        ],
    )
    def test_destination_leaves_by_the_closest_gateway_or_not_at_all(
        self, destination: str, expected: str | None
    ) -> None:
        gateway = good(self.gateways).gateway_for(destination)
        assert (gateway.name if gateway else None) == expected

    def test_preferred_gateway_is_taken_alone(self) -> None:
        directory = good(self.gateways)
        preferred = directory.gateway_for("+12125550100", preferred="us")
        assert preferred is not None
        assert preferred.name == "us"
        assert directory.gateway_for("+4930123456", preferred="us") is None
        assert directory.gateway_for("+4930123456", preferred="none") is None

    def test_source_is_known_by_address_block_or_host(self) -> None:
        directory = good(self.gateways)
        assert [each.name for each in directory.gateways_from("192.0.2.200")] == ["us"]
        assert [each.name for each in directory.gateways_from("198.51.100.7")] == ["pbx"]
        assert directory.gateways_from("203.0.113.1") == ()
        assert directory.gateways_from("us.example") == ()
