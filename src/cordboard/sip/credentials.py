"""Answering challenges (RFC 3261 §22.2, §22.3) for the requests of one session."""

from __future__ import annotations

from collections.abc import Sequence

from cordboard.sip.config import Credentials, Identifiers
from cordboard.sip.digest import Account, DigestClient, DigestError
from cordboard.sip.errors import ParseError
from cordboard.sip.message import Request, Response

Fields = list[tuple[str, str]]

MAXIMUM_ROUNDS = 4
"""A proxy and a server may each challenge, and each may find its nonce stale once."""

AUTHORIZATION = ("Authorization", "Proxy-Authorization")


class Authorizer:
    """The credentials of a session, and the challenges that it has met."""

    __slots__ = ("_client", "_identifiers")

    def __init__(self, credentials: Sequence[Credentials], identifiers: Identifiers) -> None:
        self._client = DigestClient([Account(c.username, c.password, c.realm) for c in credentials])
        self._identifiers = identifiers

    def anticipate(self, request: Request) -> Fields:
        """Credentials for challenges that are known from an earlier request, so that it is not asked again."""
        return self._client.authorize(request, self._identifiers.tag)

    def answer(self, request: Request, response: Response, fields: Fields) -> Fields | None:
        """The challenged request's headers with credentials, or None: the response stands."""
        try:
            lines = self._client.answer(request, response, self._identifiers.tag)
        except (DigestError, ParseError):
            return None
        return [field for field in fields if field[0] not in AUTHORIZATION] + lines


def authorizer(credentials: Sequence[Credentials], identifiers: Identifiers) -> Authorizer | None:
    """None where there is nothing to answer with."""
    return Authorizer(credentials, identifiers) if credentials else None
