"""Session descriptions and offer/answer, without I/O."""

from cordboard.sdp.codecs import (
    CN,
    G722,
    OPUS,
    PCMA,
    PCMU,
    TELEPHONE_EVENT,
    TELEPHONE_EVENT_48000,
    Codec,
    codec_named,
)
from cordboard.sdp.description import Attribute, Connection, Media, Origin, SessionDescription
from cordboard.sdp.errors import (
    MalformedDescriptionError,
    MediaRejectedError,
    NegotiationError,
    NoCommonAddressError,
    NoCommonCodecError,
    NoUsableMediaError,
    SdpError,
    SecureMediaError,
    UnwritableDescriptionError,
)
from cordboard.sdp.keys import KeyPair, Keys
from cordboard.sdp.negotiation import Direction, LocalMedia, Negotiated, accept, answer, direction_of, offer

__all__ = [
    "CN",
    "G722",
    "OPUS",
    "PCMA",
    "PCMU",
    "TELEPHONE_EVENT",
    "TELEPHONE_EVENT_48000",
    "Attribute",
    "Codec",
    "Connection",
    "Direction",
    "KeyPair",
    "Keys",
    "LocalMedia",
    "MalformedDescriptionError",
    "Media",
    "MediaRejectedError",
    "Negotiated",
    "NegotiationError",
    "NoCommonAddressError",
    "NoCommonCodecError",
    "NoUsableMediaError",
    "Origin",
    "SdpError",
    "SecureMediaError",
    "SessionDescription",
    "UnwritableDescriptionError",
    "accept",
    "answer",
    "codec_named",
    "direction_of",
    "offer",
]
