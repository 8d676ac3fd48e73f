"""Phrases as a tree: read, pruned to a dictionary, written as JSGF, and found again in what was heard.

A phrase is words, ``[optional]`` and ``(one | other)``. Nothing else of JSGF is let through, so that text from
an agent's configuration cannot become grammar syntax.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .ports import Grammar

MAX_PHRASE = 2_000
"""Characters of one phrase; a longer one is refused."""

MAX_PHRASES = 2_000
"""Phrases of one grammar, competing ones included."""

MAX_DEPTH = 8
"""Brackets within brackets."""

ENOUGH = 0.7
"""A phrase stays when at least this share of its words is in the dictionary."""

FILLER_PREFIX = "SOUND_"
"""Beginning of a decoder's own words that stand for sounds; no phrase can contain it."""

_TOKEN = re.compile(r"[a-z0-9']+|[\[\]()|]")
_SPACE = re.compile(r"\s+")


class GrammarError(ValueError):
    """A phrase that cannot be read: `phrase` and the `rule` that it breaks."""

    def __init__(self, phrase: str, rule: str) -> None:
        super().__init__(f"phrase {phrase[:80]!r}: {rule}")
        self.phrase = phrase
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Word:
    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `options`, or none of them where `optional`."""

    options: tuple[Node, ...]
    optional: bool = False


Node = Word | Sequence | Choice


def plain(text: str) -> str:
    """Caller's or configured text as words only: lower case, no punctuation, straight apostrophes."""
    text = text.lower().replace("\u2019", "'")
    text = re.sub(r"(?<![a-z])'|'(?![a-z])", " ", text)
    return _SPACE.sub(" ", re.sub(r"[^a-z0-9']+", " ", text)).strip()


def parse(phrase: str) -> Node:
    """Reads a phrase. Raises GrammarError."""
    if len(phrase) > MAX_PHRASE:
        raise GrammarError(phrase, f"longer than {MAX_PHRASE} characters")
    tokens = _TOKEN.findall(phrase.lower().replace("\u2019", "'"))
    position = 0

    def choice(closing: str | None, depth: int) -> tuple[Node, ...]:
        nonlocal position
        if depth > MAX_DEPTH:
            raise GrammarError(phrase, f"more than {MAX_DEPTH} brackets deep")
        options: list[Node] = []
        parts: list[Node] = []
        while position < len(tokens):
            piece = tokens[position]
            position += 1
            if piece == "|":
                options.append(Sequence(tuple(parts)))
                parts = []
            elif piece in "[(":
                inner = choice("]" if piece == "[" else ")", depth + 1)
                parts.append(Choice(inner, optional=piece == "["))
            elif piece in "])":
                if piece != closing:
                    raise GrammarError(phrase, f"unexpected {piece!r}")
                options.append(Sequence(tuple(parts)))
                return tuple(options)
            else:
                parts.append(Word(piece))
        if closing is not None:
            raise GrammarError(phrase, f"{closing!r} is missing")
        options.append(Sequence(tuple(parts)))
        return tuple(options)

    options = choice(None, 0)
    return options[0] if len(options) == 1 else Choice(options)


def words(node: Node) -> Iterator[str]:
    """Every word of the tree, in order."""
    if isinstance(node, Word):
        yield node.text
    else:
        for child in node.parts if isinstance(node, Sequence) else node.options:
            yield from words(child)


def prune(node: Node, known: Callable[[str], bool]) -> Node | None:
    """The tree without unknown words; None when nothing, or too little (ENOUGH), would remain.

    An option of a choice that holds an unknown word goes as a whole: its neighbours say the same thing.
    A word in a plain sequence goes alone.
    """
    everything = list(words(node))
    kept = sum(1 for word in everything if known(word))
    if not everything or kept < ENOUGH * len(everything):
        return None
    return _prune(node, known)


def _prune(node: Node, known: Callable[[str], bool]) -> Node | None:
    if isinstance(node, Word):
        return node if known(node.text) else None
    if isinstance(node, Sequence):
        parts = tuple(part for part in (_prune(part, known) for part in node.parts) if part is not None)
        return Sequence(parts) if parts else None
    options = tuple(
        option
        for option in node.options
        if any(True for _ in words(option)) and all(known(word) for word in words(option))
    )
    return Choice(options, node.optional) if options else None


