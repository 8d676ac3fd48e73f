"""Lines of docs/rfc.md on dialogs and offers: what ends a dialog, what crosses an offer, PRACK, UPDATE, timers."""

from __future__ import annotations

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.message import Request, Response
from cordboard.sip.uri import Uri
from tests.sip.support.network import ANSWER, OFFER, Network, Party
from tests.sip.support.scripted import Scripted

RELIABLE = ("Require", "100rel")


def up(s: Scripted) -> tuple[str, Request]:
    """A call of ours that is answered; session and INVITE."""
    session, invite = s.calling()
    s.respond(invite, 200, ("Allow", "INVITE, ACK, BYE, UPDATE"), body=ANSWER)
    return session, invite


def in_dialog(s: Scripted, invite: Request, method: str, cseq: int, **options: object) -> Request:
    """A request of the called side in our dialog."""
    return s.request(
        method,
        to_tag=invite.from_.tag or "",
        call_id=invite.call_id,
        cseq=cseq,
        uri="sip:cordboard@10.0.0.1:5060",
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("status", [408, 481])
def test_line_20_a_dialog_that_the_peer_does_not_know_is_ended(status: int) -> None:
    """Protects against a dead leg that stays up for hours (RFC 3261 §12.2.1.2)."""
    s = Scripted()
    session, _ = up(s)
    s.core.reinvite(session, OFFER, now=s.now)
    s.party.settle()
    s.respond(s.last(Request), status)
    assert s.methods()[-1] == "BYE"
    ended = s.party.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.cause == "dialog_gone"
    s.finish()


def test_line_20_a_reinvite_that_nobody_answers_ends_the_call() -> None:
    """Protects the caller from a person whose telephone is gone: 408 by our own timer counts too."""
    s = Scripted()
    session, _ = up(s)
    s.core.reinvite(session, OFFER, now=s.now)
    s.run(40)
    assert [type(event).__name__ for event in s.party.events[-2:]] == ["OfferRefused", "Ended"]
    s.finish()


def test_line_20_other_refusals_end_their_usage_only() -> None:
    """Protects a call from a refused change: 488, 403 and 501 leave it up (RFC 5057 §5.1)."""
    s = Scripted()
    session, _ = up(s)
    for status in (403, 488, 501):
        s.core.reinvite(session, OFFER, now=s.now)
        s.party.settle()
        s.respond(s.last(Request), status)
    assert s.party.of(e.Ended) == []
    assert [event.status for event in s.party.events if isinstance(event, e.OfferRefused)] == [403, 488, 501]
    s.finish()


def test_line_24_an_invite_that_comes_before_our_answer_gets_500_and_one_that_crosses_ours_491() -> None:
    """Protects the order of offers: exactly one is open (RFC 3261 §14.2)."""
    s = Scripted()
    session, invite = up(s)
    assert s.status(in_dialog(s, invite, "INVITE", 1, body=OFFER)) is None
    answers = s.send(in_dialog(s, invite, "INVITE", 2, body=OFFER))
    refusal = next(m for m in answers if isinstance(m, Response))
    assert refusal.status == 500
    assert 0 <= int(refusal.headers.get("Retry-After") or "-1") <= 10
    s.core.answer_offer(session, ANSWER, now=s.now)
    s.party.settle()
    s.send(in_dialog(s, invite, "ACK", 1, branch="z9hG4bKack1"))
    s.core.reinvite(session, OFFER, now=s.now)
    s.party.settle()
    assert s.status(in_dialog(s, invite, "INVITE", 3, body=OFFER)) == 491
    s.finish()


@pytest.mark.parametrize(("ours", "least", "most"), [(True, 2.1, 4.0), (False, 0.0, 2.0)])
def test_line_24_the_wait_after_491_depends_on_who_owns_the_call_id(ours: bool, least: float, most: float) -> None:
    """Protects against two sides that retry in step for ever (RFC 3261 §14.1)."""
    s = Scripted()
    if ours:
        session, _ = up(s)
    else:
        session, _, _ = s.answered()
    s.core.reinvite(session, OFFER, now=s.now)
    s.party.settle()
    first = s.last(Request)
    s.respond(first, 491)
    begun = s.now
    s.run(least - 0.05)
    assert s.methods().count("INVITE") == (2 if ours else 1) or not ours
    s.run(most - least + 0.2)
    again = s.last(Request)
    assert again.method == "INVITE"
    assert again.cseq.number > first.cseq.number
    assert s.now - begun <= most + 0.2
    s.finish()


def test_line_25_an_invite_without_an_offer_gets_ours_in_the_2xx_and_the_answer_in_the_ack() -> None:
    """Protects calls from gateways that leave the offer to us (RFC 3261 §13.2.1, RFC 6337 §2.1)."""
    s = Scripted()
    s.send(s.request("INVITE"))
    incoming = s.party.of(e.IncomingCall)[0]
    assert isinstance(incoming, e.IncomingCall)
    assert incoming.offer is None
    s.core.answer(incoming.session, OFFER, now=s.now)
    s.party.settle()
    ok = s.last(Response)
    assert ok.body == OFFER
    s.send(s.request("ACK", to_tag=ok.to.tag or "", branch="z9hG4bKack", body=ANSWER))
    confirmed = s.party.of(e.Confirmed)[0]
    assert isinstance(confirmed, e.Confirmed)
    assert confirmed.body == ANSWER
    s.finish()


def test_line_38_an_offer_in_a_reliable_response_is_answered_in_its_prack() -> None:
    """Protects early media of a call without an offer in the INVITE (RFC 3262 §5)."""
    s = Scripted()
    session, invite = s.calling(body=b"")
    s.respond(invite, 183, RELIABLE, ("RSeq", "3"), body=OFFER)
    assert s.party.names() == ["Progress", "Offered"]
    assert "PRACK" not in s.methods()
    s.core.answer_offer(session, ANSWER, now=s.now)
    s.party.settle()
    prack = s.last(Request)
    assert (prack.method, prack.body, prack.headers.get("RAck")) == ("PRACK", ANSWER, "3 1 INVITE")
    s.respond(prack, 200)
    s.respond(invite, 200)
    answered = s.party.of(e.Answered)[0]
    assert isinstance(answered, e.Answered)
    assert not answered.needs_answer
    s.finish()


def test_line_38_a_prack_may_carry_an_offer_of_the_caller() -> None:
    """Protects a caller that changes its media while we ring (RFC 3262 §5)."""
    s = Scripted()
    session, _ = s.invited(headers=(RELIABLE,))
    s.core.ring(session, 183, body=ANSWER, now=s.now)
    s.party.settle()
    ringing = s.last(Response)
    rack = ("RAck", f"{ringing.headers.get('RSeq')} 1 INVITE")
    prack = s.request("PRACK", to_tag=ringing.to.tag or "", cseq=2, headers=(rack,), body=OFFER)
    assert s.status(prack) is None
    offered = s.party.of(e.Offered)[0]
    assert isinstance(offered, e.Offered)
    assert offered.method == "PRACK"
    s.core.answer_offer(session, ANSWER, now=s.now)
    s.party.settle()
    assert (s.last(Response).status, s.last(Response).body) == (200, ANSWER)
    s.finish()


def test_line_38_without_any_prack_the_call_is_refused_with_504() -> None:
    """Protects the tables from a caller that requires 100rel and never acknowledges (RFC 3262 §3)."""
    s = Scripted()
    session, _ = s.invited(headers=(RELIABLE,))
    s.core.ring(session, 180, now=s.now)
    s.run(33)
    failed = s.party.of(e.Failed)[0]
    assert isinstance(failed, e.Failed)
    assert (failed.status, failed.detail) == (504, "no_prack")
    s.finish()


def test_line_39_an_update_that_crosses_an_open_offer_is_491_or_500() -> None:
    """Protects the order of offers where an UPDATE is one of them (RFC 3311 §5.2)."""
    s = Scripted()
    session, invite = up(s)
    s.core.update(session, OFFER, now=s.now)
    s.party.settle()
    assert s.status(in_dialog(s, invite, "UPDATE", 1, body=OFFER)) == 491
    s.respond(s.last(Request), 200, body=ANSWER)
    assert s.status(in_dialog(s, invite, "UPDATE", 2, body=OFFER)) is None
    refusal = s.send(in_dialog(s, invite, "UPDATE", 3, body=OFFER))[0]
    assert isinstance(refusal, Response)
    assert refusal.status == 500
    assert refusal.headers.get("Retry-After") is not None
    s.finish()


def test_line_39_an_update_before_the_first_answer_is_refused() -> None:
    """Protects the first offer of a ringing call: 500 from the called side, 491 from the caller (RFC 3311 §5.2)."""
    s = Scripted()
    session, _ = s.invited()
    s.core.ring(session, now=s.now)
    s.party.settle()
    tag = s.last(Response).to.tag or ""
    assert s.status(s.request("UPDATE", to_tag=tag, cseq=2, body=OFFER)) == 500
    s.finish()
    s = Scripted()
    _, invite = s.calling()
    s.respond(invite, 183, RELIABLE, ("RSeq", "1"))
    assert s.status(in_dialog(s, invite, "UPDATE", 1, body=OFFER)) == 491
    s.finish()


def test_line_39_an_update_that_nobody_answers_in_time_gets_504() -> None:
    """Protects the peer's non-INVITE transaction, which cannot wait for a person (RFC 3311 §5.2)."""
    s = Scripted(EndpointConfig(answer_timeout=5))
    _, invite = up(s)
    assert s.status(in_dialog(s, invite, "UPDATE", 1, body=OFFER)) is None
    s.run(6)
    assert s.last(Response).status == 504
    s.finish()


def test_line_40_a_session_that_the_peer_stops_refreshing_ends_with_bye_and_reason() -> None:
    """Protects against a call that stays up behind a dead gateway (RFC 4028 §10)."""
    s = Scripted()
    _, invite = s.calling()
    s.respond(invite, 200, ("Session-Expires", "90;refresher=uas"), ("Require", "timer"), body=ANSWER)
    s.run(59)
    assert s.party.of(e.Ended) == []
    s.run(2)  # a third of the interval before its end
    ended = s.party.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.cause == "session_expired"
    bye = next(m for m in s.outbox if isinstance(m, Request) and m.method == "BYE")
    assert "session expired" in (bye.headers.get("Reason") or "")
    s.finish()


@pytest.mark.parametrize(
    ("asked", "answered", "we_refresh"),
    [
        ("1800;refresher=uac", "1800;refresher=uac", False),
        ("1800;refresher=uas", "1800;refresher=uas", True),
        ("1800", "1800;refresher=uac", False),
    ],
)
def test_line_40_the_refresher_is_the_one_that_was_agreed(asked: str, answered: str, we_refresh: bool) -> None:
    """Protects against two refreshers, and against none (RFC 4028 §9, table 2)."""
    s = Scripted()
    s.answered(headers=(("Session-Expires", asked), ("Supported", "timer")))
    ok = next(m for m in s.outbox if isinstance(m, Response) and m.status == 200)
    assert ok.headers.get("Session-Expires") == answered
    s.run(901)
    assert ("INVITE" in s.methods() or "UPDATE" in s.methods()) is we_refresh
    s.finish()


def test_line_40_an_interval_that_is_too_small_is_422_before_and_during_the_call() -> None:
    """Protects us from a peer that wants a refresh every few seconds (RFC 4028 §9)."""
    s = Scripted()
    small = (("Session-Expires", "30"), ("Supported", "timer"))
    refusal = s.send(s.request("INVITE", body=OFFER, headers=small))[0]
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.headers.get("Min-SE")) == (422, "90")
    _, _, tag = s.answered(call_id="second")
    assert s.status(s.request("UPDATE", to_tag=tag, call_id="second", cseq=2, headers=small)) == 422
    s.finish()


