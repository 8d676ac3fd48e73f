"""The dial policy: every destination passes one gate, whoever named it."""

from __future__ import annotations

import pytest

from cordboard.calls.errors import DialRefusedError
from cordboard.calls.routing import Router
from cordboard.directory.directory import Directory
from cordboard.directory.gateways import Gateway
from cordboard.directory.phonebooks import Number
from cordboard.directory.values import destination_of
from cordboard.sip.uri import Uri

CARRIER = Gateway.model_validate(
    {
        "name": "carrier",
        "host": "203.0.113.1",
        "allowed_prefixes": ["+1", "+49"],
        "calls_per_hour": 2,
        "longest_call": 60,
    }
)
PBX = Gateway.model_validate({"name": "pbx", "host": "198.51.100.1", "allowed_domains": ["*.office.example"]})


def router(*, own: str = "") -> Router:
    numbers = [Number(phone_number="+15550100", model_id="desk")]
    directory = Directory.of(gateways=[CARRIER, PBX], numbers=numbers)
    return Router(lambda: directory, own_host=lambda host: host == own)


@pytest.mark.parametrize(
    "destination",
    [
        "+15551234",
        "sip:+15551234@203.0.113.1",
        "sip:1234@198.51.100.1",
        "sip:+33112345678@198.51.100.1",  # a PBX without prefixes decides by itself
        "sip:desk@a.office.example",
    ],
)
def test_what_a_gateway_carries_is_dialled(destination: str) -> None:
    """Protects transfers that are allowed."""
    assert router().route(destination_of(destination)).uri


@pytest.mark.parametrize(
    ("destination", "rule"),
    [
        ("+33112345678", "prefixes"),
        ("+19001234567", "premium"),
        ("sip:+19001234567@203.0.113.1", "premium"),
        ("sip:+1(900)123-4567@203.0.113.1;user=phone", "premium"),
        ("sip:+33112345678@203.0.113.1", "prefixes"),
        ("sip:911@198.51.100.1", "emergency"),
        ("sip:%39%31%31@198.51.100.1", "emergency"),
        ("+15550100", "loop"),
        ("sip:+15550100@198.51.100.9", "loop"),
        ("sip:x@elsewhere.example", "domains"),
        ("sip:x@office.example.evil.test", "domains"),
    ],
)
def test_what_is_refused_says_its_rule(destination: str, rule: str) -> None:
    """Protects from premium numbers, loops and foreign hosts, also where a SIP URI carries the number."""
    with pytest.raises(DialRefusedError, match=rule):
        router(own="198.51.100.9").route(destination_of(destination))


def test_a_redirection_passes_the_same_gate() -> None:
    """Protects from peers that redirect a call to where it must not go (Contact of a 3xx)."""
    policy = router()
    detour = policy.redirected(Uri.parse("sip:desk@a.office.example;transport=tcp"))
    assert detour is not None
    assert str(detour.target) == "sip:desk@a.office.example;transport=tcp"
    assert policy.redirected(Uri.parse("tel:+15551234")) is not None
    for refused in ("sip:x@elsewhere.example", "tel:+19001234567", "sip:a@203.0.113.1;maddr=10.0.0.1"):
        assert policy.redirected(Uri.parse(refused)) is None


def test_a_gateway_limits_calls_in_an_hour_and_their_length() -> None:
    """Protects the bill: calls per hour, and the longest call through a gateway."""
    policy = router()
    for _ in range(2):
        policy.take(CARRIER)()
    with pytest.raises(DialRefusedError, match="calls_per_hour"):
        policy.take(CARRIER)
    assert policy.longest_call("203.0.113.1") == 60
    assert policy.longest_call("198.51.100.1") is None
