"""Digest authentication, both sides. RFC 3261 §22, RFC 2617, RFC 7616, RFC 8760.

Client: of several realms each is answered; of several algorithms in one realm the strongest that we speak. The digest's
uri is the Request-URI as it stands in the request line.
Server: nonces carry their age under a key, so that nothing is stored until one is used; what is stored is bounded.
Neither side reads a clock or makes chance: `now`, the client nonce and the secret come from outside.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from cordboard.sip.challenge import Authorization, Challenge
from cordboard.sip.errors import ParseError, SipError
from cordboard.sip.model import Request, Response
from cordboard.sip.uri import Uri

__all__ = [
    "Account",
    "DigestClient",
    "DigestError",
    "DigestFault",
    "DigestServer",
    "Verdict",
    "compute_response",
    "user_hash",
]

# Strongest first. RFC 8760 §2
_ALGORITHMS = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_STRENGTH = tuple(
    name + session
    for name, function in _ALGORITHMS.items()
    if function in hashlib.algorithms_available
    for session in ("-sess", "")
)


def _hash(algorithm: str, text: str) -> str:
    name = algorithm.upper().removesuffix("-SESS")
    digest = hashlib.new(_ALGORITHMS[name], usedforsecurity=False)
    digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def user_hash(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """H(username:realm:password), the form in which a server may keep a password. RFC 7616 §3.4.2"""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def compute_response(
    hashed: str,
    *,
    algorithm: str,
    method: str,
    uri: str,
    nonce: str,
    cnonce: str | None = None,
    nc: int | None = None,
    qop: str | None = None,
    body: bytes = b"",
) -> str:
    """The response value from user_hash(). RFC 7616 §3.4.1; without qop RFC 2069's form (RFC 7616 §3.4.1)."""
    if algorithm.upper().endswith("-SESS"):
        hashed = _hash(algorithm, f"{hashed}:{nonce}:{cnonce or ''}")
    a2 = f"{method}:{uri}"
    if qop == "auth-int":
        name = _ALGORITHMS[algorithm.upper().removesuffix("-SESS")]
        a2 += ":" + hashlib.new(name, body, usedforsecurity=False).hexdigest()
    if qop:
        return _hash(algorithm, f"{hashed}:{nonce}:{nc or 0:08x}:{cnonce or ''}:{qop}:{_hash(algorithm, a2)}")
    return _hash(algorithm, f"{hashed}:{nonce}:{_hash(algorithm, a2)}")


class DigestFault(Enum):
    """Why credentials could not be given, or were not accepted."""

    NO_ACCOUNT = "no account fits the realm"
    NO_ALGORITHM = "no offered algorithm or qop is spoken"
    REFUSED = "the same credentials were refused"
    NO_CHALLENGE = "the response carries no readable challenge"
    MISSING = "no credentials for the realm"
    MALFORMED = "the credentials cannot be read"
    WRONG_URI = "the digest's uri is not the request's"
    WRONG_RESPONSE = "user or password is wrong"
    STALE = "the nonce is too old"
    FOREIGN_NONCE = "the nonce is not ours"
    REPLAYED = "the nonce count was used before"


class DigestError(SipError):
    """The client cannot answer a challenge; fault says why. Names no password."""

    def __init__(self, fault: DigestFault, realm: str = "") -> None:
        super().__init__(f"{fault.value} ({realm})" if realm else fault.value)
        self.fault = fault
        self.realm = realm


@dataclass(frozen=True, slots=True)
class Account:
    """Credentials. realm: the one they are for, None for any."""

    username: str
    password: str
    realm: str | None = None

    def __repr__(self) -> str:
        return f"Account({self.username!r}, realm={self.realm!r})"


@dataclass(slots=True)
class _Session:
    """A challenge that was answered, and how often."""

    challenge: Challenge
    account: Account
    nc: int = 0


