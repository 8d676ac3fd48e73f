"""Who is asked for a password, and where a request really came from, before anything is kept of it.

* Digest as server (RFC 3261 §22.1): a request that begins something is answered 401 without state until its
  credentials are right; ACK, CANCEL and requests within a dialog are never challenged. A source that keeps guessing is
  refused without a look for a while.
* Behind a proxy of ours the original address stands in a header; from anybody else that header is taken away.
"""

from __future__ import annotations

from ipaddress import ip_address

from cordboard.sip.core import Core
from cordboard.sip.digest import DigestFault, DigestServer
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request

CHALLENGED = frozenset(("INVITE", "REGISTER", "REFER"))
"""Methods that begin something. OPTIONS tells nothing that a refusal would not."""

MAXIMUM_GUESSES = 10
"""Wrong passwords of one source before it is refused without a look."""
GUESS_WINDOW = 60.0
"""Seconds after which wrong passwords are forgotten."""
_MAXIMUM_SOURCES = 1024


class Gatekeeper:
    """Judges requests of one endpoint. Every table is bounded."""

    __slots__ = ("_core", "_digest", "_guesses")

    def __init__(self, core: Core) -> None:
        self._core = core
        identifiers = core.identifiers
        config = core.config
        # 32 octets of the injected chance; new at each start, so that nonces of an earlier run are not ours.
        secret = "".join(identifiers.tag() for _ in range(4)).ljust(16, ".").encode()
        self._digest = DigestServer(config.realm, secret, nonce_seconds=config.nonce_lifetime)
        self._guesses: dict[str, tuple[int, float]] = {}

    def source(self, request: Request, flow: Flow) -> Flow:
        """The flow with the address that the request came from, before our own proxies."""
        config = self._core.config
        name = config.source_header
        if config.trusted_proxy is not None and config.trusted_proxy(flow.remote[0]):
            host = _address(request.headers.get(name) or "")
            if host is not None:
                return flow._replace(remote=(host, flow.remote[1]))
        elif request.method == "INVITE" and name in request.headers:
            request.headers.remove(name)  # what a call is judged by later holds nothing that a stranger wrote there
        return flow

    def refusal(self, request: Request, source: Flow, now: float) -> tuple[int, list[tuple[str, str]]] | None:
        """401 with its challenges, or 403; None where the request may go on."""
        if request.method not in CHALLENGED or request.to.tag is not None:
            return None
        password_of = self._core.config.challenge(request, source)
        if password_of is None:
            return None
        host = source.remote[0]
        guesses, until = self._guesses.get(host, (0, 0.0))
        if now >= until:
            guesses = 0
        elif guesses >= MAXIMUM_GUESSES:
            return 403, []
        verdict = self._digest.verify(request, now, password_of)
        if verdict.accepted:
            self._guesses.pop(host, None)
            return None
        if verdict.fault is DigestFault.WRONG_RESPONSE:
            if len(self._guesses) >= _MAXIMUM_SOURCES:
                self._guesses.pop(next(iter(self._guesses)))
            self._guesses[host] = (guesses + 1, until if guesses else now + GUESS_WINDOW)
        # RFC 7616 §3.3: stale only says that the password was right and the nonce old
        challenges = self._digest.challenges(now, stale=verdict.stale)
        return 401, [("WWW-Authenticate", str(challenge)) for challenge in challenges]


def _address(text: str) -> str | None:
    """``192.0.2.1``, ``192.0.2.1:5060``, ``[2001:db8::1]:5060`` as the bare address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
