"""Gateways: where legs leave and come from, and the manners of the system on the other side."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from cordboard.directory.values import DEFAULT_WORKSPACE, DialledNumber, Identifier, Model, Name, Seconds
from cordboard.documents import YamlFile, did_you_mean

Transport = Literal["udp", "tcp", "tls"]


class ReferTo(Model):
    """What a Refer-To may look like."""

    tel: Literal["accept", "reject", "unknown"]
    host: Literal["trunk", "peer", "target", "user_only"]
    """The host to write: the trunk's own name, the peer's address, the target's, or any since only the user is read."""
    max: int | None
    """Characters that are accepted."""


class CallerIdRules(Model):
    """Which header the peer reads the caller's number from, and what it says to a foreign one."""

    order: tuple[Literal["from", "pai", "ppi", "rpid"], ...] = Field(min_length=1)
    original: Literal["allow", "refuse", "diversion", "unknown"]
    """``diversion``: allowed where a Diversion header names the number that was called."""
    refused: tuple[int, ...]


class HeaderRules(Model):
    """What the peer does with headers of ours."""

    deny: tuple[str, ...]
    """Beginnings of names that the peer keeps for itself."""
    max: int | None
    """Characters of all X-headers together."""
    uui: Literal["hex", "none"]


class MediaRules(Model):
    """What the peer expects of media."""

    codecs: tuple[Literal["pcmu", "pcma", "g722", "opus"], ...]
    srtp: Literal["none", "sdes"]
    dtmf: Literal["rfc4733", "info"]


