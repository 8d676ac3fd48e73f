r"""Finding placeholders in a template.

The grammar, scanned by hand::

    placeholder = "{" name "}" | "{{" name "}}"         name = [A-Za-z_][\w.\[\]-]*   (ASCII word characters)
    input       = "<" identifier ">"                    identifier = [A-Za-z_][A-Za-z0-9_-]*

Every other brace or angle bracket is literal, so that JSON bodies and markup survive. ``{{name}}`` is read as
``{name}``. Input variables are looked for only where the caller of :func:`scan` asks for them.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

_START = frozenset(string.ascii_letters + "_")
_NAME = frozenset(string.ascii_letters + string.digits + "_.[]-")
_INPUT = frozenset(string.ascii_letters + string.digits + "_-")
MAXIMUM_NAME = 256


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that is kept as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """``{name}``; ``raw`` is the text it stood for."""

    name: str
    raw: str


@dataclass(frozen=True, slots=True)
class Input:
    """``<name>``, an input variable of an action."""

    name: str
    raw: str


Part = Literal | Placeholder | Input


def _name_end(template: str, start: int, allowed: frozenset[str]) -> int:
    """Where the name that starts at ``start`` ends; ``start`` itself where there is none."""
    if start >= len(template) or template[start] not in _START:
        return start
    end = start + 1
    limit = min(len(template), start + MAXIMUM_NAME)
    while end < limit and template[end] in allowed:
        end += 1
    return end


def _placeholder_at(template: str, at: int) -> tuple[Placeholder, int] | None:
    if template.startswith("{{", at):
        end = _name_end(template, at + 2, _NAME)
        if end > at + 2 and template.startswith("}}", end):
            return Placeholder(template[at + 2 : end], template[at : end + 2]), end + 2
        return None
    end = _name_end(template, at + 1, _NAME)
    if end > at + 1 and template.startswith("}", end):
        return Placeholder(template[at + 1 : end], template[at : end + 1]), end + 1
    return None


def _input_at(template: str, at: int) -> tuple[Input, int] | None:
    end = _name_end(template, at + 1, _INPUT)
    if end > at + 1 and template.startswith(">", end):
        return Input(template[at + 1 : end], template[at : end + 1]), end + 1
    return None


def scan(template: str, *, inputs: bool = False) -> tuple[Part, ...]:
    """Split a template; joining literals and ``raw`` gives the template back. Linear in its length."""
    parts: list[Part] = []
    literal_from = at = 0
    while at < len(template):
        found: tuple[Part, int] | None = None
        if template[at] == "{":
            found = _placeholder_at(template, at)
        elif inputs and template[at] == "<":
            found = _input_at(template, at)
        if found is None:
            at += 1
            continue
        if at > literal_from:
            parts.append(Literal(template[literal_from:at]))
        part, at = found
        parts.append(part)
        literal_from = at
    if literal_from < len(template):
        parts.append(Literal(template[literal_from:]))
    return tuple(parts)


def names(template: str) -> tuple[str, ...]:
    """The placeholders of a template, each once, in order of appearance."""
    return tuple(dict.fromkeys(part.name for part in scan(template) if isinstance(part, Placeholder)))


def input_names(template: str) -> tuple[str, ...]:
    """The input variables that a template declares, each once, in order of appearance."""
    return tuple(dict.fromkeys(part.name for part in scan(template, inputs=True) if isinstance(part, Input)))


Step = str | int


def path(name: str) -> tuple[Step, ...] | None:
    """``results.list[0].field`` as steps; None where it is no path (a bracket without a number, an empty step)."""
    steps: list[Step] = []
    for field in name.split("."):
        key, bracket, rest = field.partition("[")
        if not key:
            return None
        steps.append(key)
        while bracket:
            number, closing, rest = rest.partition("]")
            # ASCII digits only: int() would take other scripts' digits as well.
            if not closing or not number.isascii() or not number.isdigit() or len(number) > 6:
                return None
            steps.append(int(number))
            if not rest:
                break
            if not rest.startswith("["):
                return None
            bracket, rest = "[", rest[1:]
    return tuple(steps)
