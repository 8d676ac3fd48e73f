"""Bytes -> message. RFC 3261 §7, §18.3; tolerant where the sender's wish is plain, and never more than linear.

`parse_message` finds the start line, the header lines and the body; typed values are read when they are asked for, once
(`model.py`). `check_message` looks at everything that must be right before a message may reach a transaction.
Octets that are not UTF-8 survive as surrogate escapes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from cordboard.sip.errors import ParseError, RequestParts
from cordboard.sip.headers import LENGTH_NAMES, Headers, canonical
from cordboard.sip.model import Message, Request, Response, response_to
from cordboard.sip.tokens import is_token

__all__ = [
    "DEFAULT_LIMITS",
    "Message",
    "ParserLimits",
    "Request",
    "Response",
    "check_message",
    "head_end",
    "parse_message",
    "response_to",
]


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """How much is read before a message is refused; each in bytes or lines."""

    message_bytes: int = 65_536
    header_bytes: int = 32_768
    header_lines: int = 256
    line_bytes: int = 16_384
    uri_bytes: int = 8_192


DEFAULT_LIMITS = ParserLimits()

_BLANK_LINE = re.compile(rb"\n\r?\n")
_METHODS = frozenset(
    ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "REFER", "NOTIFY", "INFO", "PRACK", "UPDATE", "SUBSCRIBE")
)
_SIP_VERSION = re.compile(r"[Ss][Ii][Pp]/[0-9]+\.[0-9]+")
_NOT_A_WORD = re.compile(r"[ \t,;]")
_SINGLE = {
    canonical(name): name for name in ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type", "Expires")
}
_REQUIRED = {canonical(name): name for name in ("Via", "From", "To", "Call-ID", "CSeq")}
_KNOWN_SCHEMES = ("sip", "sips", "tel")


def head_end(data: bytes | bytearray) -> tuple[int, int] | None:
    """(where the header lines end, where the body begins), or None while there is no empty line. RFC 3261 §7

    Lines that end with LF alone are tolerated.
    """
    end = data.find(b"\r\n\r\n")
    if data.find(b"\n\n", 0, end + 1 if end >= 0 else len(data)) < 0 and end >= 0:
        # A lone LF line end just before (…\n\r\n) makes an earlier empty line.
        earlier = data.find(b"\n\r\n", 0, end + 3)
        if earlier < 0 or earlier == end + 1:
            return end, end + 4
    match = _BLANK_LINE.search(data)
    if match is None:
        return None
    end = match.start()
    return (end - 1 if end and data[end - 1] == 13 else end), match.end()


def parse_message(data: bytes, limits: ParserLimits = DEFAULT_LIMITS) -> Request | Response:
    """Read one message: a datagram, or what the StreamFramer cut. Empty lines before it are skipped (RFC 3261 §7.5).

    Bytes behind Content-Length are ignored; too few are a fault (RFC 3261 §18.3). Typed values are not looked at:
    call check_message before relying on them. Raises ParseError; where its `answerable` is true,
    `response_to(error.request_parts, error.status)` builds the answer.
    """
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")
    size = len(data)
    if size > limits.message_bytes:
        _refuse(data[: limits.header_bytes], "message", "larger than the limit (RFC 3261 §21.5.7)", 513)
    lines, body_start = _head_lines(data, limits)
    if len(lines) > limits.header_lines:
        _refuse(data, "message", "more header lines than the limit", 513)
    found = _index(data, lines, limits)
    if found is None:
        lines = _unfolded(data, "\r\n".join(lines))
        found = _index(data, lines, limits)
        assert found is not None
    fields, index = found
    headers = Headers.from_parser(fields, index)
    start_line = lines[0]
    message: Request | Response
    if start_line[:4] == "SIP/":
        message = _response(start_line, headers)
    else:
        message = _request(start_line, headers, limits)
    lengths = index.get("content-length")
    if lengths is None:
        message._body = data[body_start:]
        return message
    length = lengths[0]
    if not length.isascii() or not length.isdigit() or len(length) > 10:
        _fault(message, "Content-Length", "a number is expected (RFC 3261 §20.14)")
    if len(lengths) > 1 and len(set(lengths)) > 1:
        _fault(message, "Content-Length", "two different lengths (RFC 3261 §20.14)")
    stop = body_start + int(length)
    if stop > size:
        _fault(message, "Content-Length", "larger than the message (RFC 3261 §18.3)")
    message._body = data[body_start:stop]
    return message


def _head_lines(data: bytes, limits: ParserLimits) -> tuple[list[str], int]:
    """(start line and header lines, where the body begins). Lines are still folded if nothing else was wrong."""
    end = data.find(b"\r\n\r\n")
    if 0 <= end <= limits.header_bytes:
        text = data[:end].decode("utf-8", "surrogateescape")
        lines = text.split("\r\n")
        line_ends = len(lines) - 1
        if text.count("\n") == line_ends and text.count("\r") == line_ends and "\0" not in text:
            return lines, end + 4
    bounds = head_end(data)
    if bounds is None:
        if not data.endswith(b"\n"):
            _refuse(data, "message", "no empty line behind the header (RFC 3261 §7)", 400)
        # A datagram that ends with its last header line is understood: it has no body.
        bounds = len(data.rstrip(b"\r\n")), len(data)
    end, body_start = bounds
    if end > limits.header_bytes:
        _refuse(data, "message", "the header is larger than the limit (RFC 3261 §21.5.7)", 513)
    return _unfolded(data, data[:end].decode("utf-8", "surrogateescape")), body_start


def _index(
    data: bytes, lines: list[str], limits: ParserLimits
) -> tuple[list[tuple[str, str]], dict[str, list[str]]] | None:
    """(name, value) in order, and the values by key; None where a line is folded."""
    fields: list[tuple[str, str]] = []
    index: dict[str, list[str]] = {}
    known = _KNOWN
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = known.get(name)
        if key is None:
            if line[:1] in (" ", "\t"):
                return None
            name = name.rstrip(" \t")
            if not colon or not is_token(name):
                _refuse(data, "message", "not a header line (RFC 3261 §7.3.1)", 400)
            key = canonical(name)
            if key == "content-length" and name not in LENGTH_NAMES:
                name = "Content-Length"
            elif len(known) < 512 and len(name) <= 40:
                known[name] = key
        value = value.strip()
        fields.append((name, value))
        if key in index:
            index[key].append(value)
        else:
            index[key] = [value]
    if len(data) > limits.line_bytes:
        for line in lines:
            if len(line) > limits.line_bytes:
                _refuse(data, "message", "a header line is longer than the limit", 513)
    return fields, index


def _unfolded(data: bytes, text: str) -> list[str]:
    try:
        return _unfold(text)
    except ParseError as error:
        _refuse(data, error.field, error.rule, error.status)


_KNOWN: dict[str, str] = {}


def _unfold(text: str) -> list[str]:
    """Header lines from text with folding, lone LF, or what must not be there. RFC 3261 §7.3.1"""
    if "\0" in text and "\0" in text.replace("\\\0", ""):
        # As a quoted-pair it is allowed: RFC 4475 §3.1.1.2
        raise ParseError("message", "NUL in the header (RFC 3261 §25.1)")
    lines: list[str] = []
    pieces: list[str] = []
    for line in text.split("\n"):
        if line.endswith("\r"):
            line = line[:-1]
        if "\r" in line:
            raise ParseError("message", "CR without LF in the header (RFC 3261 §7.3.1)")
        if line[:1] in (" ", "\t") and lines:
            pieces.append(line.strip(" \t"))
            continue
        if pieces:
            lines[-1] = " ".join([lines[-1].rstrip(" \t"), *pieces])
            pieces = []
        lines.append(line)
    if pieces:
        lines[-1] = " ".join([lines[-1].rstrip(" \t"), *pieces])
    return lines


def _request(line: str, headers: Headers, limits: ParserLimits) -> Request:
    words = line.split(" ")
    if (
        len(words) == 3
        and words[2] == "SIP/2.0"
        and 0 < len(words[1]) <= limits.uri_bytes
        and (words[0] in _METHODS or is_token(words[0]))
    ):
        return Request(words[0], words[1], headers)
    method = line.split(None, 1)[0] if line.strip() else ""
    parts = Request(method, "", headers).parts
    words = line.split()
    if len(words) >= 2 and _SIP_VERSION.fullmatch(words[-1]) and words[-1].upper() != "SIP/2.0":
        raise ParseError("Request-Line", "only SIP/2.0 is spoken (RFC 3261 §21.5.6)", status=505, request_parts=parts)
    if not is_token(method) or len(words) < 2 or words[-1].upper() != "SIP/2.0":
        # Not SIP at all: nobody to answer, unless the header lines are those of a request.
        raise ParseError("Request-Line", "METHOD URI SIP/2.0 is expected (RFC 3261 §7.1)", request_parts=parts)
    if len(words) == 3 and len(words[1]) > limits.uri_bytes:
        raise ParseError("Request-URI", "longer than the limit (RFC 3261 §21.4.14)", status=414, request_parts=parts)
    if len(words) == 3 and " ".join(words) == line and words[2] != "SIP/2.0":
        return Request(method, words[1], headers)
    raise ParseError("Request-Line", "single spaces are expected (RFC 3261 §7.1)", request_parts=parts)


def _response(line: str, headers: Headers) -> Response:
    version, _, rest = line.partition(" ")
    code, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0":
        raise ParseError("Status-Line", "only SIP/2.0 is spoken (RFC 3261 §7.2)", status=505)
    if len(code) != 3 or not code.isascii() or not code.isdigit() or not "100" <= code <= "699":
        raise ParseError("Status-Line", "a status from 100 to 699 is expected (RFC 3261 §7.2)")
    return Response(int(code), reason, headers)


def _fault(message: Request | Response, field: str, rule: str, status: int = 400) -> NoReturn:
    parts = message.parts if isinstance(message, Request) else None
    raise ParseError(field, rule, status=status, request_parts=parts)


def _refuse(data: bytes, field: str, rule: str, status: int) -> NoReturn:
    raise ParseError(field, rule, status=status, request_parts=salvage(data))


def salvage(data: bytes) -> RequestParts | None:
    """What a response needs, from bytes that are no message: line by line, without judging them. None: a response."""
    bounds = head_end(data)
    head = data[: bounds[0]] if bounds else data
    lines = head[: DEFAULT_LIMITS.header_bytes].decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
    if lines[0][:4].upper() == "SIP/":
        return None
    found: dict[str, list[str]] = {}
    for line in lines[1 : DEFAULT_LIMITS.header_lines]:
        name, colon, value = line.partition(":")
        if colon and "\r" not in line and "\0" not in line:
            found.setdefault(canonical(name.strip().lower()), []).append(value.strip())
    first = {key: values[0] for key, values in found.items()}
    return RequestParts(
        (lines[0].split(None, 1) or [""])[0],
        tuple(found.get("via", ())),
        first.get("from"),
        first.get("to"),
        first.get("call-id"),
        first.get("cseq"),
    )


def check_message(message: Request | Response) -> None:
    """Look at everything that the core relies on. Raises ParseError (400, 416), answerable like parse_message's.

    RFC 3261 §8.1.1 (what every request has), §8.2.2.1 (scheme), §16.3 (reasonable syntax), §20; RFC 4475 §3.1.2.
    A fault in a header that only one feature uses (Date, Contact's expires ...) is left to that feature.
    """
    try:
        _check(message)
    except ParseError as error:
        if error.request_parts is None and isinstance(message, Request):
            error.request_parts = message.parts
        raise


def _check(message: Request | Response) -> None:
    index = message.headers._by_key()
    for key, name in _REQUIRED.items():
        lines = index.get(key)
        if not lines or not lines[0]:
            raise ParseError(name, "the header is missing (RFC 3261 §8.1.1)")
    for key, name in _SINGLE.items():
        lines = index.get(key)
        if lines is not None and len(lines) > 1:
            raise ParseError(name, "the header may be there only once (RFC 3261 §7.3.1)")
    if _NOT_A_WORD.search(message.call_id):
        raise ParseError("Call-ID", "one word is expected (RFC 3261 §20.8)")
    for via in message.vias:
        _ = via.rport, via.ttl
    _ = message.from_, message.to, message.max_forwards, message.media_type
    cseq = message.cseq
    _ = message.contacts, message.routes, message.record_routes
    if isinstance(message, Request):
        _check_request(message)
        if cseq.method != message.method:
            raise ParseError("CSeq", "the method differs from the request's (RFC 3261 §8.1.1.5)")


def _check_request(message: Request) -> None:
    uri = message.uri
    if uri.scheme not in _KNOWN_SCHEMES:
        raise ParseError("Request-URI", "the scheme is not known (RFC 3261 §8.2.2.1)", status=416)
    if uri.headers and message.method != "REGISTER":
        # RFC 3261 §19.1.1 table 1, RFC 4475 §3.1.2.11: headers may not be in a Request-URI.
        raise ParseError("Request-URI", "headers are not allowed here (RFC 3261 §19.1.1)")
