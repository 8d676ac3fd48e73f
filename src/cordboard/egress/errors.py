"""What can go wrong with a request that leaves: typed, and safe to log (no path, no query, no header)."""

from __future__ import annotations


class EgressError(Exception):
    """A request did not get its answer. ``origin`` is ``scheme://host:port`` as far as it is known."""

    def __init__(self, origin: str, text: str) -> None:
        super().__init__(f"{origin}: {text}" if origin else text)
        self.origin = origin
        self.text = text


class EgressRefusedError(EgressError):
    """The request must not leave. ``rule`` names why: ``loopback``, ``private``, ``metadata``, ``scheme``, ..."""

    def __init__(self, rule: str, origin: str, text: str) -> None:
        super().__init__(origin, f"refused ({rule}): {text}")
        self.rule = rule


class EgressRateError(EgressError):
    """Too many requests: to this host, or at once."""


class EgressTimeoutError(EgressError):
    """No whole answer within the time limit. ``seconds`` is the limit that was exceeded."""

    def __init__(self, origin: str, seconds: float, stage: str = "request") -> None:
        super().__init__(origin, f"{stage}: nothing within {seconds:g} s")
        self.seconds = seconds
        self.stage = stage


class EgressConnectionError(EgressError):
    """No connection, no TLS, or the peer broke off or broke the protocol."""


class EgressTooLargeError(EgressError):
    """The answer, or what it unpacks to, is larger than the limit, in bytes."""

    def __init__(self, origin: str, limit: int) -> None:
        super().__init__(origin, f"the answer is larger than {limit} bytes")
        self.limit = limit