def jsgf(node: Node) -> str:
    """The tree as a JSGF expansion."""
    if isinstance(node, Word):
        return node.text
    if isinstance(node, Sequence):
        return " ".join(jsgf(part) for part in node.parts)
    inner = " | ".join(jsgf(option) for option in node.options)
    return f"[{inner}]" if node.optional else f"({inner})"


def pattern(node: Node) -> str:
    """The tree as a regular expression over words that each end in one space."""
    if isinstance(node, Word):
        return re.escape(node.text) + " "
    if isinstance(node, Sequence):
        return "".join(pattern(part) for part in node.parts)
    inner = "|".join(pattern(option) for option in node.options)
    return f"(?:{inner})?" if node.optional else f"(?:{inner})"


def expansions(node: Node, limit: int = 64) -> list[str]:
    """Sentences of the tree, at most `limit`, for tests and for looking at a grammar."""
    return [" ".join(found) for found in _expand(node, limit)][:limit]


def _expand(node: Node, limit: int) -> list[tuple[str, ...]]:
    if isinstance(node, Word):
        return [(node.text,)]
    if isinstance(node, Sequence):
        found: list[tuple[str, ...]] = [()]
        for part in node.parts:
            # The short side first keeps every option of an early choice reachable within the limit.
            found = [head + tail for tail in _expand(part, limit) for head in found][:limit]
        return found
    found = [option for node_option in node.options for option in _expand(node_option, limit)]
    if node.optional:
        found.append(())
    return found[:limit]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A grammar fit for one dictionary: JSGF text, and the way back from a sentence to its intent.

    `dropped` are the phrases that fell out because too many of their words are unknown.
    """

    jsgf: str
    dropped: tuple[str, ...]
    _matchers: tuple[tuple[str | None, re.Pattern[str]], ...]

    def spoken(self, heard: str) -> str:
        """What a decoder heard, as text: nothing where it needed the filler to explain the sound."""
        words = heard.split()
        return "" if any(word.startswith(FILLER_PREFIX) for word in words) else " ".join(words)

    def intent(self, text: str) -> str | None:
        """The first intent that has `text` among its phrases; None for a competing phrase or no phrase."""
        sentence = " ".join(text.split()) + " "
        for intent, matcher in self._matchers:
            if matcher.fullmatch(sentence):
                return intent
        return None


def compile_grammar(
    grammar: Grammar, known: Callable[[str], bool], *, filler: str | None = None, filler_weight: float = 1.0
) -> Compiled:
    """Writes the whole grammar as one JSGF text with a public rule ``<utterance>``.

    `filler` is a JSGF expansion that stands for any other speech, `filler_weight` its weight against one
    phrase. Raises GrammarError.
    """
    total = sum(len(phrases) for phrases in grammar.intents.values()) + len(grammar.competing)
    if total > MAX_PHRASES:
        raise GrammarError("", f"more than {MAX_PHRASES} phrases")
    dropped: list[str] = []
    matchers: list[tuple[str | None, re.Pattern[str]]] = []
    branches: list[str] = []
    for intent, phrases in grammar.intents.items():
        kept = _kept(phrases, known, dropped)
        if kept:
            matchers.append((intent, re.compile("|".join(pattern(node) for node in kept))))
            branches.extend(f"/1/ {jsgf(node)}" for node in kept)
    competing = _kept(grammar.competing, known, dropped)
    branches.extend(f"/1/ {jsgf(node)}" for node in competing)
    if filler is not None:
        branches.append(f"/{filler_weight:g}/ {filler}")
    text = "#JSGF V1.0;\ngrammar calls;\npublic <utterance> = " + "\n  | ".join(branches) + ";\n"
    return Compiled(text if branches else "", tuple(dropped), tuple(matchers))


def _kept(phrases: tuple[str, ...], known: Callable[[str], bool], dropped: list[str]) -> list[Node]:
    kept = []
    for phrase in phrases:
        node = prune(parse(phrase), known)
        if node is None:
            dropped.append(phrase)
        else:
            kept.append(node)
    return kept
