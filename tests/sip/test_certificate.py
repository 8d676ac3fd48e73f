"""Whom a certificate speaks for: RFC 5922 §7, whole names only."""

from __future__ import annotations

from typing import Any

import pytest

from cordboard.sip.certificate import identities, proves


def certificate(*names: tuple[str, str], common: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"subject": ((("commonName", common),),)} if common else {}
    if names:
        found["subjectAltName"] = names
    return found


@pytest.mark.parametrize(
    ("names", "common", "wanted", "proved"),
    [
        ((("URI", "sip:example.com"),), "", "example.com", True),
        ((("URI", "sip:Example.COM"),), "", "EXAMPLE.com.", True),
        ((("DNS", "example.com"),), "", "example.com", True),
        ((("DNS", "*.example.com"),), "", "sip.example.com", False),  # §7.2: no wildcards
        ((("DNS", "*.example.com"),), "", "*.example.com", False),
        ((("DNS", "example.com"),), "", "sip.example.com", False),  # §7.2: no suffixes
        ((("URI", "sip:example.com"), ("DNS", "other.example")), "", "other.example", False),  # §7.1: the URI counts
        ((("URI", "sip:alice@example.com"),), "", "example.com", False),  # §7.1: a person, not a domain
        ((("URI", "sips:example.com"), ("DNS", "example.com")), "", "example.com", True),
        ((("URI", "https://example.com"), ("DNS", "example.com")), "", "example.com", True),
        ((), "example.com", "example.com", True),  # no subjectAltName: the common name
        ((("DNS", "other.example"),), "example.com", "example.com", False),
        ((("IP Address", "192.0.2.1"),), "", "192.0.2.1", True),
        ((("IP Address", "2001:DB8:0:0:0:0:0:1"),), "", "[2001:db8::1]", True),
        ((), "", "example.com", False),
        ((("DNS", ""),), "", "", False),
    ],
)
def test_line_31_a_certificate_proves_whole_names_only(
    names: tuple[tuple[str, str], ...], common: str, wanted: str, proved: bool
) -> None:
    """Protects calls from a server whose certificate is good, and another's (RFC 5922 §7.1, §7.2)."""
    assert proves(certificate(*names, common=common), wanted) is proved


def test_a_uri_that_cannot_be_read_is_nobody() -> None:
    """Protects against odd names in a certificate that a hostile authority signed."""
    assert identities(certificate(("URI", "sip:@"), ("URI", "\x00"), ("DNS", "a.example"))) == ["a.example"]
