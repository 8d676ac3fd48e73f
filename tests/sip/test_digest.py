"""Digest as client and as server. RFC 3261 §22, RFC 7616, RFC 8760."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.sip.challenge import Authorization, Challenge
from cordboard.sip.digest import (
    Account,
    DigestClient,
    DigestError,
    DigestFault,
    DigestServer,
    compute_response,
    user_hash,
)
from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.message import Request, Response

SECRET = b"0123456789abcdef"
URI = "sip:bob@biloxi.example.com;x=%41"


def cnonces() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"cnonce{next(numbers)}"


def request(method: str = "INVITE", uri: str = URI) -> Request:
    return Request(method, uri, [("CSeq", f"1 {method}")])


def challenged(*challenges: Challenge | str, proxy: bool = False) -> Response:
    name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
    return Response(407 if proxy else 401, "", [(name, str(challenge)) for challenge in challenges])


def with_credentials(plain: Request, lines: list[tuple[str, str]]) -> Request:
    again = plain.copy()
    again.headers.remove("Authorization")
    again.headers.remove("Proxy-Authorization")
    again.headers.extend(lines)
    return again


def test_the_example_of_rfc_2617() -> None:
    """§3.5: Mufasa's credentials."""
    response = compute_response(
        user_hash("Mufasa", "testrealm@host.com", "Circle Of Life"),
        algorithm="MD5",
        method="GET",
        uri="/dir/index.html",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        cnonce="0a4f113b",
        nc=1,
        qop="auth",
    )
    assert response == "6629fae49393a05397450978507c4ef1"


def test_the_example_of_rfc_7616() -> None:
    """§3.9.1, MD5 and SHA-256."""
    for algorithm, expected in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        response = compute_response(
            user_hash("Mufasa", "http-auth@example.org", "Circle of Life", algorithm),
            algorithm=algorithm,
            method="GET",
            uri="/dir/index.html",
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            nc=1,
            qop="auth",
        )
        assert response == expected


def test_the_digest_uri_is_the_request_uri_byte_for_byte() -> None:
    client = DigestClient([Account("alice", "secret")])
    ((name, line),) = client.answer(request(), challenged(Challenge("r", "n", qop=("auth",))), cnonces())
    given_ = Authorization.parse(line)
    assert name == "Authorization"
    assert given_.uri == URI
    assert (given_.nc, given_.qop, given_.cnonce) == (1, "auth", "cnonce1")


def test_the_strongest_algorithm_is_taken_and_each_realm_answered() -> None:
    client = DigestClient([Account("alice", "secret"), Account("bob", "other", realm="two")])
    response = challenged(
        Challenge("one", "n1", "MD5", ("auth",)),
        Challenge("one", "n2", "SHA-256", ("auth",)),
        Challenge("one", "n3", "FOO-1", ("auth",)),
        Challenge("two", "n4", "MD5", ("auth",), opaque="o"),
        'Basic realm="one"',
        "broken",
    )
    lines = [Authorization.parse(line) for _, line in client.answer(request(), response, cnonces())]
    assert {(line.realm, line.algorithm, line.username, line.opaque) for line in lines} == {
        ("one", "SHA-256", "alice", None),
        ("two", "MD5", "bob", "o"),
    }


def test_401_and_407_together() -> None:
    client = DigestClient([Account("alice", "secret")])
    response = challenged(Challenge("proxy", "n", qop=("auth",)), proxy=True)
    response.headers.add("WWW-Authenticate", str(Challenge("server", "n", qop=("auth",))))
    assert sorted(name for name, _ in client.answer(request(), response, cnonces())) == [
        "Authorization",
        "Proxy-Authorization",
    ]


