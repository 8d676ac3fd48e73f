"""Messages out of a stream of bytes. RFC 3261 §18.3, RFC 5626 §3.5.1."""

from __future__ import annotations

import re

from cordboard.sip.errors import ParseError
from cordboard.sip.message import DEFAULT_LIMITS, ParserLimits, salvage

__all__ = ["PING", "PONG", "StreamFramer"]

PING = b"\r\n\r\n"
PONG = b"\r\n"

_BLANK_LINE = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_LENGTH = re.compile(rb"\n(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


class StreamFramer:
    """Cuts a TCP or TLS stream into messages.

    A message without Content-Length, with a wrong one, or beyond the limits makes the rest of the stream unreadable:
    `error` is set then (with what an answer needs), nothing more is cut, and the connection is to be closed after the
    answer. The buffer never holds more than one message's limit and one feed.
    """

    def __init__(self, limits: ParserLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0
        self._wanted = 0
        self._half_ping = False
        self._pings = 0
        self._pongs = 0
        self.error: ParseError | None = None
        """Why the stream cannot go on; None while it can."""

    @property
    def pending(self) -> int:
        """Bytes that wait for the rest of their message: above zero for long is a slow sender."""
        return len(self._buffer)

    def take_keep_alives(self) -> tuple[int, int]:
        """(pings, pongs) since the last call. Each ping wants one PONG back. RFC 5626 §3.5.1"""
        counts = self._pings, self._pongs
        self._pings = self._pongs = 0
        return counts

    def feed(self, data: bytes) -> list[bytes]:
        """Add what arrived; return the messages that are complete now, each with exactly its Content-Length."""
        messages: list[bytes] = []
        if self.error is not None:
            return messages
        buffer = self._buffer
        buffer += data
        while buffer and self.error is None:
            if not self._wanted:
                self._skip_line_ends()
                if not buffer or not self._find_length():
                    break
            if len(buffer) < self._wanted:
                break
            messages.append(bytes(buffer[: self._wanted]))
            del buffer[: self._wanted]
            self._wanted = self._scanned = 0
        if self.error is not None:
            buffer.clear()
        return messages

    def _skip_line_ends(self) -> None:
        """Line ends between messages: two in a row are a ping, one is a pong. RFC 5626 §3.5.1, RFC 3261 §7.5"""
        buffer = self._buffer
        position = 0
        while buffer.startswith(b"\r\n", position):
            position += 2
            if self._half_ping:
                self._half_ping = False
                self._pongs -= 1
                self._pings += 1
            else:
                self._half_ping = True
                self._pongs += 1
        if position < len(buffer) and (buffer[position] != 13 or position + 1 < len(buffer)):
            self._half_ping = False
            while position < len(buffer) and buffer[position] in b"\r\n":
                position += 1
        del buffer[:position]

    def _find_length(self) -> bool:
        """Set how many bytes the message has; False while that is not known, or with error set."""
        buffer = self._buffer
        match = _BLANK_LINE.search(buffer, max(0, self._scanned - 3))
        if match is None:
            self._scanned = len(buffer)
            if len(buffer) > self._limits.header_bytes:
                self._fail("message", "the header is larger than the limit (RFC 3261 §21.5.7)", 513)
            return False
        if match.start() > self._limits.header_bytes:
            self._fail("message", "the header is larger than the limit (RFC 3261 §21.5.7)", 513)
            return False
        head = bytes(buffer[: match.start() + 1])
        if b"\n " in head or b"\n\t" in head:
            head = _FOLD.sub(b" ", head)
        lengths = {value.strip() for value in _LENGTH.findall(head)}
        if len(lengths) != 1:
            rule = "two different lengths (RFC 3261 §20.14)" if lengths else "required in a stream (RFC 3261 §18.3)"
            self._fail("Content-Length", rule, 400)
            return False
        length = lengths.pop()
        if not length.isdigit() or len(length) > 10:
            self._fail("Content-Length", "a number is expected (RFC 3261 §20.14)", 400)
            return False
        wanted = match.end() + int(length)
        if wanted > self._limits.message_bytes:
            self._fail("message", "larger than the limit (RFC 3261 §21.5.7)", 513)
            return False
        self._wanted = wanted
        return True

    def _fail(self, field: str, rule: str, status: int) -> None:
        head = bytes(self._buffer[: self._limits.header_bytes])
        self.error = ParseError(field, rule, status=status, request_parts=salvage(head))
