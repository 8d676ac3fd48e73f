"""Every message of RFC 4475, with the verdict that the RFC gives, and the IPv6 ones of RFC 5118."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordboard.sdp import SessionDescription
from cordboard.sip.errors import ParseError
from cordboard.sip.message import Request, Response, check_message, parse_message, response_to

FOLDER = Path(__file__).parent / "torture"

ACCEPT = 0
"""Well-formed: parser and check take it. What upper layers then do is told behind it."""

# name -> (section of RFC 4475, ACCEPT or the status that the fault earns, the field at fault)
VERDICTS: dict[str, tuple[str, int, str]] = {
    "wsinv": ("3.1.1.1", ACCEPT, ""),
    "intmeth": ("3.1.1.2", ACCEPT, ""),  # the method is unknown: 405 or 501 above
    "esc01": ("3.1.1.3", ACCEPT, ""),
    "escnull": ("3.1.1.4", ACCEPT, ""),
    "esc02": ("3.1.1.5", ACCEPT, ""),  # RE%47IST%45R is another method than REGISTER
    "lwsdisp": ("3.1.1.6", ACCEPT, ""),
    "longreq": ("3.1.1.7", ACCEPT, ""),
    "dblreq": ("3.1.1.8", ACCEPT, ""),  # the rest of the datagram is ignored
    "semiuri": ("3.1.1.9", ACCEPT, ""),
    "transports": ("3.1.1.10", ACCEPT, ""),
    "mpart01": ("3.1.1.11", ACCEPT, ""),
    "unreason": ("3.1.1.12", ACCEPT, ""),
    "noreason": ("3.1.1.13", ACCEPT, ""),
    "badinv01": ("3.1.2.1", 400, "Via"),
    "clerr": ("3.1.2.2", 400, "Content-Length"),
    "ncl": ("3.1.2.3", 400, "Content-Length"),
    "scalar02": ("3.1.2.4", 400, ""),
    "scalarlg": ("3.1.2.5", 400, ""),  # a response: dropped
    "quotbal": ("3.1.2.6", 400, "To"),
    "ltgtruri": ("3.1.2.7", 400, "Request-URI"),
    "lwsruri": ("3.1.2.8", 400, "Request-Line"),
    "lwsstart": ("3.1.2.9", 400, "Request-Line"),
    "trws": ("3.1.2.10", 400, "Request-Line"),
    "escruri": ("3.1.2.11", 400, "Request-URI"),
    "baddate": ("3.1.2.12", ACCEPT, ""),  # Date is not used: "acceptable to ignore this value altogether"
    "regbadct": ("3.1.2.13", 400, "Contact"),
    "badaspec": ("3.1.2.14", 400, "To"),
    "baddn": ("3.1.2.15", ACCEPT, ""),  # what the sender means is plain: the RFC allows to take it
    "badvers": ("3.1.2.16", 505, "Request-Line"),
    "mismatch01": ("3.1.2.17", 400, "CSeq"),
    "mismatch02": ("3.1.2.18", 400, "CSeq"),  # 501 or 400
    "bigcode": ("3.1.2.19", 400, "Status-Line"),  # a response: dropped
    "badbranch": ("3.2.1", ACCEPT, ""),  # the transaction layer treats it as a branch of RFC 2543
    "insuf": ("3.3.1", 400, ""),
    "unkscm": ("3.3.2", 416, "Request-URI"),
    "novelsc": ("3.3.3", 416, "Request-URI"),
    "unksm2": ("3.3.4", ACCEPT, ""),  # the scheme of To and From is the registrar's business
    "bext01": ("3.3.5", ACCEPT, ""),  # 420 above
    "invut": ("3.3.6", ACCEPT, ""),  # 415 above
    "regaut01": ("3.3.7", ACCEPT, ""),  # an unknown scheme of authorization: 401 above
    "multi01": ("3.3.8", 400, ""),
    "mcl01": ("3.3.9", 400, "Content-Length"),
    "bcast": ("3.3.10", ACCEPT, ""),  # a response whose Via is not ours: dropped by the transaction layer
    "zeromf": ("3.3.11", ACCEPT, ""),  # 483 above, or answered, as the request is for us
    "cparam01": ("3.3.12", ACCEPT, ""),
    "cparam02": ("3.3.13", ACCEPT, ""),
    "regescrt": ("3.3.14", ACCEPT, ""),
    "sdp01": ("3.3.15", ACCEPT, ""),  # only SDP is taken back: 406 above if the INVITE's Accept cannot be met
    "inv2543": ("3.4.1", ACCEPT, ""),
}

DROPPED = {"scalarlg", "bigcode"}


def load(name: str) -> bytes:
    return (FOLDER / f"{name}.dat").read_bytes()


def accepted(name: str) -> Request | Response:
    message = parse_message(load(name))
    check_message(message)
    return message


def request(name: str) -> Request:
    message = accepted(name)
    assert isinstance(message, Request)
    return message


def test_the_table_has_all_49_messages_and_no_other() -> None:
    assert len(VERDICTS) == 49
    assert set(VERDICTS) == {path.stem for path in FOLDER.glob("*.dat")}


@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(name: str) -> None:
    section, verdict, field = VERDICTS[name]
    if verdict == ACCEPT:
        message = accepted(name)
        # What was accepted can be written again, and reads the same.
        message.headers.add("X-Section", section)
        again = parse_message(message.serialize())
        check_message(again)
        assert again.call_id == message.call_id
        assert again.body == message.body
        assert again.headers.get("x-section") == section
        return
    with pytest.raises(ParseError) as raised:
        accepted(name)
    error = raised.value
    assert error.status == verdict
    if field:
        assert error.field == field
    assert error.answerable is (name not in DROPPED)
    if error.request_parts is not None:
        answer = response_to(error.request_parts, error.status, to_tag="t")
        reread = parse_message(answer.serialize())
        assert isinstance(reread, Response)
        assert reread.status == verdict
        assert reread.headers.get_all("Via") == list(error.request_parts.vias)


def test_3_1_1_1_white_space_and_folding_are_understood() -> None:
    message = request("wsinv")
    assert message.to.tag == "1918181833n"
    assert message.to.uri.user == "vivekg"
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert message.from_.tag == "98asjd8"
    assert message.cseq.number == 9
    assert message.max_forwards == 68
    assert [via.transport for via in message.vias] == ["UDP", "TCP", "UDP"]
    assert message.vias[1].branch == "z9hG4bK9ikj8"
    assert message.vias[2].host == "192.168.255.111"
    assert message.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert message.headers.get("unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert message.contacts[0].display_name == 'Quoted string ""'
    assert message.contacts[0].uri.user == "jdrosen"
    assert message.contacts[0].parameters.get("secondparam") == ""
    assert message.content_type == "application/sdp"
    assert SessionDescription.parse(message.body).media[0].port == 49217


def test_3_1_1_2_the_widest_range_of_characters() -> None:
    message = request("intmeth")
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert message.uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert message.uri.user_text.endswith("*")
    assert message.from_.tag == "_token~1'+`*%!-."
    assert message.headers.get("extensionHeader-!.%*+_`'~") is not None
    # The answer carries To as it came, the escaped NUL in its name included.
    answer = response_to(message, 405, to_tag="ours").serialize()
    assert b"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" in answer


def test_3_1_1_3_and_4_escapes_stay_escaped() -> None:
    assert request("esc01").uri.user_text == "sips:user@example.com"
    assert request("esc01").uri.user == "sips%3Auser%40example.com"
    contacts = request("escnull").contacts
    assert [str(contact.uri) for contact in contacts] == ["sip:%00@host5.example.com", "sip:%00%00@host5.example.com"]


def test_3_1_1_8_the_datagram_behind_content_length_is_ignored() -> None:
    message = request("dblreq")
    assert message.method == "REGISTER"
    assert message.body == b""


def test_3_1_1_9_semicolons_in_a_user_part() -> None:
    assert request("semiuri").uri.user == "user;par=u%40example.net"
    assert not request("semiuri").uri.parameters


def test_3_1_1_12_and_13_reason_phrases() -> None:
    strange = accepted("unreason")
    assert isinstance(strange, Response)
    assert strange.reason.endswith("но сто девяносто девять - простое")
    empty = accepted("noreason")
    assert isinstance(empty, Response)
    assert (empty.status, empty.reason) == (100, "")


def test_3_2_1_a_branch_that_is_only_the_cookie() -> None:
    assert not request("badbranch").via.has_magic_cookie


def test_3_3_12_and_13_contact_parameters() -> None:
    unknown_to_header = request("cparam01").contacts[0]
    assert "unknownparam" in unknown_to_header.parameters
    assert "unknownparam" not in unknown_to_header.uri.parameters
    of_uri = request("cparam02").contacts[0]
    assert "unknownparam" in of_uri.uri.parameters
    assert not of_uri.parameters


def test_3_3_14_headers_inside_a_contact() -> None:
    assert request("regescrt").contacts[0].uri.header("Route") == "<sip:sip.example.com>"


def test_3_4_1_a_request_of_rfc_2543() -> None:
    message = request("inv2543")
    assert message.via.branch is None
    assert message.from_.tag is None
    assert message.to.uri.user == "+16505552222"


# --- RFC 5118 ---------------------------------------------------------------------------------------------------------

IPV6 = """{method} {uri} SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1]{received};branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: "Caller" <sip:caller@[2001:db8::1]>
CSeq: 98176 {method}
Content-Length: 0