@pytest.mark.parametrize(
    ("challenge", "fault"),
    [
        ('Digest realm="r", nonce="n", algorithm=FOO', DigestFault.NO_ALGORITHM),
        ('Digest realm="r", nonce="n", qop="future"', DigestFault.NO_ALGORITHM),
        ('Basic realm="r"', DigestFault.NO_CHALLENGE),
        ("Digest nonsense", DigestFault.NO_CHALLENGE),
        ('Digest realm="r", nonce="n", qop="auth"', DigestFault.NO_ACCOUNT),
    ],
)
def test_a_challenge_that_cannot_be_answered_says_why(challenge: str, fault: DigestFault) -> None:
    with pytest.raises(DigestError) as raised:
        DigestClient([Account("a", "b", realm="elsewhere")]).answer(request(), challenged(challenge), cnonces())
    assert raised.value.fault is fault


def test_a_refused_password_is_not_sent_for_ever_but_stale_is_answered() -> None:
    client, make = DigestClient([Account("alice", "wrong")]), cnonces()
    plain = request()
    second = with_credentials(plain, client.answer(plain, challenged(Challenge("r", "n1", qop=("auth",))), make))
    stale = challenged(Challenge("r", "n2", qop=("auth",), stale=True))
    third = with_credentials(plain, client.answer(second, stale, make))
    assert Authorization.parse(third.headers.get("Authorization") or "").nonce == "n2"
    with pytest.raises(DigestError) as raised:
        client.answer(third, challenged(Challenge("r", "n3", qop=("auth",))), make)
    assert raised.value.fault is DigestFault.REFUSED


def test_a_nonce_that_was_good_before_gets_one_more_try_without_stale() -> None:
    client, make = DigestClient([Account("alice", "secret")]), cnonces()
    client.answer(request(), challenged(Challenge("r", "n1", qop=("auth",))), make)
    bye = request("BYE")
    later = with_credentials(bye, client.authorize(bye, make))
    assert Authorization.parse(later.headers.get("Authorization") or "").nc == 2
    lines = client.answer(later, challenged(Challenge("r", "n2", qop=("auth",))), make)
    again = with_credentials(bye, lines)
    with pytest.raises(DigestError):
        client.answer(again, challenged(Challenge("r", "n3", qop=("auth",))), make)


def test_without_qop_as_old_servers_ask() -> None:
    client = DigestClient([Account("alice", "secret")])
    ((_, line),) = client.answer(request(), challenged('Digest realm="r", nonce="n"'), cnonces())
    given_ = Authorization.parse(line)
    assert (given_.qop, given_.nc, given_.cnonce) == (None, None, None)


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Account("alice", "hush"))


# --- both sides together ----------------------------------------------------------------------------------------------


def password_of(username: str) -> str | None:
    return "secret" if username == "alice" else None