REPLACED = "Replaces"


def test_line_44_replaces_of_an_unknown_dialog_is_481_and_early_only_of_a_running_one_486() -> None:
    """Protects an attended transfer from taking over the wrong call (RFC 3891 §3)."""
    s = Scripted()
    unknown = ((REPLACED, "nobody@10.0.0.7;to-tag=a;from-tag=b"),)
    assert s.status(s.request("INVITE", call_id="new", body=OFFER, headers=unknown)) == 481
    _, invite, tag = s.answered()
    named = f"{invite.call_id};to-tag={tag};from-tag=peer"
    early = ((REPLACED, f"{named};early-only"),)
    assert s.status(s.request("INVITE", call_id="early", cseq=7, body=OFFER, headers=early)) == 486
    s.finish()


def test_line_44_an_answered_replacement_ends_the_replaced_call() -> None:
    """Protects the attended transfer itself: one call goes on, the other ends with BYE (RFC 3891 §3)."""
    s = Scripted()
    session, invite, tag = s.answered()
    header = ((REPLACED, f"{invite.call_id};to-tag={tag};from-tag=peer"),)
    s.send(s.request("INVITE", call_id="new", cseq=9, from_tag="third", body=OFFER, headers=header))
    incoming = s.party.of(e.IncomingCall)[-1]
    assert isinstance(incoming, e.IncomingCall)
    assert incoming.replaces == session
    s.core.answer(incoming.session, ANSWER, now=s.now)
    s.party.settle()
    assert s.last(Request).method == "BYE"
    ended = s.party.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.session == session
    s.finish()


