"""Digest as server at the endpoint: who is challenged, what it costs, and where a request really came from."""

from __future__ import annotations

from collections.abc import Callable

from cordboard.sip import events as e
from cordboard.sip.config import Credentials, EndpointConfig, PasswordOf
from cordboard.sip.credentials import Authorizer
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response
from tests.sip.support.network import ANSWER, OFFER
from tests.sip.support.scripted import Scripted

CARRIER = Credentials("carrier", "correct horse")


def passwords(request: Request, flow: Flow) -> PasswordOf | None:
    return {"carrier": "correct horse"}.get


def guarded(challenge: Callable[[Request, Flow], PasswordOf | None] = passwords) -> Scripted:
    return Scripted(EndpointConfig(challenge=challenge, realm="front desk"))


def with_credentials(s: Scripted, request: Request, credentials: Credentials = CARRIER, cseq: int = 2) -> Request:
    """The request again, as a client answers the last challenge."""
    authorizer = Authorizer((credentials,), s.core._core.identifiers)
    lines = authorizer.answer(request, s.last(Response), [])
    assert lines is not None
    again = s.request(request.method, cseq=cseq, branch=f"z9hG4bKauth{cseq}", body=request.body)
    again.headers.extend(lines)
    return again


def test_line_36_an_invite_is_challenged_without_state_and_taken_with_the_password() -> None:
    """Protects our agents from callers that no gateway vouches for (RFC 3261 §22.1, RFC 8760 §2)."""
    s = guarded()
    invite = s.request("INVITE", body=OFFER)
    assert s.status(invite) == 401
    offered = s.last(Response).headers.get_all("WWW-Authenticate")
    assert [("SHA-256" in line, "MD5" in line) for line in offered] == [(True, False), (False, True)]
    assert not any(s.core.counts().values())
    s.send(with_credentials(s, invite))
    assert len(s.party.of(e.IncomingCall)) == 1
    s.finish()


def test_line_36_a_nonce_count_is_good_once() -> None:
    """Protects against an INVITE that was heard on the wire and is sent again (RFC 7616 §3.4)."""
    s = guarded()
    invite = s.request("INVITE", body=OFFER)
    s.status(invite)
    good = with_credentials(s, invite)
    s.send(good)
    copied = s.request("INVITE", cseq=2, branch="z9hG4bKthief", call_id="other@peer", body=OFFER)
    copied.headers.extend(("Authorization", value) for value in good.headers.get_all("Authorization"))
    assert s.status(copied) == 401
    assert "stale=true" in (s.last(Response).headers.get("WWW-Authenticate") or "")
    assert len(s.party.of(e.IncomingCall)) == 1
    s.finish()


def test_line_36_an_old_nonce_is_stale_and_says_so() -> None:
    """Protects peers that were silent for long from being told that their password is wrong."""
    s = guarded()
    invite = s.request("INVITE", body=OFFER)
    s.status(invite)
    late = with_credentials(s, invite)
    s.run(301)
    assert s.status(late) == 401
    assert "stale=true" in (s.last(Response).headers.get("WWW-Authenticate") or "")


def test_line_37_ack_cancel_and_requests_in_a_dialog_are_never_challenged() -> None:
    """Protects calls that are up: neither their ACK, nor a CANCEL, nor a BYE can answer a challenge (§22.1)."""
    s = guarded()
    invite = s.request("INVITE", body=OFFER)
    s.status(invite)
    s.send(with_credentials(s, invite))
    incoming = s.party.of(e.IncomingCall)[0]
    assert isinstance(incoming, e.IncomingCall)
    session = incoming.session
    s.core.answer(session, ANSWER, now=s.now)
    s.party.settle()
    tag = s.last(Response).to.tag or ""
    s.send(s.request("ACK", to_tag=tag, cseq=2, branch="z9hG4bKack"))
    assert s.party.of(e.Confirmed)
    assert s.status(s.request("BYE", to_tag=tag, cseq=3)) == 200
    assert s.status(s.request("CANCEL", cseq=9)) == 481
    s.finish()


def test_a_source_that_guesses_is_not_looked_at_for_a_while() -> None:
    """Protects passwords from being tried out, and the processor from counting hashes for a guesser."""
    s = guarded()
    wrong = Credentials("carrier", "guess")
    answers = []
    for number in range(14):
        invite = s.request("INVITE", cseq=100 + number, branch=f"z9hG4bKg{number}", body=OFFER)
        answers.append(s.status(invite))
        if answers[-1] == 401:
            s.status(with_credentials(s, invite, wrong, cseq=200 + number))
    assert answers[:10] == [401] * 10
    assert answers[10:] == [403] * 4
    s.run(61)
    assert s.status(s.request("INVITE", cseq=300, branch="z9hG4bKlater", body=OFFER)) == 401
    assert not any(s.core.counts().values())


def test_a_request_that_needs_no_password_is_not_asked_for_one() -> None:
    """Protects gateways that are known by their address."""
    s = guarded(lambda request, flow: None)
    s.invited()
    s.finish()


def test_the_original_address_is_believed_from_our_proxy_only_and_taken_away_from_others() -> None:
    """Protects the access control and the record from callers who write the header themselves."""
    seen: list[str] = []

    def admit(flow: Flow) -> str:
        seen.append(flow.remote[0])
        return "drop" if flow.remote[0] == "203.0.113.66" else "allow"

    config = EndpointConfig(admit=admit, trusted_proxy=lambda host: host == "10.0.0.7")  # type: ignore[arg-type]
    s = Scripted(config)
    s.invited(headers=(("X-Source-Address", "198.51.100.4:5062"),))
    call = s.party.of(e.IncomingCall)[0]
    assert isinstance(call, e.IncomingCall)
    assert call.source == "198.51.100.4"
    assert "198.51.100.4" in seen
    refused = s.request("INVITE", call_id="b", branch="z9hG4bKb", headers=(("X-Source-Address", "203.0.113.66"),))
    assert s.send(refused) == []
    forged = s.request(
        "INVITE", call_id="c", branch="z9hG4bKc", body=OFFER, headers=(("X-Source-Address", "10.9.9.9"),)
    )
    s.send(forged, ("192.0.2.9", 5060))
    outside = s.party.of(e.IncomingCall)[-1]
    assert isinstance(outside, e.IncomingCall)
    assert outside.source == "192.0.2.9"
    assert outside.request.headers.get("X-Source-Address") is None
    s.finish()