def server(**changes: object) -> DigestServer:
    return DigestServer("example", SECRET, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess"])
def test_client_and_server_agree(algorithm: str) -> None:
    side = server(algorithms=(algorithm,))
    client, make = DigestClient([Account("alice", "secret")]), cnonces()
    plain = request()
    for _ in range(3):
        lines = client.answer(plain, challenged(*side.challenges(10.0)), make)
        verdict = side.verify(with_credentials(plain, lines), 11.0, password_of)
        assert verdict.accepted
        assert verdict.username == "alice"
    assert side.verify(with_credentials(plain, client.authorize(plain, make)), 11.0, password_of).accepted


def signed(side: DigestServer, now: float = 0.0, *, user: str = "alice", password: str = "secret") -> Request:
    plain = request()
    client = DigestClient([Account(user, password)])
    return with_credentials(plain, client.answer(plain, challenged(*side.challenges(now)), cnonces()))


def test_what_the_server_refuses() -> None:
    side = server()
    assert side.verify(request(), 0.0, password_of).fault is DigestFault.MISSING
    assert side.verify(signed(side, password="bad"), 0.0, password_of).fault is DigestFault.WRONG_RESPONSE
    assert side.verify(signed(side, user="mallory"), 0.0, password_of).fault is DigestFault.WRONG_RESPONSE
    other = DigestServer("example", b"another secret of ours")
    assert side.verify(signed(other), 0.0, password_of).fault is DigestFault.FOREIGN_NONCE
    moved = signed(side)
    moved.uri = "sip:carol@biloxi.example.com"
    assert side.verify(moved, 0.0, password_of).fault is DigestFault.WRONG_URI
    renamed = signed(side)
    renamed.method = "BYE"
    assert side.verify(renamed, 0.0, password_of).fault is DigestFault.WRONG_RESPONSE
    broken = with_credentials(request(), [("Authorization", 'Digest realm="example"')])
    assert side.verify(broken, 0.0, password_of).fault is DigestFault.MALFORMED
    elsewhere = with_credentials(request(), [("Authorization", "Basic abc")])
    assert side.verify(elsewhere, 0.0, password_of).fault is DigestFault.MISSING


def test_an_old_nonce_is_stale_only_for_who_knows_the_password() -> None:
    side = server(nonce_seconds=10.0)
    late = side.verify(signed(side), 10.5, password_of)
    assert (late.fault, late.stale) == (DigestFault.STALE, True)
    wrong = side.verify(signed(side, password="bad"), 10.5, password_of)
    assert not wrong.stale


def test_a_nonce_count_is_good_once() -> None:
    side = server()
    captured = signed(side)
    assert side.verify(captured, 1.0, password_of).accepted
    again = side.verify(captured, 1.0, password_of)
    assert (again.accepted, again.fault) == (False, DigestFault.REPLAYED)


@given(st.permutations(range(1, 12)))
def test_counts_may_arrive_in_any_order_within_the_window(order: list[int]) -> None:
    side, make = server(), cnonces()
    client, plain = DigestClient([Account("alice", "secret")]), request()
    requests = {1: with_credentials(plain, client.answer(plain, challenged(*side.challenges(0.0)), make))}
    for number in range(2, 12):
        requests[number] = with_credentials(plain, client.authorize(plain, make))
    for number in order:
        assert side.verify(requests[number], 0.0, password_of).accepted
        assert not side.verify(requests[number], 0.0, password_of).accepted


def test_the_table_is_bounded_and_what_it_forgets_cannot_be_replayed() -> None:
    side = server(table=4)
    captured = [signed(side) for _ in range(10)]
    assert all(side.verify(one, 0.0, password_of).accepted for one in captured)
    assert side.remembered == 4
    assert not any(side.verify(one, 0.0, password_of).accepted for one in captured)


# --- header values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'Digest realm="a \\"quoted\\" realm", nonce="x,y=z", opaque="", stale=true, algorithm=SHA-256, qop="auth"',
        'Digest realm="r", nonce="n", domain="sip:a sip:b", algorithm=MD5-sess',
    ],
)
def test_challenges_are_written_as_they_were_read(text: str) -> None:
    challenge = Challenge.parse(text)
    assert Challenge.parse(str(challenge)) == challenge


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Digest",
        'Digest realm="r"',
        'Digest realm="r, nonce="n"',
        'Digest realm="r", nonce="n", nonce="m"',
        'Digest realm="r" x, nonce="n"',
        "Digest =x",
    ],
)
def test_faulty_challenges(text: str) -> None:
    with pytest.raises(ParseError):
        Challenge.parse(text)


def test_faulty_credentials() -> None:
    good = 'Digest username="a", realm="r", nonce="n", uri="sip:a@h", response="0", nc={}, qop=auth, cnonce="c"'
    assert Authorization.parse(good.format("0000000a")).nc == 10
    for nc in ("1", "0000000g", "+0000001", "000000001"):
        with pytest.raises(ParseError):
            Authorization.parse(good.format(nc))


def test_nothing_breaks_out_of_a_challenge() -> None:
    assert str(Challenge('a"b', "n")).startswith('Digest realm="a\\"b"')
    for bad in ("a\r\nVia: x", "a\0"):
        with pytest.raises(HeaderInjectionError):
            str(Challenge(bad, "n"))
        with pytest.raises(HeaderInjectionError):
            str(Authorization(bad, "r", "n", "u", "x"))
    with pytest.raises(HeaderInjectionError):
        str(Challenge("r", "n", "MD 5"))


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (Challenge.parse, Authorization.parse):
        for prefix in ("", "Digest "):
            try:
                parse(prefix + text)
            except (ParseError, HeaderInjectionError):
                continue
