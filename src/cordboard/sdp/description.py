"""Session descriptions: read tolerantly, written strictly. RFC 8866 (RFC 4566). What is not known is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from cordboard.sdp.errors import MalformedDescriptionError, UnwritableDescriptionError

__all__ = ["Attribute", "Connection", "Media", "Origin", "SessionDescription"]

MAXIMUM_BYTES = 65_536
MAXIMUM_LINES = 2_048
MAXIMUM_MEDIA = 64

# RFC 8866 §5: the order in which lines are written.
_SESSION_ORDER = "iuepcbtrzka"
_MEDIA_ORDER = "icbka"


@dataclass(frozen=True, slots=True)
class Attribute:
    """`a=name` or `a=name:value`. RFC 8866 §5.13"""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


@dataclass(frozen=True, slots=True)
class Connection:
    """`c=`. RFC 8866 §5.7. address: without the TTL of a multicast address; family: "IP4" or "IP6"."""

    address: str
    family: str = "IP4"
    suffix: str = ""

    @classmethod
    def parse(cls, text: str, line: int = 0) -> Connection:
        words = text.split()
        if len(words) != 3 or words[0].upper() != "IN" or words[1].upper() not in ("IP4", "IP6"):
            raise MalformedDescriptionError("c= is IN IP4 or IN IP6 and an address (RFC 8866 §5.7)", line)
        address, slash, suffix = words[2].partition("/")
        return cls(address, words[1].upper(), slash + suffix)

    @classmethod
    def of(cls, address: str) -> Connection:
        """For a numeric address."""
        return cls(address, "IP6" if ":" in address else "IP4")

    @property
    def is_unspecified(self) -> bool:
        """0.0.0.0, the hold of RFC 2543, or its IPv6 form. RFC 3264 §8.4"""
        return self.address in ("0.0.0.0", "::", "0:0:0:0:0:0:0:0")

    def __str__(self) -> str:
        return f"IN {self.family} {_word(self.address)}{self.suffix}"


@dataclass(frozen=True, slots=True)
class Origin:
    """`o=`. RFC 8866 §5.2. session_id and version are numbers; they are kept as text where a peer writes others."""

    session_id: str
    version: str
    address: str
    username: str = "-"
    family: str = "IP4"

    @classmethod
    def parse(cls, text: str, line: int = 0) -> Origin:
        words = text.split()
        if len(words) < 6:
            raise MalformedDescriptionError("o= has six parts (RFC 8866 §5.2)", line)
        # A username with spaces is not allowed, but seen.
        username = "_".join(words[:-5])
        return cls(words[-5], words[-4], words[-1], username, words[-2].upper())

    def __str__(self) -> str:
        words = (self.username, self.session_id, self.version, "IN", self.family, self.address)
        return " ".join(_word(word) for word in words)


class _Attributes:
    """Access to attributes by name."""

    __slots__ = ()
    attributes: tuple[Attribute, ...]

    def attribute(self, name: str) -> str | None:
        """The first value; "" for a flag; None where absent."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value or ""
        return None

    def attribute_values(self, name: str) -> list[str]:
        """All values of a name."""
        return [attribute.value or "" for attribute in self.attributes if attribute.name == name]


