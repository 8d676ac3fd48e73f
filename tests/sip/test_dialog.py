"""Dialogs: route sets on both sides, loose and strict routers, target refresh, sequence numbers, forks, PRACK."""

from __future__ import annotations

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials
from cordboard.sip.digest import DigestServer
from cordboard.sip.flow import Answer, Query
from cordboard.sip.message import Request, Response
from cordboard.sip.uri import Uri
from tests.sip.support.network import ANSWER, OFFER
from tests.sip.support.scripted import Scripted

ROUTES = (("Record-Route", "<sip:10.0.1.1;lr>"), ("Record-Route", "<sip:10.0.1.2;lr>"))


def test_record_route_is_copied_to_our_2xx_and_used_in_order_by_the_uas() -> None:
    s = Scripted()
    session, _, _ = s.answered(headers=ROUTES)
    ok = next(m for m in s.outbox if isinstance(m, Response) and m.status == 200)
    assert ok.headers.get_all("Record-Route") == [value for _, value in ROUTES]
    s.core.bye(session, now=s.now)
    s.party.settle()
    bye = s.last(Request)
    assert [str(route) for route in bye.routes] == ["<sip:10.0.1.1;lr>", "<sip:10.0.1.2;lr>"]
    assert bye.uri_text == "sip:peer@10.0.0.7:5060"
    assert s.flows[-1].remote == ("10.0.1.1", 5060)
    s.finish()


def test_the_uac_reverses_the_route_set_and_uses_the_contact() -> None:
    s = Scripted()
    session, invite = s.calling()
    ack = s.respond(invite, 200, *ROUTES, body=ANSWER, contact="<sip:desk@10.0.0.8:5090>")[0]
    assert isinstance(ack, Request)
    assert ack.uri_text == "sip:desk@10.0.0.8:5090"
    assert [str(route) for route in ack.routes] == ["<sip:10.0.1.2;lr>", "<sip:10.0.1.1;lr>"]
    assert s.flows[-1].remote == ("10.0.1.2", 5060)
    assert ack.via.branch != invite.via.branch
    s.core.refer(session, Address(Uri.parse("sip:x@10.0.0.9")), now=s.now)
    s.party.settle()
    assert s.flows[-1].remote == ("10.0.1.2", 5060), "field lesson 2: REFER follows the Record-Route"
    s.finish()


def test_a_strict_router_takes_the_request_uri() -> None:
    s = Scripted()
    _, invite = s.calling()
    ack = s.respond(invite, 200, ("Record-Route", "<sip:10.0.1.9>"), body=ANSWER)[0]
    assert isinstance(ack, Request)
    assert ack.uri_text == "sip:10.0.1.9"
    assert [str(route) for route in ack.routes] == ["<sip:peer@10.0.0.7:5060>"]
    assert s.flows[-1].remote == ("10.0.1.9", 5060)
    s.finish()


def test_a_reinvite_refreshes_the_target() -> None:
    s = Scripted()
    session, _, tag = s.answered()
    s.send(s.request("INVITE", to_tag=tag, cseq=2, body=OFFER, headers=(("Contact", "<sip:peer@10.0.0.20:5062>"),)))
    s.core.answer_offer(session, ANSWER, now=s.now)
    s.party.settle()
    s.send(s.request("ACK", to_tag=tag, cseq=2, branch="z9hG4bKack2"))
    s.core.bye(session, now=s.now)
    s.party.settle()
    assert s.last(Request).uri_text == "sip:peer@10.0.0.20:5062"
    assert s.flows[-1].remote == ("10.0.0.20", 5062)
    s.finish()


def test_a_private_contact_from_a_public_source_is_answered_where_its_packets_come_from() -> None:
    s = Scripted()
    invite = s.request("INVITE", body=OFFER, headers=(("Contact", "<sip:peer@192.168.1.5:5060>"),))
    s.send(invite, ("203.0.113.9", 33333))
    call = s.party.of(e.IncomingCall)[0]
    assert isinstance(call, e.IncomingCall)
    s.core.answer(call.session, ANSWER, now=s.now)
    s.party.settle()
    tag = s.last(Response).to.tag or ""
    s.send(s.request("ACK", to_tag=tag, branch="z9hG4bKa"), ("203.0.113.9", 33333))
    s.core.bye(call.session, now=s.now)
    s.party.settle()
    assert s.last(Request).uri_text == "sip:peer@192.168.1.5:5060"
    assert s.flows[-1].remote == ("203.0.113.9", 33333)
    s.finish()


