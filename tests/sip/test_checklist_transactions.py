"""Lines of docs/rfc.md on transactions: each timer of RFC 3261 §17 and RFC 6026 seen from outside, in virtual time."""

from __future__ import annotations

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials
from cordboard.sip.message import Request, Response
from cordboard.sip.uri import Uri
from tests.sip.support.network import ANSWER
from tests.sip.support.scripted import Scripted


def statuses(s: Scripted, status: int) -> int:
    """How often a response with this status was sent."""
    return len([m for m in s.outbox if isinstance(m, Response) and m.status == status])


def test_line_01_timer_a_doubles_and_stops_in_proceeding_and_timer_b_does_not_end_a_ringing_call() -> None:
    """Protects a call that rings for minutes from being given up by its transaction (RFC 3261 §17.1.1.2)."""
    s = Scripted()
    _, invite = s.calling(timeout=120)
    s.run(1.6)  # 0, 0.5 and 1.5 s
    assert s.methods() == ["INVITE"] * 3
    s.respond(invite, 180)
    s.run(100)
    assert s.methods() == ["INVITE"] * 3
    assert s.party.of(e.Failed) == []
    s.respond(invite, 200, body=ANSWER)
    assert len(s.party.of(e.Answered)) == 1
    s.finish()


def test_line_01_timer_d_acknowledges_repeated_refusals_and_then_forgets() -> None:
    """Protects a proxy whose ACK was lost: every repeated refusal is acknowledged for 32 s (RFC 3261 §17.1.1.2)."""
    s = Scripted()
    _, invite = s.calling()
    s.respond(invite, 486)
    s.run(31)
    assert [m.method for m in s.respond(invite, 486) if isinstance(m, Request)] == ["ACK"]
    s.run(2)
    assert s.core.counts()["client_transactions"] == 0
    assert s.respond(invite, 486) == []
    s.finish()


def test_line_02_timer_e_goes_to_t2_in_proceeding_and_timer_k_absorbs_repetitions() -> None:
    """Protects a slow server from a storm of repeated requests (RFC 3261 §17.1.2.2)."""
    s = Scripted()
    s.core.options(Uri.parse("sip:10.0.0.7"), now=s.now)
    s.party.settle()
    request = s.last(Request)
    s.respond(request, 100)
    s.run(13)
    assert s.methods() == ["OPTIONS"] * 5  # 0, 0.5 (still running from Trying), 4.5, 8.5, 12.5 s
    s.respond(request, 200)
    assert s.core.counts()["client_transactions"] == 1
    s.respond(request, 200)
    assert len(s.party.of(e.OptionsAnswered)) == 1
    s.run(5.1)
    assert s.core.counts()["client_transactions"] == 0
    s.finish()


def test_line_03_timer_h_gives_up_on_the_ack_and_timer_i_absorbs_more_of_them() -> None:
    """Protects the tables: a caller that never acknowledges is forgotten after 32 s (RFC 3261 §17.2.1)."""
    s = Scripted()
    session, _ = s.invited()
    s.core.reject(session, 486, now=s.now)
    s.run(40)
    assert statuses(s, 486) == 11  # 0, 0.5, 1.5, 3.5, 7.5 … 31.5 s
    assert s.core.counts()["server_transactions"] == 0

    session, _ = s.invited(call_id="second", cseq=2)
    s.core.reject(session, 486, now=s.now)
    s.party.settle()
    tag = s.last(Response).to.tag or ""
    ack = s.request("ACK", to_tag=tag, branch="z9hG4bKINVITE2", call_id="second", cseq=2)
    assert s.send(ack) == []
    assert s.send(ack) == []
    assert s.core.counts()["server_transactions"] == 1
    s.run(5.1)
    assert s.core.counts()["server_transactions"] == 0
    s.finish()


def test_line_04_a_repeated_request_gets_the_same_final_response_until_timer_j() -> None:
    """Protects a BYE whose 200 was lost: it is answered again, and the call is ended once (RFC 3261 §17.2.2)."""
    s = Scripted()
    _, _, tag = s.answered()
    bye = s.request("BYE", to_tag=tag, cseq=2)
    first, again = s.send(bye), s.send(bye)
    assert [m.serialize() for m in first] == [m.serialize() for m in again]
    assert len(s.party.of(e.Ended)) == 1
    s.run(33)
    assert s.status(bye) == 481
    s.finish()


