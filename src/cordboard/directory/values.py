"""Small checked values that the directory's models share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated
from typing import Literal as OneOf
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from cordboard.settings import parse_seconds
from cordboard.sip.errors import ParseError
from cordboard.sip.uri import Uri
from cordboard.variables.headers import NAME_RULE, name_is_legal
from cordboard.variables.numbers import is_e164
from cordboard.variables.placeholders import Literal, scan

DEFAULT_WORKSPACE = "default"


class Model(BaseModel):
    """A model of the directory: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def has_placeholder(text: str) -> bool:
    """Whether something in `text` is known only later."""
    return any(not isinstance(part, Literal) for part in scan(text, inputs=True))


def without_placeholders(text: str, stand_in: str = "0") -> str:
    """`text` with something harmless in place of each placeholder, for checks of its shape."""
    return "".join(part.text if isinstance(part, Literal) else stand_in for part in scan(text, inputs=True))


def _no_control(text: str) -> str:
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        raise ValueError("text must not contain control characters")
    return text


def _one_line(text: str) -> str:
    # A line break in a header would be another header: RFC 3261 §7.3.1, §25.1.
    if re.search(r"[\r\n\x00]", text):
        raise ValueError("must not contain CR, LF or NUL (RFC 3261 §25.1)")
    return _no_control(text)


def _header_name(text: str) -> str:
    if not name_is_legal(text) or not text.startswith("X-"):
        raise ValueError(f"a header name must match {NAME_RULE}")
    return text


def _number_text(value: object) -> object:
    """``+1 (555) 0100`` as ``+15550100``; a bare YAML integer is text too."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return re.sub(r"[\s().-]", "", value) if isinstance(value, str) else value


def _e164(text: str) -> str:
    if not is_e164(text):
        raise ValueError("a phone number must be E.164: + and 7 to 15 digits, such as +15550100")
    return text


def _dialled(text: str) -> str:
    if not re.fullmatch(r"\+?[0-9]{2,15}", text):
        raise ValueError("a number must be E.164, such as +15550100, or an extension of 2 to 15 digits")
    return text


def _phone(text: str) -> str:
    if has_placeholder(text):
        if not re.fullmatch(r"\+?[0-9]+", without_placeholders(text)):
            raise ValueError("a phone number with placeholders may hold +, digits and placeholders only")
        return text
    if re.match(r"sips?:", text, re.IGNORECASE):
        raise ValueError("a SIP URI belongs in sip_uri")
    return _e164(text)


def sip_host(uri: str) -> str | None:
    """The host that a SIP URI is sent to, in lower case, without brackets; None where it may not be a destination."""
    try:
        parsed = Uri.parse(uri)
    except ParseError:
        return None
    if parsed.scheme not in ("sip", "sips") or parsed.password is not None or not _HOST.fullmatch(parsed.host):
        return None
    # A header of the URI would be a header of our request, and maddr another host: RFC 3261 §19.1.1, §19.1.5.
    if parsed.headers or "maddr" in parsed.parameters:
        return None
    return parsed.host.strip("[]").lower().rstrip(".")


_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+|[A-Za-z0-9._-]+")


def _sip_uri(text: str) -> str:
    _one_line(text)
    if sip_host(without_placeholders(text)) is None:
        raise ValueError("a SIP URI must be written sip:user@host[:port][;parameters], without headers and maddr")
    return text


def _dynamic(text: str) -> str:
    if not has_placeholder(text):
        raise ValueError("a dynamic destination must hold a placeholder, such as {results.on_call.number}")
    return _one_line(text)


def _digits(text: str) -> str:
    if not re.fullmatch(r"[0-9A-D*#wW]*", without_placeholders(text)):
        raise ValueError("digits must be 0-9, A-D, *, #, with w (0.5 s) and W (1 s) as pauses")
    return text


def check_timezone(name: str) -> None:
    """Raises ValueError unless `name` is an IANA time zone."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # an unknown name is a KeyError, a path in its place one of the others
        raise ValueError(f"{name} is not an IANA time zone, such as Europe/Berlin") from None


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", text):
        raise ValueError("an id must be 1 to 128 letters, digits, dots, colons, hyphens and underscores")
    return text


Identifier = Annotated[str, AfterValidator(_identifier)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_one_line)]
Text = Annotated[str, Field(max_length=50_000), AfterValidator(_no_control)]
"""Spoken text, prompts and templates."""
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderText = Annotated[str, Field(max_length=1000), AfterValidator(_one_line)]
"""A header's value, or a template of it."""
E164 = Annotated[str, BeforeValidator(_number_text), AfterValidator(_e164)]
DialledNumber = Annotated[str, BeforeValidator(_number_text), AfterValidator(_dialled)]
"""A number that agents are called on: E.164, or an extension."""
PhoneTemplate = Annotated[str, BeforeValidator(_number_text), AfterValidator(_phone)]
SipUriTemplate = Annotated[str, Field(max_length=512), AfterValidator(_sip_uri)]
DynamicTemplate = Annotated[str, Field(max_length=512), AfterValidator(_dynamic)]
Digits = Annotated[
    str, BeforeValidator(lambda v: str(v) if type(v) is int else v), Field(max_length=64), AfterValidator(_digits)
]
Key = Annotated[
    str, BeforeValidator(lambda v: str(v) if type(v) is int else v), StringConstraints(pattern=r"^[0-9A-D*#]$")
]
"""One key of a telephone."""
Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0, allow_inf_nan=False)]

DestinationKind = OneOf["tel", "sip", "dynamic", "phonebook"]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a transfer goes. `value` is a number, a URI, a template of either, or a phone book's id."""

    kind: DestinationKind
    value: str

    @property
    def known(self) -> bool:
        """Whether the call is not needed to know it."""
        return self.kind in ("tel", "sip") and not has_placeholder(self.value)

    def __str__(self) -> str:
        return self.value


def destination_of(text: str) -> Destination:
    """A resolved number or SIP URI (of a phone book, a variable, the API). Raises ValueError with the rule."""
    if re.match(r"sips?:", text, re.IGNORECASE):
        return Destination("sip", _sip_uri(text.strip()))
    number = _number_text(text.removeprefix("tel:"))
    return Destination("tel", _e164(str(number)))


def number_key(number: str) -> str:
    """What numbers are compared by: digits, without regard to ``+``, spaces and punctuation."""
    return str(_number_text(number)).removeprefix("+").lower()
