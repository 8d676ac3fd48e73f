r"""X-header rules, inbound and outbound, and the X-EI header.

Inbound headers are somebody else's: what breaks a rule is ignored with a warning and the call goes on. Outbound ones
are ours: what breaks a rule is an error that names the rule.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import HeaderRuleError, VariableWarning

_NAME_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_")
NAME_RULE = r"^X-[A-Za-z0-9\-_]+$"
MAXIMUM_NAME = 128
MAXIMUM_VALUE = 4096
MAXIMUM_HEADERS = 64
MAXIMUM_IDENTITY_FIELDS = 16
_FORBIDDEN = {"\r": "CR", "\n": "LF", "\0": "NUL"}


def is_x_header(name: str) -> bool:
    """Whether a header is of the X-* kind at all, without regard to case (RFC 3261 §7.3.1)."""
    return name[:2].lower() == "x-"


def name_is_legal(name: str) -> bool:
    """Whether a name keeps the rule ``^X-[A-Za-z0-9\\-_]+$``, the prefix in either case."""
    return is_x_header(name) and 2 < len(name) <= MAXIMUM_NAME and all(c in _NAME_CHARACTERS for c in name[2:])


def _forbidden(value: str) -> str | None:
    return next((called for character, called in _FORBIDDEN.items() if character in value), None)


def check_name(name: str) -> None:
    """Raise HeaderRuleError where the name may not be sent."""
    called = _forbidden(name)
    if called is not None:
        raise HeaderRuleError(_shown(name), f"{called} is not allowed in a header name", "RFC 3261 §25.1")
    if not name.startswith("X-") or not name_is_legal(name):
        raise HeaderRuleError(_shown(name), f"the name does not match {NAME_RULE}")


def check_value(name: str, value: str) -> None:
    """Raise HeaderRuleError where the value may not be sent under the name."""
    called = _forbidden(value)
    if called is not None:
        raise HeaderRuleError(_shown(name), f"{called} is not allowed in a header value", "RFC 3261 §25.1")
    if any((ord(c) < 0x20 and c != "\t") or ord(c) == 0x7F for c in value):
        raise HeaderRuleError(_shown(name), "control characters are not allowed in a header value", "RFC 3261 §25.1")
    if len(value.encode("utf-8", "replace")) > MAXIMUM_VALUE:
        raise HeaderRuleError(_shown(name), f"the value is longer than {MAXIMUM_VALUE} bytes")


def check(name: str, value: str) -> None:
    """Raise HeaderRuleError where the header may not be sent."""
    check_name(name)
    check_value(name, value)


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:MAXIMUM_NAME])


def collect(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[VariableWarning]]:
    """Inbound ``X-*`` headers as variables under their own name, as first spelled.

    A header that is repeated, in any case, is joined by ``, `` (RFC 3261 §7.3.1). One whose name breaks the rule, or
    whose value holds CR, LF or NUL, is ignored with a warning. Others than ``X-*`` are not looked at.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    warnings: list[VariableWarning] = []
    for name, value in headers:
        if not is_x_header(name):
            continue
        if not name_is_legal(name):
            warnings.append(VariableWarning(_shown(name), f"ignored: the name does not match {NAME_RULE}"))
            continue
        called = _forbidden(value)
        if called is not None:
            warnings.append(VariableWarning(_shown(name), f"ignored: {called} is not allowed in a header value"))
            continue
        key = name.lower()
        if key not in found and len(found) >= MAXIMUM_HEADERS:
            warnings.append(VariableWarning(_shown(name), f"ignored: more than {MAXIMUM_HEADERS} X-headers"))
            continue
        found.setdefault(key, (name, []))[1].append(value.strip())
    return {name: ", ".join(values) for name, values in found.values()}, warnings


@dataclass(frozen=True, slots=True)
class ExternalIdentifiers:
    """What an X-EI header says: the prepared call's id (S), an external id (E), a diversion (O).

    ``present`` is False where there was no such header; ``warnings`` tells each thing tolerated or ignored.
    """

    synthflow_call_id: str | None = None
    external_id: str | None = None
    diversion: str | None = None
    present: bool = False
    warnings: tuple[VariableWarning, ...] = ()


_IDENTITY_FIELDS = {"S": "synthflow_call_id", "E": "external_id", "O": "diversion"}


def _tokens(text: str, warnings: list[VariableWarning]) -> list[str]:
    """Split at semicolons, and at white space before ``S.``, ``E.`` or ``O.`` where a semicolon is missing."""
    pieces: list[str] = []
    for piece in text.split(";")[:MAXIMUM_IDENTITY_FIELDS]:
        words = piece.split()
        started = 0
        for position in range(1, len(words)):
            if words[position][:2].upper() in ("S.", "E.", "O.") and len(words[position]) > 2:
                warnings.append(VariableWarning("X-EI", "a semicolon between two tokens is missing"))
                pieces.append(" ".join(words[started:position]))
                started = position
        pieces.append(" ".join(words[started:]))
    return pieces


def parse_external_identifiers(value: str | None) -> ExternalIdentifiers:
    """Read ``S.<id>; E.<id>; O.<diversion>;``: any subset, any order.

    A missing semicolon, and a diversion that is E.164 but for its plus, are accepted and warned. An unknown,
    empty or repeated token is ignored with a warning: the call goes on without it.
    """
    if value is None:
        return ExternalIdentifiers()
    found: dict[str, str] = {}
    warnings: list[VariableWarning] = []
    text = value.strip()
    if text and not text.endswith(";"):
        warnings.append(VariableWarning("X-EI", "the last semicolon is missing"))
    for piece in _tokens(text, warnings):
        token = piece.strip().lstrip(",").strip()
        if not token:
            continue
        letter, dot, content = token.partition(".")
        field = _IDENTITY_FIELDS.get(letter.strip().upper())
        content = content.strip()
        if field is None or not dot or not content or _forbidden(content):
            warnings.append(VariableWarning("X-EI", f"ignored: {_shown(token)!r} is none of S.<id>, E.<id>, O.<id>"))
            continue
        if field in found:
            warnings.append(VariableWarning("X-EI", f"ignored: a second {letter.strip().upper()} token"))
            continue
        if field == "diversion" and content.isascii() and content.isdigit() and 7 <= len(content) <= 15:
            warnings.append(VariableWarning("X-EI", "the plus of the diversion is missing"))
            content = f"+{content}"
        found[field] = content
    return ExternalIdentifiers(
        synthflow_call_id=found.get("synthflow_call_id"),
        external_id=found.get("external_id"),
        diversion=found.get("diversion"),
        present=True,
        warnings=tuple(warnings),
    )
