"""message/sipfrag: what a NOTIFY of a REFER reports. RFC 3420, RFC 3515 §2.4.5."""

from __future__ import annotations

from dataclasses import dataclass

from cordboard.sip.errors import ParseError
from cordboard.sip.status import reason_phrase
from cordboard.sip.tokens import check_text

__all__ = ["CONTENT_TYPE", "StatusLine"]

CONTENT_TYPE = "message/sipfrag;version=2.0"
"""The Content-Type of such a NOTIFY. RFC 3515 §2.4.5"""


@dataclass(frozen=True, slots=True)
class StatusLine:
    """The status line a fragment begins with."""

    status: int
    reason: str = ""

    @classmethod
    def parse(cls, body: bytes) -> StatusLine:
        """Read the first line; header lines behind it are not looked at. Raises ParseError."""
        line = body.lstrip(b"\r\n").split(b"\n", 1)[0][:512].decode("utf-8", "surrogateescape").strip()
        version, _, rest = line.partition(" ")
        code, _, reason = rest.strip().partition(" ")
        if version.upper() != "SIP/2.0" or len(code) != 3 or not code.isascii() or not code.isdigit():
            raise ParseError("sipfrag", "a status line is expected (RFC 3515 §2.4.5)")
        if not "100" <= code <= "699":
            raise ParseError("sipfrag", "a status from 100 to 699 is expected (RFC 3261 §7.2)")
        return cls(int(code), reason.strip())

    @property
    def is_final(self) -> bool:
        """RFC 3261 §7.2"""
        return self.status >= 200

    def __str__(self) -> str:
        return f"SIP/2.0 {self.status} {check_text(self.reason, 'sipfrag') or reason_phrase(self.status)}"

    def serialize(self) -> bytes:
        """The body, with its line end."""
        return f"{self}\r\n".encode("utf-8", "surrogateescape")
