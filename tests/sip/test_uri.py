"""URIs and addresses: reading tolerantly, writing strictly, comparing by RFC 3261 §19.1.4."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.parameters import Parameters
from cordboard.sip.uri import Address, Uri, escape_header, escape_parameter, escape_user, parse_refer_to

UNRESERVED = string.ascii_letters + string.digits + "-_.!~*'()"


def equal(one: str, other: str) -> bool:
    there, back = Uri.parse(one).equivalent(Uri.parse(other)), Uri.parse(other).equivalent(Uri.parse(one))
    assert there is back, "the comparison is symmetric"
    return there


def test_all_parts_of_a_sip_uri() -> None:
    uri = Uri.parse("sips:alice:secret@[2001:db8::1]:5071;transport=tcp;lr?Subject=a%20b&To=x")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == ("sips", "alice", "secret", "2001:db8::1", 5071)
    assert uri.is_secure
    assert uri.is_loose_router
    assert uri.transport == "tcp"
    assert uri.header("subject") == "a b"
    assert str(uri) == "sips:alice:secret@[2001:db8::1]:5071;transport=tcp;lr?Subject=a%20b&To=x"


def test_tel_and_opaque_schemes() -> None:
    tel = Uri.parse("tel:+1-201-555-0123;phone-context=example.com")
    assert (tel.scheme, tel.user) == ("tel", "+1-201-555-0123")
    assert tel.parameters.get("Phone-Context") == "example.com"
    assert equal("tel:+12015550123", "tel:+1-201-555-0123")
    assert Uri.parse("soap.beep://192.0.2.103:3002").opaque == "//192.0.2.103:3002"
    assert str(Uri.parse("urn:service:sos")) == "urn:service:sos"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "bob@example.com",
        "sip:a b@example.com",
        "<sip:a@example.com>",
        "sip:a@b@example.com",
        "sip:2001:db8::1",
        "sip:[2001:db8::1",
        "sip:[example.com]",
        "sip:example.com:99999",
        "sip:example.com:port",
        "sip:%4@example.com",
        "sip:a@example.com;=x",
        "sip:a@example.com?=x",
        "tel:abc!",
        "tel:",
        "1sip:x",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(ParseError) as raised:
        Uri.parse(text)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ],
)
def test_equivalent_by_the_examples_of_the_rfc(one: str, other: str) -> None:
    assert equal(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a%2Bb@example.com", "sip:a+b@example.com"),
        ("sip:example.com", "sips:example.com"),
    ],
)
def test_not_equivalent_by_the_examples_of_the_rfc(one: str, other: str) -> None:
    assert not equal(one, other)


def test_an_empty_user_is_tolerated() -> None:
    assert Uri.parse("sip:@example.com") == Uri.parse("sip:example.com")


def test_escapes_are_kept_byte_for_byte() -> None:
    for text in ("sip:a%2Bb%23@example.com", "sip:%e4@example.com;x=%41"):
        assert str(Uri.parse(text)) == text


def test_plain_text_is_escaped_for_its_place() -> None:
    assert escape_user("a b@50%;x") == "a%20b%4050%25;x"
    assert escape_parameter("a;b=c") == "a%3Bb%3Dc"
    assert escape_header("a&b=c d") == "a%26b%3Dc%20d"
    assert str(Uri("sip", "white space", None, "example.com")) == "sip:white%20space@example.com"
    assert Uri.parse(f"sip:{escape_user('ü#1')}@example.com").user_text == "ü#1"


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "a\r\nVia: x"])
def test_no_part_of_a_uri_can_break_its_line(bad: str) -> None:
    for uri in (
        Uri("sip", bad, None, "h"),
        Uri("sip", "u", bad, "h"),
        Uri("sip", "u", None, f"h{bad}"),
        Uri("sip", "u", None, "h", None, Parameters(((bad, "x"),))),
        Uri("sip", "u", None, "h", None, Parameters((("x", bad),))),
        Uri("sip", "u", None, "h", headers=((bad, "x"),)),
        Uri("sip", "u", None, "h", headers=(("x", bad),)),
        Uri("tel", f"+1{bad}"),
        Uri("urn", opaque=bad),
        Uri(f"x{bad}", opaque="y"),
    ):
        with pytest.raises(HeaderInjectionError) as raised:
            str(uri)
        assert raised.value.rule
    with pytest.raises(HeaderInjectionError):
        escape_user(bad)


# --- addresses --------------------------------------------------------------------------------------------------------


def test_name_addr_and_addr_spec() -> None:
    quoted = Address.parse('"Bob \\"the\\" Builder" <sip:bob@example.com;lr>;tag=a6c85cf')
    assert quoted.display_name == 'Bob "the" Builder'
    assert quoted.uri.is_loose_router
    assert quoted.tag == "a6c85cf"
    assert str(quoted) == '"Bob \\"the\\" Builder" <sip:bob@example.com;lr>;tag=a6c85cf'
    bare = Address.parse("sip:bob@example.com;tag=1;x")
    assert not bare.uri.parameters
    assert (bare.tag, bare.parameters.get("x")) == ("1", "")
    tokens = Address.parse("Bob  Builder<sip:bob@example.com>")
    assert str(tokens) == '"Bob Builder" <sip:bob@example.com>'
    assert Address.parse("*").wildcard
    assert str(Address.parse("*")) == "*"


def test_tokens_that_identify_come_back_byte_for_byte() -> None:
    assert str(Address.parse("<sip:a@h>;tag=AbC%41~{}").parameters) == ";tag=AbC%41~{}"


@pytest.mark.parametrize(
    "text",
    [
        '"Bob <sip:a@h>',
        '"Bob" sip:a@h',
        "<sip:a@h",
        "<sip:a@h> junk",
        'a"b <sip:a@h>',
        "sip:a@h?x=y",
        "sip:a,b@h",
        '<sip:a@h>;x="y',
        '<sip:a@h>;x="y"z',
        "<>",
        "",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ParseError):
        Address.parse(text)


def test_a_display_name_cannot_break_out() -> None:
    assert str(Address(Uri(host="h"), 'x" <sip:evil@h>')) == '"x\\" <sip:evil@h>" <sip:h>'
    for bad in ("a\rb", "a\nb", "a\0b"):
        with pytest.raises(HeaderInjectionError):
            str(Address(Uri(host="h"), bad))
        with pytest.raises(HeaderInjectionError):
            str(Address(Uri(host="h")).with_tag(bad))


def test_refer_to_without_brackets_as_asterisk_writes_it() -> None:
    plain = parse_refer_to("sip:200@192.0.2.1:5060")
    assert (plain.uri.user, plain.uri.port) == ("200", 5060)
    replaces = parse_refer_to("sip:200@192.0.2.1?Replaces=abc%40192.0.2.1%3Bto-tag%3D1%3Bfrom-tag%3D2")
    assert replaces.uri.header("Replaces") == "abc@192.0.2.1;to-tag=1;from-tag=2"
    bare_at = parse_refer_to("<sip:200@192.0.2.1?Replaces=abc@192.0.2.1%3Bto-tag%3D1%3Bfrom-tag%3D2>")
    assert bare_at.uri.host == "192.0.2.1"
    assert bare_at.uri.header("Replaces") == "abc@192.0.2.1;to-tag=1;from-tag=2"


def test_refer_to_without_brackets_is_ambiguous_and_the_uri_gets_its_own_parameters() -> None:
    address = parse_refer_to("sip:200@192.0.2.1;transport=tcp;x-own=1")
    assert address.uri.transport == "tcp"
    assert address.parameters.get("x-own") == "1"
    with_question = parse_refer_to("sip:200@192.0.2.1;transport=tcp;x=1?Replaces=a;method=INVITE")
    assert with_question.uri.parameters.get("x") == "1"
    assert with_question.parameters.get("method") == "INVITE"


# --- properties -------------------------------------------------------------------------------------------------------

words = st.text(UNRESERVED, min_size=1, max_size=12)
hosts = st.one_of(
    st.sampled_from(["example.com", "a.b-c.example", "192.0.2.7", "2001:db8::1", "::1", "host_1"]),
    st.text(string.ascii_lowercase, min_size=1, max_size=10),
)
values = st.one_of(st.none(), words)
uris = st.builds(
    Uri,
    st.sampled_from(["sip", "sips"]),
    st.one_of(st.none(), words),
    st.none(),
    hosts,
    st.one_of(st.none(), st.integers(0, 65535)),
    st.lists(st.tuples(words, values), max_size=4).map(lambda members: Parameters(tuple(members))),
    st.lists(st.tuples(words, words), max_size=3).map(tuple),
)
addresses = st.builds(
    Address,
    uris,
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20).map(lambda name: " ".join(name.split())),
    st.lists(st.tuples(words, values), max_size=4).map(lambda members: Parameters(tuple(members))),
)


@given(uris)
def test_every_uri_reads_as_it_was_written(uri: Uri) -> None:
    assert Uri.parse(str(uri)) == uri
    assert uri.equivalent(uri)


@given(addresses)
def test_every_address_reads_as_it_was_written(address: Address) -> None:
    assert Address.parse(str(address)) == address
    assert parse_refer_to(str(address)) == address


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_any_text_parses_to_something_stable_or_raises_parse_error(text: str) -> None:
    for parse in (Uri.parse, Address.parse, parse_refer_to):
        try:
            written = str(parse(text))
        except (ParseError, HeaderInjectionError):
            continue
        assert str(parse(written)) == written
        assert "\r" not in written
        assert "\n" not in written


@given(st.text(min_size=1, max_size=30))
def test_user_text_survives_escaping(text: str) -> None:
    if any(character in text for character in "\r\n\0"):
        return
    assert Uri.parse(f"sip:{escape_user(text)}@example.com").user_text == text