class DigestClient:
    """Answers the challenges of one dialog, registration or gateway. Remembers up to `limit` realms."""

    def __init__(self, accounts: Iterable[Account], *, limit: int = 8) -> None:
        self._accounts = tuple(accounts)
        self._limit = limit
        self._sessions: dict[tuple[str, str], _Session] = {}

    def answer(self, request: Request, response: Response, cnonce: Callable[[], str]) -> list[tuple[str, str]]:
        """The (name, value) lines to put on the request when it is sent again after a 401 or 407. RFC 3261 §22.2, §22.3

        request is the one that was challenged, with the credentials it carried. For the retry the caller replaces its
        Authorization and Proxy-Authorization lines, raises CSeq by one and keeps everything else. Raises DigestError;
        its fault is REFUSED where a fresh answer was not accepted.
        """
        best: dict[tuple[str, str], Challenge] = {}
        seen = 0
        for name, target in (("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization")):
            for line in response.headers.get_all(name):
                try:
                    challenge = Challenge.parse(line, name)
                except ParseError:
                    continue
                if challenge.scheme.lower() != "digest":
                    continue
                seen += 1
                rank = _rank(challenge)
                if rank is None:
                    continue
                key = target, challenge.realm
                if key not in best or rank < (_rank(best[key]) or 0):
                    best[key] = challenge
        if not best:
            raise DigestError(DigestFault.NO_ALGORITHM if seen else DigestFault.NO_CHALLENGE)
        answered = 0
        for key, challenge in best.items():
            account = self._account(challenge.realm)
            if account is None:
                continue
            old = self._sessions.get(key)
            # A nonce that had been accepted before may have aged without the server saying stale: worth one more try.
            fresh = old is not None and old.nc <= 1 and _carries(request, key[0], old.challenge.nonce)
            if fresh and not challenge.stale:
                raise DigestError(DigestFault.REFUSED, challenge.realm)
            self._sessions.pop(key, None)
            while len(self._sessions) >= self._limit:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[key] = _Session(challenge, account)
            answered += 1
        if not answered:
            raise DigestError(DigestFault.NO_ACCOUNT, next(iter(best))[1])
        return self.authorize(request, cnonce)

    def authorize(self, request: Request, cnonce: Callable[[], str]) -> list[tuple[str, str]]:
        """Lines for a request before anybody asks, from the challenges known so far; the nonce count rises."""
        return [(target, str(_sign(session, request, cnonce()))) for (target, _), session in self._sessions.items()]

    def _account(self, realm: str) -> Account | None:
        for account in self._accounts:
            if account.realm == realm:
                return account
        return next((account for account in self._accounts if account.realm is None), None)


def _rank(challenge: Challenge) -> int | None:
    """Smaller is stronger; None where we do not speak it."""
    if challenge.qop and not ({"auth", "auth-int"} & set(challenge.qop)):
        return None
    wanted = challenge.algorithm.upper()
    return next((rank for rank, name in enumerate(_STRENGTH) if name.upper() == wanted), None)


def _carries(request: Request, target: str, nonce: str) -> bool:
    for line in request.headers.get_all(target):
        try:
            if Authorization.parse(line, target).nonce == nonce:
                return True
        except ParseError:
            continue
    return False


