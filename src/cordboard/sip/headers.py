"""The header fields of a message: ordered, case kept, compact forms unified, injection impossible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cordboard.sip.address import Address
from cordboard.sip.errors import HeaderInjectionError
from cordboard.sip.fields import (
    CSeq,
    Event,
    MediaType,
    MinSe,
    RAck,
    Reason,
    Replaces,
    RetryAfter,
    SessionExpires,
    SubscriptionState,
    TargetDialog,
    Warning,
)
from cordboard.sip.parameters import Parameters
from cordboard.sip.tokens import check_text, is_token, split_commas
from cordboard.sip.via import Via

__all__ = [
    "COMMA_SEPARATED",
    "Address",
    "CSeq",
    "Event",
    "Headers",
    "MediaType",
    "MinSe",
    "Parameters",
    "RAck",
    "Reason",
    "Replaces",
    "RetryAfter",
    "SessionExpires",
    "SubscriptionState",
    "TargetDialog",
    "Via",
    "Warning",
    "canonical",
]

# RFC 3261 §7.3.3 and the IANA registry of compact forms.
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

# Headers whose grammar is a comma-separated list. Any other header, X-... included, is one value per line.
COMMA_SEPARATED = frozenset(
    (
        "accept",
        "accept-contact",
        "accept-encoding",
        "accept-language",
        "accept-resource-priority",
        "alert-info",
        "allow",
        "allow-events",
        "call-info",
        "contact",
        "content-encoding",
        "content-language",
        "diversion",
        "error-info",
        "history-info",
        "in-reply-to",
        "p-asserted-identity",
        "p-associated-uri",
        "p-early-media",
        "p-preferred-identity",
        "path",
        "proxy-require",
        "reason",
        "record-route",
        "recv-info",
        "reject-contact",
        "remote-party-id",
        "request-disposition",
        "require",
        "resource-priority",
        "route",
        "security-client",
        "security-server",
        "security-verify",
        "service-route",
        "supported",
        "unsupported",
        "user-to-user",
        "via",
        "warning",
    )
)

LENGTH_NAMES = frozenset(("Content-Length", "Content-length", "content-length", "CONTENT-LENGTH", "l", "L"))
"""The only spellings under which a length is kept: the writer, which makes its own, finds it without folding case."""

# Spellings seen before -> key. Bounded: a name not listed here is lowered each time once it is full.
_KEYS: dict[str, str] = {}
_KEYS_LIMIT = 512


def canonical(name: str) -> str:
    """The key of a header name: lower case, compact form expanded."""
    key = _KEYS.get(name)
    if key is None:
        key = name.lower()
        key = _COMPACT.get(key, key)
        if len(_KEYS) < _KEYS_LIMIT and len(name) <= 40:
            _KEYS[name] = key
    return key


class Headers:
    """Header fields in order. Every name and value that enters is checked: CR, LF and NUL raise HeaderInjectionError.

    Values are text; octets that are not UTF-8 are kept as surrogate escapes, so that they leave as they came.
    """

    __slots__ = ("_fields", "_index", "_typed", "has_length", "version")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str]] = []
        self._index: dict[str, list[str]] | None = None
        self._typed: dict[str, Any] = {}
        self.has_length = False
        """A Content-Length line may be among the fields: the writer leaves it out and makes its own."""
        self.version = 0
        """Raised by every change: what was derived from the headers is stale when it differs."""
        self._fields += [self._checked(name, value) for name, value in fields]

    @classmethod
    def from_parser(cls, fields: list[tuple[str, str]], index: dict[str, list[str]]) -> Headers:
        """For the parser alone: fields it has already checked, with values by canonical name."""
        headers = cls.__new__(cls)
        headers._fields = fields
        headers._index = index
        headers._typed = {}
        headers.has_length = "content-length" in index
        headers.version = 0
        return headers

    @classmethod
    def copied(cls, fields: list[tuple[str, str]]) -> Headers:
        """Values that came from a peer and go back to it as they are: NUL may be a quoted-pair, RFC 4475 §3.1.1.2."""
        headers = cls()
        together = "".join([value for _, value in fields])
        if together.isascii() and "\n" not in together and "\r" not in together and "\0" not in together:
            headers._fields = [(_checked_name(name), value) for name, value in fields]
            return headers
        for name, value in fields:
            check_text(value.replace("\\\0", ""), _checked_name(name))
            headers._fields.append((name, value))
        return headers

    def _checked(self, name: str, value: str) -> tuple[str, str]:
        name = _checked_name(name)
        if name in LENGTH_NAMES:
            self.has_length = True
        return name, check_text(str(value), name).strip()

    def _by_key(self) -> dict[str, list[str]]:
        index = self._index
        if index is None:
            index = {}
            for name, value in self._fields:
                index.setdefault(canonical(name), []).append(value)
            self._index = index
        return index

    def _changed(self) -> None:
        self._index = None
        self._typed.clear()
        self.version += 1

    def forget_derived(self) -> None:
        """Let go of what the lines give again: for a message that is kept only in case it is repeated."""
        self._index = None
        self._typed.clear()

    @property
    def typed(self) -> dict[str, Any]:
        """The cache of typed values; empty again after every change."""
        return self._typed

    def get(self, name: str) -> str | None:
        """The first line's value, or None."""
        index = self._index
        if index is None:
            index = self._by_key()
        found = index.get(_KEYS.get(name) or canonical(name))
        return found[0] if found else None

    def get_all(self, name: str) -> list[str]:
        """The values of all lines of this name, compact forms included."""
        return list(self._by_key().get(_KEYS.get(name) or canonical(name), ()))

    def values(self, name: str) -> list[str]:
        """Like get_all, split at commas where the header's grammar is a list. ParseError: unbalanced quotes."""
        key = _KEYS.get(name) or canonical(name)
        lines = self._by_key().get(key)
        if lines is None:
            return []
        if key not in COMMA_SEPARATED:
            return list(lines)
        if len(lines) == 1:
            line = lines[0]
            if "," not in line and '"' not in line and line.rfind("<") <= line.rfind(">"):
                return [line] if line else []  # one value, and nothing left open: the usual case
        return [value for line in lines for value in split_commas(line, name)]

    def tokens(self, name: str) -> frozenset[str]:
        """The members of a list of tokens in lower case: Supported, Require, Allow-Events ..."""
        return frozenset(value.lower() for value in self.values(name))

    def add(self, name: str, value: str) -> None:
        """Append a line."""
        self._fields.append(self._checked(name, value))
        self._changed()

    def prepend(self, name: str, value: str) -> None:
        """Insert a line before the first of its name (or before all others): for Via, Route and Record-Route."""
        key = canonical(name)
        position = next((i for i, (own, _) in enumerate(self._fields) if canonical(own) == key), 0)
        self._fields.insert(position, self._checked(name, value))
        self._changed()

    def set(self, name: str, value: str) -> None:
        """Make this the only line of its name, at the place of the first one, or at the end."""
        field = self._checked(name, value)
        key = canonical(name)
        position = next((i for i, (own, _) in enumerate(self._fields) if canonical(own) == key), None)
        kept = [other for other in self._fields if canonical(other[0]) != key]
        if position is None:
            kept.append(field)
        else:
            kept.insert(position, field)
        self._fields = kept
        self._changed()

    def set_all(self, name: str, values: Iterable[str]) -> None:
        """Replace all lines of this name by one line per value, at the place of the first one, or at the end."""
        fields = [self._checked(name, value) for value in values]
        key = canonical(name)
        position = next((i for i, (own, _) in enumerate(self._fields) if canonical(own) == key), len(self._fields))
        kept = [other for other in self._fields if canonical(other[0]) != key]
        self._fields = kept[:position] + fields + kept[position:]
        self._changed()

    def remove(self, name: str) -> None:
        """Remove all lines of this name."""
        key = canonical(name)
        kept = [field for field in self._fields if canonical(field[0]) != key]
        if len(kept) != len(self._fields):
            self._fields = kept
            self._changed()

    def items(self) -> list[tuple[str, str]]:
        """(name, value) line by line, in order, as they were spelled."""
        return list(self._fields)

    def extend(self, fields: Iterable[tuple[str, str]]) -> None:
        """Append several lines."""
        self._fields += [self._checked(name, value) for name, value in fields]
        self._changed()

    def copy(self) -> Headers:
        """An independent copy."""
        twin = Headers.__new__(Headers)
        twin._fields = list(self._fields)
        twin._index = None
        twin._typed = {}
        twin.has_length = self.has_length
        twin.version = 0
        return twin

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and canonical(name) in self._by_key()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(list(self._fields))

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({len(self._fields)} fields)"


def _checked_name(name: str) -> str:
    if name in _GOOD_NAMES:
        return name
    if canonical(name) == "content-length":
        return "Content-Length"
    check_text(name, "header name")
    if not is_token(name):
        raise HeaderInjectionError("header name", "not a token (RFC 3261 §25.1 header-name)")
    if len(_GOOD_NAMES) < _KEYS_LIMIT and len(name) <= 40:
        _GOOD_NAMES.add(name)
    return name


_GOOD_NAMES: set[str] = set()
