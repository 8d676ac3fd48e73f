"""Phrases: read, pruned to a dictionary, written as JSGF, found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.speech.grammar import (
    MAX_DEPTH,
    MAX_PHRASE,
    GrammarError,
    compile_grammar,
    expansions,
    jsgf,
    parse,
    plain,
    prune,
)
from cordboard.speech.ports import Grammar


def test_optional_words_and_choices_expand() -> None:
    assert sorted(expansions(parse("[please] (talk | speak) to me"))) == [
        "please speak to me",
        "please talk to me",
        "speak to me",
        "talk to me",
    ]


@pytest.mark.parametrize("phrase", ["(a", "a)", "[a)", "a | b]", "(" * (MAX_DEPTH + 2), "a " * MAX_PHRASE])
def test_a_phrase_that_cannot_be_read_names_its_rule(phrase: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse(phrase)
    assert caught.value.rule


def test_unknown_words_are_dropped_while_enough_remains() -> None:
    known = {"connect", "me", "to", "the", "front", "desk", "of", "at", "please"}.__contains__
    kept = prune(parse("connect me to the front desk of zyxw"), known)
    assert kept is not None
    assert expansions(kept) == ["connect me to the front desk of"]
    assert prune(parse("zyxw abcd please"), known) is None
    assert prune(parse("zyxw"), known) is None


def test_an_option_with_an_unknown_word_goes_as_a_whole() -> None:
    known = {"call", "me", "later", "tomorrow", "please", "now"}.__contains__
    kept = prune(parse("call me (later | zyxw tomorrow | now) [please | zyxw]"), known)
    assert kept is not None
    assert jsgf(kept) == "call me (later | now) [please]"


def test_what_was_heard_finds_its_intent_and_competing_phrases_have_none() -> None:
    grammar = Grammar({"go": ("[please] go (home | away)", "leave")}, ("the weather is nice",))
    compiled = compile_grammar(grammar, lambda word: True)
    assert compiled.intent("please go home") == "go"
    assert compiled.intent("leave") == "go"
    assert compiled.intent("the weather is nice") is None
    assert compiled.intent("go") is None
    assert compiled.spoken("SOUND_AA SOUND_B") == ""


def test_dropped_phrases_are_told() -> None:
    compiled = compile_grammar(Grammar({"go": ("zyxw", "go")}), lambda word: word == "go")
    assert compiled.dropped == ("zyxw",)


@given(st.text(max_size=200))
def test_no_text_becomes_syntax_once_it_is_plain(text: str) -> None:
    """Names from a phone book and quotes from instructions enter the grammar through `plain`."""
    written = jsgf(parse(plain(text)))
    assert not set(written) & set('[]()|<>;=/*+{}\\"')
