"""The one HTTP client for everything that leaves on a user's word."""

from .client import HttpClient, HttpResponse
from .errors import (
    EgressConnectionError,
    EgressError,
    EgressRateError,
    EgressRefusedError,
    EgressTimeoutError,
    EgressTooLargeError,
)
from .limits import EgressLimits, RateLimiter
from .policy import AddressPolicy
from .resolver import Resolver, SystemResolver
from .transport import EgressTransport

__all__ = [
    "AddressPolicy",
    "EgressConnectionError",
    "EgressError",
    "EgressLimits",
    "EgressRateError",
    "EgressRefusedError",
    "EgressTimeoutError",
    "EgressTooLargeError",
    "EgressTransport",
    "HttpClient",
    "HttpResponse",
    "RateLimiter",
    "Resolver",
    "SystemResolver",
]