def test_line_44_a_call_that_is_over_is_603() -> None:
    """Protects a subscription that outlives its call from being taken for the call (RFC 3891 §3)."""
    s = Scripted()
    session, invite, tag = s.answered()
    s.core.refer(session, Address(Uri.parse("sip:x@10.0.0.9")), now=s.now)
    s.party.settle()
    s.respond(s.last(Request), 202)
    s.send(s.request("BYE", to_tag=tag, cseq=2))
    header = ((REPLACED, f"{invite.call_id};to-tag={tag};from-tag=peer"),)
    assert s.status(s.request("INVITE", call_id="new", cseq=9, body=OFFER, headers=header)) == 603
    s.finish()


def test_line_43_referred_by_and_target_dialog_go_out_as_they_are_given() -> None:
    """Protects the identity of who asked for a transfer (RFC 3892 §2.1, RFC 4538 §4)."""
    s = Scripted()
    session, _ = up(s)
    s.core.refer(
        session,
        Address(Uri.parse("sip:desk@10.0.0.9")),
        Address(Uri.parse("sip:agent@10.0.0.1")),
        [("Target-Dialog", "a@b;local-tag=c;remote-tag=d")],
        now=s.now,
    )
    s.party.settle()
    refer = s.last(Request)
    assert refer.headers.get("Referred-By") == "<sip:agent@10.0.0.1>"
    assert refer.headers.get("Target-Dialog") == "a@b;local-tag=c;remote-tag=d"
    s.finish()


