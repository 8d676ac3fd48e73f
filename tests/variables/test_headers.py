"""X-header rules of both directions, X-EI, and numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.variables import (
    HeaderRuleError,
    Variables,
    check,
    collect,
    fill_text,
    is_e164,
    normalise,
    parse_external_identifiers,
    same,
    without_plus,
)


def test_inbound_headers_become_variables_under_their_own_name() -> None:
    found, warnings = collect([("From", "x"), ("X-Customer-Name", "Jane Doe"), ("x-priority", " high ")])
    assert found == {"X-Customer-Name": "Jane Doe", "x-priority": "high"}
    assert not warnings
    variables = Variables()
    variables.collect_headers([("x-customer-name", "Jane")])
    assert fill_text("{X-Customer-Name}", variables) == "Jane"


def test_a_repeated_header_is_joined_in_any_case() -> None:
    found, _ = collect([("X-Tag", "a"), ("x-tag", "b"), ("X-TAG", "c, d")])
    assert found == {"X-Tag": "a, b, c, d"}


@pytest.mark.parametrize("name", ["X-", "X-Müller", "X-a.b", "X-a b", "X-a!"])
def test_an_illegal_inbound_name_is_ignored_with_a_warning(name: str) -> None:
    found, warnings = collect([(name, "v"), ("X-Good", "v")])
    assert found == {"X-Good": "v"}
    assert len(warnings) == 1
    assert "^X-[A-Za-z0-9" in warnings[0].rule


def test_inbound_values_with_forbidden_characters_and_too_many_headers_are_ignored() -> None:
    found, warnings = collect([("X-A", "a\0b"), *((f"X-{number}", "v") for number in range(100))])
    assert "X-A" not in found
    assert len(found) == 64
    assert len(warnings) == 37


def test_lesson_29_forwarded_headers_keep_their_values() -> None:
    variables = Variables()
    variables.collect_headers([("X-Account-ID", 'ACC-98765;q="x", y')])
    assert variables.render_header("X-Account-ID", "{X-Account-ID}") == 'ACC-98765;q="x", y'


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("X-A\r\nVia", "v", "CR is not allowed in a header name"),
        ("X-A\0", "v", "NUL is not allowed in a header name"),
        ("X-A", "v\r\nVia: evil", "CR is not allowed in a header value"),
        ("X-A", "v\nVia: evil", "LF is not allowed in a header value"),
        ("X-A", "v\0", "NUL is not allowed in a header value"),
        ("X-A", "v\x1b", "control characters"),
        ("Via", "v", "does not match"),
        ("x-a", "v", "does not match"),
        ("X-", "v", "does not match"),
        ("X-A B", "v", "does not match"),
        ("X-A", "v" * 5000, "longer than"),
    ],
)
def test_outbound_headers_that_break_a_rule_are_refused_with_it_named(name: str, value: str, rule: str) -> None:
    with pytest.raises(HeaderRuleError, match=rule):
        check(name, value)


@given(st.text(max_size=30), st.text(max_size=30))
def test_what_passes_the_check_is_one_header_line(name: str, value: str) -> None:
    try:
        check(name, value)
    except HeaderRuleError:
        return
    assert name.startswith("X-")
    line = f"{name}: {value}"
    assert not set("\r\n\0") & set(line)


# --- X-EI -------------------------------------------------------------------------------------------------------


def test_x_ei_of_the_seed() -> None:
    identity = parse_external_identifiers("S.ebe4bd96-dcb1-4abd-9aa5-686877dab061;")
    assert identity.synthflow_call_id == "ebe4bd96-dcb1-4abd-9aa5-686877dab061"
    assert identity.present
    assert identity.warnings == ()


@pytest.mark.parametrize("value", ["S.a;E.b;O.+15550123;", "O.+15550123; S.a; E.b;", " E.b ;O.+15550123 ;S.a ;"])
def test_x_ei_tokens_in_any_order(value: str) -> None:
    identity = parse_external_identifiers(value)
    assert (identity.synthflow_call_id, identity.external_id, identity.diversion) == ("a", "b", "+15550123")
    assert identity.warnings == ()


@pytest.mark.parametrize("value", ["S.a", "S.a E.b;", "S.a;O.15550123;", "S.a;Z.q;", "S.a;S.b;", "S.a;E.;"])
def test_x_ei_is_tolerant_and_warns(value: str) -> None:
    identity = parse_external_identifiers(value)
    assert identity.synthflow_call_id == "a"
    assert len(identity.warnings) == 1
    if "O." in value:
        assert identity.diversion == "+15550123"
    if "E.b" in value:
        assert identity.external_id == "b"


def test_x_ei_absent_or_empty() -> None:
    assert not parse_external_identifiers(None).present
    empty = parse_external_identifiers("")
    assert empty.present
    assert empty.synthflow_call_id is None


@given(st.text(max_size=80))
def test_x_ei_never_fails(value: str) -> None:
    identity = parse_external_identifiers(value)
    for text in (identity.synthflow_call_id, identity.external_id, identity.diversion):
        assert text is None or (text and not set("\r\n\0;") & set(text))


# --- numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        ("+15550100", True),
        ("+14155551234", True),
        ("14155551234", False),
        ("+0123456789", False),
        ("+123456", False),
        ("+1234567890123456", False),
        ("+1415555123٤", False),
        ("", False),
        ("+", False),
    ],
)
def test_e164(number: str, valid: bool) -> None:
    assert is_e164(number) is valid


def test_normalise() -> None:
    assert normalise("tel:+1-415-555-1234;phone-context=x") == "+14155551234"
    assert normalise("0049 (30) 123456") == "+4930123456"
    assert normalise("14155551234") == "+14155551234"
    assert normalise("1001") is None
    assert normalise("abc") is None
    assert same("+14155551234", "1 415 555 1234")
    assert not same("1001", "1002")
    assert without_plus("+1555") == "1555"