def test_a_lower_cseq_is_500() -> None:
    s = Scripted()
    _, _, tag = s.answered(cseq=10)
    assert s.status(s.request("INFO", to_tag=tag, cseq=9)) == 500
    assert s.status(s.request("INFO", to_tag=tag, cseq=12)) == 200
    s.finish()


def test_another_from_tag_is_another_dialog() -> None:
    s = Scripted()
    _, _, tag = s.answered()
    assert s.status(s.request("BYE", to_tag=tag, from_tag="stranger", cseq=2)) == 481
    s.finish()


def test_481_to_a_reinvite_ends_the_call() -> None:
    s = Scripted()
    session, _, _ = s.answered()
    s.core.reinvite(session, OFFER, now=s.now)
    s.party.settle()
    s.respond(s.last(Request), 481)
    ended = s.party.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.cause == "dialog_gone"
    s.finish()


def test_several_early_dialogs_and_a_second_2xx_is_acknowledged_and_ended() -> None:
    s = Scripted()
    session, invite = s.calling()
    s.respond(invite, 180, tag="one")
    s.respond(invite, 183, tag="two", body=ANSWER)
    assert s.core.counts()["dialogs"] == 2
    s.respond(invite, 200, tag="two", body=ANSWER)
    assert s.core.counts()["dialogs"] == 1
    late = s.respond(invite, 200, tag="one", body=ANSWER, contact="<sip:one@10.0.0.30>")
    assert [m.method for m in late if isinstance(m, Request)] == ["ACK", "BYE"]
    assert {m.uri_text for m in late if isinstance(m, Request)} == {"sip:one@10.0.0.30"}
    again = s.respond(invite, 200, tag="one", body=ANSWER)
    assert [m.method for m in again if isinstance(m, Request)] == ["ACK"]
    assert s.party.names() == ["Progress", "Progress", "Answered"]
    s.core.bye(session, now=s.now)
    s.party.settle()
    assert s.last(Request).to.tag == "two"
    s.finish()


def test_a_challenged_invite_is_sent_again_with_every_header_and_its_ack_carries_the_credentials() -> None:
    s = Scripted()
    server = DigestServer("pbx", b"0123456789abcdef")
    _, invite = s.calling(headers=[("X-Ticket", "42")], credentials=Credentials("user", "secret"))
    again = s.respond(invite, 401, ("WWW-Authenticate", str(server.challenges(0.0)[0])))
    assert [m.method for m in again if isinstance(m, Request)] == ["ACK", "INVITE"]
    second = s.last(Request)
    assert second.cseq.number == invite.cseq.number + 1
    assert second.call_id == invite.call_id
    assert second.from_.tag == invite.from_.tag
    assert second.via.branch != invite.via.branch
    assert second.headers.get("X-Ticket") == "42"
    assert second.body == OFFER
    assert server.verify(second, 0.0, lambda user: "secret").accepted
    ack = s.respond(second, 200, body=ANSWER)[0]
    assert ack.headers.get("Authorization") == second.headers.get("Authorization")
    assert ack.cseq.number == 2
    s.finish()


def test_a_redirection_is_reported_with_its_contacts() -> None:
    s = Scripted()
    _, invite = s.calling()
    s.respond(invite, 302, contact="<sip:elsewhere@10.0.0.40>")
    failed = s.party.of(e.Failed)[0]
    assert isinstance(failed, e.Failed)
    assert failed.response is not None
    assert failed.response.contact is not None
    assert failed.response.contact.uri.user == "elsewhere"
    s.finish()


def test_422_is_answered_with_a_longer_interval() -> None:
    s = Scripted()
    _, invite = s.calling()
    s.respond(invite, 422, ("Min-SE", "3600"))
    second = s.last(Request)
    assert second.method == "INVITE"
    assert second.session_expires is not None
    assert second.session_expires.seconds == 3600
    assert second.headers.get("Min-SE") == "3600"
    s.finish()


