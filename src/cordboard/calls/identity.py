"""Who calls, for whom and by which way, as far as the peer is believed; and what of it goes on to the next one.

A trust domain (RFC 3325 §3) is what the directory says with a gateway's ``trusted``. What a peer outside asserts is not
believed, and what a caller keeps private is not told to one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cordboard.sip.address import Address
from cordboard.sip.errors import ParseError
from cordboard.sip.identity import Diversion, HistoryInfo, Privacy, UserToUser, parse_identity
from cordboard.sip.message import Request
from cordboard.sip.parameters import Parameters
from cordboard.sip.uri import Uri

MAXIMUM_ENTRIES = 20
"""Members of Diversion, History-Info and P-Asserted-Identity that are looked at."""
MAXIMUM_UUI = 256

ANONYMOUS = Address(Uri("sip", "anonymous", host="anonymous.invalid"), "Anonymous")
"""RFC 3323 §4.1.1.3."""


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """What an INVITE says of its caller."""

    number: str
    name: str
    asserted: bool
    """A trusted peer vouches for the number."""
    private: bool
    """The caller does not want to be known outside the trust domain (RFC 3323 §4.2, RFC 3325 §9.3)."""
    diverted_from: tuple[str, ...] = ()
    """Numbers that the call was for before, the last first."""
    hops: int = 0
    """Diversions that the call has behind it: the loop detector of last resort."""


def identity_of(request: Request, trusted: bool) -> CallerIdentity:
    """Read From, P-Asserted-Identity, Privacy, Diversion and History-Info; what cannot be read is as if not there."""
    address = request.from_
    asserted = False
    if trusted:
        for text in _values(request, "P-Asserted-Identity"):
            try:
                address, asserted = parse_identity(text), True
                break
            except ParseError:
                continue
    diverted, hops = _diversions(request)
    return CallerIdentity(
        address.uri.user_text.partition(";")[0], address.display_name, asserted, _private(request), diverted, hops
    )


def _values(request: Request, name: str) -> list[str]:
    try:
        return request.headers.values(name)[:MAXIMUM_ENTRIES]
    except ParseError:
        return []


def _private(request: Request) -> bool:
    for text in request.headers.get_all("Privacy"):
        try:
            privacy = Privacy.parse(text)
        except ParseError:
            return True  # asked for, and not understood: the careful reading
        if any(value in privacy for value in ("id", "user", "header")):
            return True
    return False


def _diversions(request: Request) -> tuple[tuple[str, ...], int]:
    numbers: list[str] = []
    counted = 0
    for text in _values(request, "Diversion"):
        try:
            entry = Diversion.parse(text)
            counted += entry.counter
        except ParseError:
            continue
        numbers.append(entry.address.uri.user_text.partition(";")[0])
    history = 0
    for text in _values(request, "History-Info"):
        try:
            entry_of = HistoryInfo.parse(text)
        except ParseError:
            continue
        # RFC 7044 §5: each level of the index is one target that was left behind
        history = max(history, len((entry_of.index or "1").split(".")) - 1)
    return tuple(numbers), max(counted, history)


def identity_headers(
    identity: Address, *, trusted: bool, private: bool, kind: str = "P-Asserted-Identity"
) -> tuple[Address, list[tuple[str, str]]]:
    """From and identity headers for a leg that shows ``identity`` (RFC 3325 §5, §7; RFC 3323 §4.1).

    A private one is told to a trusted gateway with ``Privacy: id``, and to others not at all.
    """
    if not private:
        return identity, [(kind, str(identity))]
    if trusted:
        return ANONYMOUS, [(kind, str(identity)), ("Privacy", "id")]
    return ANONYMOUS, [("Privacy", "id")]


def history_headers(left: Address, target: Uri, reason: str = "deflection") -> list[tuple[str, str]]:
    """That a call for ``left`` goes on to ``target``: Diversion (RFC 5806 §6) and History-Info (RFC 7044 §5)."""
    diversion = left.without_parameters().with_parameter("reason", reason).with_parameter("counter", 1)
    before = replace(left.without_parameters(), display_name="").with_parameter("index", "1")
    after = Address(target.without_headers()).with_parameter("index", "1.1").with_parameter("mp", "1")
    return [("Diversion", str(diversion)), ("History-Info", f"{before}, {after}")]


def user_to_user(text: str, encoding: str = "hex") -> str:
    """A User-to-User value (RFC 7433 §4.1), hex as gateways expect it. Raises ValueError above 256 bytes."""
    data = text.encode()
    if not data or len(data) > MAXIMUM_UUI:
        raise ValueError(f"User-to-User carries 1 to {MAXIMUM_UUI} bytes")
    return str(UserToUser(data.hex(), Parameters.of(encoding=encoding)))
