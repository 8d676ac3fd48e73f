"""SIP, SIPS and tel URIs, and any other scheme as an opaque text. RFC 3261 §19.1, RFC 3966, RFC 5118."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.parameters import NO_PARAMETERS, Parameters
from cordboard.sip.tokens import check_text, escape, split_host_port, unescape

__all__ = ["Uri", "escape_header", "escape_parameter", "escape_user"]

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
                raise ParseError(field, "an empty user part (RFC 3261 §25.1)")
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
