"""name-addr and addr-spec: From, To, Contact, Route, Refer-To, identities. RFC 3261 §20.10, §25.1."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cordboard.sip.errors import ParseError
from cordboard.sip.parameters import NO_PARAMETERS, Parameters
from cordboard.sip.tokens import closing_quote, quote, unquote
from cordboard.sip.uri import Uri

__all__ = ["Address", "parse_refer_to"]

_TOKENS = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ ]+")
# What belongs to the URI when a peer leaves the brackets out. RFC 3261 §19.1.1
_URI_PARAMETERS = frozenset(("transport", "user", "method", "ttl", "maddr", "lr"))


@dataclass(frozen=True, slots=True)
class Address:
    """A URI with a display name and header parameters.

    display_name: plain text, without quotes; "" where there is none.
    wildcard: the `*` of a Contact in REGISTER (RFC 3261 §10.2.2); its uri is empty then.
    """

    uri: Uri
    display_name: str = ""
    parameters: Parameters = NO_PARAMETERS
    wildcard: bool = False

    @classmethod
    def parse(cls, text: str, field: str = "address") -> Address:
        """Read `"Name" <uri>;tag=x`, `Name <uri>` or `uri;tag=x`. Raises ParseError.

        Without brackets everything behind the first semicolon belongs to the header (RFC 3261 §20.10).
        """
        text = text.strip()
        display_name = ""
        if text.startswith('"'):
            closed = closing_quote(text, 0)
            if closed < 0:
                raise ParseError(field, "unbalanced quotes (RFC 3261 §25.1 quoted-string)")
            display_name = unquote(text[: closed + 1])
            opened = closed + 1
            while text[opened : opened + 1] in (" ", "\t"):
                opened += 1
            if text[opened : opened + 1] != "<":
                raise ParseError(field, "a display name needs <URI> behind it (RFC 3261 §25.1 name-addr)")
        else:
            opened = text.find("<")
            quoted = text.find('"')
            semicolon = text.find(";")
            if opened >= 0 and (quoted < 0 or quoted > opened) and (semicolon < 0 or semicolon > opened):
                # A name that is not made of tokens (RFC 4475 §3.1.2.15) is understood, and quoted when written.
                display_name = " ".join(text[:opened].split())
            elif opened >= 0 and (semicolon < 0 or (0 <= quoted < semicolon)):
                raise ParseError(field, "a quote inside a display name (RFC 3261 §25.1 name-addr)")
            else:
                return cls._parse_bare(text, field)
        closed = text.find(">", opened)
        if closed < 0:
            raise ParseError(field, "< is not closed (RFC 3261 §25.1 name-addr)")
        rest = text[closed + 1 :].lstrip()
        if rest and rest[0] != ";":
            raise ParseError(field, "text after <URI> (RFC 3261 §25.1)")
        parameters = Parameters.parse(rest, field) if rest else NO_PARAMETERS
        return cls(Uri.parse(text[opened + 1 : closed], field), display_name, parameters)

    @classmethod
    def _parse_bare(cls, text: str, field: str) -> Address:
        if text == "*":
            return cls(Uri(host="*"), wildcard=True)
        uri_text, semicolon, rest = text.partition(";")
        uri_text = uri_text.rstrip()
        if "?" in uri_text or "," in uri_text:
            # RFC 3261 §20.10, RFC 4475 §3.1.2.13: such a URI needs brackets.
            raise ParseError(field, "a URI with a comma or question mark needs <> (RFC 3261 §20)")
        return cls(Uri.parse(uri_text, field), "", Parameters.parse(rest, field) if semicolon else NO_PARAMETERS)

    @property
    def tag(self) -> str | None:
        """The tag of From or To. RFC 3261 §19.3"""
        return self.parameters.raw("tag")

    def with_tag(self, tag: str) -> Address:
        """A copy with this tag."""
        return replace(self, parameters=self.parameters.with_("tag", tag))

    def with_parameter(self, name: str, value: str | int | None = None) -> Address:
        """A copy with this header parameter."""
        return replace(self, parameters=self.parameters.with_(name, value))

    def without_parameters(self) -> Address:
        """A copy with name and URI alone."""
        return replace(self, parameters=NO_PARAMETERS)

    def __str__(self) -> str:
        """Always in brackets; the display name quoted unless it is made of tokens."""
        if self.wildcard:
            return f"*{self.parameters}"
        if not self.display_name:
            return f"<{self.uri}>{self.parameters}"
        name = self.display_name
        if _TOKENS.fullmatch(name) is None or name != " ".join(name.split()):
            name = quote(name)
        return f"{name} <{self.uri}>{self.parameters}"


def parse_refer_to(text: str) -> Address:
    """Read Refer-To (RFC 3515 §2.1), also in the manner of peers that leave the brackets out.

    `sip:200@host;transport=tcp?Replaces=...` is ambiguous: by RFC 3261 §20.10 the parameters belong to the header, but
    such peers mean the URI. Here everything before a `?`, and known URI parameters, belong to the URI.
    """
    text = text.strip()
    if "<" in text or text.startswith('"'):
        return Address.parse(text, "Refer-To")
    head, question, tail = text.partition("?")
    if question:
        headers, _, parameter_text = tail.partition(";")
        return Address(Uri.parse(f"{head}?{headers}", "Refer-To"), "", Parameters.parse(parameter_text, "Refer-To"))
    uri_text, _, parameter_text = head.partition(";")
    of_uri: list[tuple[str, str | None]] = []
    of_header: list[tuple[str, str | None]] = []
    for name, value in Parameters.parse(parameter_text, "Refer-To"):
        (of_uri if name.lower() in _URI_PARAMETERS else of_header).append((name, value))
    uri = replace(Uri.parse(uri_text, "Refer-To"), parameters=Parameters(tuple(of_uri)))
    return Address(uri, "", Parameters(tuple(of_header)))
