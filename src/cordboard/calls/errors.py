"""What can go wrong with a leg, with its meaning on the wire."""

from __future__ import annotations


class CallError(Exception):
    """Base of this room's errors."""


class MediaNegotiationError(CallError):
    """No media can be agreed on; ``status`` is the SIP answer to the offer (488, RFC 3264 §6)."""

    def __init__(self, rule: str, status: int = 488) -> None:
        super().__init__(rule)
        self.status = status


class DialRefusedError(CallError):
    """The dial policy refuses a destination before anything is sent; ``rule`` says which and why."""

    def __init__(self, destination: str, rule: str) -> None:
        super().__init__(f"{destination}: {rule}")
        self.destination = destination
        self.rule = rule
