"""Who is calling, for whom, and by which way: the headers that gateways exchange about identity and history."""

from __future__ import annotations

from dataclasses import dataclass

from cordboard.sip.address import Address
from cordboard.sip.errors import ParseError
from cordboard.sip.fields import Reason, token
from cordboard.sip.parameters import NO_PARAMETERS, Parameters
from cordboard.sip.tokens import digits, is_token, quote, split_quoted, unquote

__all__ = ["Diversion", "HistoryInfo", "Privacy", "UserToUser", "parse_identity"]


def parse_identity(text: str, field: str = "P-Asserted-Identity") -> Address:
    """One member of P-Asserted-Identity or P-Preferred-Identity: a sip, sips or tel URI. RFC 3325 §9.1, §9.2"""
    address = Address.parse(text, field)
    if address.uri.scheme not in ("sip", "sips", "tel"):
        raise ParseError(field, "a sip, sips or tel URI is expected (RFC 3325 §9.1)")
    return address


@dataclass(frozen=True, slots=True)
class Privacy:
    """RFC 3323 §4.2, RFC 3325 §9.3 (`id`), RFC 7044 §10.1 (`history`). values: lower case, in order."""

    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Privacy:
        # The grammar separates with semicolons; commas are common in practice.
        values = tuple(word.strip().lower() for word in text.replace(",", ";").split(";") if word.strip())
        if not values or not all(is_token(value) for value in values):
            raise ParseError("Privacy", "privacy values are expected (RFC 3323 §4.2)")
        return cls(values)

    @property
    def hides_identity(self) -> bool:
        """The user asked that the asserted identity stays inside the trust domain. RFC 3325 §7"""
        return "id" in self.values

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ";".join(token(value, "Privacy") for value in self.values)


@dataclass(frozen=True, slots=True)
class Diversion:
    """One diversion of a call. RFC 5806 §6. reason: plain text such as "user-busy"; counter: how many it stands for."""

    address: Address

    @classmethod
    def parse(cls, text: str) -> Diversion:
        return cls(Address.parse(text, "Diversion"))

    @property
    def reason(self) -> str:
        """Lower case; "unknown" where it is not told."""
        return (self.address.parameters.get("reason") or "unknown").lower()

    @property
    def counter(self) -> int:
        """Diversions that this entry stands for, at least 1."""
        value = self.address.parameters.get("counter")
        return max(1, digits(value, "Diversion", 999)) if value else 1

    @property
    def privacy(self) -> str:
        """full, name, uri or off; off where it is not told."""
        return (self.address.parameters.get("privacy") or "off").lower()

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True)
class HistoryInfo:
    """One target that a request had. RFC 7044 §5. index: "1", "1.1" ..."""

    address: Address

    @classmethod
    def parse(cls, text: str) -> HistoryInfo:
        entry = cls(Address.parse(text, "History-Info"))
        if not all(part.isascii() and part.isdigit() for part in (entry.index or "1").split(".")):
            raise ParseError("History-Info", "index is numbers and dots (RFC 7044 §5.1)")
        return entry

    @property
    def index(self) -> str | None:
        """The entry's place in the tree of targets."""
        return self.address.parameters.get("index")

    @property
    def reason(self) -> Reason | None:
        """Why the target was left: the Reason inside the URI. RFC 7044 §5.1"""
        value = self.address.uri.header("Reason")
        return Reason.parse(value) if value else None

    @property
    def is_private(self) -> bool:
        """The entry carries Privacy: history. RFC 7044 §10.1"""
        value = self.address.uri.header("Privacy")
        return value is not None and "history" in value.lower()

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True)
class UserToUser:
    """RFC 7433 §4.1. data: plain; encoding: "hex" or another token; is_quoted: the data was or shall be in quotes."""

    data: str
    parameters: Parameters = NO_PARAMETERS
    is_quoted: bool = False

    @classmethod
    def parse(cls, text: str) -> UserToUser:
        pieces = split_quoted(text, ";", "User-to-User")
        data = pieces[0].strip()
        quoted = data.startswith('"')
        if not quoted and not is_token(data):
            raise ParseError("User-to-User", "a token or a quoted-string is expected (RFC 7433 §4.1)")
        return cls(unquote(data), Parameters.parse(";".join(pieces[1:]), "User-to-User"), quoted)

    @property
    def encoding(self) -> str | None:
        """hex is the one that RFC 7433 §4.1 defines."""
        return self.parameters.get("encoding")

    @property
    def purpose(self) -> str | None:
        """The UUI package, e.g. isdn-uui (RFC 7434)."""
        return self.parameters.get("purpose")

    @property
    def content(self) -> str | None:
        """How the data is to be understood."""
        return self.parameters.get("content")

    def __str__(self) -> str:
        data = self.data if not self.is_quoted and is_token(self.data) else quote(self.data)
        return f"{data}{self.parameters}"
