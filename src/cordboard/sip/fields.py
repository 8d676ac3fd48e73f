"""Typed header values of dialogs, events and transfers; each with `parse` and `__str__`, each citing its section."""

from __future__ import annotations

from dataclasses import dataclass

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.parameters import NO_PARAMETERS, Parameters
from cordboard.sip.tokens import check_text, closing_quote, digits, is_token, quote, unquote

__all__ = [
    "CSeq",
    "Event",
    "MediaType",
    "MinSe",
    "RAck",
    "Reason",
    "Replaces",
    "RetryAfter",
    "SessionExpires",
    "SubscriptionState",
    "TargetDialog",
    "Warning",
]

MAXIMUM_CSEQ = 2**31 - 1
"""RFC 3261 §8.1.1.5: CSeq is less than 2**31."""


def token(text: str, field: str) -> str:
    """A token for writing; raises HeaderInjectionError."""
    check_text(text, field)
    if not is_token(text):
        raise HeaderInjectionError(field, "not a token (RFC 3261 §25.1)")
    return text


def _word(text: str, field: str) -> str:
    """A Call-ID for writing: one word, kept byte for byte (RFC 3261 §25.1 callid)."""
    check_text(text, field)
    if not text or any(character in text for character in " \t;,"):
        raise HeaderInjectionError(field, "not a single word (RFC 3261 §25.1)")
    return text


def _head_and_parameters(text: str, field: str) -> tuple[str, Parameters]:
    head, semicolon, rest = text.partition(";")
    return head.strip(), Parameters.parse(rest, field) if semicolon else NO_PARAMETERS


@dataclass(frozen=True, slots=True)
class CSeq:
    """RFC 3261 §20.16."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        words = text.split()
        if len(words) != 2 or not is_token(words[1]):
            raise ParseError("CSeq", "a number and a method are expected (RFC 3261 §20.16)")
        return cls(digits(words[0], "CSeq", MAXIMUM_CSEQ), words[1])

    def __str__(self) -> str:
        return f"{self.number} {token(self.method, 'CSeq')}"


@dataclass(frozen=True, slots=True)
class RAck:
    """RFC 3262 §7.2: which reliable provisional response a PRACK acknowledges."""

    response: int
    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> RAck:
        words = text.split()
        if len(words) != 3 or not is_token(words[2]):
            raise ParseError("RAck", "two numbers and a method are expected (RFC 3262 §7.2)")
        return cls(digits(words[0], "RAck"), digits(words[1], "RAck", MAXIMUM_CSEQ), words[2])

    def __str__(self) -> str:
        return f"{self.response} {self.number} {token(self.method, 'RAck')}"


@dataclass(frozen=True, slots=True)
class MediaType:
    """Content-Type and one member of Accept. RFC 3261 §20.15, §20.1. type and subtype in lower case."""

    type: str
    subtype: str
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> MediaType:
        head, parameters = _head_and_parameters(text, "Content-Type")
        type_, _, subtype = head.partition("/")
        type_, subtype = type_.strip().lower(), subtype.strip().lower()
        if not is_token(type_) or not is_token(subtype):
            raise ParseError("Content-Type", "type/subtype is expected (RFC 3261 §20.15)")
        return cls(type_, subtype, parameters)

    @property
    def essence(self) -> str:
        """`type/subtype` without parameters."""
        return f"{self.type}/{self.subtype}"

    def __str__(self) -> str:
        return f"{token(self.type, 'Content-Type')}/{token(self.subtype, 'Content-Type')}{self.parameters}"


@dataclass(frozen=True, slots=True)
class Event:
    """RFC 6665 §8.2.1. package includes its templates, as in `presence.winfo`."""

    package: str
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> Event:
        head, parameters = _head_and_parameters(text, "Event")
        if not is_token(head):
            raise ParseError("Event", "an event package is expected (RFC 6665 §8.2.1)")
        return cls(head, parameters)

    @property
    def id(self) -> str | None:
        """RFC 3515 §2.4.6: the CSeq of the REFER, where several subscriptions share a dialog."""
        return self.parameters.get("id")

    def __str__(self) -> str:
        return f"{token(self.package, 'Event')}{self.parameters}"


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """RFC 6665 §8.2.3. state: active, pending, terminated or an extension, in lower case."""

    state: str
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> SubscriptionState:
        head, parameters = _head_and_parameters(text, "Subscription-State")
        if not is_token(head):
            raise ParseError("Subscription-State", "a state is expected (RFC 6665 §8.2.3)")
        return cls(head.lower(), parameters)

    @property
    def reason(self) -> str | None:
        """Why it ended: noresource, timeout, rejected ..."""
        return self.parameters.get("reason")

    @property
    def expires(self) -> int | None:
        """Seconds left."""
        value = self.parameters.get("expires")
        return digits(value, "Subscription-State") if value else None

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait before subscribing again."""
        value = self.parameters.get("retry-after")
        return digits(value, "Subscription-State") if value else None

    def __str__(self) -> str:
        return f"{token(self.state, 'Subscription-State')}{self.parameters}"


