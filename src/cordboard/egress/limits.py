"""Limits of time, size and rate for what leaves."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from .errors import EgressRateError

MAXIMUM_HOSTS = 1024


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """Seconds, bytes and counts."""

    connect: float = 5.0
    """Resolving, connecting and TLS for one hop."""
    request: float = 30.0
    """One request with all its hops, where it names no limit of its own."""
    max_request: int = 1 << 20
    """Bytes of a request's body."""
    max_response: int = 1 << 20
    """Bytes of an answer's body, packed or unpacked."""
    redirects: int = 3
    at_once: int = 100
    per_second: float = 20.0
    """Requests to one host, on average; bursts may be twice as many."""


class RateLimiter:
    """A token bucket for each host. At most 1024 hosts are remembered; ``now`` is monotonic seconds."""

    def __init__(self, per_second: float, burst: float | None = None) -> None:
        self._rate = per_second
        self._burst = burst if burst is not None else max(1.0, 2 * per_second)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, host: str, now: float) -> None:
        """One request to this host. Raises EgressRateError where it is one too many."""
        tokens, at = self._buckets.pop(host, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        allowed = tokens >= 1
        self._buckets[host] = (tokens - 1 if allowed else tokens, now)
        while len(self._buckets) > MAXIMUM_HOSTS:
            self._buckets.popitem(last=False)
        if not allowed:
            raise EgressRateError(host, f"more than {self._rate:g} requests a second")
