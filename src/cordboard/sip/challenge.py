"""WWW-Authenticate, Authorization and their proxy forms. RFC 3261 §20.44, §20.7; RFC 7616 §3.3, §3.4; RFC 8760 §2."""

from __future__ import annotations

from dataclasses import dataclass

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.tokens import check_text, closing_quote, is_token, split_commas

__all__ = ["Authorization", "Challenge"]


def _parse_pairs(text: str, field: str) -> tuple[str, dict[str, str]]:
    """(scheme, values by lower-case name). Quoted values lose their quotes and keep their backslashes: they are hashed
    and sent back byte for byte (RFC 7616 §3.4.2 unq)."""
    words = text.strip().split(None, 1)
    if not words or not is_token(words[0]):
        raise ParseError(field, "a scheme is expected (RFC 3261 §25.1 challenge)")
    pairs: dict[str, str] = {}
    for member in split_commas(words[1] if len(words) > 1 else "", field):
        name, equals, value = member.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not equals or not is_token(name):
            if words[0].lower() != "digest":
                continue
            raise ParseError(field, "name=value is expected (RFC 3261 §25.1 auth-param)")
        if value.startswith('"'):
            if closing_quote(value, 0) != len(value) - 1:
                raise ParseError(field, "text after a quoted-string (RFC 3261 §25.1)")
            value = value[1:-1]
        if name in pairs:
            raise ParseError(field, f"{name} twice (RFC 7616 §3.3)")
        check_text(value.replace("\0", ""), field)
        pairs[name] = value
    return words[0], pairs


def quoted(value: str, field: str) -> str:
    """A value with quotes around it; what would end the quotes early is escaped."""
    check_text(value, field)
    candidate = f'"{value}"'
    if closing_quote(candidate, 0) == len(candidate) - 1:
        return candidate
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bare(value: str, field: str) -> str:
    check_text(value, field)
    if not is_token(value):
        raise HeaderInjectionError(field, "not a token (RFC 3261 §25.1)")
    return value


@dataclass(frozen=True, slots=True)
class Challenge:
    """One digest challenge. algorithm: as offered, "MD5" where absent; qop: the offered values in lower case."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False
    domain: str | None = None
    scheme: str = "Digest"

    @classmethod
    def parse(cls, text: str, field: str = "WWW-Authenticate") -> Challenge:
        scheme, pairs = _parse_pairs(text, field)
        if scheme.lower() == "digest" and ("realm" not in pairs or "nonce" not in pairs):
            raise ParseError(field, "a realm and a nonce are expected (RFC 7616 §3.3)")
        return cls(
            pairs.get("realm", ""),
            pairs.get("nonce", ""),
            pairs.get("algorithm", "MD5"),
            tuple(value.strip().lower() for value in pairs.get("qop", "").split(",") if value.strip()),
            pairs.get("opaque"),
            pairs.get("stale", "").lower() == "true",
            pairs.get("domain"),
            scheme,
        )

    def __str__(self) -> str:
        field = "challenge"
        parts = [f"realm={quoted(self.realm, field)}", f"nonce={quoted(self.nonce, field)}"]
        if self.domain is not None:
            parts.append(f"domain={quoted(self.domain, field)}")
        if self.opaque is not None:
            parts.append(f"opaque={quoted(self.opaque, field)}")
        if self.stale:
            parts.append("stale=true")
        parts.append(f"algorithm={_bare(self.algorithm, field)}")
        if self.qop:
            parts.append('qop="' + ",".join(_bare(value, field) for value in self.qop) + '"')
        return f"{_bare(self.scheme, field)} {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Authorization:
    """The digest credentials of one realm. nc: the nonce count as a number; None without qop (RFC 2069 style)."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    cnonce: str | None = None
    qop: str | None = None
    nc: int | None = None
    opaque: str | None = None
    scheme: str = "Digest"

    @classmethod
    def parse(cls, text: str, field: str = "Authorization") -> Authorization:
        scheme, pairs = _parse_pairs(text, field)
        if scheme.lower() != "digest":
            return cls("", "", "", "", "", scheme=scheme)
        for name in ("username", "realm", "nonce", "uri", "response"):
            if name not in pairs:
                raise ParseError(field, f"{name} is missing (RFC 7616 §3.4)")
        nc: int | None = None
        if "nc" in pairs:
            try:
                if len(pairs["nc"]) != 8 or not pairs["nc"].isalnum():
                    raise ValueError
                nc = int(pairs["nc"], 16)
            except ValueError:
                raise ParseError(field, "nc is eight hexadecimal digits (RFC 7616 §3.4)") from None
        return cls(
            pairs["username"],
            pairs["realm"],
            pairs["nonce"],
            pairs["uri"],
            pairs["response"].lower(),
            pairs.get("algorithm", "MD5"),
            pairs.get("cnonce"),
            pairs["qop"].lower() if "qop" in pairs else None,
            nc,
            pairs.get("opaque"),
            scheme,
        )

    def __str__(self) -> str:
        field = "Authorization"
        parts = [
            f"username={quoted(self.username, field)}",
            f"realm={quoted(self.realm, field)}",
            f"nonce={quoted(self.nonce, field)}",
            f"uri={quoted(self.uri, field)}",
            f"response={quoted(self.response, field)}",
            f"algorithm={_bare(self.algorithm, field)}",
        ]
        if self.cnonce is not None:
            parts.append(f"cnonce={quoted(self.cnonce, field)}")
        if self.qop is not None:
            # Without quotes here, with quotes in the challenge. RFC 7616 §3.4
            parts.append(f"qop={_bare(self.qop, field)}")
        if self.nc is not None:
            parts.append(f"nc={self.nc:08x}")
        if self.opaque is not None:
            parts.append(f"opaque={quoted(self.opaque, field)}")
        return f"{_bare(self.scheme, field)} {', '.join(parts)}"
