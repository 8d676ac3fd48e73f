"""URIs (sip, sips and tel; any other scheme as an opaque text) and the addresses that headers make of them.

RFC 3261 §19.1 and §25.1 name-addr, RFC 3966, RFC 5118.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.parameters import NO_PARAMETERS, Parameters
from cordboard.sip.tokens import check_text, closing_quote, escape, quote, split_host_port, unescape, unquote

__all__ = ["Address", "Uri", "escape_header", "escape_parameter", "escape_user", "parse_refer_to"]

_UNRESERVED = r"A-Za-z0-9\-_.!~*'()"
# A raw "#" is outside the grammar, but dial strings carry it escaped (%23): it is not in any class here.
_USER = re.compile(rf"[{_UNRESERVED}&=+$,;?/%]*")
_PASSWORD = re.compile(rf"[{_UNRESERVED}&=+$,%]*")
_PARAMETER = re.compile(rf"[{_UNRESERVED}\[\]/:&+$%]*")
_HEADER = re.compile(rf"[{_UNRESERVED}\[\]/?:+$%]*")
_OPAQUE = re.compile(rf"[{_UNRESERVED};/?:@&=+$,\[\]%#]*")
_TEL = re.compile(r"[0-9A-Fa-f+*#\-.()]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>\"]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPED_OCTETS = re.compile(r"%[0-9A-Fa-f]{2}")
_RESERVED = frozenset(";/?:@&=+$,")
_HOST_OUT = re.compile(r"[A-Za-z0-9_\-.]+")
# What belongs to the URI when a peer leaves the brackets out. RFC 3261 §19.1.1
_URI_PARAMETERS = frozenset(("transport", "user", "method", "ttl", "maddr", "lr"))
# Parameters whose presence in only one of two URIs makes them differ. RFC 3261 §19.1.4
_MATTERING = ("user", "ttl", "method", "maddr", "transport")


def escape_user(text: str) -> str:
    """Plain text -> the user part of a URI; "%" itself is escaped too. CR, LF and NUL raise HeaderInjectionError."""
    return escape(text.replace("%", "%25"), _USER, "URI user")


def escape_parameter(text: str) -> str:
    """Plain text -> a URI parameter's value."""
    return escape(text.replace("%", "%25"), _PARAMETER, "URI parameter")


