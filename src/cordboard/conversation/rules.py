"""The embedded model: rules instead of a language model, enough for a demonstration and for tests.

It reads what the caller said (words, or the intent that the recogniser's grammar found) and decides: run one
action, say something, or nothing. What it knows of an action is its kind, the keywords and the "quoted
examples" of its instructions, and the names in its phone book. English only.

The recogniser's grammar comes from the same place (`Rules.phrases`), so that what can be heard and what is
understood cannot drift apart. Pure: no input, no output, no clock.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from cordboard.speech.grammar import plain
from cordboard.speech.ports import Grammar

from .model import Message, ModelEvent, TextDelta, Tool, ToolCall, TurnEnded
from .vocabulary import (
    ABOUT_ME,
    ASK,
    COMMANDS,
    COMPETING,
    DECLINED,
    KIND_PHRASES,
    MACHINE,
    NOUN,
    PERSON_WISHES,
    REACH,
    SMALL_TALK,
    STOP,
    TOPICS,
    WISH,
)

MAX_KEYWORDS = 40
"""Keywords and examples taken from one action's instructions, each."""

_REFUSING = re.compile(r"\b(?:do not|don't|never|except|unless|but not|not for)\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“”]([^\"“”]{2,120})[\"“”]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A phone book's entry: who it is, and in words when to choose it."""

    name: str
    condition: str = ""


@dataclass(frozen=True, slots=True)
class RuleAction:
    """An agent's action as far as the rules read it. `kind` is the directory's (``LIVE_TRANSFER``, ``END_CALL``)."""

    name: str
    kind: str
    instructions: str = ""
    description: str = ""
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Run the action `action`. A phone book's choice is in ``arguments["entry"]``."""

    action: str
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nobody said anything that wants an answer."""


Decision = Run | Say | Nothing


def _stem(word: str) -> str:
    for ending in ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _content(text: str) -> list[str]:
    """The words that carry meaning, in order, without repeats."""
    return list(dict.fromkeys(word for word in plain(text).split() if len(word) > 2 and word not in STOP))


def _keywords(text: str) -> tuple[str, ...]:
    """Content words of a text, without the sentences that say when not to, and without quoted examples."""
    sentences = re.split(r"[.;!?\n]", _QUOTED.sub(" ", text))
    wanted = " ".join(_REFUSING.split(sentence, maxsplit=1)[0] for sentence in sentences)
    return tuple(_content(wanted)[:MAX_KEYWORDS])


def wants_person(text: str) -> bool:
    """Does the caller ask, in whatever words, to be put through to a human?"""
    said = plain(text)
    if ABOUT_ME.search(said):
        return False
    if DECLINED.search(said) and not MACHINE.search(said) and "don't you have" not in said:
        return False
    return any(wish.search(said) for wish in PERSON_WISHES)


@dataclass(frozen=True, slots=True)
class _Read:
    """An action with what was read from its texts. `stems` trigger it, `hints` only choose between transfers."""

    action: RuleAction
    keywords: tuple[str, ...]
    examples: tuple[str, ...]
    stems: frozenset[str]
    hints: frozenset[str]


class Rules:
    """The rules for one agent: `actions` in the agent's order, `agent_name` as callers hear it."""

    def __init__(self, actions: Sequence[RuleAction], agent_name: str = "") -> None:
        self._actions = tuple(self._read(action) for action in actions)
        self._name = agent_name or "the front desk"
        self._transfers = [read for read in self._actions if read.action.kind.upper() == "LIVE_TRANSFER"]
        self._intents: dict[str, Decision] = {}
        self._grammar = self._build()

    @staticmethod
    def _read(action: RuleAction) -> _Read:
        keywords = _keywords(action.instructions)
        quoted = _QUOTED.findall(_affirmed(action.instructions))
        examples = tuple(example for example in (plain(text) for text in quoted[:MAX_KEYWORDS]) if example)
        about = _content(f"{action.name.replace('_', ' ')} {action.description}")
        stems = frozenset(_stem(word) for word in keywords)
        return _Read(action, keywords, examples, stems, stems | {_stem(word) for word in about})

    def phrases(self) -> Grammar:
        """What the recogniser listens for. An intent's name goes back into `decide`."""
        return self._grammar

    def _build(self) -> Grammar:
        intents: dict[str, tuple[str, ...]] = {}
        offered: set[str] = set()
        for read in self._actions:
            action, kind = read.action, read.action.kind.upper()
            if kind == "INFORMATION_EXTRACTOR":
                continue
            # The built-in phrases of a kind belong to its first action; the others are told apart by their own words.
            phrases = list(KIND_PHRASES.get(kind, ())) if kind not in offered else []
            offered.add(kind)
            phrases += read.examples
            phrases += [f"[i am calling | i have a question] about [my | the | a] {word}" for word in read.keywords]
            phrases += [f"{word} please" for word in read.keywords]
            if phrases:
                intents[action.name] = tuple(phrases)
                self._intents[action.name] = self._run(read, "")
            for entry in action.entries:
                name = plain(entry.name)
                if name:
                    key = f"{action.name}/{entry.name}"
                    intents[key] = (
                        f"{ASK} (talk | speak) (to | with) [the] {name} [department | team] [please]",
                        f"[can you | please] {REACH} [the] {name} [department | team] [please]",
                        f"[i need | i want] [the] {name} [department | team] [please]",
                    )
                    self._intents[key] = Run(action.name, {"entry": entry.name})
        ends = "END_CALL" in offered
        for topic, (topic_phrases, _) in SMALL_TALK.items():
            intents[f"say/{topic}"] = topic_phrases
        if not ends:
            intents["say/goodbye"] = KIND_PHRASES["END_CALL"]
        return Grammar(intents, COMPETING)

    def decide(self, text: str, intent: str | None = None, said: str = "") -> Decision:
        """What to do after the caller said `text`; `said` is what the agent said last, for "pardon?".

        An `intent` of this object's grammar decides alone; any other is ignored.
        """
        if intent is not None:
            if intent.startswith("say/"):
                return self._talk(intent.removeprefix("say/"), said)
            decision = self._intents.get(intent)
            if decision is not None:
                return decision
        words = plain(text)
        if not words:
            return Nothing()
        return self._by_entry(words) or self._by_words(words) or self._by_topic(words, said) or self._unknown()

    def _by_entry(self, words: str) -> Decision | None:
        wish = wants_person(words) or re.search(rf"\b(?:{WISH})\b", words)
        if DECLINED.search(words):
            return None
        short = len(words.split()) <= 4
        for read in self._transfers:
            for entry in read.action.entries:
                name = plain(entry.name)
                if name and re.search(rf"\b{re.escape(name)}\b", words) and (wish or short):
                    return Run(read.action.name, {"entry": entry.name})
        return None

    def _by_words(self, words: str) -> Decision | None:
        for read in self._actions:
            if read.action.kind.upper() != "INFORMATION_EXTRACTOR" and any(
                _alike(words, example) for example in read.examples
            ):
                return self._run(read, words)
        stems = {_stem(word) for word in words.split()}
        if wants_person(words) and self._transfers:
            # max() keeps the first of equals: the agent's order decides.
            return self._run(max(self._transfers, key=lambda read: len(read.hints & stems)), words)
        if DECLINED.search(words) and not MACHINE.search(words) and re.search(NOUN, words):
            return Say("All right. How else can I help you?")
        for read in self._actions:
            phrases = COMMANDS.get(read.action.kind.upper())
            if phrases is not None and phrases.search(words):
                return self._run(read, words)
        candidates = [
            read for read in self._actions if read.stems & stems and read.action.kind.upper() != "INFORMATION_EXTRACTOR"
        ]
        if candidates and not DECLINED.search(words):
            return self._run(max(candidates, key=lambda read: len(read.stems & stems)), words)
        return None

    def _by_topic(self, words: str, said: str) -> Decision | None:
        for topic, expression in TOPICS:
            if expression.search(words):
                return self._talk(topic, said)
        return None

    def _run(self, read: _Read, words: str) -> Decision:
        entries = read.action.entries
        if not entries:
            return Run(read.action.name)
        stems = {_stem(word) for word in words.split()}
        best = max(entries, key=lambda entry: len(_entry_stems(entry) & stems))
        if len(entries) == 1 or _entry_stems(best) & stems:
            return Run(read.action.name, {"entry": best.name})
        names = [entry.name for entry in entries]
        return Say(f"Whom would you like to speak to: {', '.join(names[:-1])} or {names[-1]}?")

    def _talk(self, topic: str, said: str) -> Decision:
        if topic == "goodbye":
            return Say("Goodbye.")
        _, answer = SMALL_TALK.get(topic, ((), ""))
        return Say(answer.format(offer=self._offer(), name=self._name, said=said or self._offer()).strip())

    def _offer(self) -> str:
        if self._transfers:
            return "I can connect you with a person: just say so, or press zero."
        return "What can I do for you?"

    def _unknown(self) -> Decision:
        return Say(f"I am sorry, I cannot help with that myself. {self._offer()}")


def _affirmed(text: str) -> str:
    return " . ".join(_REFUSING.split(sentence, maxsplit=1)[0] for sentence in re.split(r"[;!?\n]|\.(?=\s|$)", text))


def _entry_stems(entry: Entry) -> set[str]:
    return {_stem(word) for word in _content(entry.name)} | {_stem(word) for word in _keywords(entry.condition)}


def _alike(words: str, example: str) -> bool:
    if f" {example} " in f" {words} " and len(example) > 3:
        return True
    wanted = {_stem(word) for word in _content(example)}
    return len(wanted) >= 2 and len(wanted & {_stem(word) for word in words.split()}) >= 0.75 * len(wanted)


class RulesModel:
    """`Model` over `Rules`: answers the caller's last message, whole and at once."""

    name = "rules"

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def turn(self, messages: Sequence[Message], tools: Sequence[Tool]) -> AsyncIterator[ModelEvent]:
        """Runs only what is among `tools`; a turn that the caller did not open says nothing."""
        last = messages[-1] if messages else None
        if last is None or last.role != "user":
            yield TurnEnded()
            return
        said = next((message.text for message in reversed(messages) if message.role == "assistant"), "")
        decision = self._rules.decide(last.text, last.intent, said)
        if isinstance(decision, Run) and any(tool.name == decision.action for tool in tools):
            yield ToolCall(f"call_{len(messages)}", decision.action, dict(decision.arguments))
            yield TurnEnded("tools")
            return
        if isinstance(decision, Say):
            yield TextDelta(decision.text)
        elif isinstance(decision, Run):
            yield TextDelta("I am sorry, I cannot do that now.")
        yield TurnEnded()