"""


def ipv6(uri: str, received: str = "", method: str = "REGISTER") -> Request:
    text = IPV6.format(uri=uri, received=received, method=method)
    message = parse_message(text.replace("\n", "\r\n").encode())
    check_message(message)
    assert isinstance(message, Request)
    return message


def test_rfc_5118_4_1_valid_reference() -> None:
    message = ipv6("sip:[2001:db8::10]")
    assert (message.uri.host, message.uri.port) == ("2001:db8::10", None)
    assert message.contacts[0].uri.host == "2001:db8::1"
    assert str(message.uri) == "sip:[2001:db8::10]"


def test_rfc_5118_4_2_without_brackets_is_400() -> None:
    with pytest.raises(ParseError) as raised:
        ipv6("sip:2001:db8::10")
    assert raised.value.status == 400
    assert raised.value.answerable


def test_rfc_5118_4_3_a_port_inside_the_brackets_is_address() -> None:
    assert ipv6("sip:[2001:db8::10:5070]").uri.port is None
    assert ipv6("sip:[2001:db8::10:5070]").uri.host == "2001:db8::10:5070"


def test_rfc_5118_4_4_a_port_behind_the_brackets() -> None:
    assert ipv6("sip:[2001:db8::10]:5070").uri.port == 5070


@pytest.mark.parametrize("received", [";received=[2001:db8::9:255]", ";received=2001:db8::9:255"])
def test_rfc_5118_4_5_received_with_and_without_brackets(received: str) -> None:
    assert ipv6("sip:[2001:db8::10]", received).via.received == "2001:db8::9:255"


def test_rfc_5118_4_6_to_4_9_addresses_in_session_descriptions() -> None:
    description = SessionDescription.parse(
        "v=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=Live video feed for today's meeting\r\n"
        "c=IN IP6 2001:db8::20\r\nt=3338481189 3370017201\r\nm=audio 6000 RTP/AVP 2\r\na=rtpmap:2 G726-32/8000\r\n"
        "m=video 6024 RTP/AVP 107\r\nc=IN IP6 ::ffff:192.0.2.25\r\na=rtpmap:107 H263-1998/90000\r\n"
    )
    assert [description.connection_of(media).address for media in description.media] == [  # type: ignore[union-attr]
        "2001:db8::20",
        "::ffff:192.0.2.25",
    ]


def test_rfc_5118_4_7_both_families_in_one_message() -> None:
    text = IPV6.format(method="BYE", uri="sip:user@host.example.net", received="").replace(
        "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111",
        "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111\n"
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781",
    )
    message = parse_message(text.replace("\n", "\r\n").encode())
    check_message(message)
    assert [(via.host, via.port) for via in message.vias] == [("2001:db8::9:1", 6050), ("192.0.2.1", None)]


def test_rfc_5118_4_10_three_colons_are_tolerated() -> None:
    assert ipv6("sip:user@[2001:db8:::192.0.2.1]").uri.user == "user"
