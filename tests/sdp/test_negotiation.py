"""Offer and answer. RFC 3264 and what peers make of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.sdp import (
    CN,
    G722,
    OPUS,
    PCMA,
    PCMU,
    TELEPHONE_EVENT,
    Codec,
    Direction,
    Keys,
    LocalMedia,
    MalformedDescriptionError,
    MediaRejectedError,
    NoCommonAddressError,
    NoCommonCodecError,
    NoUsableMediaError,
    SecureMediaError,
    SessionDescription,
    accept,
    answer,
    codec_named,
    direction_of,
    offer,
)

LOCAL = LocalMedia("192.0.2.1", 4000, (PCMU, PCMA), session_id=77)
PEER = LocalMedia("192.0.2.2", 5000, (PCMA, PCMU), session_id=88)
KEY_80 = Keys("AES_CM_128_HMAC_SHA1_80", bytes(range(30)))
KEY_32 = Keys("AES_CM_128_HMAC_SHA1_32", bytes(range(1, 31)))
PEER_KEY = Keys("AES_CM_128_HMAC_SHA1_80", bytes(range(2, 32)))


def described(*lines: str, connection: str = "c=IN IP4 192.0.2.2") -> SessionDescription:
    return SessionDescription.parse(
        "\r\n".join(("v=0", "o=- 1 1 IN IP4 192.0.2.2", "s=-", connection, "t=0 0", *lines))
    )


def test_an_offer_as_it_goes_out() -> None:
    assert str(offer(LOCAL)) == (
        "v=0\r\no=- 77 77 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )


def test_both_sides_agree() -> None:
    sent = offer(LOCAL)
    answered, theirs = answer(sent, PEER)
    ours = accept(answered, LOCAL, sent)
    assert (ours.remote, theirs.remote) == (("192.0.2.2", 5000), ("192.0.2.1", 4000))
    assert ours.send_codec.name == theirs.send_codec.name == "PCMU"  # the offerer's order
    assert set(ours.receive) == {0, 8, 101}
    assert (ours.dtmf, theirs.dtmf) == (101, 101)
    assert ours.direction == theirs.direction == "sendrecv"
    assert (ours.rtcp, ours.keys, ours.media_index, ours.held) == (("192.0.2.2", 5001), None, 0, False)
    assert set(ours.for_jack()) == {
        "receive", "send", "remote", "ptime", "direction", "dtmf", "send_codec", "rtcp", "rtcp_mux", "keys",
    }  # fmt: skip


def test_the_other_legs_codec_is_preferred() -> None:
    answered, negotiated = answer(offer(LOCAL), PEER, prefer=(OPUS, PCMA))
    assert negotiated.send_codec.name == "PCMA"
    assert answered.media[0].formats == ("8", "0", "101")


def test_a_peer_may_use_the_second_codec_of_the_answer() -> None:
    """Field lesson 37: two-party audio was lost when one side offered two codecs and used the second."""
    _, negotiated = answer(described("m=audio 5000 RTP/AVP 8 0"), LOCAL)
    assert {number: codec.name for number, codec in negotiated.receive.items()} == {8: "PCMA", 0: "PCMU"}


def test_streams_we_do_not_want_are_refused_in_place() -> None:
    offered = described(
        "m=video 6000 RTP/AVP 31",
        "m=audio 0 RTP/AVP 0",
        "m=audio 7000 UDP/TLS/RTP/SAVPF 0",
        "m=audio 5000 RTP/AVPF 18 0 96",
        "a=rtpmap:96 telephone-event/8000",
        "m=audio 5002 RTP/AVP 0",
        "m=application 9 UDP/BFCP *",
    )
    answered, negotiated = answer(offered, LOCAL)
    assert [(media.kind, media.port, media.protocol) for media in answered.media] == [
        ("video", 0, "RTP/AVP"),
        ("audio", 0, "RTP/AVP"),
        ("audio", 0, "UDP/TLS/RTP/SAVPF"),
        ("audio", 4000, "RTP/AVPF"),
        ("audio", 0, "RTP/AVP"),
        ("application", 0, "UDP/BFCP"),
    ]
    assert answered.media[3].formats == ("0", "96")
    assert (negotiated.media_index, negotiated.dtmf, negotiated.dtmf_receive) == (3, 96, (96,))
    assert SessionDescription.parse(str(answered)) == answered
    # A re-offer keeps all six, in order.
    again = offer(LOCAL, answered)
    assert [media.port for media in again.media] == [0, 0, 0, 4000, 0, 0]
    assert again.media[3].formats == ("0", "8", "96")


@pytest.mark.parametrize(
    ("theirs", "local", "expected"),
    [
        ("sendrecv", "sendrecv", "sendrecv"),
        ("sendonly", "sendrecv", "recvonly"),
        ("recvonly", "sendrecv", "sendonly"),
        ("inactive", "sendrecv", "inactive"),
        ("sendrecv", "sendonly", "sendonly"),
        ("sendonly", "sendonly", "inactive"),
        ("recvonly", "inactive", "inactive"),
        ("sendrecv", "recvonly", "recvonly"),
    ],
)
def test_directions(theirs: str, local: Direction, expected: Direction) -> None:
    answered, negotiated = answer(described("m=audio 5000 RTP/AVP 0", f"a={theirs}"), replace(LOCAL, direction=local))
    assert negotiated.direction == expected
    assert direction_of(answered, answered.media[0]) == expected
    assert negotiated.held is (theirs in ("sendonly", "inactive"))


def test_hold_by_a_zero_address() -> None:
    answered, negotiated = answer(described("m=audio 5000 RTP/AVP 0", connection="c=IN IP4 0.0.0.0"), LOCAL)
    assert (negotiated.held, negotiated.direction) == (True, "recvonly")
    assert answered.media[0].attribute("recvonly") is not None


def test_a_direction_of_the_session_counts_for_its_streams() -> None:
    offered = described("a=sendonly", "m=audio 5000 RTP/AVP 0")
    assert answer(offered, LOCAL)[1].direction == "recvonly"


def test_dynamic_types_are_numbered_by_each_side() -> None:
    """RFC 3264 §5.1: we send under the number of the other side."""
    local = LocalMedia("192.0.2.1", 4000, (OPUS, PCMU))
    sent = offer(local)
    assert sent.media[0].formats == ("111", "0", "110", "101")
    back = described(
        "m=audio 5000 RTP/AVP 96 97", "a=rtpmap:96 OPUS/48000/2", "a=rtpmap:97 telephone-event/48000", "a=ptime:40"
    )
    negotiated = accept(back, local, sent)
    assert (negotiated.send, negotiated.send_codec.key, negotiated.dtmf) == (96, OPUS.key, 97)
    assert negotiated.receive[111].name == "opus"
    assert negotiated.ptime == 40


def test_two_telephone_event_types() -> None:
    """Asterisk offers both rates: the one with the clock of what we send is used."""
    lines = ("a=rtpmap:111 opus/48000/2", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:110 telephone-event/48000")
    local = LocalMedia("192.0.2.1", 4000, (OPUS, PCMU))
    answered, negotiated = answer(described("m=audio 5000 RTP/AVP 0 111 110 101", *lines), local)
    assert (negotiated.send, negotiated.dtmf, sorted(negotiated.dtmf_receive)) == (0, 101, [101, 110])
    assert answered.media[0].formats == ("0", "111", "110", "101")
    _, with_opus = answer(described("m=audio 5000 RTP/AVP 111 0 101 110", *lines), local)
    assert (with_opus.send, with_opus.dtmf) == (111, 110)
    _, only_slow = answer(described("m=audio 5000 RTP/AVP 111 101", *lines), replace(local, codecs=(OPUS, PCMU)))
    assert only_slow.dtmf == 101


def test_wideband_and_comfort_noise() -> None:
    local = LocalMedia("192.0.2.1", 4000, (G722, PCMU, CN))
    offered = described("m=audio 5000 RTP/AVP 9 13 98", "a=rtpmap:9 G722/16000", "a=rtpmap:98 telephone-event/8000")
    _, negotiated = answer(offered, local)
    assert negotiated.send_codec.key == G722.key
    assert negotiated.receive[13].name == "CN"
    assert negotiated.dtmf == 98


def test_without_dtmf() -> None:
    answered, negotiated = answer(offer(LOCAL), replace(PEER, dtmf=False))
    assert answered.media[0].formats == ("0", "8")
    assert negotiated.dtmf is None


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (("m=audio 5000 RTP/AVP 18 4",), NoCommonCodecError),
        (("m=audio 5000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"), NoCommonCodecError),
        (("m=video 5000 RTP/AVP 31",), NoUsableMediaError),
        (("m=audio 0 RTP/AVP 0",), NoUsableMediaError),
        (("m=audio 5000 UDP/TLS/RTP/SAVPF 0",), NoUsableMediaError),
        ((), NoUsableMediaError),
        (("m=audio 5000 RTP/SAVP 0",), SecureMediaError),
        (("m=audio 5000 RTP/AVP 0", "c=IN IP6 2001:db8::1"), NoCommonAddressError),
        (("m=audio 5000 RTP/AVP 0", "c=IN IP4 host.example"), NoCommonAddressError),
        (("m=audio 5000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"), NoCommonAddressError),
    ],
)
def test_nothing_in_common(lines: tuple[str, ...], error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        answer(described(*lines), LOCAL)
    assert raised.value.status == 488  # type: ignore[attr-defined]
    assert raised.value.warning >= 300  # type: ignore[attr-defined]


def test_no_connection_line_at_all() -> None:
    with pytest.raises(MalformedDescriptionError):
        answer(SessionDescription.parse("v=0\no=- 1 1 IN IP4 h\nm=audio 1 RTP/AVP 0\n"), LOCAL)


def test_answers_that_refuse_or_do_not_fit() -> None:
    for lines in (("m=audio 0 RTP/AVP 0",), (), ("m=video 5000 RTP/AVP 31",)):
        with pytest.raises(MediaRejectedError):
            accept(described(*lines), LOCAL)
    with pytest.raises(NoCommonCodecError):
        accept(described("m=audio 5000 RTP/AVP 18"), LOCAL)


def test_ipv6() -> None:
    local = replace(LOCAL, address="2001:db8::1")
    assert "c=IN IP6 2001:db8::1\r\n" in str(offer(local))
    _, negotiated = answer(described("m=audio 5000 RTP/AVP 0", connection="c=IN IP6 2001:db8::2"), local)
    assert negotiated.remote == ("2001:db8::2", 5000)


@pytest.mark.parametrize(
    ("lines", "ptime"),
    [
        ((), 20),
        (("a=ptime:30",), 30),
        (("a=ptime:30", "a=maxptime:20"), 20),
        (("a=ptime:20.0",), 20),
        (("a=ptime:0",), 20),
        (("a=ptime:500",), 60),
        (("a=ptime:x",), 20),
        (("a=ptime:5",), 10),
    ],
)
def test_ptime(lines: tuple[str, ...], ptime: int) -> None:
    assert answer(described("m=audio 5000 RTP/AVP 0", *lines), LOCAL)[1].ptime == ptime


def test_rtcp_address_and_multiplexing() -> None:
    lines = ("m=audio 5000 RTP/AVP 0", "a=rtcp:6001 IN IP4 203.0.113.9", "a=rtcp-mux")
    answered, negotiated = answer(described(*lines), LOCAL)
    assert negotiated.rtcp == ("192.0.2.2", 6001)  # never another host
    assert answered.media[0].attribute("rtcp-mux") is None
    answered, negotiated = answer(described(*lines), replace(LOCAL, rtcp_mux=True))
    assert (negotiated.rtcp, negotiated.rtcp_mux) == (("192.0.2.2", 5000), True)
    assert answered.media[0].attribute("rtcp-mux") == ""


# --- the session over time --------------------------------------------------------------------------------------------


def test_the_version_rises_only_with_a_change() -> None:
    first = offer(LOCAL)
    assert offer(LOCAL, first) == first
    held = offer(replace(LOCAL, direction="sendonly"), first)
    assert (held.origin.session_id, held.origin.version) == ("77", "78")
    moved = offer(replace(LOCAL, address="192.0.2.9"), held)
    assert (moved.origin.version, moved.origin.address) == ("79", "192.0.2.1")
    answered, _ = answer(described("m=audio 5000 RTP/AVP 0"), LOCAL, previous=moved)
    assert (answered.origin.session_id, answered.origin.version) == ("77", "80")


def test_a_payload_type_never_changes_its_meaning() -> None:
    """RFC 3264 §8.3.2: after we answered opus as 96, our own offer calls it 96 too."""
    local = LocalMedia("192.0.2.1", 4000, (PCMU, OPUS))
    offered = described("m=audio 5000 RTP/AVP 96 111", "a=rtpmap:96 opus/48000/2", "a=rtpmap:111 telephone-event/48000")
    answered, _ = answer(offered, local)
    again = offer(local, answered)
    assert "a=rtpmap:96 opus/48000/2" in str(again)
    assert "a=rtpmap:111 telephone-event/48000" in str(again)
    assert "a=rtpmap:111 opus" not in str(again)


# --- SRTP -------------------------------------------------------------------------------------------------------------


def test_sdes_both_ways() -> None:
    local = replace(LOCAL, keys=(KEY_80, KEY_32), secure="required")
    peer = replace(PEER, keys=(PEER_KEY,), secure="optional")
    sent = offer(local)
    assert sent.media[0].protocol == "RTP/SAVP"
    assert len(sent.media[0].attribute_values("crypto")) == 2
    answered, theirs = answer(sent, peer)
    assert answered.media[0].protocol == "RTP/SAVP"
    ours = accept(answered, local, sent)
    assert ours.keys is not None
    assert theirs.keys is not None
    assert ours.keys.send.key_salt == theirs.keys.receive.key_salt == KEY_80.key_salt
    assert ours.keys.receive.key_salt == theirs.keys.send.key_salt == PEER_KEY.key_salt


def test_the_answer_repeats_the_tag_it_took() -> None:
    offered = described(
        "m=audio 5000 RTP/SAVP 0",
        "a=crypto:1 UNKNOWN inline:abc",
        f"a=crypto:7 {str(PEER_KEY).split(' ', 1)[1]}|2^20",
    )
    answered, _ = answer(offered, replace(LOCAL, keys=(KEY_80,), secure="optional"))
    assert (answered.media[0].attribute("crypto") or "").startswith("7 AES_CM_128_HMAC_SHA1_80 inline:")


def test_srtp_by_policy() -> None:
    plain = described("m=audio 5000 RTP/AVP 0")
    with pytest.raises(SecureMediaError):
        answer(plain, replace(LOCAL, keys=(KEY_80,), secure="required"))
    assert answer(plain, replace(LOCAL, keys=(KEY_80,), secure="optional"))[1].keys is None
    with pytest.raises(SecureMediaError):
        offer(replace(LOCAL, secure="required"))
    with pytest.raises(SecureMediaError):
        accept(plain, replace(LOCAL, keys=(KEY_80,), secure="required"))
    with pytest.raises(SecureMediaError):
        answer(described("m=audio 5000 RTP/SAVP 0"), replace(LOCAL, keys=(KEY_80,), secure="optional"))


def test_keys_are_checked_and_not_shown() -> None:
    assert Keys.parse(str(KEY_80)) == KEY_80
    assert "inline" not in repr(KEY_80)
    assert "key_salt" not in repr(KEY_80)
    for text in (
        "",
        "x AES_CM_128_HMAC_SHA1_80 inline:abc",
        "1 AES_CM_128_HMAC_SHA1_80 inline:abc",
        "1 AES_CM_128_HMAC_SHA1_80 inline:!!!",
        f"{KEY_80}|1:4",
        f"{KEY_80} UNENCRYPTED_SRTP",
        str(KEY_80).replace("inline", "uri"),
    ):
        with pytest.raises(MalformedDescriptionError):
            Keys.parse(text)


# --- properties -------------------------------------------------------------------------------------------------------

sides = st.builds(
    LocalMedia,
    st.just("192.0.2.1"),
    st.integers(1024, 65534),
    st.lists(st.sampled_from([PCMU, PCMA, G722, OPUS, CN, Codec("L16", 16000)]), min_size=1, unique=True).map(tuple),
    st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"]),
    st.sampled_from([10, 20, 30, 40, 60]),
    dtmf=st.booleans(),
)


@given(sides, sides)
def test_whoever_agrees_agrees_on_the_same(one: LocalMedia, other: LocalMedia) -> None:
    sent = offer(one)
    assert SessionDescription.parse(str(sent)) == sent
    try:
        answered, theirs = answer(sent, other)
    except NoCommonCodecError:
        shared = {codec.key for codec in one.codecs if codec.is_audio} & {codec.key for codec in other.codecs}
        assert not shared
        return
    ours = accept(SessionDescription.parse(str(answered)), one, sent)
    assert ours.send_codec.key == theirs.send_codec.key
    assert theirs.receive[ours.send].key == ours.send_codec.key
    assert ours.receive[theirs.send].key == theirs.send_codec.key
    assert (ours.dtmf is None) == (theirs.dtmf is None)
    assert (ours.direction in ("sendrecv", "sendonly")) == (theirs.direction in ("sendrecv", "recvonly"))
    assert (ours.direction in ("sendrecv", "recvonly")) == (theirs.direction in ("sendrecv", "sendonly"))


def test_codecs_by_name() -> None:
    assert codec_named("pcmu") is PCMU
    assert codec_named("Opus") is OPUS
    assert TELEPHONE_EVENT.is_telephone_event
    with pytest.raises(KeyError):
        codec_named("mp3")