def test_line_43_the_peers_referred_by_is_told() -> None:
    """Protects the policy that decides whom a REFER may send us to (RFC 3892 §2.1)."""
    s = Scripted(EndpointConfig(accept_refer=lambda flow: True))
    _, _, tag = s.answered()
    headers = (
        ("Refer-To", "<sip:x@10.0.0.9?Replaces=a%40b%3Bto-tag%3Dc%3Bfrom-tag%3Dd>"),
        ("Referred-By", "<sip:boss@10.0.0.7>"),
    )
    s.send(s.request("REFER", to_tag=tag, cseq=2, headers=headers))
    asked = s.party.of(e.ReferRequested)[0]
    assert isinstance(asked, e.ReferRequested)
    assert str(asked.referred_by) == "<sip:boss@10.0.0.7>"
    assert asked.replaces == "a@b;to-tag=c;from-tag=d"
    s.finish()


def test_line_42_refer_sub_false_of_the_peer_gets_200_and_no_notify() -> None:
    """Protects a peer that wants no subscription (RFC 4488 §4)."""
    s = Scripted(EndpointConfig(accept_refer=lambda flow: True))
    session, _, tag = s.answered()
    headers = (("Refer-To", "<sip:x@10.0.0.9>"), ("Refer-Sub", "false"))
    s.send(s.request("REFER", to_tag=tag, cseq=2, headers=headers))
    s.core.accept_refer(session, now=s.now)
    s.party.settle()
    answer = s.last(Response)
    assert (answer.status, answer.headers.get("Refer-Sub")) == (200, "false")
    assert "NOTIFY" not in s.methods()
    assert "norefersub" in s.core.config.supported
    s.finish()


