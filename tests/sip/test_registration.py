"""REGISTER both ways, in virtual time: our registrations at gateways, and the small registrar for test phones."""

from __future__ import annotations

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials, EndpointConfig
from cordboard.sip.message import Request, Response
from cordboard.sip.uri import Uri
from tests.sip.support.network import OFFER, Network, Party
from tests.sip.support.scripted import Scripted

REGISTRAR = Uri.parse("sip:10.0.0.7")
ME = Address(Uri.parse("sip:trunk@10.0.0.7"))


def registering(**options: object) -> tuple[Scripted, str]:
    s = Scripted()
    identifier = s.core.register(REGISTRAR, ME, credentials=Credentials("trunk", "secret"), now=s.now, **options)  # type: ignore[arg-type]
    s.party.settle()
    return s, identifier


def test_a_registration_is_refreshed_before_its_end_with_the_same_call_id() -> None:
    """Protects calls to us: a binding that runs out makes us unreachable (RFC 3261 §10.2.4)."""
    s, _ = registering(expires=600)
    first = s.last(Request)
    assert (first.method, first.uri_text, first.headers.get("Expires")) == ("REGISTER", "sip:10.0.0.7", "600")
    contact = first.headers.get("Contact")
    s.respond(first, 200, ("Contact", f"{contact};expires=300"), contact="")
    assert [event.expires for event in s.party.of(e.RegistrationKept)] == [300]  # type: ignore[union-attr]
    s.run(209)
    assert len(s.methods()) == 1
    s.run(62)
    second = s.last(Request)
    assert second.cseq.number == first.cseq.number + 1
    assert second.call_id == first.call_id


def test_a_challenge_is_answered_and_423_makes_the_time_longer() -> None:
    """Protects registrations at registrars with digest and with a shortest time (§10.2.8, §22.2)."""
    s, _ = registering(expires=60)
    s.respond(s.last(Request), 401, ("WWW-Authenticate", 'Digest realm="x", nonce="n", qop="auth"'))
    assert "Authorization" in s.last(Request).headers
    s.respond(s.last(Request), 423, ("Min-Expires", "1800"))
    longer = s.last(Request)
    assert longer.headers.get("Expires") == "1800"
    s.respond(longer, 200, ("Expires", "1800"))
    assert [event.expires for event in s.party.of(e.RegistrationKept)] == [1800]  # type: ignore[union-attr]


def test_failures_wait_longer_each_time_and_never_longer_than_the_limit() -> None:
    """Protects a registrar that comes back from all its clients at once (RFC 5626 §4.5)."""
    s, _ = registering(retry=10.0, retry_most=100.0)
    waits = []
    for _ in range(6):
        s.respond(s.last(Request), 503)
        failed = s.party.of(e.RegistrationFailed)[-1]
        assert isinstance(failed, e.RegistrationFailed)
        waits.append(failed.retry_in)
        s.run(failed.retry_in + 0.1)
    for wait, base in zip(waits, (10, 20, 40, 80, 100, 100), strict=True):
        assert base / 2 <= wait <= base
    s.respond(s.last(Request), 200)
    assert s.party.of(e.RegistrationKept)


@pytest.mark.parametrize("status", [403, 404])
def test_what_only_a_person_can_mend_is_tried_rarely(status: int) -> None:
    """Protects an account from being locked because we go on with a wrong password."""
    s, _ = registering(retry=1.0, retry_most=1000.0)
    s.respond(s.last(Request), status)
    failed = s.party.of(e.RegistrationFailed)[-1]
    assert isinstance(failed, e.RegistrationFailed)
    assert failed.status == status
    assert failed.retry_in >= 500


def test_a_dead_registrar_is_left_for_the_next_one_of_the_dns() -> None:
    """Protects reachability when one of a gateway's registrars is down (RFC 3263 §4.3)."""
    s = Scripted()
    from cordboard.sip.flow import Answer, Query

    s.network.records[Query("SRV", "_sip._udp.carrier.test")] = [
        Answer("a.carrier.test", 5060, 1, 1),
        Answer("b.carrier.test", 5060, 2, 1),
    ]
    s.network.records[Query("A", "a.carrier.test")] = [Answer("10.0.0.8")]
    s.network.records[Query("A", "b.carrier.test")] = [Answer("10.0.0.9")]
    s.core.register(Uri.parse("sip:carrier.test"), ME, now=s.now)
    s.run(1)
    assert s.flows[-1].remote[0] == "10.0.0.8"
    s.run(40)
    assert s.flows[-1].remote[0] == "10.0.0.9"
    assert not s.party.of(e.RegistrationFailed)