@dataclass(frozen=True)
class Media(_Attributes):
    """`m=` and the lines that belong to it. RFC 8866 §5.14. other: lines we have no field for, as (letter, text)."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: Connection | None = None
    attributes: tuple[Attribute, ...] = ()
    other: tuple[tuple[str, str], ...] = ()
    port_count: int = 1

    @classmethod
    def parse(cls, text: str, line: int = 0) -> Media:
        words = text.split()
        if len(words) < 3:
            raise MalformedDescriptionError("m= has a kind, port, protocol and formats (RFC 8866 §5.14)", line)
        port, slash, count = words[1].partition("/")
        if not _is_number(port, 65535) or (slash and not _is_number(count, 65535)):
            raise MalformedDescriptionError("the port is not a number up to 65535 (RFC 8866 §5.14)", line)
        return cls(words[0].lower(), int(port), words[2], tuple(words[3:]), port_count=int(count) if slash else 1)

    def lines(self) -> list[str]:
        """The lines to write."""
        port = str(self.port) if self.port_count == 1 else f"{self.port}/{self.port_count}"
        out = [
            " ".join(("m=" + _word(self.kind), port, _word(self.protocol), *(_word(f) for f in self.formats or ("0",))))
        ]
        pairs = list(self.other)
        if self.connection is not None:
            pairs.append(("c", str(self.connection)))
        pairs.extend(("a", str(attribute)) for attribute in self.attributes)
        out.extend(_ordered(pairs, _MEDIA_ORDER))
        return out


@dataclass(frozen=True)
class SessionDescription(_Attributes):
    """A whole description. other: session lines we have no field for, as (letter, text)."""

    origin: Origin
    connection: Connection | None = None
    media: tuple[Media, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    name: str = "-"
    times: tuple[str, ...] = ("0 0",)
    other: tuple[tuple[str, str], ...] = field(default=())

    @classmethod
    def parse(cls, data: bytes | str) -> SessionDescription:
        """Read a description; lines may end with LF, s= and t= may be missing. Raises MalformedDescriptionError."""
        text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
        if len(text) > MAXIMUM_BYTES:
            raise MalformedDescriptionError(f"more than {MAXIMUM_BYTES} bytes")
        if "\0" in text:
            raise MalformedDescriptionError("NUL is not allowed (RFC 8866 §9)")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if len(lines) > MAXIMUM_LINES:
            raise MalformedDescriptionError(f"more than {MAXIMUM_LINES} lines")
        return _Reader().read(lines)

    def connection_of(self, media: Media) -> Connection | None:
        """The media's own c=, else the session's. RFC 8866 §5.7"""
        return media.connection or self.connection

    def __str__(self) -> str:
        """Strict: CRLF line ends, the order of RFC 8866 §5. Raises UnwritableDescriptionError."""
        out = ["v=0", f"o={self.origin}", "s=" + (_text(self.name) or "-")]
        pairs = list(self.other)
        if self.connection is not None:
            pairs.append(("c", str(self.connection)))
        pairs.extend(("t", time) for time in self.times or ("0 0",))
        pairs.extend(("a", str(attribute)) for attribute in self.attributes)
        out.extend(_ordered(pairs, _SESSION_ORDER))
        for media in self.media:
            out.extend(media.lines())
        return "\r\n".join(out) + "\r\n"

    def serialize(self) -> bytes:
        """The body of a message."""
        return str(self).encode("utf-8", "surrogateescape")


class _Reader:
    """Collects lines; what stands before the first m= belongs to the session."""

    def __init__(self) -> None:
        self.origin: Origin | None = None
        self.name = "-"
        self.times: list[str] = []
        self.session: tuple[list[Connection], list[Attribute], list[tuple[str, str]]] = ([], [], [])
        self.parts: list[tuple[Media, tuple[list[Connection], list[Attribute], list[tuple[str, str]]]]] = []

    def read(self, lines: list[str]) -> SessionDescription:
        seen_version = False
        for number, line in enumerate(lines, 1):
            line = line.rstrip()
            if not line:
                continue
            letter, equals, value = line[0], line[1:2], line[2:].strip()
            if equals != "=" or not letter.isalpha():
                raise MalformedDescriptionError("letter=value is expected (RFC 8866 §5)", number)
            if not seen_version:
                if letter != "v" or value != "0":
                    raise MalformedDescriptionError("a description begins with v=0 (RFC 8866 §5.1)", number)
                seen_version = True
                continue
            self.take(letter, value, number)
        if not seen_version:
            raise MalformedDescriptionError("it is empty (RFC 8866 §5)")
        if self.origin is None:
            raise MalformedDescriptionError("o= is missing (RFC 8866 §5.2)")
        connections, attributes, other = self.session
        return SessionDescription(
            self.origin,
            connections[0] if connections else None,
            tuple(_finished(media, *parts) for media, parts in self.parts),
            tuple(attributes),
            self.name,
            tuple(self.times) or ("0 0",),
            tuple(other),
        )

    def take(self, letter: str, value: str, number: int) -> None:
        connections, attributes, other = self.parts[-1][1] if self.parts else self.session
        if letter == "m":
            if len(self.parts) >= MAXIMUM_MEDIA:
                raise MalformedDescriptionError(f"more than {MAXIMUM_MEDIA} media", number)
            self.parts.append((Media.parse(value, number), ([], [], [])))
        elif letter == "a":
            name, colon, text = value.partition(":")
            if name.strip():
                attributes.append(Attribute(name.strip(), text.strip() if colon else None))
        elif letter == "c":
            connections.append(Connection.parse(value, number))
        elif self.parts:
            other.append((letter, value))
        elif letter == "o":
            self.origin = Origin.parse(value, number)
        elif letter == "s":
            self.name = value or "-"
        elif letter == "t":
            self.times.append(value or "0 0")
        elif letter != "v":
            other.append((letter, value))


def _finished(
    media: Media, connections: list[Connection], attributes: list[Attribute], other: list[tuple[str, str]]
) -> Media:
    connection = connections[0] if connections else None
    return Media(
        media.kind,
        media.port,
        media.protocol,
        media.formats,
        connection,
        tuple(attributes),
        tuple(other),
        media.port_count,
    )


def _ordered(pairs: list[tuple[str, str]], order: str) -> list[str]:
    """Lines in the order of the grammar; letters that it does not have come before the attributes."""
    ranked = sorted(pairs, key=lambda pair: order.find(pair[0]) if pair[0] in order else len(order) - 1.5)
    return [f"{_word(letter)}={_text(value)}" for letter, value in ranked]


def _text(value: str) -> str:
    if "\r" in value or "\n" in value or "\0" in value:
        raise UnwritableDescriptionError("CR, LF and NUL are not allowed in a value (RFC 8866 §9)")
    return value


def _word(value: str) -> str:
    _text(value)
    if not value or " " in value or "\t" in value:
        raise UnwritableDescriptionError("one word is expected (RFC 8866 §9)")
    return value


def _is_number(text: str, maximum: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= maximum
