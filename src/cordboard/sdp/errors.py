"""Why a session description cannot be read, written or agreed upon. Each error knows the SIP response it earns."""

from __future__ import annotations

__all__ = [
    "MalformedDescriptionError",
    "MediaRejectedError",
    "NegotiationError",
    "NoCommonAddressError",
    "NoCommonCodecError",
    "NoUsableMediaError",
    "SdpError",
    "SecureMediaError",
    "UnwritableDescriptionError",
]


class SdpError(Exception):
    """The root. status: the SIP response; warning: the code of a Warning (RFC 3261 §20.43); rule: what was broken."""

    status = 488
    warning = 399

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class MalformedDescriptionError(SdpError):
    """Bytes that are no session description (RFC 8866 §5). line: the number of the line at fault, from 1; 0 for all."""

    status = 400

    def __init__(self, rule: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {rule}" if line else rule)
        self.line = line


class UnwritableDescriptionError(SdpError, ValueError):
    """A value with CR, LF or NUL, or with a space where none may be: it would have made lines of its own."""

    status = 500


class NegotiationError(SdpError):
    """Two sides that find nothing in common (RFC 3264 §6)."""


class NoCommonCodecError(NegotiationError):
    """No audio codec is shared."""

    warning = 305


class NoUsableMediaError(NegotiationError):
    """No audio stream with a transport that we speak."""

    warning = 304


class MediaRejectedError(NegotiationError):
    """The answer sets the port of our stream to zero (RFC 3264 §6)."""

    warning = 304


class NoCommonAddressError(NegotiationError):
    """The other side's address is of another family, a name, or multicast."""

    warning = 301


class SecureMediaError(NegotiationError):
    """SRTP is required by one side and not possible, or its keys cannot be read (RFC 4568 §5.1.2)."""

    warning = 302
