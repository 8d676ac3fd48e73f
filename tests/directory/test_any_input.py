"""Whatever a file holds, reading it gives a directory or faults with places, and never an exception."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cordboard.directory import Directory, export_directory, load_directory, read_directory
from cordboard.directory.actions import ACTION_TYPES, LiveTransfer
from cordboard.directory.agents import Agent
from cordboard.directory.gateways import Gateway
from cordboard.directory.phonebooks import Number, PhoneBook
from cordboard.documents import YamlFile
from tests.directory.files import transfer

WORDS = sorted({name for model in (LiveTransfer, Agent, Gateway, PhoneBook, Number) for name in model.model_fields})
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from((*ACTION_TYPES, "+15550100", "sip:a@127.0.0.1", "{x}", "<x>", "cold_transfer", "desk", "lab")),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*WORDS, "type", "x")) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
sections = st.dictionaries(
    st.sampled_from(("agents", "actions", "gateways", "phonebooks", "numbers")), st.lists(values, max_size=3) | values
)


def judged(text: str) -> None:
    found = read_directory([YamlFile("any.yaml", text)])
    if isinstance(found, Directory):
        export_directory(found)
    else:
        assert found
        assert all(fault.rule and fault.file == "any.yaml" for fault in found)


@settings(max_examples=100, deadline=None)
@given(sections)
def test_any_data_in_the_sections(data: dict[str, Any]) -> None:
    judged(yaml.safe_dump(data))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80) | st.text(alphabet="{}[]&*<:-,?!#|>'\"% \n\ta1", max_size=80))
def test_any_text(text: str) -> None:
    judged(text)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(LiveTransfer.model_fields)), values)
def test_any_value_of_a_transfer(name: str, value: Any) -> None:
    data = yaml.safe_load(transfer().replace("[+1555]", "['+1555']").replace("[+15550100]", "['+15550100']"))
    data["agents"][0]["actions"][0][name] = value
    judged(yaml.safe_dump(data))


def test_sample_without_any_one_line_is_read_or_refused() -> None:
    lines = export_directory(_sample()).splitlines()
    for index in range(len(lines)):
        judged("\n".join(lines[:index] + lines[index + 1 :]))


def _sample() -> Directory:
    found = load_directory()
    assert isinstance(found, Directory)
    return found
