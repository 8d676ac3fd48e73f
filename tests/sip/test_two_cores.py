"""Two cores against each other in virtual time: the plain call, CANCEL, BYE, hold, over a clean network."""

from __future__ import annotations

from cordboard.sip import events as e
from tests.sip.support.network import ANSWER, OFFER, Network, Party


def pair() -> tuple[Network, Party, Party]:
    network = Network()
    return network, network.party("alice", "10.0.0.1"), network.party("bob", "10.0.0.2")


def call(network: Network, alice: Party, bob: Party, *, body: bytes = OFFER) -> tuple[str, str]:
    session = alice.endpoint.invite(bob.uri, from_=alice.me, body=body, now=network.now)
    network.run(0.1)
    incoming = bob.of(e.IncomingCall)[-1]
    assert isinstance(incoming, e.IncomingCall)
    return session, incoming.session


def established(network: Network, alice: Party, bob: Party) -> tuple[str, str]:
    session, incoming = call(network, alice, bob)
    bob.endpoint.answer(incoming, ANSWER, now=network.now)
    network.run(0.1)
    assert alice.of(e.Answered)
    assert bob.of(e.Confirmed)
    return session, incoming


def test_a_call_rings_is_answered_and_ends_with_nothing_left() -> None:
    network, alice, bob = pair()
    session, incoming = call(network, alice, bob)
    bob.endpoint.ring(incoming, now=network.now)
    network.run(0.1)
    bob.endpoint.answer(incoming, ANSWER, now=network.now)
    network.run(0.1)
    alice.endpoint.bye(session, [("X-Why", "done")], now=network.now)
    network.run(60)
    assert alice.names() == ["Progress", "Answered", "Ended"]
    assert bob.names() == ["IncomingCall", "Confirmed", "Ended"]
    ended = bob.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.cause == "bye"
    assert ended.headers is not None
    assert ended.headers.get("X-Why") == "done"
    network.assert_idle()


def test_the_called_side_may_end_it() -> None:
    network, alice, bob = pair()
    _, incoming = established(network, alice, bob)
    bob.endpoint.hangup(incoming, now=network.now)
    network.run(60)
    assert alice.names()[-1] == "Ended"
    network.assert_idle()


def test_cancel_waits_for_a_provisional_response_and_ends_the_ringing() -> None:
    network, alice, bob = pair()
    session = alice.endpoint.invite(bob.uri, from_=alice.me, body=OFFER, now=network.now)
    alice.endpoint.cancel(session, [("Reason", "SIP;cause=200")], now=network.now)
    alice.settle()
    assert alice.sent("CANCEL") == []
    network.run(60)
    assert alice.names() == ["Failed"]
    assert bob.names() == ["IncomingCall", "Ended"]
    ended = bob.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.cause == "cancelled"
    assert len(alice.sent("CANCEL")) == 1
    network.assert_idle()


def test_a_200_that_crosses_our_cancel_is_acknowledged_and_ended() -> None:
    network, alice, bob = pair()
    session, incoming = call(network, alice, bob)
    bob.endpoint.answer(incoming, ANSWER, now=network.now)
    alice.endpoint.cancel(session, now=network.now)
    network.run(60)
    assert alice.names() == ["Failed"]
    assert bob.names() == ["IncomingCall", "Confirmed", "Ended"]
    assert len(alice.sent("ACK")) == 1
    assert len(alice.sent("BYE")) == 1
    network.assert_idle()


def test_a_refusal_is_reported_with_its_status_and_acknowledged() -> None:
    network, alice, bob = pair()
    _, incoming = call(network, alice, bob)
    bob.endpoint.reject(incoming, 486, headers=[("Reason", "Q.850;cause=17")], now=network.now)
    network.run(60)
    failed = alice.of(e.Failed)[0]
    assert isinstance(failed, e.Failed)
    assert (failed.status, failed.q850, failed.local) == (486, 17, False)
    network.assert_idle()


