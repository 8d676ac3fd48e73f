"""Session descriptions: read tolerantly, written strictly. RFC 8866."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordboard.sdp import (
    Attribute,
    Connection,
    MalformedDescriptionError,
    Media,
    Origin,
    SessionDescription,
    UnwritableDescriptionError,
)

FULL = (
    "v=0\r\no=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\ns=Call to John Smith\r\ni=SDP Offer #1\r\n"
    "u=http://www.jdoe.example.com/home.html\r\ne=Jane Doe <jane@jdoe.example.com>\r\np=+1 617 555-6011\r\n"
    "c=IN IP4 198.51.100.1\r\nb=AS:64\r\nt=0 0\r\nr=7d 1h 0 25h\r\na=tool:x\r\na=recvonly\r\n"
    "m=audio 49170 RTP/AVP 0\r\ni=caption\r\nb=TIAS:64000\r\na=ptime:20\r\n"
    "m=video 51372/2 RTP/AVP 99\r\nc=IN IP6 2001:db8::2\r\na=rtpmap:99 h263-1998/90000\r\n"
)


def test_everything_is_kept_and_written_in_order() -> None:
    description = SessionDescription.parse(FULL)
    assert str(description) == FULL
    assert description.media[1].port_count == 2
    assert description.attribute("tool") == "x"
    assert description.attribute("recvonly") == ""
    assert description.attribute("absent") is None
    assert [str(description.connection_of(media)) for media in description.media] == [
        "IN IP4 198.51.100.1",
        "IN IP6 2001:db8::2",
    ]


def test_what_peers_leave_out_or_write_otherwise() -> None:
    text = "\nv=0\no=- 1 1 IN IP4 192.0.2.1\nc=IN IP4 224.2.1.1/127\nm=audio 4000 RTP/AVP 0 \nz=x\nq=unknown\na=x\n\n"
    description = SessionDescription.parse(text.encode())
    assert (description.name, description.times) == ("-", ("0 0",))
    assert description.connection == Connection("224.2.1.1", "IP4", "/127")
    assert description.media[0].other == (("z", "x"), ("q", "unknown"))
    assert SessionDescription.parse(str(description)) == description
    spaced = SessionDescription.parse("v=0\r\no=two words 1 1 IN IP4 h\r\ns= \r\nt=0 0\r\n")
    assert spaced.origin.username == "two_words"
    assert spaced.name == "-"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        ("o=- 1 1 IN IP4 h", 1),
        ("v=1", 1),
        ("v=0\ns=-", 0),
        ("v=0\no=- 1 1", 2),
        ("v=0\no=- 1 1 IN IP4 h\nc=IN IP4", 3),
        ("v=0\no=- 1 1 IN IP4 h\nc=IN IP5 h", 3),
        ("v=0\no=- 1 1 IN IP4 h\nm=audio", 3),
        ("v=0\no=- 1 1 IN IP4 h\nm=audio 70000 RTP/AVP 0", 3),
        ("v=0\no=- 1 1 IN IP4 h\nm=audio x RTP/AVP 0", 3),
        ("v=0\no=- 1 1 IN IP4 h\nnonsense", 3),
        ("v=0\no=- 1 1 IN IP4 h\na=\0", 0),
        ("v=0\n" + "a=x\n" * 3000, 0),
        ("v=0\n" + "a=" + "x" * 70_000, 0),
        ("v=0\no=- 1 1 IN IP4 h\n" + "m=audio 0 RTP/AVP 0\n" * 65, 67),
    ],
)
def test_what_is_no_description(text: str, line: int) -> None:
    with pytest.raises(MalformedDescriptionError) as raised:
        SessionDescription.parse(text)
    assert (raised.value.line, raised.value.status) == (line, 400)


@pytest.mark.parametrize("bad", ["a\r\nm=audio 1 RTP/AVP 0", "a\nb", "a\0"])
def test_no_value_makes_a_line_of_its_own(bad: str) -> None:
    origin = Origin("1", "1", "h")
    media = Media("audio", 1, "RTP/AVP", ("0",))
    for description in (
        SessionDescription(Origin("1", "1", bad)),
        SessionDescription(Origin("1", "1", "h", bad)),
        SessionDescription(origin, Connection(bad)),
        SessionDescription(origin, attributes=(Attribute(bad),)),
        SessionDescription(origin, attributes=(Attribute("a", bad),)),
        SessionDescription(origin, name=bad),
        SessionDescription(origin, other=(("i", bad),)),
        SessionDescription(origin, other=((bad, "x"),)),
        SessionDescription(origin, media=(Media("audio", 1, "RTP/AVP", (bad,)),)),
        SessionDescription(origin, media=(Media(bad, 1, "RTP/AVP", ("0",)),)),
        SessionDescription(origin, media=(media,), times=(bad,)),
    ):
        with pytest.raises(UnwritableDescriptionError):
            str(description)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_random_text(data: str | bytes) -> None:
    try:
        SessionDescription.parse(data)
    except MalformedDescriptionError:
        return


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(FULL)), st.integers(0, 8), st.text(max_size=5) | st.sampled_from(["\r\n", "=", "m="])
        ),
        max_size=5,
    )
)
@settings(max_examples=200)
def test_what_was_read_reads_the_same_once_written(edits: list[tuple[int, int, str]]) -> None:
    text = FULL
    for place, length, replacement in edits:
        text = text[:place] + replacement + text[place + length :]
    try:
        description = SessionDescription.parse(text)
        written = str(description)
    except (MalformedDescriptionError, UnwritableDescriptionError):
        return
    assert str(SessionDescription.parse(written)) == written
