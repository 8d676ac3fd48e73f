"""Offer and answer for one audio stream. RFC 3264, RFC 6337, RFC 4568 §5.1.

Every other stream of an offer is refused with port zero, in its place; a re-offer keeps the number and order of
streams, the session's identifier and the meaning of payload types (RFC 3264 §8).

Rules
* Both sides list what they can receive; a side sends under the other side's number (RFC 3264 §5.1).
* All offered codecs stay receivable after the answer: a peer may switch among the codecs it answered (RFC 3264 §7).
* telephone-event goes under the type whose clock is that of the codec we send (RFC 4733 §2.1).
* Hold is a direction, and c=0.0.0.0 in the manner of RFC 2543 (RFC 3264 §8.4).
* The version of o= rises by one exactly where the description changed (RFC 3264 §8).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cordboard.sdp.codecs import STATIC_PAYLOAD_TYPES, Codec, assign_payload_types, with_telephone_events
from cordboard.sdp.description import Attribute, Connection, Media, Origin, SessionDescription
from cordboard.sdp.errors import (
    MalformedDescriptionError,
    MediaRejectedError,
    NoCommonAddressError,
    NoCommonCodecError,
    NoUsableMediaError,
    SecureMediaError,
)
from cordboard.sdp.keys import KeyPair, Keys

__all__ = ["Direction", "LocalMedia", "Negotiated", "accept", "answer", "direction_of", "media_codecs", "offer"]

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
_PROTOCOLS = ("RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF")


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What our side of a stream is and can.

    address, port: where we receive (numeric). codecs: in order of preference; telephone-event is added at every rate
    unless dtmf is False or the list has its own. ptime, maxptime: milliseconds. keys: SRTP keys, one per suite, best
    first; secure: "off" never SRTP, "optional" where the offer has it, "required" always. session_id: a number that
    is ours alone (RFC 8866 §5.2).
    """

    address: str
    port: int
    codecs: tuple[Codec, ...]
    direction: Direction = "sendrecv"
    ptime: int = 20
    maxptime: int | None = None
    dtmf: bool = True
    keys: tuple[Keys, ...] = ()
    secure: Literal["off", "optional", "required"] = "off"
    rtcp_mux: bool = False
    session_id: int = 1
    username: str = "-"

    @property
    def all_codecs(self) -> tuple[Codec, ...]:
        """With telephone-event."""
        return with_telephone_events(self.codecs) if self.dtmf else self.codecs


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both sides agreed upon, as seen from ours. `for_jack()` fits the media board.

    remote: where we send. receive: payload types that the peer may use towards us. send, send_codec: what we send.
    dtmf: the type for telephone-event towards the peer, None where it takes none; dtmf_receive: the types under which
    its events come. direction: ours; ptime: milliseconds per packet that the peer wishes. keys: both SRTP keys or None.
    rtcp: where the peer takes RTCP. media_index: the place of the stream among the m= lines. held: the peer does not
    want to hear us (RFC 3264 §8.4).
    """

    remote: tuple[str, int]
    receive: dict[int, Codec]
    send: int
    send_codec: Codec
    direction: Direction
    ptime: int = 20
    dtmf: int | None = None
    dtmf_receive: tuple[int, ...] = ()
    keys: KeyPair | None = None
    rtcp: tuple[str, int] | None = None
    rtcp_mux: bool = False
    media_index: int = 0
    held: bool = False

    def for_jack(self) -> dict[str, Any]:
        """The keyword arguments of Jack.negotiated."""
        return {
            "receive": self.receive,
            "send": self.send,
            "remote": self.remote,
            "ptime": self.ptime,
            "direction": self.direction,
            "dtmf": self.dtmf,
            "send_codec": self.send_codec,
            "rtcp": self.rtcp,
            "rtcp_mux": self.rtcp_mux,
            "keys": self.keys,
        }


def offer(local: LocalMedia, previous: SessionDescription | None = None) -> SessionDescription:
    """Our offer. previous: the last description that we sent in this session, offer or answer."""
    index = _own_index(previous)
    kept: dict[tuple[str, int, int], int] = {}
    if previous is not None and index < len(previous.media):
        kept = {codec.key: number for number, codec in media_codecs(previous.media[index]).items()}
    formats = assign_payload_types(local.all_codecs, kept)
    if local.secure == "required" and not local.keys:
        raise SecureMediaError("SRTP is required and there is no key (RFC 4568 §5.1.1)")
    secure = local.secure == "required"
    attributes = _attributes(formats, local, local.direction, local.ptime)
    if secure:
        attributes += [Attribute("crypto", str(keys)) for keys in _numbered(local.keys)]
    if local.rtcp_mux:
        attributes.append(Attribute("rtcp-mux"))
    stream = Media(
        "audio",
        local.port,
        "RTP/SAVP" if secure else "RTP/AVP",
        tuple(str(number) for number in formats),
        attributes=tuple(attributes),
    )
    streams = [_refused(media) for media in previous.media] if previous is not None else []
    if index < len(streams):
        streams[index] = stream
    else:
        streams.append(stream)
    return _described(local, tuple(streams), previous)


def answer(
    offered: SessionDescription,
    local: LocalMedia,
    *,
    prefer: Sequence[Codec] = (),
    previous: SessionDescription | None = None,
) -> tuple[SessionDescription, Negotiated]:
    """Answer an offer. prefer: codecs of the other leg; a shared one of them goes first, so that nothing is transcoded.

    previous: the last description that we sent in this session. Raises NegotiationError (488) with the reason.
    """
    index = _choose(offered, local)
    theirs = offered.media[index]
    remote = _remote(offered, theirs, local)
    common = _common(media_codecs(theirs), local, prefer)
    send = next(iter(common))
    their_direction = direction_of(offered, theirs)
    connection = offered.connection_of(theirs)
    held = their_direction in ("sendonly", "inactive") or (connection is not None and connection.is_unspecified)
    direction = _answered_direction(their_direction, local.direction, held)
    keys = _answer_keys(theirs, local)
    mux = local.rtcp_mux and theirs.attribute("rtcp-mux") is not None
    ptime = _ptime(theirs, local)
    attributes = _attributes(common, local, direction, local.ptime)
    if keys is not None:
        attributes.append(Attribute("crypto", str(keys.send)))
    if mux:
        attributes.append(Attribute("rtcp-mux"))
    stream = Media(
        "audio",
        local.port,
        theirs.protocol,
        tuple(str(number) for number in common),
        attributes=tuple(attributes),
    )
    streams = tuple(stream if place == index else _refused(media) for place, media in enumerate(offered.media))
    description = _described(local, streams, previous)
    events = tuple(number for number, codec in common.items() if codec.is_telephone_event)
    negotiated = Negotiated(
        remote,
        common,
        send,
        common[send],
        direction,
        ptime,
        _event_type(common, common[send]),
        events,
        keys,
        _rtcp(theirs, remote, mux),
        mux,
        index,
        held,
    )
    return description, negotiated


def accept(answered: SessionDescription, local: LocalMedia, offered: SessionDescription | None = None) -> Negotiated:
    """Take an answer to our offer. offered: the offer as it was sent; None: `offer(local)`.

    Raises MediaRejectedError where our stream was refused, NoCommonCodecError, NoCommonAddressError, SecureMediaError.
    """
    ours_description = offered if offered is not None else offer(local)
    index = _own_index(ours_description)
    if index >= len(answered.media):
        raise MediaRejectedError("the answer has fewer streams than the offer (RFC 3264 §6)")
    theirs = answered.media[index]
    ours = ours_description.media[index]
    if theirs.port == 0:
        raise MediaRejectedError("the answer refuses the stream (RFC 3264 §6)")
    if theirs.kind != "audio":
        raise MediaRejectedError("the answer has another kind of stream in this place (RFC 3264 §6)")
    remote = _remote(answered, theirs, local)
    receive = media_codecs(ours)
    answered_codecs = media_codecs(theirs)
    known = {codec.key for codec in receive.values()}
    usable = {number: codec for number, codec in answered_codecs.items() if codec.key in known}
    send = next((number for number, codec in usable.items() if codec.is_audio), None)
    if send is None:
        raise NoCommonCodecError("the answer has no codec of the offer (RFC 3264 §6.1)")
    their_direction = direction_of(answered, theirs)
    connection = answered.connection_of(theirs)
    held = their_direction in ("sendonly", "inactive") or (connection is not None and connection.is_unspecified)
    mux = ours.attribute("rtcp-mux") is not None and theirs.attribute("rtcp-mux") is not None
    return Negotiated(
        remote,
        receive,
        send,
        usable[send],
        _answered_direction(their_direction, direction_of(ours_description, ours), held),
        _ptime(theirs, local),
        _event_type(usable, usable[send]),
        tuple(number for number, codec in receive.items() if codec.is_telephone_event),
        _accepted_keys(ours, theirs, local),
        _rtcp(theirs, remote, mux),
        mux,
        index,
        held,
    )


def media_codecs(media: Media) -> dict[int, Codec]:
    """The payload types of a stream in its order. Static types need no rtpmap (RFC 3551 §6); others do."""
    maps: dict[str, tuple[str, int, int]] = {}
    for value in media.attribute_values("rtpmap"):
        number, _, encoding = value.partition(" ")
        parts = encoding.strip().split("/")
        if len(parts) < 2 or not parts[1].isascii() or not parts[1].isdigit() or len(parts[1]) > 6 or not parts[0]:
            continue
        channels = int(parts[2]) if len(parts) > 2 and parts[2] in ("1", "2", "3", "4", "5", "6", "7", "8") else 1
        rate = int(parts[1])
        if parts[0].upper() == "G722" and rate == 16000:
            rate = 8000  # The wrong rate, but what it means is plain. RFC 3551 §4.5.2
        maps[number] = parts[0], rate, channels
    formats: dict[str, str] = {}
    for value in media.attribute_values("fmtp"):
        number, _, text = value.partition(" ")
        formats[number] = text.strip()
    codecs: dict[int, Codec] = {}
    for text in media.formats:
        if not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) > 127:
            continue
        if text in maps:
            codecs[int(text)] = Codec(*maps[text], formats.get(text, ""))
        elif int(text) in STATIC_PAYLOAD_TYPES:
            codecs[int(text)] = replace(STATIC_PAYLOAD_TYPES[int(text)], fmtp=formats.get(text, ""))
    return codecs


def direction_of(description: SessionDescription, media: Media) -> Direction:
    """The stream's direction, else the session's, else sendrecv. RFC 8866 §6.7"""
    for holder in (media, description):
        for attribute in holder.attributes:
            for direction in _DIRECTIONS:
                if attribute.name == direction:
                    return direction
    return "sendrecv"


def _choose(offered: SessionDescription, local: LocalMedia) -> int:
    """The first audio stream that is open, over RTP, and secure as we want it."""
    secure_missing = False
    for index, media in enumerate(offered.media):
        if media.kind != "audio" or media.port == 0 or media.protocol.upper() not in _PROTOCOLS:
            continue
        if local.secure == ("off" if _is_secure(media) else "required"):
            secure_missing = True
        else:
            return index
    if secure_missing:
        raise SecureMediaError("one side wants SRTP, the other does not (RFC 4568 §5.1.2)")
    raise NoUsableMediaError("no audio stream over RTP is offered (RFC 3264 §6)")


def _is_secure(media: Media) -> bool:
    return "SAVP" in media.protocol.upper()


def _remote(description: SessionDescription, media: Media, local: LocalMedia) -> tuple[str, int]:
    connection = description.connection_of(media)
    if connection is None:
        raise MalformedDescriptionError("neither the session nor the stream has a c= line (RFC 8866 §5.7)")
    try:
        address = ipaddress.ip_address(connection.address)
        own = ipaddress.ip_address(local.address)
    except ValueError:
        raise NoCommonAddressError("the address is not numeric (RFC 8866 §5.7)") from None
    if connection.is_unspecified:
        return connection.address, media.port
    if address.is_multicast:
        raise NoCommonAddressError("multicast is not spoken (RFC 3264 §5.2)")
    if address.version != own.version:
        raise NoCommonAddressError("the address is of another family (RFC 6157 §3.1)")
    return connection.address, media.port


def _common(theirs: dict[int, Codec], local: LocalMedia, prefer: Sequence[Codec]) -> dict[int, Codec]:
    """Payload types of the offer that we speak: preferred audio first, then the offerer's order. RFC 3264 §6.1"""
    ours = {codec.key: codec for codec in local.all_codecs}
    wanted = {codec.key: rank for rank, codec in enumerate(prefer) if codec.is_audio}
    shared: dict[int, Codec] = {}
    for number, codec in theirs.items():
        mine = ours.get(codec.key)
        if mine is not None:
            shared[number] = replace(codec, fmtp=mine.fmtp if codec.is_telephone_event else codec.fmtp)
    audio = [number for number, codec in shared.items() if codec.is_audio]
    if not audio:
        raise NoCommonCodecError("no audio codec is shared (RFC 3264 §6.1)")
    audio.sort(key=lambda number: wanted.get(shared[number].key, len(wanted)))
    rest = [number for number in shared if number not in audio]
    return {number: shared[number] for number in (*audio, *rest)}