def test_our_ring_limit_cancels_at_once() -> None:
    network, alice, bob = pair()
    alice.endpoint.invite(bob.uri, from_=alice.me, body=OFFER, timeout=5, now=network.now)
    network.run(5.01)
    failed = alice.of(e.Failed)[0]
    assert isinstance(failed, e.Failed)
    assert (failed.status, failed.local, failed.detail) == (408, True, "ring_timeout")
    network.run(60)
    assert bob.names() == ["IncomingCall", "Ended"]
    network.assert_idle()


def test_an_invite_that_nobody_hears_times_out_after_timer_b() -> None:
    network, alice, _ = pair()
    network.drop = lambda data, flow: True
    alice.endpoint.invite(alice.uri, from_=alice.me, body=OFFER, now=network.now)
    network.run(31)
    assert alice.names() == []
    network.run(40)
    failed = alice.of(e.Failed)[0]
    assert isinstance(failed, e.Failed)
    assert failed.detail == "transaction_timeout"
    assert len(alice.sent("INVITE")) == 7
    network.assert_idle()


def test_a_2xx_is_repeated_until_its_ack_and_every_repetition_is_acknowledged() -> None:
    network, alice, bob = pair()
    _, incoming = call(network, alice, bob)
    lost = iter((True, True))
    network.drop = lambda data, flow: data.startswith(b"ACK") and next(lost, False)
    bob.endpoint.answer(incoming, ANSWER, now=network.now)
    network.run(5)
    assert len(bob.sent("200")) == 3
    assert len(alice.sent("ACK")) == 3
    assert bob.names() == ["IncomingCall", "Confirmed"]
    assert alice.names() == ["Answered"]


def test_no_ack_ends_the_call_with_bye() -> None:
    network, alice, bob = pair()
    _, incoming = call(network, alice, bob)
    network.drop = lambda data, flow: data.startswith(b"ACK")
    bob.endpoint.answer(incoming, ANSWER, now=network.now)
    network.run(40)
    ended = bob.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.cause == "no_ack"
    assert alice.names() == ["Answered", "Ended"]
    network.run(60)
    network.assert_idle()


def test_the_callee_s_bye_waits_for_the_ack() -> None:
    network, alice, bob = pair()
    _, incoming = call(network, alice, bob)
    lost = iter((True,))
    network.drop = lambda data, flow: data.startswith(b"ACK") and next(lost, False)
    bob.endpoint.answer(incoming, ANSWER, now=network.now)
    bob.endpoint.bye(incoming, now=network.now)
    network.run(0.2)
    assert bob.names() == ["IncomingCall", "Ended"]
    assert bob.sent("BYE") == []
    network.run(60)
    assert len(bob.sent("BYE")) == 1
    assert alice.names() == ["Answered", "Ended"]
    network.assert_idle()


def test_hold_by_reinvite_both_ways() -> None:
    network, alice, bob = pair()
    session, incoming = established(network, alice, bob)
    for one, other, own in ((alice, bob, session), (bob, alice, incoming)):
        one.endpoint.reinvite(own, OFFER + b"a=sendonly\r\n", now=network.now)
        network.run(0.1)
        offered = other.of(e.Offered)[-1]
        assert isinstance(offered, e.Offered)
        assert offered.body.endswith(b"a=sendonly\r\n")
        other.endpoint.answer_offer(offered.session, ANSWER + b"a=recvonly\r\n", now=network.now)
        network.run(0.1)
        answered = one.of(e.OfferAnswered)[-1]
        assert isinstance(answered, e.OfferAnswered)
        assert answered.body.endswith(b"a=recvonly\r\n")
    alice.endpoint.bye(session, now=network.now)
    network.run(60)
    network.assert_idle()


def test_a_refused_reinvite_leaves_the_call_as_it_was() -> None:
    network, alice, bob = pair()
    session, incoming = established(network, alice, bob)
    alice.endpoint.reinvite(session, OFFER, now=network.now)
    network.run(0.1)
    bob.endpoint.reject_offer(incoming, 488, now=network.now)
    network.run(0.1)
    refused = alice.of(e.OfferRefused)[0]
    assert isinstance(refused, e.OfferRefused)
    assert refused.status == 488
    alice.endpoint.bye(session, now=network.now)
    network.run(60)
    network.assert_idle()