def escape_header(text: str) -> str:
    """Plain text -> a header's name or value inside a URI (the part behind `?`)."""
    return escape(text.replace("%", "%25"), _HEADER, "URI header")


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI. All texts are as on the wire, escapes included; `Uri.user_text` and `Uri.header()` decode.

    host: for sip and sips; an IPv6 address has no brackets here. tel: the number is `user`.
    opaque: everything behind the colon, for any other scheme.
    """

    scheme: str = "sip"
    user: str | None = None
    password: str | None = None
    host: str = ""
    port: int | None = None
    parameters: Parameters = NO_PARAMETERS
    headers: tuple[tuple[str, str], ...] = ()
    opaque: str = ""

    @classmethod
    def parse(cls, text: str, field: str = "URI") -> Uri:
        """Read a URI. Raises ParseError (400). A scheme other than sip, sips and tel is kept opaque."""
        scheme, colon, rest = text.partition(":")
        if scheme not in ("sip", "sips"):
            scheme = scheme.lower()
            if not colon or _SCHEME.fullmatch(scheme) is None:
                raise ParseError(field, "a URI begins with a scheme (RFC 3261 §19.1.1)")
        if _FORBIDDEN.search(rest):
            raise ParseError(field, "white space, quotes, brackets and controls are not allowed (RFC 3261 §19.1.2)")
        if scheme == "tel":
            number, _, parameters = rest.partition(";")
            if _TEL.fullmatch(number) is None:
                raise ParseError(field, "not a telephone number (RFC 3966 §3)")
            return cls(scheme, number, parameters=_parse_parameters(parameters, field))
        if scheme not in ("sip", "sips"):
            return cls(scheme, opaque=rest)
        if "%" in rest and _BAD_ESCAPE.search(rest):
            raise ParseError(field, "% is not followed by two hexadecimal digits (RFC 3261 §19.1.2)")
        user: str | None = None
        password: str | None = None
        # The user part may hold ";" and "?": the "@" decides. RFC 3261 §19.1.1, RFC 4475 §3.1.1.9
        userinfo, at, hostpart = rest.rpartition("@")
        if at:
            if "@" in userinfo:
                # Peers leave the "@" of a Call-ID bare in `?Replaces=`: the first one then ends the user part.
                userinfo, _, hostpart = rest.partition("@")
                if "@" in hostpart.partition("?")[0]:
                    raise ParseError(field, "@ in a user part must be escaped (RFC 3261 §25.1)")
            user, colon, after = userinfo.partition(":")
            password = after if colon else None
            if not user:
                if password:
                    raise ParseError(field, "a password without a user (RFC 3261 §25.1)")
                user = password = None  # `sip:@host` is not allowed, but seen.
        else:
            hostpart = rest
        headers: tuple[tuple[str, str], ...] = ()
        if "?" in hostpart:
            hostpart, _, header_text = hostpart.partition("?")
            headers = _parse_headers(header_text, field)
        hostport, semicolon, parameter_text = hostpart.partition(";")
        host, port = split_host_port(hostport, field)
        parameters_ = _parse_parameters(parameter_text, field) if semicolon else NO_PARAMETERS
        return cls(scheme, user, password, host, port, parameters_, headers)

    @property
    def user_text(self) -> str:
        """The user part with its escapes decoded; "" where there is none."""
        return unescape(self.user or "")

    @property
    def is_secure(self) -> bool:
        """True for sips. RFC 3261 §19.1"""
        return self.scheme == "sips"

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case."""
        value = self.parameters.get("transport")
        return value.lower() if value else None

    @property
    def is_loose_router(self) -> bool:
        """The lr parameter is there. RFC 3261 §16.12"""
        return "lr" in self.parameters

    @property
    def hostport(self) -> str:
        """`host`, `host:port`, `[v6]` or `[v6]:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def header(self, name: str) -> str | None:
        """A header behind `?`, decoded; name without regard to case."""
        lowered = name.lower()
        for own, value in self.headers:
            if unescape(own).lower() == lowered:
                return unescape(value)
        return None

    def with_parameter(self, name: str, value: str | int | None = None) -> Uri:
        """A copy with this parameter (plain text, escaped here)."""
        text = None if value is None else escape_parameter(str(value))
        members = Parameters(tuple(member for member in self.parameters if member[0].lower() != name.lower()))
        return replace(self, parameters=Parameters((*members.members, (name, text))))

    def without_headers(self) -> Uri:
        """A copy without the headers behind `?`: what may stand in a Request-URI. RFC 3261 §19.1.5"""
        return replace(self, headers=())

    def __str__(self) -> str:
        """Write strictly: what the grammar forbids is escaped; CR, LF and NUL raise HeaderInjectionError."""
        if self.scheme not in ("sip", "sips"):
            return self._write_other()
        parts = [self.scheme, ":"]
        if self.user is not None:
            parts.append(escape(self.user, _USER, "URI user"))
            if self.password is not None:
                parts.append(":" + escape(self.password, _PASSWORD, "URI password"))
            parts.append("@")
        _check_host(self.host)
        parts.append(self.hostport)
        parts.append(_write_parameters(self.parameters))
        if self.headers:
            pairs = (
                f"{escape(name, _HEADER, 'URI header')}={escape(value, _HEADER, 'URI header')}"
                for name, value in self.headers
            )
            parts.append("?" + "&".join(pairs))
        return "".join(parts)

    def _write_other(self) -> str:
        if _SCHEME.fullmatch(self.scheme) is None:
            raise HeaderInjectionError("URI scheme", "not a scheme (RFC 3261 §25.1)")
        if self.scheme == "tel":
            number = self.user or ""
            if _TEL.fullmatch(number) is None:
                raise HeaderInjectionError("tel URI", "not a telephone number (RFC 3966 §3)")
            return f"tel:{number}{_write_parameters(self.parameters)}"
        return f"{self.scheme}:{escape(self.opaque, _OPAQUE, 'URI')}"

    def equivalent(self, other: Uri) -> bool:
        """RFC 3261 §19.1.4 comparison (for tel RFC 3966 §5). Not the same as ==, which compares texts."""
        if self.scheme != other.scheme:
            return False
        if self.scheme == "tel":
            return _tel_digits(self.user) == _tel_digits(other.user) and _folded(self.parameters) == _folded(
                other.parameters
            )
        if self.scheme not in ("sip", "sips"):
            return self.opaque == other.opaque
        if (
            _canonical(self.user) != _canonical(other.user)
            or _canonical(self.password) != _canonical(other.password)
            or self.host.lower() != other.host.lower()
            or self.port != other.port
        ):
            return False
        mine, theirs = _folded(self.parameters), _folded(other.parameters)
        if any((name in mine) != (name in theirs) for name in _MATTERING):
            return False
        if any(theirs[name] != value for name, value in mine.items() if name in theirs):
            return False
        return _folded_headers(self) == _folded_headers(other)


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
        """Always in brackets, the display name always in quotes: what every peer understands."""
        if self.wildcard:
            return f"*{self.parameters}"
        name = f"{quote(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{self.parameters}"


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


def _parse_parameters(text: str, field: str) -> Parameters:
    if not text:
        return NO_PARAMETERS
    members: list[tuple[str, str | None]] = []
    for piece in text.split(";"):
        name, equals, value = piece.partition("=")
        if name:
            members.append((name, value if equals else None))
        elif equals:
            raise ParseError(field, "a URI parameter without a name (RFC 3261 §25.1)")
    return Parameters(tuple(members))


def _parse_headers(text: str, field: str) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    for piece in text.split("&"):
        name, _, value = piece.partition("=")
        if not name:
            raise ParseError(field, "a URI header without a name (RFC 3261 §25.1)")
        headers.append((name, value))
    return tuple(headers)


def _write_parameters(parameters: Parameters) -> str:
    if not parameters.members:
        return ""
    parts: list[str] = []
    for name, value in parameters.members:
        parts.append(";" + escape(name, _PARAMETER, "URI parameter"))
        if value is not None:
            parts.append("=" + escape(value, _PARAMETER, "URI parameter"))
    return "".join(parts)


def _check_host(host: str) -> None:
    if _HOST_OUT.fullmatch(host) is None:
        check_text(host, "URI host")
        try:
            split_host_port(f"[{host}]", "URI host")
        except ParseError:
            raise HeaderInjectionError("URI host", "not a host (RFC 3261 §25.1)") from None


def _canonical(text: str | None) -> str | None:
    """Escapes of unreserved characters decoded, the others in upper case. RFC 3261 §19.1.4"""
    if text is None or "%" not in text:
        return text

    def decode(match: re.Match[str]) -> str:
        octet = match.group()
        character = chr(int(octet[1:], 16))
        if character in _RESERVED or not character.isascii() or character <= " " or character == "%":
            return octet.upper()
        return character

    return _ESCAPED_OCTETS.sub(decode, text)


def _folded(parameters: Parameters) -> dict[str, str | None]:
    return {
        (_canonical(name) or "").lower(): None if value is None else (_canonical(value) or "").lower()
        for name, value in parameters
    }


def _folded_headers(uri: Uri) -> list[tuple[str, str]]:
    return sorted((unescape(name).lower(), unescape(value)) for name, value in uri.headers)


def _tel_digits(number: str | None) -> str:
    return "".join(character for character in (number or "").lower() if character not in "-.()")
