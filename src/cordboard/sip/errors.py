"""What can go wrong in the signalling core: every error is typed and knows its meaning on the wire."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HeaderInjectionError", "ParseError", "RequestParts", "SipError"]


class SipError(Exception):
    """The root of every error that the signalling core raises."""


@dataclass(frozen=True, slots=True)
class RequestParts:
    """The pieces of a request that could not be accepted, as far as they were found: enough to answer it.

    RFC 3261 §8.2.6: a response copies Via, From, To, Call-ID and CSeq. All values are the header lines' own text.
    """

    method: str
    vias: tuple[str, ...] = ()
    from_: str | None = None
    to: str | None = None
    call_id: str | None = None
    cseq: str | None = None

    @property
    def answerable(self) -> bool:
        """True where the sender can be told: a Via says where to. An ACK is never answered (RFC 3261 §17).

        What was not found is left out of the response (RFC 4475 §3.3.1).
        """
        return self.method != "ACK" and bool(self.vias)


class ParseError(SipError):
    """Bytes that are not an acceptable SIP message or header value.

    status: the response a request with this fault earns (400, 414, 416, 505, 513 ...).
    field: the header's name, "Request-Line", "Status-Line", "Request-URI" or "message".
    rule: the rule that was broken, with its section, fit for a log line and for a reason phrase.
    request_parts: what a response needs, when the faulty bytes were a request; None for a response (it is dropped).
    """

    def __init__(self, field: str, rule: str, *, status: int = 400, request_parts: RequestParts | None = None) -> None:
        super().__init__(f"{field}: {rule}")
        self.status = status
        self.field = field
        self.rule = rule
        self.request_parts = request_parts

    @property
    def answerable(self) -> bool:
        """True where the sender can be told: a request (not ACK) with a Via."""
        return self.request_parts is not None and self.request_parts.answerable


class HeaderInjectionError(SipError, ValueError):
    """A name or value that would have broken out of its header line, refused before anything was written.

    field: where it was about to be written. rule: which rule it breaks. The value itself is not repeated.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule
