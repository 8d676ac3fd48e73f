"""REFER and its NOTIFYs in every order (RFC 3515, 4488, 6665), against a scripted peer and between two cores."""

from __future__ import annotations

import itertools

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials, EndpointConfig
from cordboard.sip.digest import DigestServer
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, parse_message, response_to
from cordboard.sip.uri import Uri
from tests.sip.support.network import ANSWER, OFFER, Network, Party

TARGET = Address(Uri.parse("sip:agent@10.0.0.9"))


class Peer:
    """A referee by hand: it answers what it is told and sends NOTIFYs as raw bytes."""

    def __init__(self) -> None:
        self.network = Network()
        self.alice = self.network.party("alice", "10.0.0.1")
        self.address = ("10.0.0.7", 5060)
        self.inbox: list[Request] = []
        self.network.drop = self._take
        self.cseq = 100
        self.session = ""
        self._invite()

    def _take(self, data: bytes, flow: Flow) -> bool:
        if flow.remote != self.address:
            return False
        message = parse_message(data)
        if isinstance(message, Request):
            self.inbox.append(message)
        return True

    def send(self, data: bytes) -> None:
        self.network.inject(self.alice, data, self.address)

    def answer(self, request: Request, status: int, *headers: tuple[str, str], body: bytes = b"") -> None:
        response = response_to(request, status, to_tag="peer")
        response.headers.add("Contact", "<sip:peer@10.0.0.7:5060>")
        response.headers.extend(headers)
        response.body = body
        self.send(response.serialize())

    def _invite(self) -> None:
        alice = self.alice
        self.session = alice.endpoint.invite(
            Uri.parse("sip:peer@10.0.0.7"),
            from_=alice.me,
            body=OFFER,
            credentials=Credentials("user", "secret"),
            now=self.network.now,
        )
        alice.settle()
        self.answer(self.inbox[-1], 200, ("Content-Type", "application/sdp"), body=ANSWER)
        self.dialog = self.inbox[0]

    def refer(self) -> Request:
        self.alice.endpoint.refer(self.session, TARGET, self.alice.me, [("X-Kept", "yes")], now=self.network.now)
        self.alice.settle()
        return self.inbox[-1]

    def request(self, method: str, body: bytes = b"", *headers: tuple[str, str], cseq: int | None = None) -> None:
        self.cseq += 1
        number = cseq if cseq is not None else self.cseq
        request = Request(
            method,
            "sip:alice@10.0.0.1:5060",
            [
                ("Via", f"SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bKp{self.cseq};rport"),
                ("Max-Forwards", "70"),
                ("From", "<sip:peer@10.0.0.7>;tag=peer"),
                ("To", self.dialog.headers.get("From") or ""),
                ("Call-ID", self.dialog.call_id),
                ("CSeq", f"{number} {method}"),
                *headers,
            ],
            body,
        )
        self.send(request.serialize())

    def notify(
        self, status: str, state: str = "active", *, event: str | None = "refer", cseq: int | None = None
    ) -> None:
        headers = [("Subscription-State", state), ("Content-Type", "message/sipfrag;version=2.0")]
        if event is not None:
            headers.append(("Event", event))
        self.request("NOTIFY", f"SIP/2.0 {status}\r\n".encode(), *headers, cseq=cseq)

    def story(self) -> list[str]:
        words = []
        for event in self.alice.events:
            if isinstance(event, e.ReferNotified):
                words.append(f"notified {event.status}")
            elif isinstance(event, e.ReferAccepted):
                words.append("accepted")
            elif isinstance(event, e.ReferRefused):
                words.append(f"refused {event.status}")
            elif isinstance(event, e.ReferEnded):
                words.append(f"over {event.reason}")
            elif isinstance(event, e.Ended):
                words.append("ended")
        return words

    def finish(self) -> None:
        self.alice.endpoint.hangup(self.session, now=self.network.now)
        self.alice.settle()
        if self.inbox[-1].method == "BYE":
            self.answer(self.inbox[-1], 200)
        self.network.run(400)
        self.network.assert_idle()


def test_the_usual_order() -> None:
    peer = Peer()
    refer = peer.refer()
    assert refer.refer_to == TARGET
    assert refer.referred_by is not None
    assert refer.headers.get("X-Kept") == "yes"
    peer.answer(refer, 202)
    peer.notify("100 Trying")
    peer.notify("180 Ringing")
    peer.notify("200 OK", "terminated;reason=noresource")
    assert peer.story() == ["accepted", "notified 100", "notified 180", "notified 200", "over noresource"]
    assert len(peer.alice.sent("200 OK")) == 3
    peer.finish()


ACTS = ("202", "100", "180", "final")


@pytest.mark.parametrize("order", list(itertools.permutations(ACTS)))
def test_every_order_of_202_and_notifies_ends_once_and_answers_all(order: tuple[str, ...]) -> None:
    peer = Peer()
    refer = peer.refer()
    numbers = {"100": 201, "180": 202, "final": 203}
    for act in order:
        if act == "202":
            peer.answer(refer, 202)
        elif act == "final":
            peer.notify("486 Busy Here", "terminated;reason=noresource", cseq=203)
        else:
            peer.notify(f"{act} X", cseq=numbers[act])
    story = peer.story()
    assert sum(word.startswith("over") for word in story) == 1
    assert "notified 486" in story
    assert story[-1] == "over noresource"
    # RFC 3261 §12.2.2: what comes late has a lower CSeq and is answered 500; nothing stays unanswered.
    answers = peer.alice.sent("SIP/2.0 200 OK") + peer.alice.sent("SIP/2.0 500")
    assert len(answers) == 3
    peer.finish()


def test_a_repeated_notify_is_answered_again_and_told_once() -> None:
    peer = Peer()
    peer.answer(peer.refer(), 202)
    peer.notify("180 Ringing")
    again = parse_message(peer.network.wire[-1][2])
    assert again is not None
    peer.cseq -= 1
    peer.notify("180 Ringing")
    assert peer.story() == ["accepted", "notified 180"]
    assert len(peer.alice.sent("200 OK")) == 2
    peer.finish()


def test_202_and_then_no_notify_ends_by_its_time_limit() -> None:
    peer = Peer()
    peer.answer(peer.refer(), 202)
    peer.network.run(301)
    assert peer.story() == ["accepted", "over expired"]
    peer.finish()


def test_a_bye_before_the_report_does_not_stop_the_report() -> None:
    peer = Peer()
    peer.answer(peer.refer(), 202)
    peer.request("BYE")
    peer.notify("200 OK", "terminated;reason=noresource")
    assert peer.story() == ["accepted", "ended", "notified 200", "over noresource"]
    peer.network.run(400)
    peer.network.assert_idle()


def test_a_bye_and_no_report_ends_the_subscription_soon() -> None:
    peer = Peer()
    peer.answer(peer.refer(), 202)
    peer.request("BYE")
    peer.network.run(33)
    assert peer.story() == ["accepted", "ended", "over expired"]
    peer.network.run(60)
    peer.network.assert_idle()


def test_a_refusal_is_told_with_its_status() -> None:
    peer = Peer()
    peer.answer(peer.refer(), 603)
    assert peer.story() == ["refused 603"]
    peer.finish()


def test_refer_that_nobody_answers_is_told() -> None:
    peer = Peer()
    peer.refer()
    peer.network.run(33)
    assert peer.story() == ["refused 408"]
    peer.finish()


def test_refer_sub_false_means_no_report() -> None:
    peer = Peer()
    peer.answer(peer.refer(), 200, ("Refer-Sub", "false"))
    assert peer.story() == ["accepted", "over no_subscription"]
    peer.finish()


def test_freeswitch_notify_without_event_and_with_id() -> None:
    peer = Peer()
    refer = peer.refer()
    peer.answer(refer, 202)
    peer.notify("100 Trying", event=None)
    peer.notify("200 OK", "terminated", event=f"refer;id={refer.cseq.number}")
    assert peer.story() == ["accepted", "notified 100", "notified 200", "over noresource"]
    peer.finish()


def test_asterisk_leaves_the_subscription_open_after_the_final_notify() -> None:
    peer = Peer()
    peer.answer(peer.refer(), 202)
    peer.notify("200 OK", "active")
    peer.network.run(33)
    assert peer.story() == ["accepted", "notified 200", "over expired"]
    peer.finish()


def test_a_challenged_refer_is_sent_again_with_credentials_and_every_header() -> None:
    peer = Peer()
    refer = peer.refer()
    server = DigestServer("pbx", b"0123456789abcdef")
    challenge = str(server.challenges(0.0)[0])
    peer.answer(refer, 407, ("Proxy-Authenticate", challenge))
    again = peer.inbox[-1]
    assert again.method == "REFER"
    assert again.cseq.number == refer.cseq.number + 1
    assert again.headers.get("X-Kept") == "yes"
    assert again.headers.get("Refer-To") == refer.headers.get("Refer-To")
    assert server.verify(again, 0.0, lambda user: "secret", header="Proxy-Authorization").accepted
    peer.answer(again, 202)
    peer.notify("200 OK", "terminated", event=f"refer;id={again.cseq.number}")
    assert peer.story() == ["accepted", "notified 200", "over noresource"]
    peer.finish()


def test_wrong_credentials_are_refused_and_not_tried_for_ever() -> None:
    peer = Peer()
    server = DigestServer("pbx", b"0123456789abcdef")
    refer = peer.refer()
    for _ in range(10):
        last = peer.inbox[-1]
        peer.answer(last, 401, ("WWW-Authenticate", str(server.challenges(0.0)[0])))
    assert peer.story() == ["refused 401"]
    assert len([r for r in peer.inbox if r.method == "REFER"]) == 2
    assert refer.method == "REFER"
    peer.finish()


def test_a_notify_without_any_refer_is_481() -> None:
    peer = Peer()
    peer.notify("200 OK")
    assert len(peer.alice.sent("481")) == 1
    peer.finish()


def test_a_notify_that_cannot_be_read_is_answered_and_told_as_unknown() -> None:
    peer = Peer()
    peer.answer(peer.refer(), 202)
    peer.request("NOTIFY", b"hello", ("Event", "refer"), ("Subscription-State", "terminated;reason=giveup"))
    assert peer.story() == ["accepted", "notified 0", "over giveup"]
    peer.finish()


def two(accept: bool) -> tuple[Network, Party, Party, str, str]:
    network = Network()
    alice = network.party("alice", "10.0.0.1")
    bob = network.party("bob", "10.0.0.2", EndpointConfig(accept_refer=lambda flow: accept))
    session = alice.endpoint.invite(bob.uri, from_=alice.me, body=OFFER, now=network.now)
    network.run(0.1)
    incoming = bob.of(e.IncomingCall)[0]
    assert isinstance(incoming, e.IncomingCall)
    bob.endpoint.answer(incoming.session, ANSWER, now=network.now)
    network.run(0.1)
    alice.endpoint.refer(session, TARGET, now=network.now)
    network.run(0.1)
    return network, alice, bob, session, incoming.session


def test_refer_is_refused_unless_the_policy_allows_it() -> None:
    network, alice, _, session, _ = two(False)
    refused = alice.of(e.ReferRefused)[0]
    assert isinstance(refused, e.ReferRefused)
    assert refused.status == 603
    alice.endpoint.bye(session, now=network.now)
    network.run(60)
    network.assert_idle()


def test_an_accepted_refer_is_reported_to_its_end() -> None:
    network, alice, bob, session, incoming = two(True)
    asked = bob.of(e.ReferRequested)[0]
    assert isinstance(asked, e.ReferRequested)
    assert asked.refer_to == TARGET
    bob.endpoint.accept_refer(incoming, now=network.now)
    network.run(0.1)
    bob.endpoint.notify_refer(incoming, 180, now=network.now)
    network.run(0.1)
    bob.endpoint.notify_refer(incoming, 200, final=True, now=network.now)
    network.run(0.1)
    assert alice.names()[-5:] == ["ReferAccepted", "ReferNotified", "ReferNotified", "ReferNotified", "ReferEnded"]
    alice.endpoint.bye(session, now=network.now)
    network.run(60)
    network.assert_idle()
