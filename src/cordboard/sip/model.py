"""SIP messages as objects: typed values read lazily, written strictly. RFC 3261 §7. Parsing is in `message.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar, cast

from cordboard.sip.address import Address, parse_refer_to
from cordboard.sip.errors import HeaderInjectionError, ParseError, RequestParts
from cordboard.sip.fields import (
    CSeq,
    Event,
    MediaType,
    RAck,
    Reason,
    Replaces,
    SessionExpires,
    SubscriptionState,
    TargetDialog,
)
from cordboard.sip.headers import LENGTH_NAMES, Headers
from cordboard.sip.status import reason_phrase
from cordboard.sip.tokens import check_text, digits, is_token
from cordboard.sip.uri import Uri
from cordboard.sip.via import Via

__all__ = ["Message", "Request", "Response", "response_to"]

T = TypeVar("T")
_REMEMBERED = 256
"""Values up to this many characters are remembered once parsed: a dialog repeats them in each of its messages, and a
gateway in each of its calls. What is remembered is immutable, and bounded in number and in length."""
_MISSING = "the header is missing (RFC 3261 §8.1.1)"


@lru_cache(maxsize=4096)
def _short_address(text: str, field: str) -> Address:
    return Address.parse(text, field)


@lru_cache(maxsize=1024)
def _short_uri(text: str) -> Uri:
    return Uri.parse(text, "Request-URI")


_short_cseq = lru_cache(maxsize=512)(CSeq.parse)
_short_media_type = lru_cache(maxsize=128)(MediaType.parse)


def _address_parser(field: str) -> Callable[[str], Address]:
    def parse(text: str) -> Address:
        return _short_address(text, field) if len(text) <= _REMEMBERED else Address.parse(text, field)

    return parse


_parse_from = _address_parser("From")
_parse_to = _address_parser("To")
_parse_contacts = _address_parser("Contact")
_parse_routes = _address_parser("Route")
_parse_record_routes = _address_parser("Record-Route")


def _parse_cseq(text: str) -> CSeq:
    return _short_cseq(text) if len(text) <= _REMEMBERED else CSeq.parse(text)


def _parse_media_type(text: str) -> MediaType:
    return _short_media_type(text) if len(text) <= _REMEMBERED else MediaType.parse(text)


def _parse_max_forwards(text: str) -> int:
    return digits(text, "Max-Forwards", 255)


class Message:
    """What a request and a response have in common. headers and body may be changed; serialize() follows."""

    __slots__ = ("_body", "_wire", "_wire_version", "headers")

    def __init__(self, headers: Headers | Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self._body = body
        self._wire: bytes | None = None
        self._wire_version = -1

    @property
    def body(self) -> bytes:
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body
        self._wire = None

    @property
    def start_line(self) -> str:
        """The first line without its end."""
        raise NotImplementedError

    def serialize(self) -> bytes:
        """The message as bytes. Content-Length is always written, and always right. RFC 3261 §20.14, §18.3

        The bytes are kept until headers, body or start line change. Raises HeaderInjectionError.
        """
        headers = self.headers
        wire = self._wire
        if wire is not None and self._wire_version == headers.version:
            return wire
        lines = [self.start_line]
        # Every name and value was checked when it entered Headers.
        if headers.has_length:
            lines += [f"{name}: {value}" for name, value in headers._fields if name not in LENGTH_NAMES]
        else:
            lines += [f"{name}: {value}" for name, value in headers._fields]
        body = self._body
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        wire = "\r\n".join(lines).encode("utf-8", "surrogateescape") + body
        self._wire, self._wire_version = wire, headers.version
        return wire

    def _typed(self, key: str, name: str, parse: Callable[[str], T]) -> T | None:
        headers = self.headers
        cache = headers._typed
        if key in cache:
            return cast("T | None", cache[key])
        text = headers.get(name)
        value = None if text is None else parse(text)
        cache[key] = value
        return value

    def _required(self, key: str, name: str, parse: Callable[[str], T]) -> T:
        value = self._typed(key, name, parse)
        if value is None:
            raise ParseError(name, _MISSING)
        return value

    def _list(self, key: str, name: str, parse: Callable[[str], T]) -> list[T]:
        headers = self.headers
        cache = headers._typed
        if key in cache:
            return cast("list[T]", cache[key])
        values = [parse(value) for value in headers.values(name)]
        cache[key] = values
        return values

    @property
    def vias(self) -> list[Via]:
        """All Via values, topmost first. RFC 3261 §20.42"""
        return self._list("vias", "Via", Via.parse)

    @property
    def via(self) -> Via:
        """The topmost Via. Raises ParseError where there is none."""
        vias: list[Via] | None = self.headers._typed.get("vias")
        if vias is None:
            vias = self.vias
        if not vias:
            raise ParseError("Via", _MISSING)
        return vias[0]

    @property
    def from_(self) -> Address:
        """RFC 3261 §20.20"""
        found: Address | None = self.headers._typed.get("from")
        return found if found is not None else self._required("from", "From", _parse_from)

    @property
    def to(self) -> Address:
        """RFC 3261 §20.39"""
        found: Address | None = self.headers._typed.get("to")
        return found if found is not None else self._required("to", "To", _parse_to)

    @property
    def call_id(self) -> str:
        """RFC 3261 §20.8, byte for byte."""
        text = self.headers.get("Call-ID")
        if not text:
            raise ParseError("Call-ID", _MISSING)
        return text

    @property
    def cseq(self) -> CSeq:
        """RFC 3261 §20.16"""
        found: CSeq | None = self.headers._typed.get("cseq")
        return found if found is not None else self._required("cseq", "CSeq", _parse_cseq)

    @property
    def contacts(self) -> list[Address]:
        """RFC 3261 §20.10"""
        return self._list("contacts", "Contact", _parse_contacts)

    @property
    def contact(self) -> Address | None:
        """The first Contact, or None."""
        contacts = self.contacts
        return contacts[0] if contacts else None

    @property
    def routes(self) -> list[Address]:
        """RFC 3261 §20.34"""
        return self._list("routes", "Route", _parse_routes)

    @property
    def record_routes(self) -> list[Address]:
        """RFC 3261 §20.30"""
        return self._list("record_routes", "Record-Route", _parse_record_routes)

    @property
    def max_forwards(self) -> int | None:
        """RFC 3261 §20.22, 0 to 255."""
        return self._typed("max_forwards", "Max-Forwards", _parse_max_forwards)

    @property
    def expires(self) -> int | None:
        """Seconds. RFC 3261 §20.19"""
        return self._typed("expires", "Expires", lambda text: digits(text, "Expires"))

    @property
    def min_expires(self) -> int | None:
        """Seconds. RFC 3261 §20.23"""
        return self._typed("min_expires", "Min-Expires", lambda text: digits(text, "Min-Expires"))

    @property
    def media_type(self) -> MediaType | None:
        """Content-Type with its parameters. RFC 3261 §20.15"""
        return self._typed("media_type", "Content-Type", _parse_media_type)

    @property
    def content_type(self) -> str:
        """`type/subtype` in lower case; "" where there is no Content-Type."""
        media_type = self.media_type
        return media_type.essence if media_type else ""

    @property
    def supported(self) -> frozenset[str]:
        """Option tags in lower case. RFC 3261 §20.37"""
        return self.headers.tokens("Supported")

    @property
    def required(self) -> list[str]:
        """The option tags of Require. RFC 3261 §20.32"""
        return self.headers.values("Require")

    @property
    def allow(self) -> frozenset[str]:
        """Methods in upper case. RFC 3261 §20.5"""
        return frozenset(value.upper() for value in self.headers.values("Allow"))

    @property
    def event(self) -> Event | None:
        """RFC 6665 §8.2.1"""
        return self._typed("event", "Event", Event.parse)

    @property
    def subscription_state(self) -> SubscriptionState | None:
        """RFC 6665 §8.2.3"""
        return self._typed("subscription_state", "Subscription-State", SubscriptionState.parse)

    @property
    def refer_to(self) -> Address | None:
        """RFC 3515 §2.1"""
        return self._typed("refer_to", "Refer-To", parse_refer_to)

    @property
    def referred_by(self) -> Address | None:
        """RFC 3892 §3"""
        return self._typed("referred_by", "Referred-By", lambda text: Address.parse(text, "Referred-By"))

    @property
    def replaces(self) -> Replaces | None:
        """RFC 3891 §6.1"""
        return self._typed("replaces", "Replaces", Replaces.parse)

    @property
    def target_dialog(self) -> TargetDialog | None:
        """RFC 4538 §7."""
        return self._typed("target_dialog", "Target-Dialog", TargetDialog.parse)

    @property
    def reasons(self) -> list[Reason]:
        """RFC 3326 §2"""
        return self._list("reasons", "Reason", Reason.parse)

    @property
    def session_expires(self) -> SessionExpires | None:
        """RFC 4028 §4"""
        return self._typed("session_expires", "Session-Expires", SessionExpires.parse)

    @property
    def rseq(self) -> int | None:
        """RFC 3262 §7.1"""
        return self._typed("rseq", "RSeq", lambda text: digits(text, "RSeq"))

    @property
    def rack(self) -> RAck | None:
        """RFC 3262 §7.2"""
        return self._typed("rack", "RAck", RAck.parse)


class Request(Message):
    """RFC 3261 §7.1. uri may be given as a Uri or as text; it is parsed when first asked for."""

    __slots__ = ("_line", "_method", "_uri", "_uri_text")

    def __init__(
        self, method: str, uri: Uri | str, headers: Headers | Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        super().__init__(headers, body)
        self._method = method
        self._line: str | None = None
        self._uri_text: str | None
        self._uri: Uri | None
        if isinstance(uri, str):
            self._uri_text, self._uri = uri, None
        else:
            self._uri_text, self._uri = None, uri

    @property
    def method(self) -> str:
        return self._method

    @method.setter
    def method(self, method: str) -> None:
        self._method = method
        self._line = self._wire = None

    @property
    def uri(self) -> Uri:
        """The Request-URI. Raises ParseError (400)."""
        if self._uri is None:
            text = self._uri_text or ""
            self._uri = _short_uri(text) if len(text) <= _REMEMBERED else Uri.parse(text, "Request-URI")
        return self._uri

    @uri.setter
    def uri(self, uri: Uri | str) -> None:
        if isinstance(uri, str):
            self._uri_text, self._uri = uri, None
        else:
            self._uri_text, self._uri = None, uri
        self._line = self._wire = None

    @property
    def uri_text(self) -> str:
        """The Request-URI as it stands in the request line: what a digest is computed over."""
        if self._uri_text is None:
            self._uri_text = str(self._uri)
        return self._uri_text

    @property
    def start_line(self) -> str:
        if self._line is not None:
            return self._line
        uri = self.uri_text
        if not uri or " " in uri or "\t" in uri:
            raise HeaderInjectionError("Request-URI", "white space is not allowed (RFC 3261 §7.1)")
        check_text(uri, "Request-URI")
        if not is_token(self._method):
            check_text(self._method, "method")
            raise HeaderInjectionError("method", "not a token (RFC 3261 §7.1)")
        self._line = f"{self._method} {uri} SIP/2.0"
        return self._line

    @property
    def parts(self) -> RequestParts:
        """What a response copies. RFC 3261 §8.2.6"""
        headers = self.headers
        return RequestParts(
            self._method,
            tuple(headers.get_all("Via")),
            headers.get("From"),
            headers.get("To"),
            headers.get("Call-ID"),
            headers.get("CSeq"),
        )

    def copy(self) -> Request:
        """An independent copy."""
        return Request(
            self._method, self._uri if self._uri is not None else self.uri_text, self.headers.copy(), self._body
        )

    def __repr__(self) -> str:
        return f"<Request {self._method}>"


class Response(Message):
    """RFC 3261 §7.2. An empty reason is replaced by the customary one when written."""

    __slots__ = ("_reason", "_status")

    def __init__(
        self,
        status: int,
        reason: str = "",
        headers: Headers | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(headers, body)
        self._status = status
        self._reason = reason

    @property
    def status(self) -> int:
        return self._status

    @property
    def reason(self) -> str:
        return self._reason

    @property
    def start_line(self) -> str:
        if not 100 <= self._status <= 699:
            raise HeaderInjectionError("Status-Line", "the status is not in 100..699 (RFC 3261 §7.2)")
        return f"SIP/2.0 {self._status} {check_text(self._reason, 'reason phrase') or reason_phrase(self._status)}"

    def copy(self) -> Response:
        """An independent copy."""
        return Response(self._status, self._reason, self.headers.copy(), self._body)

    def __repr__(self) -> str:
        return f"<Response {self._status}>"


def response_to(
    request: Request | RequestParts, status: int, reason: str = "", *, to_tag: str | None = None
) -> Response:
    """A response with Via, From, To, Call-ID and CSeq copied as RFC 3261 §8.2.6.2 has it.

    to_tag is added where To has none yet (never to a 100). A To that cannot be read keeps its text and gets the tag
    behind it.
    """
    parts = request.parts if isinstance(request, Request) else request
    fields = [("Via", via) for via in parts.vias]
    if parts.from_ is not None:
        fields.append(("From", parts.from_))
    if parts.to is not None:
        fields.append(("To", _with_tag(parts.to, to_tag) if to_tag and status != 100 else parts.to))
    if parts.call_id is not None:
        fields.append(("Call-ID", parts.call_id))
    if parts.cseq is not None:
        fields.append(("CSeq", parts.cseq))
    return Response(status, reason or reason_phrase(status), Headers.copied(fields))


def _with_tag(to: str, tag: str) -> str:
    try:
        if Address.parse(to, "To").tag is not None:
            return to
    except ParseError:
        if ";tag=" in to.lower().replace(" ", ""):
            return to
    return f"{to};tag={tag}"