def _sign(session: _Session, request: Request, cnonce: str) -> Authorization:
    challenge, account = session.challenge, session.account
    session.nc += 1
    qop = "auth" if "auth" in challenge.qop else ("auth-int" if challenge.qop else None)
    uses_cnonce = qop is not None or challenge.algorithm.upper().endswith("-SESS")
    response = compute_response(
        user_hash(account.username, challenge.realm, account.password, challenge.algorithm),
        algorithm=challenge.algorithm,
        method=request.method,
        uri=request.uri_text,
        nonce=challenge.nonce,
        cnonce=cnonce,
        nc=session.nc,
        qop=qop,
        body=request.body,
    )
    return Authorization(
        account.username,
        challenge.realm,
        challenge.nonce,
        request.uri_text,
        response,
        challenge.algorithm,
        cnonce if uses_cnonce else None,
        qop,
        session.nc if qop else None,
        challenge.opaque,
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a server found. username is set where the password was right; stale: challenge again with stale=true."""

    fault: DigestFault | None
    username: str | None = None

    @property
    def accepted(self) -> bool:
        return self.fault is None

    @property
    def stale(self) -> bool:
        """The password was right; only the nonce is not good any more. RFC 7616 §3.3"""
        return self.fault in (DigestFault.STALE, DigestFault.REPLAYED) and self.username is not None


@dataclass(slots=True)
class _Use:
    """The nonce counts of one nonce: the highest, and a bit for each of the 64 below it."""

    highest: int = 0
    window: int = 0


class DigestServer:
    """Checks credentials for one realm. RFC 3261 §22.1, RFC 8760 §2.4

    secret: at least 16 bytes, new at each start. nonce_seconds: how long a nonce is good. table: used nonces that are
    remembered; beyond it the oldest are forgotten, and every nonce as old is stale from then on: none can be replayed.
    ACK and CANCEL are never to be challenged (RFC 3261 §22.1): that is the caller's rule.
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        *,
        algorithms: tuple[str, ...] = ("SHA-256", "MD5"),
        nonce_seconds: float = 300.0,
        table: int = 4096,
    ) -> None:
        if len(secret) < 16:
            raise ValueError("the secret needs at least 16 bytes")
        self.realm = realm
        self._secret = secret
        self._algorithms = tuple(name for name in algorithms if name in _STRENGTH)
        if not self._algorithms:
            raise ValueError("no algorithm is spoken")
        self._seconds = nonce_seconds
        self._limit = table
        self._serial = 0
        self._floor = 0
        self._used: dict[int, _Use] = {}

    @property
    def remembered(self) -> int:
        """Used nonces in the table."""
        return len(self._used)

    def challenges(self, now: float, *, stale: bool = False) -> list[Challenge]:
        """One challenge per algorithm, the preferred one first, all with one nonce. RFC 8760 §2.3"""
        nonce = self._nonce(now)
        return [Challenge(self.realm, nonce, name, ("auth",), None, stale) for name in self._algorithms]

    def verify(
        self,
        request: Request,
        now: float,
        password_of: Callable[[str], str | None],
        *,
        header: str = "Authorization",
    ) -> Verdict:
        """Look for credentials of our realm on the request. The nonce count is used up where they are accepted."""
        malformed = False
        for line in request.headers.get_all(header):
            try:
                given = Authorization.parse(line, header)
            except ParseError:
                malformed = True
                continue
            if given.scheme.lower() == "digest" and given.realm == self.realm:
                return self._verify(given, request, now, password_of)
        return Verdict(DigestFault.MALFORMED if malformed else DigestFault.MISSING)

    def _verify(
        self, given: Authorization, request: Request, now: float, password_of: Callable[[str], str | None]
    ) -> Verdict:
        if given.algorithm not in self._algorithms or given.qop != "auth" or given.nc is None or not given.cnonce:
            return Verdict(DigestFault.MALFORMED)
        if not _same_uri(given.uri, request):
            return Verdict(DigestFault.WRONG_URI)
        serial, issued = self._read_nonce(given.nonce)
        if serial is None:
            return Verdict(DigestFault.FOREIGN_NONCE)
        password = password_of(given.username)
        expected = compute_response(
            # An unknown user costs as much as a known one.
            user_hash(given.username, self.realm, password if password is not None else "", given.algorithm),
            algorithm=given.algorithm,
            method=request.method,
            uri=given.uri,
            nonce=given.nonce,
            cnonce=given.cnonce,
            nc=given.nc,
            qop=given.qop,
        )
        matches = hmac.compare_digest(expected.encode(), given.response.encode("utf-8", "surrogateescape"))
        if not matches or password is None:
            return Verdict(DigestFault.WRONG_RESPONSE)
        if serial <= self._floor or not 0 <= now - issued <= self._seconds:
            return Verdict(DigestFault.STALE, given.username)
        if not self._use(serial, given.nc):
            return Verdict(DigestFault.REPLAYED, given.username)
        return Verdict(None, given.username)

    def _use(self, serial: int, nc: int) -> bool:
        """Mark a nonce count as used; False where it was, or is too far behind. RFC 7616 §3.4"""
        use = self._used.get(serial)
        if use is None:
            while len(self._used) >= self._limit:
                oldest = next(iter(self._used))
                del self._used[oldest]
                self._floor = max(self._floor, oldest)
            if serial <= self._floor:
                return False
            use = self._used[serial] = _Use()
        if nc > use.highest:
            shift = nc - use.highest
            use.window = ((use.window << shift) | 1) & (2**64 - 1) if shift < 64 else 1
            use.highest = nc
            return nc > 0
        behind = use.highest - nc
        if behind >= 64 or use.window >> behind & 1 or nc == 0:
            return False
        use.window |= 1 << behind
        return True

    def _nonce(self, now: float) -> str:
        self._serial += 1
        body = f"{int(now * 1000):x}.{self._serial:x}"
        return f"{body}.{self._mac(body)}"

    def _mac(self, body: str) -> str:
        return hmac.new(self._secret, f"{body}:{self.realm}".encode(), hashlib.sha256).hexdigest()[:32]

    def _read_nonce(self, nonce: str) -> tuple[int | None, float]:
        body, _, mac = nonce.rpartition(".")
        if not nonce.isascii() or not hmac.compare_digest(self._mac(body), mac):
            return None, 0.0
        issued, _, serial = body.partition(".")
        return int(serial, 16), int(issued, 16) / 1000


def _same_uri(uri: str, request: Request) -> bool:
    """RFC 3261 §22.4 item 5: equal, or at least the same resource."""
    if uri == request.uri_text:
        return True
    try:
        return Uri.parse(uri).equivalent(request.uri)
    except ParseError:
        return False