def test_line_05_in_accepted_a_repeated_invite_is_absorbed_and_a_late_ack_still_finds_its_call() -> None:
    """Protects an answered call from an INVITE that the network repeats (RFC 6026 §7.1, timer L)."""
    s = Scripted()
    session, invite = s.invited()
    s.core.answer(session, ANSWER, now=s.now)
    s.party.settle()
    tag = s.last(Response).to.tag or ""
    assert s.send(invite) == []
    s.send(s.request("ACK", to_tag=tag, branch="z9hG4bKack"))
    s.run(20)
    assert s.send(invite) == []
    assert len(s.party.of(e.IncomingCall)) == 1
    s.run(13)
    assert s.core.counts()["server_transactions"] == 0
    s.finish()


def test_line_05_in_accepted_the_client_takes_more_2xx_until_timer_m() -> None:
    """Protects against a forked 2xx that comes seconds later: it is ended, not ignored (RFC 6026 §7.2, timer M)."""
    s = Scripted()
    _, invite = s.calling()
    s.respond(invite, 200, body=ANSWER)
    s.run(31)
    late = s.respond(invite, 200, tag="other", body=ANSWER)
    assert [m.method for m in late if isinstance(m, Request)] == ["ACK", "BYE"]
    s.run(2)
    assert s.respond(invite, 200, tag="third", body=ANSWER) == []
    s.finish()


def test_line_08_the_ack_of_a_refusal_carries_the_route_of_its_invite() -> None:
    """Protects calls through a proxy: without the Route the ACK would not pass it (RFC 3261 §17.1.1.3)."""
    s = Scripted()
    _, invite = s.calling(route=[Address.parse("<sip:10.0.1.1;lr>", "Route")])
    ack = s.respond(invite, 404)[0]
    assert isinstance(ack, Request)
    assert ack.headers.get_all("Route") == ["<sip:10.0.1.1;lr>"]
    assert ack.via.branch == invite.via.branch
    assert s.flows[-1].remote == ("10.0.1.1", 5060)
    s.finish()


def test_line_09_the_ack_of_a_2xx_has_the_cseq_and_the_credentials_of_its_invite() -> None:
    """Protects calls by an authenticating proxy: an ACK cannot be challenged (RFC 3261 §13.2.2.4, §22.1)."""
    s = Scripted()
    _, invite = s.calling(credentials=Credentials("u", "p"))
    s.respond(invite, 407, ("Proxy-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'))
    second = s.last(Request)
    assert second.method == "INVITE"
    ack = s.respond(second, 200, body=ANSWER)[0]
    assert isinstance(ack, Request)
    assert ack.cseq.number == second.cseq.number == 2
    assert ack.headers.get("Proxy-Authorization") == second.headers.get("Proxy-Authorization")
    assert ack.via.branch not in (invite.via.branch, second.via.branch)
    s.finish()


def test_line_14_a_cancel_is_answered_and_its_invite_gets_487() -> None:
    """Protects the caller who gives up: both transactions are answered (RFC 3261 §9.2)."""
    s = Scripted()
    session, _ = s.invited()
    s.core.ring(session, now=s.now)
    s.party.settle()
    answers = s.send(s.request("CANCEL", branch="z9hG4bKINVITE1"))
    found = [(m.cseq.method, m.status) for m in answers if isinstance(m, Response)]
    assert sorted(found) == [("CANCEL", 200), ("INVITE", 487)]
    ended = s.party.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.cause == "cancelled"
    s.finish()


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_line_37_ack_and_cancel_are_never_answered_with_a_challenge(method: str) -> None:
    """Protects a call from a deadlock: these two cannot be sent again with credentials (RFC 3261 §22.1)."""
    s = Scripted()
    answers = s.send(s.request(method, to_tag="x" if method == "ACK" else ""))
    assert not [m for m in answers if isinstance(m, Response) and m.status in (401, 407)]
    s.network.assert_idle()
