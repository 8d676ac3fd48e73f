"""Placeholders: the grammar, paths, resolution, escaping; no value is ever expanded or breaks out of its place."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.variables import (
    Binding,
    HeaderRuleError,
    Place,
    Scope,
    Source,
    Variables,
    fill_header,
    fill_json,
    fill_text,
    fill_uri,
    input_names,
    names,
    scan,
)
from cordboard.variables.placeholders import Input, Literal, Part, Placeholder, path


def raw(part: Part) -> str:
    return part.text if isinstance(part, Literal) else part.raw


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("Hello {X-Customer-Name}.", ("X-Customer-Name",)),
        ("{{name}} and {name}", ("name",)),
        ("{results.data.field}{results.list[0].field}", ("results.data.field", "results.list[0].field")),
        ('{"account_id": "{X-Account-ID}"}', ("X-Account-ID",)),
        ('{"a": {"b": {count}}}', ("count",)),
        ("{1a} { a} {a } {} {a", ()),
        ("{é}", ()),
        ("{a{b}}", ("b",)),
        ("{{a}", ("a",)),
    ],
)
def test_grammar(template: str, found: tuple[str, ...]) -> None:
    assert names(template) == found


def test_input_variables_are_declared_by_angle_brackets() -> None:
    assert input_names("sip:<queue_ref>@<host> <queue_ref> < a> <1> a<b") == ("queue_ref", "host")
    assert [type(part) for part in scan("<a>{b}", inputs=True)] == [Input, Placeholder]
    assert [type(part) for part in scan("<a>")] == [Literal]


@given(st.text(alphabet='ab{}<>[].-_0X "\\', max_size=60), st.booleans())
def test_parts_give_the_template_back_and_follow_the_regular_expression(template: str, inputs: bool) -> None:
    parts = scan(template, inputs=inputs)
    assert "".join(raw(part) for part in parts) == template
    if not inputs and "{{" not in template:
        wanted = re.findall(r"\{([A-Za-z_][\w.\[\]-]*)\}", template, re.ASCII)
        assert [part.name for part in parts if isinstance(part, Placeholder)] == wanted


def test_paths() -> None:
    assert path("results.list[0][12].field") == ("results", "list", 0, 12, "field")
    for broken in ("a..b", "a[", "a[x]", "a[0]b", ".a", "a[-1]", "a[]", "a[99999999]"):
        assert path(broken) is None, broken


def test_scopes_and_their_order() -> None:
    variables = Variables()
    variables.set(Scope.PREPARED, "call_id", "theirs")
    variables.set(Scope.SYSTEM, "call_id", "ours")
    variables.set(Scope.HEADERS, "X-Account-ID", "A1")
    assert variables.get("call_id") == "ours"
    assert variables.get("x-account-id") == "A1"
    variables.set(Scope.HEADERS, "x-ACCOUNT-id", "A2")
    assert variables.scope(Scope.HEADERS) == {"X-Account-ID": "A2"}


def test_results_of_actions_latest_with_the_path_or_by_name() -> None:
    variables = Variables()
    variables.add_result("lookup", {"data": {"field": "old", "only": "here"}})
    variables.add_result("other", {"data": {"field": "new", "list": [{"id": 7}]}})
    assert fill_text("{results.data.field}", variables) == "new"
    assert fill_text("{results.data.only}", variables) == "here"
    assert fill_text("{results.lookup.data.field}", variables) == "old"
    assert fill_text("{results.data.list[0].id}", variables) == "7"
    assert not variables.warnings
    assert fill_text("[{results.data.list[3].id}]", variables) == "[]"
    assert [warning.subject for warning in variables.warnings] == ["results.data.list[3].id"]


def test_unknown_is_empty_and_warned_once() -> None:
    variables = Variables()
    assert fill_text("a{nobody}b{nobody}", variables) == "ab"
    assert [str(warning) for warning in variables.warnings] == ["nobody: unknown variable: empty"]


def test_paths_into_variables_and_values_that_are_no_text() -> None:
    variables = Variables()
    variables.set(
        Scope.COLLECTED, "customer", {"name": "Jane", "tags": ["a", "b"], "vip": True, "age": 41, "none": None}
    )
    template = "{customer.name} {customer.tags[1]} {customer.vip} {customer.age} [{customer.none}] {customer.tags}"
    assert fill_text(template, variables) == 'Jane b true 41 [] ["a","b"]'


def test_bindings_of_input_variables() -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "department", "billing")
    variables.set(Scope.SYSTEM, "call_id", "c1")
    variables.add_result("crm", {"ref": "R-9"})
    bound = variables.bind(
        {
            "fixed": Binding(Source.FIXED, "{department}"),
            "variable": Binding(Source.VARIABLE, "department"),
            "system": Binding(Source.SYSTEM, "call_id"),
            "result": Binding(Source.ACTION_RESULT, "crm.ref"),
            "model": Binding(Source.MODEL),
        },
        model={"model": "urgent"},
    )
    rendered = fill_text("<fixed> <variable> <system> <result> <model> <unbound>.", variables, bound)
    assert rendered == "{department} billing c1 R-9 urgent ."
    assert [warning.subject for warning in variables.warnings] == ["<unbound>"]


def test_a_system_binding_reads_no_other_scope() -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "call_id", "theirs")
    assert variables.bind({"id": Binding(Source.SYSTEM, "call_id")}) == {"id": None}
    assert variables.warnings


# --- nothing is expanded twice, nothing breaks out ---------------------------------------------------------------

HOSTILE = st.text(alphabet=st.sampled_from(list('ab{}<>"\\;,@:?&=%+/ \r\n\0\x7f\u2028é😀X-_.')), max_size=40)


@given(HOSTILE)
def test_no_second_expansion(value: str) -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "secret", "SECRET")
    variables.set(Scope.COLLECTED, "value", value + "{secret}<secret>{{secret}}")
    for place in (Place.TEXT, Place.URI, Place.JSON):
        assert "SECRET" not in variables.render("[{value}]", place, {"secret": "SECRET"})


@given(HOSTILE)
def test_json_bodies_survive_any_value(value: str) -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "value", value)
    body = json.loads(fill_json('{"quoted": "<{value}>", "bare": {value}, "{{value}}": {"n": 1}}', variables))
    assert body["quoted"] == f"<{value}>"
    assert body["bare"] == value
    assert body[value] == {"n": 1}


def test_json_values_keep_their_type_where_they_stand_bare() -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "count", 3)
    variables.set(Scope.COLLECTED, "list", ["a", {"b": None}])
    rendered = fill_json('{"n": {count}, "l": {list}, "s": "{count}", "u": {unknown}, "e": "\\"{count}"}', variables)
    assert json.loads(rendered) == {"n": 3, "l": ["a", {"b": None}], "s": "3", "u": None, "e": '"3'}


@given(HOSTILE)
def test_a_uri_component_cannot_add_anything_to_the_uri(value: str) -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "user", value)
    uri = fill_uri("sip:{user}@192.0.2.1;transport=udp", variables)
    user = uri.removeprefix("sip:").removesuffix("@192.0.2.1;transport=udp")
    assert re.fullmatch(r"[A-Za-z0-9._~%-]*", user)
    assert unquote(user) == value


@given(HOSTILE)
def test_header_injection_is_impossible(value: str) -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "value", value)
    if set("\r\n\0\x7f") & set(value):
        with pytest.raises(HeaderRuleError, match=r"^X-Note: \w+"):
            fill_header("X-Note", "a {value}", variables)
    else:
        assert fill_header("X-Note", "a {value}", variables) == f"a {value}"


@pytest.mark.parametrize(("character", "called"), [("\r", "CR"), ("\n", "LF"), ("\0", "NUL")])
def test_cr_lf_and_nul_in_a_header_are_refused_with_the_rule_named(character: str, called: str) -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "value", f"a{character}Via: evil")
    with pytest.raises(HeaderRuleError, match=f"X-Note: {called} is not allowed in a header value"):
        fill_header("X-Note", "{value}", variables)


def test_control_characters_do_not_reach_prompts_and_speech() -> None:
    variables = Variables()
    variables.set(Scope.COLLECTED, "value", "a\x1b[31mb\r\nc")
    assert fill_text("{value}", variables) == "a [31mb \nc"


def test_variables_are_a_private_copy_and_bounded() -> None:
    given_value = {"a": [1]}
    variables = Variables()
    variables.set(Scope.COLLECTED, "v", given_value)
    given_value["a"].append(2)
    assert variables.get("v") == {"a": [1]}
    for number in range(1000):
        variables.get(f"unknown{number}")
        variables.add_result("r", number)
    assert len(variables.warnings) == 256
    variables.set(Scope.COLLECTED, "nan", float("nan"))
    assert json.loads(fill_json("[{nan}]", variables)) == ["nan"]
