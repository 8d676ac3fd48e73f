"""Who may call: lists of sources, names behind them, gateways, passwords, and what a scanner gets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from cordboard.calls.admission import AccessControl
from cordboard.directory.directory import Directory
from cordboard.directory.gateways import Credentials, Gateway
from cordboard.directory.phonebooks import Number
from cordboard.settings import SipSettings
from cordboard.sip.flow import Answer, Flow, Query
from cordboard.sip.message import Request
from cordboard.sip.uri import Uri

OUTSIDE = ("0.0.0.0", 5060)


def gateway(name: str, **fields: object) -> Gateway:
    return Gateway.model_validate({"name": name, "host": "203.0.113.1", **fields})


def access(*gateways: Gateway, numbers: tuple[Number, ...] = (), **settings: object) -> AccessControl:
    directory = Directory.of(gateways=gateways, numbers=numbers)
    return AccessControl(SipSettings.model_validate(settings), lambda: directory)


def flow(remote: str, local: tuple[str, int] = OUTSIDE, transport: str = "udp") -> Flow:
    return Flow(transport, local, (remote, 5060))


def test_gateways_and_the_list_may_call_and_others_get_silence_outside_loopback() -> None:
    """Protects a public listener: a stranger does not learn that anybody is there."""
    control = access(gateway("carrier", addresses=["198.51.100.0/24"]), allow=["10.0.0.0/8"])
    assert control(flow("198.51.100.7")) == "allow"
    assert control(flow("10.1.2.3")) == "allow"
    assert control(flow("192.0.2.66")) == "drop"
    assert control(flow("192.0.2.66", ("127.0.0.1", 5060))) == "forbid"
    assert control(flow("::ffff:10.1.2.3")) == "allow"
    assert control(flow("not an address")) == "drop"


def test_a_listener_with_its_own_list_takes_nobody_else() -> None:
    """Protects a listener for one carrier from the sources of the others (ACL per listener)."""
    control = access(
        gateway("carrier", addresses=["198.51.100.7"]),
        allow=["10.0.0.0/8"],
        listener_allow=["udp://0.0.0.0:5080=192.0.2.0/24"],
    )
    own = ("192.0.2.1", 5080)
    assert control(flow("192.0.2.9", own)) == "allow"
    assert control(flow("10.0.0.1", own)) == "drop"
    assert control(flow("198.51.100.7", own)) == "drop"
    assert control(flow("10.0.0.1")) == "allow"


def test_names_are_looked_up_again_and_keep_their_last_answer() -> None:
    """Protects calls from gateways that move their address, and during an outage of the DNS."""
    answers: dict[Query, list[Answer]] = {
        Query("SRV", "_sip._udp.sip.carrier.test"): [Answer("edge.carrier.test", 5060, 1, 1)],
        Query("A", "edge.carrier.test"): [Answer("198.51.100.7")],
    }

    async def resolve(query: Query) -> list[Answer]:
        return answers.get(query, [])

    control = access(gateway("carrier", host="sip.carrier.test"), allow=["office.test"])
    assert control(flow("198.51.100.7")) == "drop"
    asyncio.run(control.refresh(resolve))
    assert control(flow("198.51.100.7")) == "allow"
    assert [each.name for each in control.gateways("198.51.100.7")] == ["carrier"]
    assert control(flow("192.0.2.5")) == "drop"
    answers.clear()
    answers[Query("A", "office.test")] = [Answer("192.0.2.5")]
    asyncio.run(control.refresh(resolve))
    assert control(flow("198.51.100.7")) == "allow"
    assert control(flow("192.0.2.5")) == "allow"
    answers[Query("A", "sip.carrier.test")] = [Answer("198.51.100.8")]
    asyncio.run(control.refresh(resolve))
    assert control(flow("198.51.100.7")) == "drop"


def test_packets_and_refusals_of_one_source_are_limited_and_the_table_is_bounded() -> None:
    """Protects the processor from one loud source, and the memory from many forged ones."""
    now = [0.0]
    directory = Directory.of()
    settings = SipSettings.model_validate({"packets_per_second": 100, "refusals_per_second": 5})
    control = AccessControl(settings, lambda: directory, lambda: now[0])
    loud = flow("192.0.2.66", ("127.0.0.1", 5060))
    verdicts = []
    for _ in range(120):
        if control.within_rate(loud):
            verdicts.append(control(loud))
    assert len(verdicts) == 100
    assert verdicts.count("forbid") == 5
    assert control.within_rate(flow("192.0.2.67"))
    now[0] = 1.5
    assert control.within_rate(loud)
    for number in range(40_000):
        control.within_rate(flow(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert len(control._counts) <= 16384
    assert len(control._known) <= 4096


def request(method: str = "INVITE", user: str = "+15550100") -> Request:
    return Request(method, Uri("sip", user, host="10.0.0.1"), [("To", "<sip:a@b.example>")])


SECRET = Credentials(username="carrier", password=SecretStr("correct horse"))


@pytest.mark.parametrize(
    ("of_gateways", "of_number", "asked"),
    [
        ([None], None, None),
        ([SECRET], None, "carrier"),
        ([SECRET, None], None, None),  # the address is enough for one of them
        ([None], SECRET, "carrier"),
    ],
)
def test_digest_is_asked_for_by_gateway_or_number(
    of_gateways: list[Credentials | None], of_number: Credentials | None, asked: str | None
) -> None:
    """Protects numbers and gateways that want more than an address."""
    gateways = [
        gateway(f"g{index}", addresses=["198.51.100.7"], inbound_credentials=given)
        for index, given in enumerate(of_gateways)
    ]
    number = Number(phone_number="+15550100", model_id="desk", inbound_credentials=of_number)
    control = access(*gateways, numbers=(number,))
    passwords = control.challenge(request(), flow("198.51.100.7"))
    assert (passwords is not None) == (asked is not None)
    if passwords is not None:
        assert passwords("carrier") == "correct horse"
        assert passwords("stranger") is None


def test_a_number_may_be_kept_to_its_gateway() -> None:
    """Protects a number of one customer from calls by another's gateway."""
    number = Number(phone_number="+15550100", model_id="desk", gateway="carrier")
    control = access(
        gateway("carrier", addresses=["198.51.100.7"]), gateway("other", addresses=["198.51.100.8"]), numbers=(number,)
    )
    assert control.may_call("+15550100", "198.51.100.7")
    assert not control.may_call("+15550100", "198.51.100.8")
    assert control.may_call("+15550199", "198.51.100.8")


