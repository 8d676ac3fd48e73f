"""A registrar in memory (RFC 3261 §10.3), as far as test phones and the lab need one.

Bindings last as long as the process. One address of record holds a few contacts; the newest is called.
"""

from __future__ import annotations

from dataclasses import dataclass

from cordboard.sip.config import EndpointConfig
from cordboard.sip.errors import ParseError
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request
from cordboard.sip.uri import Uri

SHORTEST = 60
LONGEST = 3600
DEFAULT = 300
MAXIMUM_CONTACTS = 8
"""Per address of record."""

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of an address of record. ``flow`` is where the REGISTER came from: the way back through a NAT."""

    contact: Uri
    flow: Flow
    call_id: str
    cseq: int
    until: float


class Registrar:
    """The bindings of all users, by the user part of To."""

    __slots__ = ("_bindings", "_config")

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config
        self._bindings: dict[str, list[Binding]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._bindings.values()))

    def find(self, user: str, now: float) -> Binding | None:
        """The newest binding of a user that has not expired."""
        living = [binding for binding in self._bindings.get(user, ()) if binding.until > now]
        return max(living, key=lambda binding: binding.until, default=None)

    def register(self, request: Request, flow: Flow, now: float) -> tuple[int, Headers]:
        """Status and headers of the answer."""
        self._forget(now)
        user = request.to.uri.user_text
        if not user:
            return 404, []
        known = {str(binding.contact): binding for binding in self._bindings.get(user, ())}
        default = request.expires
        call_id, cseq = request.call_id, request.cseq.number
        contacts = request.contacts
        if any(contact.wildcard for contact in contacts):
            if len(contacts) != 1 or default != 0:
                return 400, []  # RFC 3261 §10.2.2
            contacts, known = [], {}
        for contact in contacts:
            if contact.uri.scheme not in ("sip", "sips"):
                return 400, []
            wanted = _expires(contact.parameters.get("expires"), default)
            text = str(contact.uri)
            before = known.get(text)
            if before is not None and before.call_id == call_id and cseq <= before.cseq:
                return 500, [("Retry-After", "1")]  # RFC 3261 §10.3 step 7: out of order
            if wanted == 0:
                known.pop(text, None)
            elif wanted < SHORTEST:
                return 423, [("Min-Expires", str(SHORTEST))]  # RFC 3261 §10.3 step 7
            else:
                known[text] = Binding(contact.uri, flow, call_id, cseq, now + min(wanted, LONGEST))
        living = sorted(known.values(), key=lambda binding: binding.until)[-MAXIMUM_CONTACTS:]
        if living and len(self) - len(self._bindings.get(user, ())) + len(living) > self._config.maximum_bindings:
            return 503, [("Retry-After", str(self._config.retry_after))]
        if living:
            self._bindings[user] = living
        else:
            self._bindings.pop(user, None)
        return 200, [("Contact", f"<{binding.contact}>;expires={round(binding.until - now)}") for binding in living]

    def _forget(self, now: float) -> None:
        for user in list(self._bindings):
            self._bindings[user] = [binding for binding in self._bindings[user] if binding.until > now]
            if not self._bindings[user]:
                del self._bindings[user]


def _expires(text: str | None, default: int | None) -> int:
    if text is not None:
        if not text.isdecimal():
            raise ParseError("Contact", "expires is a number (RFC 3261 §20.10)")
        return min(int(text), 2**31)
    return DEFAULT if default is None else default