def test_glare_is_refused_with_491_and_tried_again() -> None:
    network, alice, bob = pair()
    session, incoming = established(network, alice, bob)

    def answer(party: Party, event: e.Event) -> None:
        if isinstance(event, e.Offered):
            party.endpoint.answer_offer(event.session, ANSWER, now=network.now)

    alice.react(answer)
    bob.react(answer)
    alice.endpoint.reinvite(session, OFFER, now=network.now)
    bob.endpoint.reinvite(incoming, OFFER, now=network.now)
    network.run(10)
    assert alice.sent("491")
    assert bob.sent("491")
    assert len(alice.of(e.OfferAnswered)) == 1
    assert len(bob.of(e.OfferAnswered)) == 1
    alice.endpoint.bye(session, now=network.now)
    network.run(60)
    network.assert_idle()


def test_a_delayed_offer_is_answered_in_the_ack() -> None:
    network, alice, bob = pair()
    session, incoming = call(network, alice, bob, body=b"")
    first = bob.of(e.IncomingCall)[0]
    assert isinstance(first, e.IncomingCall)
    assert first.offer is None
    bob.endpoint.answer(incoming, OFFER, now=network.now)
    network.run(0.1)
    answered = alice.of(e.Answered)[0]
    assert isinstance(answered, e.Answered)
    assert answered.needs_answer
    assert alice.sent("ACK") == []
    alice.endpoint.answer_offer(session, ANSWER, now=network.now)
    network.run(0.1)
    confirmed = bob.of(e.Confirmed)[0]
    assert isinstance(confirmed, e.Confirmed)
    assert confirmed.body == ANSWER
    alice.endpoint.bye(session, now=network.now)
    network.run(60)
    network.assert_idle()


def test_update_changes_the_media_of_a_running_call() -> None:
    network, alice, bob = pair()
    session, incoming = established(network, alice, bob)
    alice.endpoint.update(session, OFFER, now=network.now)
    network.run(0.1)
    offered = bob.of(e.Offered)[0]
    assert isinstance(offered, e.Offered)
    assert offered.method == "UPDATE"
    bob.endpoint.answer_offer(incoming, ANSWER, now=network.now)
    network.run(0.1)
    assert len(alice.of(e.OfferAnswered)) == 1
    alice.endpoint.bye(session, now=network.now)
    network.run(60)
    network.assert_idle()


def test_info_is_carried_and_answered() -> None:
    network, alice, bob = pair()
    session, _ = established(network, alice, bob)
    alice.endpoint.info(session, "application/dtmf-relay", b"Signal=5\r\n", now=network.now)
    network.run(0.1)
    info = bob.of(e.InfoReceived)[0]
    assert isinstance(info, e.InfoReceived)
    assert (info.content_type, info.body) == ("application/dtmf-relay", b"Signal=5\r\n")
    answered = alice.of(e.InfoAnswered)[0]
    assert isinstance(answered, e.InfoAnswered)
    assert answered.status == 200


def test_options_is_answered_and_refused_while_draining() -> None:
    network, alice, bob = pair()
    alice.endpoint.options(bob.uri, now=network.now)
    network.run(0.1)
    bob.endpoint.draining = True
    alice.endpoint.options(bob.uri, now=network.now)
    alice.endpoint.invite(bob.uri, from_=alice.me, body=OFFER, now=network.now)
    network.run(60)
    answers = [event.status for event in alice.events if isinstance(event, e.OptionsAnswered)]
    assert answers == [200, 503]
    failed = alice.of(e.Failed)[0]
    assert isinstance(failed, e.Failed)
    assert failed.status == 503
    assert failed.response is not None
    assert failed.response.headers.get("Retry-After") == "10"
    network.assert_idle()


def test_a_session_is_refreshed_by_the_side_whose_turn_it_is() -> None:
    network, alice, bob = pair()
    established(network, alice, bob)
    network.run(1000)
    assert len(alice.sent("UPDATE")) == 1
    network.drop = lambda data, flow: True
    network.run(1900)
    assert alice.names()[-1] == "Ended"
    assert bob.names()[-1] == "Ended"
    ended = bob.of(e.Ended)[0]
    assert isinstance(ended, e.Ended)
    assert ended.cause == "session_expired"
    network.run(60)
    network.assert_idle()
    assert alice.of(e.Ended)
