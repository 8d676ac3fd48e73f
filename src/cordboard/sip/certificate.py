"""Whom a TLS certificate speaks for, and whether that is the one we meant. RFC 5922 §7.

Pure: the certificate comes as the dictionary that ``ssl.SSLSocket.getpeercert()`` gives, already verified as a chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from cordboard.sip.errors import ParseError
from cordboard.sip.uri import Uri

__all__ = ["identities", "proves"]


def identities(certificate: Mapping[str, Any]) -> list[str]:
    """The SIP domains (lower case) that a certificate asserts, best source first. RFC 5922 §7.1

    SIP URIs in subjectAltName without a user part; where there is none, its DNS names (and IP addresses, for peers that
    are configured by number); where there is no subjectAltName at all, the common name.
    """
    names: list[tuple[str, str]] = [(kind, value) for kind, value in certificate.get("subjectAltName", ())]
    uris = [host for kind, value in names if kind == "URI" and (host := _sip_domain(value))]
    if uris:
        return uris  # RFC 5922 §7.1: with a SIP URI, DNS names are not looked at
    if names:
        hosts = [value.lower().rstrip(".") for kind, value in names if kind == "DNS"]
        return hosts + [_number(value) for kind, value in names if kind == "IP Address"]
    return [
        value.lower().rstrip(".")
        for relative in certificate.get("subject", ())
        for kind, value in relative
        if kind == "commonName"
    ]


def proves(certificate: Mapping[str, Any], name: str) -> bool:
    """Whether the certificate is the one of the SIP domain ``name``: whole names only, no wildcards. RFC 5922 §7.2"""
    wanted = _number(name.strip("[]").lower().rstrip("."))
    return bool(wanted) and any(identity == wanted and "*" not in identity for identity in identities(certificate))


def _sip_domain(text: str) -> str | None:
    try:
        uri = Uri.parse(text)
    except ParseError:
        return None
    # RFC 5922 §7.1: scheme sip, a host, no user part: a URI with a user names a person, not a domain
    if uri.scheme != "sip" or uri.user is not None:
        return None
    return _number(uri.host.strip("[]").lower().rstrip("."))


def _number(text: str) -> str:
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return text
