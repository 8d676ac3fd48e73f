"""Parameters behind a header value or in a URI: ordered, case kept, found without regard to case."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.tokens import check_text, closing_quote, quote, split_quoted, unquote

__all__ = ["NO_PARAMETERS", "Parameters"]

# What stands bare in a value: tolerant, because tags and branches of others come back byte for byte.
_BARE = re.compile(r"[^\x00-\x20\x7f\",;<>]+")
_NAME = re.compile(r"[^\x00-\x20\x7f\",;<>=?@]+")


@dataclass(frozen=True, slots=True)
class Parameters:
    """`;name=value` pairs. RFC 3261 §7.3.1, §25.1 generic-param.

    members: (name, value) in order, both as on the wire (a quoted value with its quotes; in a URI with its escapes);
    the value is None for a flag such as `lr`. Build with `Parameters.of(...)`, which quotes where needed.
    """

    members: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def of(cls, **values: str | int | None) -> Parameters:
        """Build from plain values; `_` in a name becomes `-`, None makes a flag, text is quoted where it must be."""
        return cls(
            tuple((name.rstrip("_").replace("_", "-"), _wire_value(value)) for name, value in values.items()),
        )

    @classmethod
    def parse(cls, text: str, field: str = "parameters") -> Parameters:
        """Read `a=b;c;d="e f"` (a leading semicolon is allowed; empty members are skipped)."""
        if "\0" in text:
            raise ParseError(field, "NUL in a parameter (RFC 3261 §25.1)")
        members: list[tuple[str, str | None]] = []
        for piece in split_quoted(text, ";", field):
            name, equals, value = piece.partition("=")
            name = name.strip()
            if not name:
                if equals:
                    raise ParseError(field, "a parameter without a name (RFC 3261 §25.1 generic-param)")
                continue
            value = value.strip()
            if value[:1] == '"' and closing_quote(value, 0) != len(value) - 1:
                raise ParseError(field, "text after a quoted-string (RFC 3261 §25.1 generic-param)")
            members.append((name, value if equals else None))
        return cls(tuple(members)) if members else NO_PARAMETERS

    def raw(self, name: str) -> str | None:
        """The value as on the wire; None where the parameter is absent or a flag."""
        for own, value in self.members:
            if own == name:
                return value
        size, lowered = len(name), name.lower()
        for own, value in self.members:
            if len(own) == size and own.lower() == lowered:
                return value
        return None

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value without quotes; "" for a flag; default where the parameter is absent."""
        lowered = name.lower()
        for own, value in self.members:
            if own == name or own.lower() == lowered:
                return "" if value is None else unquote(value)
        return default

    def with_(self, name: str, value: str | int | None = None) -> Parameters:
        """A copy in which name has this value: replaced in place, or appended."""
        wire = _wire_value(value)
        lowered = name.lower()
        if any(own.lower() == lowered for own, _ in self.members):
            return Parameters(tuple((own, wire if own.lower() == lowered else old) for own, old in self.members))
        return Parameters((*self.members, (name, wire)))

    def without(self, name: str) -> Parameters:
        """A copy that lacks name."""
        lowered = name.lower()
        return Parameters(tuple(member for member in self.members if member[0].lower() != lowered))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in [own.lower() for own, _ in self.members]

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __str__(self) -> str:
        """`;a=b;c`, or "" where there is none. Raises HeaderInjectionError for what cannot stand in a header line."""
        parts: list[str] = []
        for name, value in self.members:
            if _NAME.fullmatch(name) is None:
                check_text(name, "parameter name")
                raise HeaderInjectionError("parameter name", "not a token (RFC 3261 §25.1 generic-param)")
            parts.append(f";{name}" if value is None else f";{name}={_strict(value)}")
        return "".join(parts)


def _wire_value(value: str | int | None) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if _BARE.fullmatch(text) else quote(text)


def _strict(value: str) -> str:
    if _BARE.fullmatch(value) or not value:
        return check_text(value, "parameter")
    check_text(value, "parameter")
    if value[0] == '"' and len(value) > 1 and closing_quote(value, 0) == len(value) - 1:
        return value
    return quote(value)


NO_PARAMETERS = Parameters()