def test_refer_and_replaces_go_by_the_gateway() -> None:
    """Protects calls: a REFER is followed only where its gateway says so, Replaces only from the same gateway."""
    control = access(
        gateway("pbx", addresses=["198.51.100.0/28"], accept_refer=True, trusted=True),
        gateway("carrier", addresses=["203.0.113.9"]),
    )
    assert control.accept_refer(flow("198.51.100.7"))
    assert not control.accept_refer(flow("203.0.113.9"))
    assert not control.accept_refer(flow("192.0.2.66"))
    assert control.trusts("198.51.100.7")
    assert not control.trusts("203.0.113.9")
    assert control.may_replace(flow("198.51.100.8"), flow("198.51.100.7"))
    assert not control.may_replace(flow("203.0.113.9"), flow("198.51.100.7"))


def test_a_proxy_of_ours_passes_and_is_no_gateway() -> None:
    """Protects the edge proxy from its own access control; what it forwards is judged by the original address."""
    control = access(trusted_proxies=["10.9.9.0/24"], allow=["127.0.0.0/8"])
    assert control(flow("10.9.9.1")) == "allow"
    assert control.trusted_proxy("10.9.9.1")
    assert not control.trusted_proxy("10.9.8.1")
    assert control.gateways("10.9.9.1") == ()


SCANS: Mapping[str, bytes] = {
    "svmap": b"OPTIONS sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK-1;rport\r\n"
    b'From: "sipvicious"<sip:100@1.1.1.1>;tag=6434\r\nTo: "sipvicious"<sip:100@1.1.1.1>\r\nCall-ID: 1\r\n'
    b"CSeq: 1 OPTIONS\r\nContact: <sip:100@192.0.2.66:5060>\r\nMax-Forwards: 70\r\nUser-Agent: friendly-scanner\r\n"
    b"Content-Length: 0\r\n\r\n",
    "svwar": b"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK-2;rport\r\n"
    b'From: "1000"<sip:1000@127.0.0.1>;tag=31\r\nTo: "1000"<sip:1000@127.0.0.1>\r\nCall-ID: 2\r\n'
    b"CSeq: 1 REGISTER\r\nContact: <sip:1000@192.0.2.66>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
    "toll fraud": b"INVITE sip:+442012345678@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK-3;rport\r\nFrom: <sip:100@127.0.0.1>;tag=3\r\n"
    b"To: <sip:+442012345678@127.0.0.1>\r\nCall-ID: 3\r\nCSeq: 1 INVITE\r\nContact: <sip:100@192.0.2.66>\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
    "noise": b"\x00\xff" * 200,
}