def test_a_reliable_180_is_acknowledged_once_and_in_order() -> None:
    s = Scripted()
    _, invite = s.calling()
    reliable = ("Require", "100rel")
    prack = s.respond(invite, 180, reliable, ("RSeq", "7"))[0]
    assert isinstance(prack, Request)
    assert prack.method == "PRACK"
    assert prack.headers.get("RAck") == "7 1 INVITE"
    assert s.respond(invite, 180, reliable, ("RSeq", "7")) == []
    assert s.respond(invite, 183, reliable, ("RSeq", "9")) == [], "a gap waits for the repetition"
    s.respond(prack, 200)
    following = s.respond(invite, 183, reliable, ("RSeq", "8"), body=ANSWER)[0]
    assert following.headers.get("RAck") == "8 1 INVITE"
    s.respond(following if isinstance(following, Request) else prack, 200)
    s.respond(invite, 200, body=ANSWER)
    assert s.party.names() == ["Progress", "Progress", "Answered"]
    s.finish()


def test_our_reliable_180_is_repeated_until_its_prack_and_the_200_waits_for_it() -> None:
    s = Scripted()
    session, _ = s.invited(headers=(("Require", "100rel"),))
    s.core.ring(session, 180, now=s.now)
    s.run(1.6)
    ringing = [m for m in s.outbox if isinstance(m, Response) and m.status == 180]
    assert len(ringing) == 3
    s.core.answer(session, ANSWER, now=s.now)
    s.party.settle()
    assert s.last(Response).status == 180
    tag = ringing[0].to.tag or ""
    rack = ("RAck", f"{ringing[0].headers.get('RSeq')} 1 INVITE")
    assert s.status(s.request("PRACK", to_tag=tag, cseq=2, headers=(("RAck", "1 1 INVITE"),))) == 481
    answers = s.send(s.request("PRACK", to_tag=tag, cseq=3, headers=(rack,)))
    assert [m.cseq.method for m in answers] == ["PRACK", "INVITE"]
    assert s.last(Response).status == 200
    s.send(s.request("ACK", to_tag=tag, branch="z9hG4bKack"))
    assert s.party.names() == ["IncomingCall", "Confirmed"]
    s.finish()


def test_a_host_name_is_resolved_by_srv_and_a_dead_target_is_passed_over() -> None:
    s = Scripted()
    records = s.network.records
    records[Query("SRV", "_sip._udp.example.com")] = [
        Answer("one.example.com", 5060, 1, 0),
        Answer("two.example.com", 5062, 2, 0),
    ]
    records[Query("A", "one.example.com")] = [Answer("10.0.0.51")]
    records[Query("A", "two.example.com")] = [Answer("10.0.0.52")]
    s.core.invite(Uri.parse("sip:desk@example.com"), from_=Address(Uri.parse("sip:a@10.0.0.1")), body=OFFER, now=s.now)
    s.run(40)
    remotes = [flow.remote for flow in s.flows]
    assert remotes[0] == ("10.0.0.51", 5060)
    assert ("10.0.0.52", 5062) in remotes
    assert remotes.index(("10.0.0.52", 5062)) == 7
    s.respond(s.last(Request), 503)
    assert s.party.names() == ["Failed"]
    s.finish()


def test_503_goes_to_the_next_target_at_once() -> None:
    s = Scripted()
    s.network.records[Query("A", "pbx.example.com")] = [Answer("10.0.0.51"), Answer("10.0.0.52")]
    s.core.invite(
        Uri.parse("sip:desk@pbx.example.com:5080"), from_=Address(Uri.parse("sip:a@10.0.0.1")), body=OFFER, now=s.now
    )
    s.run(0.1)
    first = s.last(Request)
    s.respond(first, 503)
    second = s.last(Request)
    assert second.method == "INVITE"
    assert s.flows[-1].remote == ("10.0.0.52", 5080)
    assert second.via.branch != first.via.branch
    s.respond(second, 200, body=ANSWER)
    assert s.party.names() == ["Answered"]
    s.finish()


def test_a_name_that_does_not_resolve_fails_the_call() -> None:
    s = Scripted()
    s.core.invite(Uri.parse("sip:desk@nowhere.invalid"), from_=Address(Uri.parse("sip:a@10.0.0.1")), now=s.now)
    s.run(10)
    failed = s.party.of(e.Failed)[0]
    assert isinstance(failed, e.Failed)
    assert (failed.status, failed.detail, failed.local) == (503, "resolution", True)
    s.finish()