def test_the_binding_is_taken_away_at_the_end_and_nothing_stays() -> None:
    """Protects a registrar from sending calls to a process that is gone (§10.2.2)."""
    s, identifier = registering()
    s.respond(s.last(Request), 200)
    s.core.unregister(identifier, now=s.now)
    s.party.settle()
    assert s.last(Request).headers.get("Expires") == "0"
    s.respond(s.last(Request), 200)
    assert s.party.of(e.RegistrationEnded)
    s.finish()


# The registrar --------------------------------------------------------------------------------------------------------


def registrar() -> Scripted:
    config = EndpointConfig(registrar=True)
    config.allow = (*config.allow, "REGISTER")
    return Scripted(config)


def register(s: Scripted, contact: str, cseq: int = 1, expires: str = "", call_id: str = "r") -> Response:
    fields = [("Contact", contact), ("To", "<sip:1001@10.0.0.1>")]
    if expires:
        fields.append(("Expires", expires))
    answer = s.send(
        s.request("REGISTER", cseq=cseq, call_id=call_id, branch=f"z9hG4bK{call_id}{cseq}", headers=tuple(fields))
    )[-1]
    assert isinstance(answer, Response)
    return answer


def test_a_phone_registers_and_is_called_where_its_register_came_from() -> None:
    """Protects test phones behind a NAT: the Contact says what only their own network understands."""
    s = registrar()
    answer = register(s, "<sip:1001@192.168.7.7:5062>;expires=120")
    assert (answer.status, answer.headers.get("Contact")) == (200, "<sip:1001@192.168.7.7:5062>;expires=120")
    s.calling("sip:1001@10.0.0.1")
    assert s.last(Request).uri_text == "sip:1001@192.168.7.7:5062"
    assert s.flows[-1].remote == ("10.0.0.7", 5060)


def test_the_registrar_keeps_order_limits_and_time() -> None:
    """Protects its table: old requests, too short times, wildcards and expiry by the rules of §10.3."""
    s = registrar()
    assert register(s, "<sip:1001@10.0.0.7>;expires=5").headers.get("Min-Expires") == "60"
    assert register(s, "<sip:1001@10.0.0.7>", cseq=5).status == 200
    assert register(s, "<sip:1001@10.0.0.7>", cseq=4).status == 500
    assert register(s, "*", cseq=6).status == 400
    assert register(s, "<sip:1001@10.0.0.8>", cseq=7, expires="100").status == 200
    assert s.core.counts()["bindings"] == 2
    assert register(s, "*", cseq=8, expires="0").status == 200
    assert s.core.counts()["bindings"] == 0
    register(s, "<sip:1001@10.0.0.7>;expires=60", cseq=9)
    s.run(61)
    s.calling("sip:1001@10.0.0.1")
    assert s.last(Request).uri_text == "sip:1001@10.0.0.1"


def test_without_a_registrar_register_is_not_allowed() -> None:
    """Protects everybody else's calls from being drawn to a stranger."""
    s = Scripted()
    answer = s.send(s.request("REGISTER"))[-1]
    assert isinstance(answer, Response)
    assert answer.status == 405
    assert "REGISTER" not in (answer.headers.get("Allow") or "")


def test_two_cores_register_and_call_back() -> None:
    """Protects the pair: our client against our registrar, and a call to the phone that registered."""
    network = Network()
    config = EndpointConfig(registrar=True)
    config.allow = (*config.allow, "REGISTER")
    desk: Party = network.party("desk", "10.0.0.1", config)
    phone: Party = network.party("cordboard", "10.0.0.2")
    phone.endpoint.register(
        Uri.parse("sip:10.0.0.1"), Address(Uri.parse("sip:cordboard@10.0.0.1")), expires=100, now=network.now
    )
    network.run(300)
    assert len(phone.of(e.RegistrationKept)) >= 3
    desk.endpoint.invite(Uri.parse("sip:cordboard@10.0.0.1"), from_=desk.me, body=OFFER, now=network.now)
    network.run(1)
    assert phone.of(e.IncomingCall)