@dataclass(frozen=True, slots=True)
class Replaces:
    """RFC 3891 §6.1. Tags are of the dialog as its owner sees it: to_tag is the local tag of who receives this."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Replaces:
        head, parameters = _head_and_parameters(text, "Replaces")
        to_tag, from_tag = parameters.raw("to-tag"), parameters.raw("from-tag")
        if not head or not to_tag or not from_tag:
            raise ParseError("Replaces", "a Call-ID, to-tag and from-tag are expected (RFC 3891 §6.1)")
        return cls(head, to_tag, from_tag, "early-only" in parameters)

    def __str__(self) -> str:
        parameters = Parameters.of(to_tag=self.to_tag, from_tag=self.from_tag)
        return f"{_word(self.call_id, 'Replaces')}{parameters}" + (";early-only" if self.early_only else "")


@dataclass(frozen=True, slots=True)
class TargetDialog:
    """RFC 4538 §7. Tags as the receiver of the request sees them: local_tag is the receiver's."""

    call_id: str
    local_tag: str
    remote_tag: str

    @classmethod
    def parse(cls, text: str) -> TargetDialog:
        head, parameters = _head_and_parameters(text, "Target-Dialog")
        local_tag, remote_tag = parameters.raw("local-tag"), parameters.raw("remote-tag")
        if not head or not local_tag or not remote_tag:
            raise ParseError("Target-Dialog", "a Call-ID, local-tag and remote-tag are expected (RFC 4538 §7)")
        return cls(head, local_tag, remote_tag)

    def __str__(self) -> str:
        parameters = Parameters.of(local_tag=self.local_tag, remote_tag=self.remote_tag)
        return f"{_word(self.call_id, 'Target-Dialog')}{parameters}"


@dataclass(frozen=True, slots=True)
class Reason:
    """RFC 3326 §2. protocol: "SIP", "Q.850" or another; cause: a status code or a Q.850 cause; text: plain."""

    protocol: str
    cause: int | None = None
    text: str | None = None
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> Reason:
        head, parameters = _head_and_parameters(text, "Reason")
        if not is_token(head):
            raise ParseError("Reason", "a protocol is expected (RFC 3326 §2)")
        cause = parameters.get("cause")
        return cls(
            head,
            digits(cause, "Reason", 999) if cause else None,
            parameters.get("text"),
            parameters.without("cause").without("text"),
        )

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        text = "" if self.text is None else f";text={quote(self.text)}"
        return f"{token(self.protocol, 'Reason')}{cause}{text}{self.parameters}"


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """RFC 4028 §4. seconds; refresher: "uac", "uas" or None."""

    seconds: int
    refresher: str | None = None
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> SessionExpires:
        head, parameters = _head_and_parameters(text, "Session-Expires")
        refresher = parameters.get("refresher")
        if refresher is not None:
            refresher = refresher.lower()
            if refresher not in ("uac", "uas"):
                raise ParseError("Session-Expires", "refresher is uac or uas (RFC 4028 §4)")
        return cls(digits(head, "Session-Expires"), refresher, parameters.without("refresher"))

    def __str__(self) -> str:
        refresher = "" if self.refresher is None else f";refresher={token(self.refresher, 'Session-Expires')}"
        return f"{self.seconds}{refresher}{self.parameters}"


@dataclass(frozen=True, slots=True)
class MinSe:
    """RFC 4028 §5. seconds."""

    seconds: int
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> MinSe:
        head, parameters = _head_and_parameters(text, "Min-SE")
        return cls(digits(head, "Min-SE"), parameters)

    def __str__(self) -> str:
        return f"{self.seconds}{self.parameters}"


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """RFC 3261 §20.33. seconds; comment is plain text."""

    seconds: int
    comment: str = ""
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> RetryAfter:
        head, opened, rest = text.partition("(")
        comment = ""
        if opened and ";" not in head:
            comment, _, rest = rest.rpartition(")")
            head += rest
        else:
            head = text
        number, parameters = _head_and_parameters(head, "Retry-After")
        return cls(digits(number, "Retry-After"), comment.strip(), parameters)

    @property
    def duration(self) -> int | None:
        """Seconds for which the server will be there again."""
        value = self.parameters.get("duration")
        return digits(value, "Retry-After") if value else None

    def __str__(self) -> str:
        comment = check_text(self.comment, "Retry-After")
        if any(character in comment for character in "();\\"):
            raise HeaderInjectionError("Retry-After", "a comment without brackets is expected (RFC 3261 §25.1)")
        return f"{self.seconds}{f' ({comment})' if comment else ''}{self.parameters}"


@dataclass(frozen=True, slots=True)
class Warning:
    """RFC 3261 §20.43. code: three digits; agent: host[:port] or a pseudonym; text: plain."""

    code: int
    agent: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Warning:
        words = text.strip().split(None, 2)
        if len(words) != 3 or not words[2].startswith('"') or closing_quote(words[2], 0) != len(words[2]) - 1:
            raise ParseError("Warning", 'code, agent and "text" are expected (RFC 3261 §20.43)')
        return cls(digits(words[0], "Warning", 999), words[1], unquote(words[2]))

    def __str__(self) -> str:
        return f"{self.code:03d} {_word(self.agent, 'Warning')} {quote(self.text)}"
