"""The table of settings: its sources, its faults, and its page."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cordboard.documents import YamlFile
from cordboard.settings import (
    ENVIRONMENT,
    Listener,
    Settings,
    SettingsError,
    TimeoutSettings,
    parse_seconds,
    settings_markdown,
)

PAGE = Path(__file__).parents[2] / "docs/reference/settings.md"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("CORDBOARD_"):
            monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    path = folder / "cordboard.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path | None = None, **options: object) -> list[tuple[str, int | None, str, str]]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(path, **options)  # type: ignore[arg-type]
    return [(fault.file, fault.line, fault.field, fault.rule) for fault in caught.value.faults]


def test_defaults_listen_on_loopback_only() -> None:
    settings = Settings.load()
    assert [str(each) for each in settings.sip.listeners] == ["udp://127.0.0.1:5060", "udp://127.0.0.1:32681"]
    assert settings.sip.allow == ("127.0.0.0/8", "::1/128")
    assert settings.http.address == ("127.0.0.1", 8080)
    assert settings.records.flush == 0.1


def test_file_stands_over_defaults_and_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "timeouts:\n  ring: 20\n  drain: 5m\nsip:\n  user_agent: Mine\n")
    monkeypatch.setenv("CORDBOARD_TIMEOUTS__RING", "250ms")
    settings = Settings.load(path)
    assert (settings.timeouts.ring, settings.timeouts.drain, settings.sip.user_agent) == (0.25, 300, "Mine")
    assert settings.timeouts.bridge_media == TimeoutSettings().bridge_media


@pytest.mark.parametrize("text", ["udp://0.0.0.0:0, tcp://[::1]:5060", '["udp://0.0.0.0:0", "tcp://[::1]:5060"]'])
def test_lists_in_the_environment_are_comma_separated_or_json(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORDBOARD_SIP__LISTEN", text)
    assert Settings.load().sip.listeners == (Listener("udp", "0.0.0.0", 0), Listener("tcp", "::1", 5060))


def test_every_fault_is_named_with_file_line_field_and_rule(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "sip:\n"
        "  listen:\n"
        "    - udp://127.0.0.1:5060\n"
        "    - quic://127.0.0.1:5060\n"
        "  lisen: []\n"
        "media: {ports: 30000-20000}\n"
        "timeuots: {}\n"
        "timeouts:\n"
        "  ring: soon\n"
        "  ring: 5\n",
    )
    found = faults(path)
    assert all(file == str(path) for file, _line, _field, _rule in found)
    by_field = {field: (line, rule) for _file, line, field, rule in found}
    assert by_field["sip.listen[1]"][0] == 4
    assert "quic:// is no SIP transport" in by_field["sip.listen[1]"][1]
    assert by_field["sip.lisen"] == (5, "unknown key; did you mean listen?")
    assert by_field["media.ports"][0] == 6
    assert by_field["timeuots"] == (7, "unknown section; did you mean timeouts?")
    assert (10, "timeouts.ring", "the key is given twice, first on line 9") in [
        (line, field, rule) for _file, line, field, rule in found
    ]
    assert any(line == 9 and field == "timeouts.ring" for _file, line, field, _rule in found)


def test_fault_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORDBOARD_SIP__ALLOW", "10.0.0.0/8,everybody")
    monkeypatch.setenv("CORDBOARD_SIP__LISTNE", "udp://127.0.0.1:5060")
    found = faults()
    assert {(file, field) for file, _line, field, _rule in found} == {
        (ENVIRONMENT, "CORDBOARD_SIP__ALLOW"),
        (ENVIRONMENT, "CORDBOARD_SIP__LISTNE"),
    }


@pytest.mark.parametrize("name", ["CORDBOARD_SIP_LISTEN", "CORDBOARD_SPI__LISTEN", "CORDBOARD_DEBUG"])
def test_variable_that_sets_nothing_is_a_fault(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert [field for _file, _line, field, _rule in faults()] == [name]


def test_variables_of_the_command_itself_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORDBOARD_CONFIG", "cordboard.yaml")
    Settings.load()


def test_file_that_is_missing_or_no_mapping_is_a_fault(tmp_path: Path) -> None:
    assert "not readable" in faults(tmp_path / "none.yaml")[0][3]
    assert "sections" in faults(written(tmp_path, "- sip\n"))[0][3]


def test_empty_section_is_no_fault(tmp_path: Path) -> None:
    assert Settings.load(written(tmp_path, "sip:\n")).sip.max_calls > 0


def test_listener_of_a_transport_that_is_not_served_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "sip: {listen: ['udp://127.0.0.1:0', 'tls://127.0.0.1:0']}\n")
    assert Settings.load(path)
    [(_file, line, field, rule)] = faults(path, transports={"udp"})
    assert (line, field) == (1, "sip.listen[1]")
    assert rule == "tls:// is not served yet; served are udp"


def test_unknown_source_hears_403_on_loopback_and_nothing_elsewhere(tmp_path: Path) -> None:
    sip = Settings.load().sip
    assert sip.unknown_source_on(Listener("udp", "127.0.0.1", 5060)) == "403"
    assert sip.unknown_source_on(Listener("udp", "0.0.0.0", 5060)) == "drop"
    sip = Settings.load(written(tmp_path, "sip: {unknown_source: 403}\n")).sip
    assert sip.unknown_source_on(Listener("udp", "0.0.0.0", 5060)) == "403"


@pytest.mark.parametrize(
    "text", ["127.0.0.1:5060", "udp://127.0.0.1", "udp://127.0.0.1:99999", "udp://a b:5060", "udp://::1:5060"]
)
def test_listener_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Listener.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("100ms", 0.1), ("30", 30.0), ("1.5 s", 1.5), ("5m", 300.0), ("2h", 7200.0), ("-1s", "-1s")]
)
def test_times_are_written_with_or_without_a_unit(text: str, seconds: object) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("value", ["-1", ".inf", "1e99", "true", "soon"])
def test_time_that_is_no_time_is_refused(value: str, tmp_path: Path) -> None:
    assert faults(written(tmp_path, f"timeouts: {{ring: {value}}}\n"))


def test_every_setting_is_described() -> None:
    for section in Settings.model_fields.values():
        annotation = section.annotation
        assert annotation is not None
        assert annotation.__doc__
        for name, info in annotation.model_fields.items():
            assert info.description, f"{annotation.__name__}.{name} has no description"
            assert info.description.endswith((".", ".)", "`")), f"{annotation.__name__}.{name} is not a sentence"


def test_page_of_settings_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_markdown(), "run: python -m cordboard.settings > " + str(
        PAGE.relative_to(PAGE.parents[2])
    )


def test_settings_are_not_changed_by_their_users() -> None:
    with pytest.raises(ValueError):
        Settings.load().sip.max_calls = 1


class TestYaml:
    """YAML with positions."""

    def read(self, text: str) -> YamlFile:
        return YamlFile("test.yaml", text)

    def test_scalars_are_those_of_yaml_1_2(self) -> None:
        text = "[+15550100, 09:30, no, on, true, 5, 007, 1.5, ~, '5', 2026-01-01, 1_000, 0x10]"
        expected = ["+15550100", "09:30", "no", "on", True, 5, "007", 1.5, None, "5", "2026-01-01", "1_000", "0x10"]
        assert self.read(text).data == expected

    def test_lines_of_values_are_known_through_anchors_and_merges(self) -> None:
        document = self.read("x-base: &base\n  a: 1\n  b: 2\nitem:\n  <<: *base\n  b: 3\nother: *base\n")
        assert document.data == {"x-base": {"a": 1, "b": 2}, "item": {"b": 3, "a": 1}, "other": {"a": 1, "b": 2}}
        assert [document.line(path) for path in (("item", "a"), ("item", "b"), ("item", "c"), ("other",))] == [
            2,
            6,
            4,
            7,
        ]

    def test_duplicate_key_is_a_fault(self) -> None:
        [fault] = self.read("a: 1\nb: 2\na: 3\n").faults
        assert (fault.line, fault.field) == (3, "a")

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("a: [1, 2\n", "not readable as YAML"),
            ("a: !!python/object:os.system x\n", "tag"),
            ("a: !custom 5\n", "tag"),
            ("? [a]\n: 1\n", "a key must be text"),
            ("a: &a [*a]\n", "refers to what contains it"),
            ("a: 1\n---\nb: 2\n", "single document"),
            ("[" * 60 + "]" * 60, "nested deeper"),
            ("a: &a 1\nb: [" + "*a," * 1500 + "]\n", "aliases"),
            ("a: *nothing\n", "undefined alias"),
            ("a: \x01\n", "not readable as YAML"),
            ("<<: 5\n", "merges mappings"),
        ],
    )
    def test_what_is_not_plain_data_is_a_fault(self, text: str, rule: str) -> None:
        [fault] = self.read(text).faults
        assert rule in fault.rule

    def test_document_that_expands_without_end_is_refused_at_once(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
        [fault] = self.read("\n".join(lines)).faults
        assert "expands to more than" in fault.rule

    def test_file_that_is_too_long_or_no_text_is_a_fault(self, tmp_path: Path) -> None:
        path = tmp_path / "long.yaml"
        path.write_bytes(b"#" * (YamlFile.MAX_BYTES + 1))
        assert "longer than" in YamlFile.read(path).faults[0].rule
        path.write_bytes(b"a: \xff\xfe\n")
        assert "UTF-8" in YamlFile.read(path).faults[0].rule
        assert "not readable" in YamlFile.read(tmp_path).faults[0].rule
