"""Matching, repetition and routing of the transaction layer (RFC 3261 §17, §18.2; RFC 3581)."""

from __future__ import annotations

from cordboard.sip import events as e
from cordboard.sip.message import Request, Response, response_to
from cordboard.sip.uri import Uri
from tests.sip.support.network import OFFER
from tests.sip.support.scripted import Scripted


def responses(messages: list[Request | Response]) -> list[int]:
    return [m.status for m in messages if isinstance(m, Response)]


def test_an_invite_is_answered_100_at_once_and_a_repeated_one_gets_the_last_response_again() -> None:
    s = Scripted()
    invite = s.request("INVITE", body=OFFER)
    assert responses(s.send(invite)) == [100]
    assert responses(s.send(invite)) == [100]
    call = s.party.of(e.IncomingCall)[0]
    assert isinstance(call, e.IncomingCall)
    s.core.ring(call.session, now=s.now)
    s.party.settle()
    assert responses(s.send(invite)) == [180]
    assert len(s.party.of(e.IncomingCall)) == 1
    s.finish()


def test_a_refusal_is_repeated_by_timer_g_until_its_ack() -> None:
    s = Scripted()
    session, _ = s.invited()
    s.core.reject(session, 486, now=s.now)
    s.run(3)
    busy = [m for m in s.outbox if isinstance(m, Response) and m.status == 486]
    assert len(busy) == 3  # at 0, 0.5 and 1.5 s
    s.send(s.request("ACK", to_tag=busy[0].to.tag or "", branch="z9hG4bKINVITE1"))
    s.run(30)
    assert len([m for m in s.outbox if isinstance(m, Response) and m.status == 486]) == 3
    s.finish()


def test_the_same_branch_from_another_host_is_another_transaction() -> None:
    s = Scripted()
    s.send(s.request("INVITE", branch="z9hG4bKsame", body=OFFER))
    s.send(s.request("INVITE", branch="z9hG4bKsame", via="10.0.0.8:5060", call_id="other", body=OFFER))
    assert len(s.party.of(e.IncomingCall)) == 2
    s.finish()


def test_a_branch_without_the_cookie_is_matched_by_the_fields_of_rfc_2543() -> None:
    s = Scripted()
    old = s.request("INVITE", branch="1", body=OFFER)
    s.send(old)
    assert responses(s.send(old)) == [100]
    s.send(s.request("INVITE", branch="1", call_id="second", body=OFFER))
    assert len(s.party.of(e.IncomingCall)) == 2
    call = s.party.of(e.IncomingCall)[0]
    assert isinstance(call, e.IncomingCall)
    s.core.reject(call.session, 404, now=s.now)
    s.party.settle()
    tag = s.last(Response).to.tag or ""
    s.send(s.request("ACK", to_tag=tag, branch="1"))
    count = len(s.outbox)
    s.run(5)
    assert len(s.outbox) == count
    s.finish()


def test_a_merged_request_is_482() -> None:
    s = Scripted()
    s.send(s.request("INVITE", branch="z9hG4bKone", body=OFFER))
    assert s.status(s.request("INVITE", branch="z9hG4bKtwo", body=OFFER)) == 482
    s.finish()


def test_an_unmatched_cancel_is_481_and_an_unmatched_ack_is_silent() -> None:
    s = Scripted()
    assert s.status(s.request("CANCEL")) == 481
    assert s.send(s.request("ACK", to_tag="nobody")) == []
    s.finish()


def test_cancel_after_the_final_response_has_no_effect() -> None:
    s = Scripted()
    session, _ = s.invited()
    s.core.answer(session, OFFER, now=s.now)
    s.party.settle()
    assert s.status(s.request("CANCEL", branch="z9hG4bKINVITE1")) == 200
    assert s.party.of(e.Ended) == []
    s.finish()


def test_received_and_rport_name_the_source_and_the_response_goes_there() -> None:
    s = Scripted()
    options = s.request("OPTIONS", via="192.168.1.5:5060")
    answer = s.send(options, ("203.0.113.9", 33333))[0]
    assert answer.via.received == "203.0.113.9"
    assert answer.via.rport == 33333
    assert s.flows[-1].remote == ("203.0.113.9", 33333)


def test_without_rport_the_response_goes_to_the_port_of_sent_by() -> None:
    s = Scripted()
    options = s.request("OPTIONS", headers=(("Via", "SIP/2.0/UDP 192.168.1.5:5070;branch=z9hG4bKx"),))
    answer = s.send(options, ("203.0.113.9", 33333))[0]
    assert answer.via.received == "203.0.113.9"
    assert s.flows[-1].remote == ("203.0.113.9", 5070)


def test_a_response_is_matched_by_branch_and_method_and_has_one_via() -> None:
    s = Scripted()
    _, invite = s.calling()
    wrong = response_to(invite, 200, to_tag="x")
    wrong.headers.set("Via", str(invite.via).replace("z9hG4bK", "z9hG4bKother"))
    assert s.send(wrong) == []
    other = response_to(invite, 200, to_tag="x")
    other.headers.set("CSeq", "1 BYE")
    assert s.send(other) == []
    double = response_to(invite, 200, to_tag="x")
    double.headers.prepend("Via", "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKextra")
    assert s.send(double) == []
    assert s.party.names() == []
    s.finish()


def test_the_ack_of_a_refusal_repeats_branch_uri_and_route_and_is_sent_again() -> None:
    s = Scripted()
    _, invite = s.calling()
    first = s.respond(invite, 486)[0]
    again = s.respond(invite, 486)[0]
    assert isinstance(first, Request)
    assert first.method == "ACK"
    assert first.via.branch == invite.via.branch
    assert first.uri_text == invite.uri_text
    assert first.to.tag == "peer"
    assert first.serialize() == again.serialize()
    assert s.party.names() == ["Failed"]
    s.finish()


def test_a_request_without_answer_is_repeated_by_timers_e_and_f() -> None:
    s = Scripted()
    s.core.options(Uri.parse("sip:10.0.0.7"), now=s.now)
    s.run(40)
    # 0, .5, 1.5, 3.5, 7.5, 11.5, … 31.5 s
    assert s.methods() == ["OPTIONS"] * 11
    answered = s.party.of(e.OptionsAnswered)[0]
    assert isinstance(answered, e.OptionsAnswered)
    assert (answered.status, answered.response) == (408, None)
    s.finish()
