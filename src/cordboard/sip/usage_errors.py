"""Commands that cannot be carried out."""

from __future__ import annotations

from cordboard.sip.errors import SipError


class UnknownSessionError(SipError):
    """The session never was, or is over."""


class WrongStateError(SipError):
    """The session exists, and cannot do this now; the text says why."""


class LimitReachedError(SipError):
    """A table of the endpoint is full."""
