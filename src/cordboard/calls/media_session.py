"""The media of one leg: its offers and answers (RFC 3264), and what they mean for its jack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from cordboard.calls.errors import MediaNegotiationError
from cordboard.media import KeyPair as BoardKeyPair
from cordboard.media import Keys as BoardKeys
from cordboard.media import MediaError
from cordboard.sdp import Codec, Keys, LocalMedia, Negotiated, SdpError, SessionDescription, accept, answer, offer
from cordboard.sip.transport import address_class

if TYPE_CHECKING:
    from cordboard.media import Jack


Security = Literal["off", "optional", "required"]


class MediaSession:
    """``prefer`` is the codec that the other leg sends: a shared one goes first, and a bridge need not transcode.

    ``secure``: SRTP never, where the peer offers it, or always (RFC 4568 §5.1); ``keys`` are the jack's.
    """

    def __init__(
        self,
        address: str,
        codecs: Sequence[Codec],
        *,
        session_id: int = 1,
        prefer: Codec | None = None,
        secure: Security = "off",
        keys: Sequence[BoardKeys] = (),
    ) -> None:
        ordered = tuple(codecs)
        if prefer is not None:
            ordered = (
                *(codec for codec in ordered if codec.key == prefer.key),
                *(codec for codec in ordered if codec.key != prefer.key),
            )
        offered = tuple(Keys(key.suite, key.key_salt, key.tag) for key in keys) if secure != "off" else ()
        self._local = LocalMedia(address, 0, ordered, session_id=session_id, keys=offered, secure=secure)
        self._prefer = (prefer,) if prefer is not None else ()
        self._sent: SessionDescription | None = None
        self._written: tuple[SessionDescription, bytes] | None = None
        self._offered: SessionDescription | None = None
        self.negotiated: Negotiated | None = None

    def sibling(self) -> MediaSession:
        """Another session for the same jack, with nothing said or agreed on yet."""
        local = self._local
        other = MediaSession(local.address, local.codecs, session_id=local.session_id + 1)
        other._local = replace(local, session_id=local.session_id + 1)
        return other

    @property
    def agreed(self) -> bool:
        """Whether an offer/answer has been completed."""
        return self.negotiated is not None

    @property
    def held(self) -> bool:
        """Whether the far end does not want to hear us."""
        return self.negotiated is not None and self.negotiated.held

    @property
    def sending(self) -> Codec | None:
        """The codec that we send."""
        return self.negotiated.send_codec if self.negotiated is not None else None

    @property
    def local_description(self) -> bytes:
        """What we said last, offer or answer."""
        sent = self._sent
        if sent is None:
            return b""
        if self._written is None or self._written[0] is not sent:
            self._written = (sent, str(sent).encode())
        return self._written[1]

    def forget_descriptions(self) -> None:
        """The leg is over and only remembered: nothing will be offered or answered any more."""
        self._sent = self._offered = self._written = None

    def readdress(self, address: str) -> bytes:
        """Our first offer again, with the address that the peer reaches us by. Nothing has been agreed on yet."""
        if address != self._local.address:
            self._local = replace(self._local, address=address)
            self._offered = self._sent = offer(self._local, None)
        return self.local_description

    def new_offer(self, port: int | None = None) -> bytes:
        """Our offer; ``port`` is the jack's where this is the first description. Raises MediaNegotiationError where
        SRTP is required and the engine has none."""
        if port is not None:
            self._local = replace(self._local, port=port)
        try:
            self._offered = self._sent = offer(self._local, self._sent)
        except SdpError as error:
            raise MediaNegotiationError(error.rule, error.status) from error
        return self.local_description

    def take_offer(self, body: bytes, port: int | None = None) -> bytes:
        """Our answer to the peer's offer. Raises MediaNegotiationError (400, 488)."""
        if port is not None:
            self._local = replace(self._local, port=port)
        try:
            description, self.negotiated = answer(
                SessionDescription.parse(body), self._local, prefer=self._prefer, previous=self._sent
            )
        except SdpError as error:
            raise MediaNegotiationError(error.rule, error.status) from error
        self._sent = description
        self._offered = None
        return self.local_description

    def take_answer(self, body: bytes) -> bool:
        """Apply the peer's answer to our offer; whether it changed anything. Raises MediaNegotiationError."""
        if self._offered is None:
            return False
        try:
            negotiated = accept(SessionDescription.parse(body), self._local, self._offered)
        except SdpError as error:
            raise MediaNegotiationError(error.rule, error.status) from error
        changed = negotiated != self.negotiated
        self.negotiated = negotiated
        return changed

    def apply(self, jack: Jack, peer: str = "") -> None:
        """Tell the jack what was agreed. Raises MediaNegotiationError (488) where the engine cannot do it.

        ``peer`` is where the signalling is: an address that only the peer's own network reaches is not sent to from
        outside of it. Its packets come from where the signalling is, or the jack finds out (symmetric RTP, RFC 4961).
        """
        agreed = self.negotiated
        if agreed is None:
            return
        remote = agreed.remote
        reach = address_class(remote[0])
        if peer and reach in ("loopback", "link", "private") and reach != address_class(peer) and not agreed.held:
            remote = (peer, remote[1])
        try:
            jack.negotiated(
                receive=agreed.receive,
                send=agreed.send,
                remote=remote,
                ptime=agreed.ptime,
                direction=agreed.direction,
                dtmf=agreed.dtmf,
                send_codec=agreed.send_codec,
                rtcp=agreed.rtcp,
                rtcp_mux=agreed.rtcp_mux,
                keys=None if agreed.keys is None else BoardKeyPair(_key(agreed.keys.send), _key(agreed.keys.receive)),
            )
        except (MediaError, ValueError) as error:
            raise MediaNegotiationError(str(error)) from error


def _key(keys: Keys) -> BoardKeys:
    return BoardKeys(keys.suite, keys.key_salt, keys.tag)
