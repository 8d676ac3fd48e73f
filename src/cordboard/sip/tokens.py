"""Hand scanners for the grammar of RFC 3261 §25.1. Every one of them runs in linear time.

Regular expressions appear only as single character classes, which cannot backtrack.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from cordboard.sip.errors import HeaderInjectionError, ParseError

__all__ = [
    "check_text",
    "closing_quote",
    "digits",
    "escape",
    "is_token",
    "quote",
    "split_commas",
    "split_host_port",
    "split_quoted",
    "unescape",
    "unquote",
]

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_ESCAPED_OCTET = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"[A-Za-z0-9_\-.]+")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.\-]+)?")


def is_token(text: str) -> bool:
    """RFC 3261 §25.1 token."""
    return _TOKEN.fullmatch(text) is not None


def check_text(text: str, field: str) -> str:
    """Return text if it can stand in one header line, else raise HeaderInjectionError naming the rule."""
    if "\r" in text:
        raise HeaderInjectionError(field, "CR is not allowed (RFC 3261 §7.3.1)")
    if "\n" in text:
        raise HeaderInjectionError(field, "LF is not allowed (RFC 3261 §7.3.1)")
    if "\0" in text:
        raise HeaderInjectionError(field, "NUL is not allowed (RFC 3261 §25.1)")
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise HeaderInjectionError(field, "text is not UTF-8 (RFC 3261 §7.3.1)") from None
    return text


def digits(text: str, field: str, maximum: int = 0xFFFFFFFF) -> int:
    """Read 1*DIGIT not above maximum. The length is limited before the conversion, so that the work is too."""
    if not text.isascii() or not text.isdigit():
        raise ParseError(field, "a number is expected (RFC 3261 §25.1)")
    if len(text) > 10:
        text = text.lstrip("0") or "0"
    if len(text) > 10 or int(text) > maximum:
        raise ParseError(field, f"the number is above {maximum} (RFC 3261 §25.1)")
    return int(text)


def closing_quote(text: str, start: int) -> int:
    """The index of the quote that closes the one at start, or -1. RFC 3261 §25.1 quoted-string."""
    position = text.find('"', start + 1)
    while position > 0:
        backslashes = 0
        while text[position - 1 - backslashes] == "\\" and position - 1 - backslashes > start:
            backslashes += 1
        if backslashes % 2 == 0:
            return position
        position = text.find('"', position + 1)
    return -1


def split_quoted(text: str, separator: str, field: str) -> list[str]:
    """Split at a separator outside quotes and angle brackets. Pieces keep their white space."""
    if '"' not in text and "<" not in text:
        return text.split(separator)
    pieces: list[str] = []
    start = position = 0
    special = _SPECIALS[separator]
    while (match := special.search(text, position)) is not None:
        position = match.start()
        character = text[position]
        if character == separator:
            pieces.append(text[start:position])
            start = position + 1
        elif character == '"':
            position = closing_quote(text, position)
            if position < 0:
                raise ParseError(field, "unbalanced quotes (RFC 3261 §25.1 quoted-string)")
        else:
            closed = text.find(">", position)
            if closed < 0:
                raise ParseError(field, "unbalanced angle brackets (RFC 3261 §25.1 name-addr)")
            position = closed
        position += 1
    pieces.append(text[start:])
    return pieces


_SPECIALS = {separator: re.compile(f'["<{separator}]') for separator in (",", ";")}


def split_commas(text: str, field: str) -> list[str]:
    """The members of a comma-separated header value, trimmed; empty members are left out. RFC 3261 §7.3.1."""
    return [stripped for piece in split_quoted(text, ",", field) if (stripped := piece.strip())]


def quote(text: str) -> str:
    """Write text as a quoted-string. Control characters other than TAB become spaces; CR, LF and NUL raise."""
    check_text(text, "quoted-string")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(" ", escaped) + '"'


_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def unquote(text: str) -> str:
    """The content of a quoted-string, control characters as spaces; any other text is returned as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    if _CONTROL.search(inner):
        # RFC 4475 §3.1.1.2 has NUL, BEL and DEL as quoted-pairs; nothing behind the parser needs them.
        inner = _CONTROL.sub(" ", inner)
    if "\\" not in inner:
        return inner
    parts: list[str] = []
    start = 0
    while (position := inner.find("\\", start)) >= 0:
        parts.append(inner[start:position])
        parts.append(inner[position + 1 : position + 2])
        start = position + 2
    parts.append(inner[start:])
    return "".join(parts)


def unescape(text: str) -> str:
    """Decode %HH octets to text. RFC 3261 §25.1 escaped; octets that are not UTF-8 stay as surrogates."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def escape(text: str, allowed: re.Pattern[str], field: str) -> str:
    """Escape what `allowed` (a class of single characters) does not allow. Existing %HH stay as they are.

    CR, LF and NUL are never escaped into a URI on somebody's behalf: they raise HeaderInjectionError.
    """
    check_text(text, field)
    text = _ESCAPED_OCTET.sub("%25", text) if "%" in text else text
    if allowed.fullmatch(text):
        return text
    out: list[str] = []
    for character in text:
        if character == "%" or allowed.fullmatch(character):
            out.append(character)
        else:
            out.extend(f"%{octet:02X}" for octet in character.encode("utf-8", "surrogateescape"))
    return "".join(out)


def split_host_port(text: str, field: str) -> tuple[str, int | None]:
    """Read hostport (RFC 3261 §25.1). An IPv6 reference loses its brackets; a missing port is None.

    Names with an underscore are tolerated: they are common in practice.
    """
    if len(text) <= 64:
        return _split_short_host_port(text, field)
    return _split_host_port(text, field)


@lru_cache(maxsize=1024)
def _split_short_host_port(text: str, field: str) -> tuple[str, int | None]:
    # The same few hosts stand in every message of a gateway; the cache is bounded in count and in length.
    return _split_host_port(text, field)


def _split_host_port(text: str, field: str) -> tuple[str, int | None]:
    text = text.strip()
    if text.startswith("["):
        closed = text.find("]")
        host = text[1:closed]
        if closed < 0 or ":" not in host or _IPV6.fullmatch(host) is None:
            raise ParseError(field, "not an IPv6 reference (RFC 3261 §25.1, RFC 5118 §4.1)")
        rest = text[closed + 1 :].lstrip()
        if rest and rest[0] != ":":
            raise ParseError(field, "only a port may follow an IPv6 reference (RFC 3261 §25.1)")
        port = rest[1:].strip()
    else:
        host, colon, port = text.partition(":")
        host, port, rest = host.rstrip(), port.strip(), colon
        if _HOST.fullmatch(host) is None:
            raise ParseError(field, "not a host (RFC 3261 §25.1)")
    if not rest:
        return host, None
    return host, digits(port, field, 65535)
