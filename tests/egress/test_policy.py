"""Which addresses may be reached, however they are written."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.egress import AddressPolicy, EgressRefusedError
from cordboard.egress.policy import METADATA, check_host

REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "private",
    "198.18.0.1": "private",
    "169.254.1.1": "link-local",
    "169.254.169.254": "metadata",
    "100.100.100.200": "metadata",
    "168.63.129.16": "metadata",
    "192.0.0.8": "reserved",
    "192.0.2.1": "documentation",
    "203.0.113.9": "documentation",
    "224.0.0.1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "fe80::1": "link-local",
    "fe80::1%1": "link-local",
    "fc00::1": "private",
    "fd00:ec2::254": "metadata",
    "fec0::1": "private",
    "ff02::1": "multicast",
    "2001:db8::1": "documentation",
    "2001::1": "reserved",
    "4000::1": "reserved",
    # IPv4 in IPv6 clothes
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:169.254.169.254": "metadata",
    "::127.0.0.1": "loopback",
    "64:ff9b::a00:1": "private",
    "64:ff9b::a9fe:a9fe": "metadata",
    "2002:7f00:1::": "loopback",
    "2002:c0a8:101::1": "private",
}


@pytest.mark.parametrize(("address", "rule"), REFUSED.items())
def test_addresses_that_are_not_public_are_refused_by_name_of_the_rule(address: str, rule: str) -> None:
    """Security, what leaves over HTTP: private, loopback, link-local and metadata addresses."""
    with pytest.raises(EgressRefusedError) as caught:
        AddressPolicy().check("example.test", 443, [address])
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2001:4860:4860::8888", "64:ff9b::101:101"]
)
def test_public_addresses_pass(address: str) -> None:
    assert AddressPolicy().check("example.test", 443, [address]) == (address,)


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    """A rebinding name server answers with both and hopes for the second try."""
    with pytest.raises(EgressRefusedError, match="private"):
        AddressPolicy().check("example.test", 443, ["1.1.1.1", "10.0.0.1"])


def test_an_allowed_network_is_open_but_the_metadata_inside_it_is_not() -> None:
    policy = AddressPolicy.of(["169.254.0.0/16", "10.0.0.0/8"])
    assert policy.check("a", 80, ["10.9.9.9"]) == ("10.9.9.9",)
    assert policy.check("a", 80, ["169.254.1.1"]) == ("169.254.1.1",)
    with pytest.raises(EgressRefusedError, match="metadata"):
        policy.check("a", 80, ["169.254.169.254"])
    alone = AddressPolicy.of(["169.254.169.254/32"])
    assert alone.check("a", 80, ["169.254.169.254"]) == ("169.254.169.254",)


def test_every_metadata_address_is_refused_in_an_open_house() -> None:
    policy = AddressPolicy.of(["0.0.0.0/0", "::/0"])
    for address in METADATA:
        assert policy.refusal(address) == "metadata"
        assert policy.refusal(ip_address("127.0.0.1")) == ""


def test_what_the_settings_name_is_reached_on_its_port_only() -> None:
    policy = AddressPolicy.of(named=[("Models.internal", 8000)])
    assert policy.check("models.internal", 8000, ["10.0.0.5"]) == ("10.0.0.5",)
    with pytest.raises(EgressRefusedError):
        policy.check("models.internal", 8001, ["10.0.0.5"])


def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(EgressRefusedError) as caught:
        AddressPolicy().check("nowhere.test", 80, [])
    assert caught.value.rule == "unresolved"


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.0.0.1", "127.1", "0177.0.0.1", "1.2.3", "10.0.0.256", "1.1.1.1."]
)
def test_numbers_in_other_clothes_are_refused_before_they_are_resolved(host: str) -> None:
    with pytest.raises(EgressRefusedError) as caught:
        check_host(host)
    assert caught.value.rule == "numeric-host"


@pytest.mark.parametrize("host", ["", "a b", "a\r\nb", "ex*mple.test", "a..b", "-a.test", "x" * 254, "a%00b"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(EgressRefusedError):
        check_host(host)


@pytest.mark.parametrize(
    "host", ["example.test", "a_b.test", "xn--bcher-kva.test", "1.1.1.1", "2606:4700::1111", "7.a"]
)
def test_hosts_pass(host: str) -> None:
    check_host(host)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_gets_the_same_verdict_in_every_ipv6_wrapping(address: object) -> None:
    """No wrapping may open what the plain address closes."""
    policy = AddressPolicy()
    number = int(ip_address(str(address)))
    rule = policy.refusal(ip_address(str(address)))
    for prefix in (0xFFFF << 32, int(ip_address("64:ff9b::"))):
        assert policy.refusal(ip_address((prefix | number).to_bytes(16, "big"))) == rule
    assert policy.refusal(ip_address(((0x2002 << 112) | (number << 80)).to_bytes(16, "big"))) == rule