def test_line_41_a_refer_without_exactly_one_refer_to_is_400() -> None:
    """Protects the transfer policy from a REFER with two destinations (RFC 3515 §2.4.1)."""
    s = Scripted(EndpointConfig(accept_refer=lambda flow: True))
    _, _, tag = s.answered()
    assert s.status(s.request("REFER", to_tag=tag, cseq=2)) == 400
    two = (("Refer-To", "<sip:x@10.0.0.9>"), ("Refer-To", "<sip:y@10.0.0.9>"))
    assert s.status(s.request("REFER", to_tag=tag, cseq=3, headers=two)) == 400
    s.finish()


def test_rfc_6141_a_2xx_with_a_new_contact_moves_the_target_and_a_refusal_does_not() -> None:
    """Protects requests after a move: the BYE goes to where the peer is now (RFC 6141 §4.6)."""
    s = Scripted()
    session, _ = up(s)
    s.core.reinvite(session, OFFER, now=s.now)
    s.party.settle()
    s.respond(s.last(Request), 488, contact="<sip:wrong@10.0.0.66>")
    s.core.reinvite(session, OFFER, now=s.now)
    s.party.settle()
    s.respond(s.last(Request), 200, contact="<sip:moved@10.0.0.8:5090>", body=ANSWER)
    s.core.bye(session, now=s.now)
    s.party.settle()
    assert s.last(Request).uri_text == "sip:moved@10.0.0.8:5090"
    s.finish()


def test_a_bye_of_the_referrer_that_crosses_ours_after_the_report_ends_once() -> None:
    """Protects transfers by FreeSWITCH: NOTIFY 200 at once, and its BYE 20 ms later while ours is on its way."""
    network = Network(delay=(0.05, 0.05))
    bob = network.party("bob", "10.0.0.2", EndpointConfig(accept_refer=lambda flow: True))
    alice = network.party("alice", "10.0.0.1")

    def agent(party: Party, event: e.Event) -> None:
        if isinstance(event, e.ReferNotified) and event.final:
            party.endpoint.bye(event.session, now=network.now)

    def hang_up(party: Party, session: str) -> None:
        party.endpoint.hangup(session, now=network.now)
        party.settle()

    def switch(party: Party, event: e.Event) -> None:
        if isinstance(event, e.IncomingCall):
            party.endpoint.answer(event.session, ANSWER, now=network.now)
        elif isinstance(event, e.ReferRequested):
            party.endpoint.accept_refer(event.session, now=network.now)
            party.endpoint.notify_refer(event.session, 200, final=True, now=network.now)
            network.after(0.02, lambda: hang_up(party, event.session))

    alice.react(agent)
    bob.react(switch)
    session = alice.endpoint.invite(bob.uri, from_=alice.me, body=OFFER, now=network.now)
    network.run(1)
    alice.endpoint.refer(session, Address(Uri.parse("sip:x@10.0.0.9")), now=network.now)
    network.run(60)
    assert alice.sent("BYE")
    assert bob.sent("BYE")
    assert len(alice.of(e.Ended)) == len(bob.of(e.Ended)) == 1
    assert [event.status for event in alice.events if isinstance(event, e.ReferNotified)][-1] == 200
    network.assert_idle()
