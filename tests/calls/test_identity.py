"""Identity across trust domains: what is believed, what is told, what is hidden, and how calls tell their way."""

from __future__ import annotations

import pytest

from cordboard.calls.identity import ANONYMOUS, history_headers, identity_headers, identity_of, user_to_user
from cordboard.sip.address import Address
from cordboard.sip.identity import UserToUser
from cordboard.sip.message import Request
from cordboard.sip.uri import Uri

ALICE = Address(Uri.parse("sip:+15550100@carrier.example"), "Alice")


def invite(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", Uri.parse("sip:desk@10.0.0.1"), [("From", "<sip:+19995550@x.example>;tag=1"), *headers])


def test_an_asserted_identity_counts_from_a_trusted_peer_only() -> None:
    """Protects the record and the agent from callers who assert themselves to be somebody (RFC 3325 §4)."""
    request = invite(("P-Asserted-Identity", str(ALICE)), ("P-Asserted-Identity", "<tel:+15550100>"))
    trusted, stranger = identity_of(request, True), identity_of(request, False)
    assert (trusted.number, trusted.name, trusted.asserted) == ("+15550100", "Alice", True)
    assert (stranger.number, stranger.asserted) == ("+19995550", False)


@pytest.mark.parametrize(
    ("privacy", "private"), [("id", True), ("none", False), ("user;critical", True), ("history", False), ("\x01", True)]
)
def test_privacy_is_read_carefully(privacy: str, private: bool) -> None:
    """Protects callers who hide their number (RFC 3323 §4.2)."""
    assert identity_of(invite(("Privacy", privacy)), True).private is private


def test_diversions_are_counted_from_both_headers() -> None:
    """Protects against a call that is forwarded in a circle (RFC 5806 §6, RFC 7044 §5)."""
    diverted = invite(
        ("Diversion", "<sip:+15550111@a.example>;reason=no-answer;counter=3"), ("Diversion", "<tel:+15550112>")
    )
    found = identity_of(diverted, False)
    assert (found.diverted_from, found.hops) == (("+15550111", "+15550112"), 4)
    history = invite(("History-Info", "<sip:a@x>;index=1, <sip:b@x>;index=1.1, <sip:c@x>;index=1.1.1"))
    assert identity_of(history, False).hops == 2
    assert identity_of(invite(("Diversion", "<<"), ("History-Info", "<sip:a@x>;index=z")), False).hops == 0


def test_a_private_caller_is_told_to_the_trust_domain_only() -> None:
    """Protects callers who hide their number from gateways outside (RFC 3325 §7)."""
    assert identity_headers(ALICE, trusted=False, private=False) == (ALICE, [("P-Asserted-Identity", str(ALICE))])
    shown, headers = identity_headers(ALICE, trusted=True, private=True)
    assert shown == ANONYMOUS
    assert headers == [("P-Asserted-Identity", str(ALICE)), ("Privacy", "id")]
    shown, headers = identity_headers(ALICE, trusted=False, private=True)
    assert shown == ANONYMOUS
    assert headers == [("Privacy", "id")]


def test_history_is_written_so_that_it_is_read_back() -> None:
    """Protects the way of a call through peers that count it."""
    written = history_headers(ALICE, Uri.parse("sip:night@10.0.0.9"))
    found = identity_of(invite(*written), False)
    assert (found.diverted_from, found.hops) == (("+15550100",), 1)


def test_user_to_user_is_hex_and_bounded() -> None:
    """Protects contact centres that decode it (RFC 7433 §4.1)."""
    value = UserToUser.parse(user_to_user("ticket=7; ä"))
    assert bytes.fromhex(value.data).decode() == "ticket=7; ä"
    assert value.encoding == "hex"
    with pytest.raises(ValueError, match="256"):
        user_to_user("x" * 257)