class Profile(Model):
    """The manners of a kind of peer."""

    refer: Literal["always", "never", "ask"]
    """Whether REFER is taken; ``ask``: Allow in its OPTIONS or INVITE says so."""
    refer_to: ReferTo
    carry: Literal["refer_to", "none", "bye"]
    """Where X-headers and User-to-User of a cold transfer get through."""
    success: Literal["final_notify", "weak_200", "bye", "unknown"]
    """How a cold transfer's success is seen; ``weak_200``: a 200 comes before a person has answered."""
    bye: Literal["us", "peer"]
    """Who hangs up after a successful REFER."""
    plus: Literal["required", "optional", "unknown"]
    caller_id: CallerIdRules
    headers: HeaderRules
    media: MediaRules
    transport: tuple[Transport, ...]
    auth: tuple[Literal["ip", "digest"], ...]
    session_timer: Literal["offer", "none"]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` under `over`, deep; lists are replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = merged(below, value) if both and below is not None else value
    return result


@cache
def _profile_data() -> dict[str, dict[str, Any]]:
    text = (files("cordboard.directory") / "profiles.yaml").read_text(encoding="utf-8")
    data = YamlFile("profiles.yaml", text).data
    assert isinstance(data, dict)
    result: dict[str, dict[str, Any]] = {}
    for name, own in data.items():  # a profile stands below the one that it extends
        own = dict(own)
        base = own.pop("extends", None if name == "generic" else "generic")
        result[name] = merged(result[base], own) if base else own
    return result


def profile_names() -> tuple[str, ...]:
    return tuple(_profile_data())


def profile(name: str, override: Mapping[str, Any] | None = None) -> Profile:
    """A profile by name, under a gateway's own deviations. Raises KeyError, or pydantic's ValidationError."""
    return Profile.model_validate(merged(_profile_data()[name], override or {}))


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    if not re.fullmatch(r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.?)+", text):
        raise ValueError("a host must be a name or an IP address, without scheme and port")
    if re.fullmatch(r"[0-9.]+", text):
        raise ValueError("not an IPv4 address")
    return text.lower().rstrip(".")


def _domain(text: str) -> str:
    return "*." + _host(text[2:]) if text.startswith("*.") else _host(text)


def _acl(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        if "/" in text:
            raise ValueError("an address must be an IP address, a CIDR block or a DNS name") from None
        return _host(text)


def _prefix(text: str) -> str:
    if not re.fullmatch(r"\+[0-9]*", text):
        raise ValueError("a prefix must be + and digits, such as +49; a single + allows every number")
    return text


class Credentials(Model):
    """Digest credentials for 401 and 407."""

    username: Name
    password: SecretStr
    realm: Name | None = None


class Gateway(Model):
    """A peer that legs leave by, and calls come from."""

    name: Identifier
    workspace_id: Identifier = DEFAULT_WORKSPACE
    profile: Name = "generic"
    override: dict[str, Any] = Field(default_factory=dict)
    """Deviations from the profile, merged deep."""

    host: Annotated[str, AfterValidator(_host)]
    port: int | None = Field(default=None, ge=1, le=65535)
    """None: by DNS (RFC 3263), or the transport's own port."""
    transport: Transport = "udp"
    next_hop: Literal["destination", "gateway"] = "destination"
    """Where a SIP URI's INVITE is sent: to the URI's own host, or to `host`. Numbers always go to `host`."""
    credentials: Credentials | None = None
    caller_id: DialledNumber | None = None
    """The number shown where the agent has none that the gateway accepts."""

    allowed_prefixes: tuple[Annotated[str, AfterValidator(_prefix)], ...] = ()
    """Numbers that may be dialled; empty: none."""
    allowed_domains: tuple[Annotated[str, AfterValidator(_domain)], ...] = ()
    """Hosts of SIP URIs that may be dialled besides `host`; ``*.example.com`` holds everything below it."""
    max_calls: int | None = Field(default=None, ge=1)
    calls_per_second: float | None = Field(default=None, gt=0)
    calls_per_hour: int | None = Field(default=None, ge=1)
    addresses: tuple[Annotated[str, AfterValidator(_acl)], ...] = ()
    """Where its calls come from: addresses, CIDR blocks, DNS names. Empty: `host`."""
    accept_refer: bool = False
    """Whether a REFER of its side is followed."""
    inbound_credentials: Credentials | None = None
    """What its calls must prove by digest; None: its addresses are enough."""
    registration: bool = False
    """Whether we register there, with `credentials`."""
    trusted: bool = False
    """In our trust domain (RFC 3325): identities that it asserts are believed, and private ones are told to it."""
    longest_call: Seconds | None = Field(default=None, gt=0)
    """The longest call through it; None: `timeouts.longest_call` alone."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.profile not in _profile_data():
            raise ValueError(f"there is no profile {self.profile}" + did_you_mean(self.profile, _profile_data()))
        try:
            manners = self.manners
        except ValueError as error:
            raise ValueError(f"override does not fit a profile: {_first_line(error)}") from None
        if self.registration and self.credentials is None:
            raise ValueError("registration needs credentials")
        if self.transport not in manners.transport:
            raise ValueError(f"the profile {self.profile} does not speak {self.transport}")
        return self

    @cached_property
    def manners(self) -> Profile:
        """The profile with this gateway's deviations."""
        return profile(self.profile, self.override)

    @property
    def uri(self) -> str:
        """The next hop as a SIP URI."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sip:{host}{f':{self.port}' if self.port else ''};transport={self.transport}"

    def carries_number(self, number: str) -> int:
        """Length of the longest allowed prefix of an E.164 number; 0: not allowed."""
        return max((len(prefix) for prefix in self.allowed_prefixes if number.startswith(prefix)), default=0)

    def carries_host(self, host: str) -> int:
        """How well a SIP URI's host is allowed: 0 not, higher is closer."""
        host = host.strip("[]").lower().rstrip(".")
        if host == self.host:
            return 1001
        score = 0
        for domain in self.allowed_domains:
            if host == domain:
                return 1000
            if domain.startswith("*.") and host.endswith(domain[1:]):
                score = max(score, len(domain))
        return score


def _first_line(error: ValueError) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        details = error.errors()[0]
        return f"{'.'.join(map(str, details['loc']))}: {details['msg']}"
    return str(error)
