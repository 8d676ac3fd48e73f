"""Bearer keys: who asks, for which workspace, with which scopes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from fastapi import Request
from fastapi.security import HTTPBearer

from cordboard.api.context import context
from cordboard.api.errors import ApiError, unauthorized
from cordboard.api.ports import ALL, Principal, Scope

# A longer token is nobody's; it is not worth hashing.
LONGEST_KEY = 512

documented = HTTPBearer(auto_error=False, description="Workspace API key")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the SHA-256 of its text (hex), never the text itself."""

    key_id: str
    workspace_id: str
    digest: str
    scopes: tuple[str, ...] = (Scope.ADMIN,)


def digest(token: str) -> str:
    """The stored form of a key. Keys are long random text, so that a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class HashedKeys:
    """A :class:`~cordboard.api.ports.KeyDirectory` over a fixed list."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = tuple(keys)

    async def verify(self, text: str, /) -> Principal | None:
        offered = digest(text)
        found: Key | None = None
        # Every key is compared, in constant time: the answer's time says nothing about a near hit.
        for key in self._keys:
            if hmac.compare_digest(key.digest, offered):
                found = key
        return found


def bearer(request: Request) -> str | None:
    """The token of the Authorization header. RFC 6750 §2.1; the scheme is case-insensitive, RFC 9110 §11.1."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and 0 < len(token) <= LONGEST_KEY else None


def allowed(principal: Principal, scope: str) -> bool:
    return Scope.ADMIN in principal.scopes or scope in principal.scopes


def sees(principal: Principal, workspace_id: str) -> bool:
    """Whether a key may know of what belongs to `workspace_id`."""
    return principal.workspace_id in (ALL, workspace_id)


def workspace_filter(principal: Principal) -> str | None:
    """The workspace to filter by; ``None`` for an operator's key."""
    return None if principal.workspace_id == ALL else principal.workspace_id


def requires(scope: str) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency that yields the principal of a request that has `scope`.

    401 without a valid key, 403 without the scope, 429 beyond the rate."""

    async def dependency(request: Request) -> Principal:
        here = context(request)
        token = bearer(request)
        principal = await here.keys.verify(token) if token is not None else None
        if principal is None:
            address = request.client.host if request.client else "?"
            _limit(here.strangers.take(address))
            raise unauthorized()
        _limit(here.rates.take(principal.key_id))
        if not allowed(principal, scope):
            raise ApiError(403, f"This key lacks the scope {scope!r}")
        return principal

    return dependency


def _limit(wait: float) -> None:
    if wait:
        raise ApiError(429, "Too many requests", headers={"Retry-After": str(int(wait) + 1)})
