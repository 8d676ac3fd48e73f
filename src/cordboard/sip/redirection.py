"""Following 3xx (RFC 3261 §8.1.3.4): which Contact is tried next, and when to stop.

Loop-safe: no URI is tried twice for one INVITE, their number is limited, and each passes the gate that ``invite`` was
given. Without a gate nothing is followed: the 3xx is the call's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cordboard.sip.config import Credentials
from cordboard.sip.errors import ParseError
from cordboard.sip.message import Response
from cordboard.sip.uri import Uri

MAXIMUM_CONTACTS = 16
"""Of one response."""


@dataclass(frozen=True, slots=True)
class Detour:
    """A Contact that may be tried, and how it is reached."""

    target: Uri
    next_hop: Uri | None = None
    credentials: Sequence[Credentials] = ()


Gate = Callable[[Uri], Detour | None]
"""Judges a URI that a peer names: the way to it, or None where it must not be called."""


class Redirection:
    """The targets of one INVITE."""

    __slots__ = ("_gate", "_left", "_tried", "_waiting")

    def __init__(self, first: Uri, gate: Gate, maximum: int) -> None:
        self._gate = gate
        self._left = maximum
        self._tried = [first]
        self._waiting: list[tuple[float, Uri]] = []

    def add(self, response: Response) -> None:
        """Take the Contacts of a 3xx, best q first among those that wait."""
        if response.status == 305:
            return  # RFC 3261 §21.3.4: a proxy that a peer chooses for us is not a target
        try:
            contacts = response.contacts[:MAXIMUM_CONTACTS]
        except ParseError:
            return
        secure = self._tried[0].scheme == "sips"
        for contact in contacts:
            # RFC 3261 §8.1.3.4: a secure call is not led to where it would not be
            if contact.wildcard or (secure and contact.uri.scheme != "sips"):
                continue
            if contact.uri.scheme in ("sip", "sips", "tel"):
                self._waiting.append((_quality(contact.parameters.get("q")), contact.uri.without_headers()))
        self._waiting.sort(key=lambda entry: -entry[0])

    def next(self) -> Detour | None:
        """The next way to try; None where none is left or allowed."""
        while self._waiting and self._left > 0:
            uri = self._waiting.pop(0)[1]
            if any(uri.equivalent(known) for known in self._tried):
                continue
            self._tried.append(uri)
            self._left -= 1
            detour = self._gate(uri)
            if detour is not None:
                return detour
        return None


def _quality(text: str | None) -> float:
    """RFC 3261 §20.10; 1 where it is not told."""
    try:
        return min(1.0, max(0.0, float(text))) if text is not None else 1.0
    except ValueError:
        return 0.0
