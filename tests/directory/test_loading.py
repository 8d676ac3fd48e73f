"""Directory files: what is read, and how every fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordboard.directory import Directory, EndCall, LiveTransfer, check, export_directory, load_directory, sample_path
from cordboard.documents import YamlFile
from tests.directory.files import AGENT, GATEWAY, action, faults, good, read, transfer


def test_sample_is_clean_and_complete() -> None:
    directory = load_directory()
    assert isinstance(directory, Directory)
    assert directory.warnings == ()
    agent = directory.agent_by_number("+15550100")
    assert agent is not None
    assert agent.name == "Front desk"
    person, night, end = (each.action for each in directory.actions_of(agent))
    assert isinstance(person, LiveTransfer)
    assert not person.cold
    assert person.key == "0"
    assert person.destination.value == "sip:human@127.0.0.1:5070"
    assert "{X-Customer-Name}" in person.message_to_transfer_target
    assert ("X-Account-ID", "{X-Account-ID}") in [(each.name, each.value) for each in person.sip_headers]
    assert isinstance(night, LiveTransfer)
    assert night.cold
    assert isinstance(end, EndCall)
    for each in (person, night):
        gateway = directory.gateway_for(each.destination, each.gateway)
        assert gateway is not None
        assert gateway.name == "lab"


def test_numbers_and_words_that_yaml_1_1_would_spoil_stay_text() -> None:
    directory = good(transfer("digits: 0123", destination="phone: +15550199"))
    [found] = directory.actions.values()
    assert isinstance(found, LiveTransfer)
    assert (found.phone, found.digits) == ("+15550199", "0123")


def test_actions_are_written_in_place_or_named() -> None:
    directory = good(
        AGENT
        + "      - bye\n      - {type: END_CALL, name: Hang Up}\n      - {action_id: other, trigger_condition: Now.}\n",
        "actions:\n  - {type: END_CALL, action_id: bye, name: Bye}\n"
        "  - {type: END_CALL, action_id: other, name: Other}\n",
    )
    agent = directory.agents["desk"]
    assert [each.action.action_id for each in directory.actions_of(agent)] == ["bye", "desk.hang-up", "other"]
    assert directory.actions_of(agent)[2].instructions == "Now."
    assert directory.attached(agent, "bye") is not None
    assert directory.attached(agent, "nothing") is None


def test_anchors_and_merges_are_allowed() -> None:
    text = (
        "x-transfer: &transfer\n  type: LIVE_TRANSFER\n  transfer_mode: warm_transfer\n  sip_uri: sip:a@127.0.0.1\n"
        "actions:\n  - {<<: *transfer, action_id: one, name: One}\n  - {<<: *transfer, action_id: two, name: Two}\n"
    )
    assert list(good(text, GATEWAY).actions) == ["one", "two"]
    [fault] = faults(text.replace("sip:a@", "sip:a b@"), GATEWAY)[:1]
    assert fault.startswith("file0.yaml:4: error: actions[0].sip_uri: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agent: []\n", "file0.yaml:1: error: agent: unknown section; did you mean agents?"),
        ("agents: {}\n", "file0.yaml:1: error: agents: must be a list"),
        ("agents: [5]\n", "file0.yaml:1: error: agents[0]: must be a mapping"),
        ("- agents\n", "file0.yaml:1: error: a directory file holds agents, actions, gateways, phonebooks, numbers"),
        (
            "agents:\n  - model_id: a\n    name: A\n    greetingmessage: Hi\n",
            "file0.yaml:4: error: agents[0].greetingmessage: unknown key; did you mean greeting_message?",
        ),
        ("agents:\n  - name: A\n    greeting_message: Hi\n", "file0.yaml:2: error: agents[0].model_id: is required"),
        (
            "agents:\n  - model_id: a\n    model_id: b\n",
            "file0.yaml:3: error: agents[0].model_id: the key is given twice",
        ),
        (
            transfer("timeout: long"),
            "file0.yaml:11: error: agents[0].actions[0].timeout: Input should be a valid integer",
        ),
        (
            transfer("sip_headers:", "  - {name: X-A, valeu: b}"),
            "file0.yaml:12: error: agents[0].actions[0].sip_headers[0].valeu: unknown key; did you mean value?",
        ),
        (
            action("name: A", "type: LIVE_TRANSFERS"),
            "file0.yaml:8: error: agents[0].actions[0].type: unknown type; did you",
        ),
        (AGENT + "      - 5\n", "file0.yaml:7: error: agents[0].actions[0]: "),
        ("actions:\n  - name: A\n", "file0.yaml:2: error: actions[0].type: is required; known are LIVE_TRANSFER, "),
        (
            "gateways:\n  - name: a\n    host: b\n    credentials: {username: u, password: [hunter2]}\n",
            "file0.yaml:4: error: gateways[0].credentials.password: ",
        ),
    ],
)
def test_fault_names_file_line_field_and_rule(text: str, expected: str) -> None:
    found = faults(text)
    assert any(fault.startswith(expected) for fault in found), "\n".join(found)
    assert "hunter2" not in "\n".join(found)


def test_every_fault_is_found_in_one_go() -> None:
    found = faults(
        "agents:\n  - {model_id: a, name: A, greeting_message: Hi, timezone: Mars/Base}\n"
        "  - {model_id: b c, name: ''}\n"
        "gateways:\n  - {name: g, host: 'sip:h'}\n"
    )
    assert [fault.split(": ")[2] for fault in found] == [
        "agents[0]",
        "agents[1].model_id",
        "agents[1].name",
        "gateways[0].host",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "agents:\n  - {model_id: a, name: A, greeting_message: Hi}\n",
        "actions:\n  - {type: END_CALL, action_id: a, name: A}\n",
        "gateways:\n  - {name: a, host: 127.0.0.1}\n",
        "phonebooks:\n  - {phone_book_id: a, name: A, entries: [{sip_uri: sip:x@127.0.0.1, transfer_condition: c}]}\n",
    ],
)
def test_id_that_is_given_twice_is_a_fault_across_files(text: str) -> None:
    carrier = "gateways:\n  - {name: carrier, host: 127.0.0.1}\n"
    good(text, carrier)
    assert any("a is given twice, first in file0.yaml:2" in fault for fault in faults(text, text, carrier))


def test_missing_file_is_a_fault(tmp_path: Path) -> None:
    found = load_directory([tmp_path / "none.yaml"])
    assert isinstance(found, list)
    assert "not readable" in str(found[0])


def test_empty_file_is_an_empty_directory() -> None:
    assert good("").agents == {}


def test_faults_of_reading_do_not_raise_faults_of_reference() -> None:
    text = transfer("gateway: lab").replace("host: 127.0.0.1", "hots: 127.0.0.1")
    assert len(faults(text)) == 2  # the unknown key and the missing one, not the gateway that is then missing


def test_export_can_be_read_again_and_holds_no_secret() -> None:
    text = (
        action(
            "type: CUSTOM_ACTION",
            "name: Look up",
            "url: https://example.com/{call_id}",
            "headers: [{key: Authorization, value: Bearer hunter2}, {key: X-Api-Key, value: '{token}'}]",
            "custom_auth: {is_needed: true, value: hunter2}",
        )
        + "    credentials: {username: u, password: hunter2}\n"
    ).replace("  - {name: lab, host: 127.0.0.1, allowed_prefixes: [+1555]}\n", "  - name: lab\n    host: 127.0.0.1\n")
    directory = good(text)
    exported = export_directory(directory)
    assert "hunter2" not in exported
    assert "{token}" in exported
    assert "hunter2" not in repr(directory)
    again = read(exported.replace("username: u", "username: u\n    password: x"))
    assert isinstance(again, Directory), again
    assert again.agents == directory.agents
    assert again.numbers == directory.numbers

    sample = good(sample_path().read_text(encoding="utf-8"))
    assert good(export_directory(sample)) == sample


def test_check_reads_settings_and_the_directory_beside_them(tmp_path: Path) -> None:
    (tmp_path / "directory.yaml").write_text(transfer("after_bridge: release"), encoding="utf-8")
    config = tmp_path / "cordboard.yaml"
    config.write_text("directory:\n  files: [directory.yaml]\nmedia:\n  hold_music: nowhere.wav\n", encoding="utf-8")
    report = check(config)
    assert report.usable
    assert any("media.hold_music: there is no file" in str(fault) for fault in report.warnings)
    assert any("after_bridge: not carried out yet" in str(fault) for fault in report.warnings)
    assert report.lines()[-1] == "0 errors, 2 warnings"

    (tmp_path / "directory.yaml").write_text("agents: 5\n", encoding="utf-8")
    report = check(config)
    assert not report.usable
    assert report.lines()[-1] == "1 error, 0 warnings"
    config.write_text("sip: 5\n", encoding="utf-8")
    assert not check(config).usable
    assert check().usable


def test_lines_of_a_long_file_are_right() -> None:
    text = "agents:\n" + "".join(f"  - {{model_id: a{n}, name: A, greeting_message: Hi}}\n" for n in range(500))
    source = YamlFile("long.yaml", text)
    assert source.line(("agents", 499, "name")) == 501