def _event_type(codecs: dict[int, Codec], sent: Codec) -> int | None:
    """The telephone-event type at the clock of what we send, else any. RFC 4733 §2.1"""
    events = {number: codec for number, codec in codecs.items() if codec.is_telephone_event}
    for number, codec in events.items():
        if codec.clock_rate == sent.clock_rate:
            return number
    return next(iter(events), None)


def _answered_direction(theirs: Direction, ours: Direction, held: bool) -> Direction:
    """Our direction: we send where we want to and they listen; we receive where we want to and they send."""
    sends = ours in ("sendrecv", "sendonly") and theirs in ("sendrecv", "recvonly") and not held
    receives = ours in ("sendrecv", "recvonly") and theirs in ("sendrecv", "sendonly")
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


def _ptime(theirs: Media, local: LocalMedia) -> int:
    """What the peer wishes, in 10 to 60 ms and not above its maxptime; ours where it says nothing. RFC 8866 §6.4"""
    wanted = _milliseconds(theirs.attribute("ptime")) or local.ptime
    most = _milliseconds(theirs.attribute("maxptime"))
    if most:
        wanted = min(wanted, most)
    return max(10, min(60, wanted // 10 * 10))


def _milliseconds(text: str | None) -> int:
    head = (text or "").partition(".")[0].strip()
    return int(head) if head.isascii() and head.isdigit() and len(head) <= 5 else 0


def _rtcp(theirs: Media, remote: tuple[str, int], mux: bool) -> tuple[str, int] | None:
    """Where RTCP goes. RFC 3605 §2.1, RFC 5761 §5.1.1"""
    if remote[1] == 0:
        return None
    if mux:
        return remote
    words = (theirs.attribute("rtcp") or "").split()
    if words and words[0].isascii() and words[0].isdigit() and len(words[0]) <= 5 and 0 < int(words[0]) <= 65535:
        # Another host here would let a peer aim our packets at a third party.
        return remote[0], int(words[0])
    return (remote[0], remote[1] + 1) if remote[1] < 65535 else None


def _offered_keys(media: Media) -> list[Keys]:
    keys: list[Keys] = []
    for value in media.attribute_values("crypto")[:16]:
        try:
            keys.append(Keys.parse(value))
        except MalformedDescriptionError:
            continue
    return keys


def _answer_keys(theirs: Media, local: LocalMedia) -> KeyPair | None:
    if not _is_secure(theirs):
        return None
    for offered in _offered_keys(theirs):
        for own in local.keys:
            if own.suite == offered.suite:
                # The answer repeats the tag of the line it took. RFC 4568 §5.1.2
                return KeyPair(replace(own, tag=offered.tag), offered)
    raise SecureMediaError("no SRTP key that we speak is offered (RFC 4568 §5.1.2)")


def _accepted_keys(ours: Media, theirs: Media, local: LocalMedia) -> KeyPair | None:
    if not _is_secure(ours):
        return None
    if not _is_secure(theirs):
        raise SecureMediaError("the answer drops SRTP (RFC 4568 §5.1.3)")
    for answered in _offered_keys(theirs):
        for own in _offered_keys(ours):
            if (own.tag, own.suite) == (answered.tag, answered.suite):
                return KeyPair(own, answered)
    raise SecureMediaError("the answer takes none of our keys (RFC 4568 §5.1.3)")


def _numbered(keys: tuple[Keys, ...]) -> list[Keys]:
    return [replace(key, tag=tag) for tag, key in enumerate(keys, 1)]


def _attributes(formats: dict[int, Codec], local: LocalMedia, direction: Direction, ptime: int) -> list[Attribute]:
    attributes: list[Attribute] = []
    for number, codec in formats.items():
        attributes.append(Attribute("rtpmap", f"{number} {codec.rtpmap}"))
        if codec.fmtp:
            attributes.append(Attribute("fmtp", f"{number} {codec.fmtp}"))
    attributes.append(Attribute("ptime", str(ptime)))
    if local.maxptime is not None:
        attributes.append(Attribute("maxptime", str(local.maxptime)))
    attributes.append(Attribute(direction))
    return attributes


def _refused(media: Media) -> Media:
    """A stream that we do not want, in its place. RFC 3264 §6"""
    return Media(media.kind, 0, media.protocol, media.formats)


def _own_index(description: SessionDescription | None) -> int:
    """The place of our audio stream: the first open one; else the first audio stream; else a new one."""
    if description is None:
        return 0
    audio = [index for index, media in enumerate(description.media) if media.kind == "audio"]
    for index in audio:
        if description.media[index].port != 0:
            return index
    return audio[0] if audio else len(description.media)


def _described(
    local: LocalMedia, streams: tuple[Media, ...], previous: SessionDescription | None
) -> SessionDescription:
    connection = Connection.of(local.address)
    session_id = str(local.session_id)
    origin = Origin(session_id, session_id, local.address, local.username, connection.family)
    description = SessionDescription(origin, connection, streams)
    if previous is None:
        return description
    same = replace(description, origin=previous.origin)
    if str(same) == str(previous):
        return same
    # RFC 3264 §8: everything in o= but the version stays, even where our address changes.
    version = str(int(previous.origin.version) + 1) if previous.origin.version.isdigit() else "1"
    return replace(description, origin=replace(previous.origin, version=version))
