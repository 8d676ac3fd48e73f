"""Every state of a session, of its offers and of its REFERs meets every input (RFC 3261 §12-§15, RFC 3515, RFC 4028).

Whatever comes: nothing raises but the typed errors of a command, every request of the peer has one final answer, every
session has one ending, and afterwards nothing is left. The transaction machines have their own test
(``test_transaction_tables``); this one puts the usages above them through the same product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials, EndpointConfig
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response, response_to
from cordboard.sip.sipfrag import StatusLine
from cordboard.sip.uri import Uri
from cordboard.sip.usage_errors import UnknownSessionError, WrongStateError
from tests.sip.support.network import ANSWER, OFFER
from tests.sip.support.scripted import SOURCE, Scripted

TARGET = Address(Uri.parse("sip:x@10.0.0.9"))
RELIABLE = (("Require", "100rel"),)
TIMER = (("Session-Expires", "90;refresher=uas"), ("Supported", "timer"))


class Stage(Scripted):
    """One session in some state, with what a peer needs to speak in its dialog."""

    def __init__(self) -> None:
        super().__init__(EndpointConfig(accept_refer=lambda flow: True))
        self.session = ""
        self.tag = ""
        self.call_id = "call@peer"
        self.from_tag = "peer"
        self.cseq = 10
        self.asked: list[Request] = []

    # How a state is reached -----------------------------------------------------------------------------------------

    def place(self, body: bytes = OFFER) -> Request:
        """Our call."""
        self.session, invite = self.calling(body=body, timeout=100)
        self.call_id, self.tag = invite.call_id, invite.from_.tag or ""
        return invite

    def take(self, *headers: tuple[str, str], body: bytes = OFFER) -> None:
        """The peer's call."""
        self.send(self.request("INVITE", body=body, headers=headers))
        incoming = self.party.of(e.IncomingCall)[-1]
        assert isinstance(incoming, e.IncomingCall)
        self.session = incoming.session
        self.tag = self.core._core.sessions[self.session].dialog.local_tag  # type: ignore[union-attr]

    def command(self, action: Callable[[], object]) -> None:
        action()
        self.party.settle()

    def ask(self, method: str, *headers: tuple[str, str], body: bytes = b"", cseq: int | None = None) -> Request:
        """A request of the peer in the dialog."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        request = self.request(
            method,
            to_tag=self.tag,
            from_tag=self.from_tag,
            call_id=self.call_id,
            cseq=cseq,
            branch=f"z9hG4bK{method}{len(self.asked)}x{cseq}",
            headers=headers,
            body=body,
        )
        if method != "ACK":
            self.asked.append(request)
        self.send(request)
        return request

    def reply(self, status: int, *headers: tuple[str, str], body: bytes = b"") -> None:
        """The peer's response to the newest request of ours."""
        requests = [m for m in self.outbox if isinstance(m, Request) and m.method not in ("ACK", "CANCEL")]
        if requests:
            self.respond(requests[-1], status, *headers, body=body)


def calling(s: Stage) -> None:
    s.place()


def calling_early(s: Stage) -> None:
    s.place()
    s.reply(180)


def calling_reliable(s: Stage) -> None:
    s.place()
    s.reply(183, *RELIABLE, ("RSeq", "1"))


def calling_early_offer(s: Stage) -> None:
    s.place(body=b"")
    s.reply(183, *RELIABLE, ("RSeq", "1"), body=OFFER)


def calling_cancelled(s: Stage) -> None:
    calling_early(s)
    s.command(lambda: s.core.cancel(s.session, now=s.now))


def calling_delayed(s: Stage) -> None:
    s.place(body=b"")
    s.reply(200, body=OFFER)


def calling_confirmed(s: Stage) -> None:
    s.place()
    s.reply(200, ("Allow", "INVITE, ACK, BYE, UPDATE, REFER"), body=ANSWER)


def calling_refreshed(s: Stage) -> None:
    s.place()
    s.reply(200, ("Session-Expires", "120;refresher=uac"), ("Require", "timer"), body=ANSWER)
    s.run(61)


def calling_reinviting(s: Stage) -> None:
    calling_confirmed(s)
    s.command(lambda: s.core.reinvite(s.session, OFFER, now=s.now))


def calling_asking_offer(s: Stage) -> None:
    calling_confirmed(s)
    s.command(lambda: s.core.reinvite(s.session, b"", now=s.now))
    s.reply(200, body=OFFER)


def calling_glare(s: Stage) -> None:
    calling_reinviting(s)
    s.reply(491)


def calling_bye_sent(s: Stage) -> None:
    calling_confirmed(s)
    s.command(lambda: s.core.bye(s.session, now=s.now))


def ringing(s: Stage) -> None:
    s.take()


def ringing_told(s: Stage) -> None:
    s.take()
    s.command(lambda: s.core.ring(s.session, now=s.now))


def ringing_reliable(s: Stage) -> None:
    s.take(*RELIABLE)
    s.command(lambda: s.core.ring(s.session, 183, body=ANSWER, now=s.now))


def ringing_answer_waits(s: Stage) -> None:
    ringing_reliable(s)
    s.command(lambda: s.core.answer(s.session, ANSWER, now=s.now))


def answered(s: Stage) -> None:
    s.take()
    s.command(lambda: s.core.answer(s.session, ANSWER, now=s.now))


def answered_bye_waits(s: Stage) -> None:
    answered(s)
    s.command(lambda: s.core.bye(s.session, now=s.now))


def answered_our_offer(s: Stage) -> None:
    s.take(body=b"")
    s.command(lambda: s.core.answer(s.session, OFFER, now=s.now))


def confirmed(s: Stage) -> None:
    answered(s)
    s.ask("ACK", cseq=1)


def confirmed_timer(s: Stage) -> None:
    s.take(*TIMER)
    s.command(lambda: s.core.answer(s.session, ANSWER, now=s.now))
    s.ask("ACK", cseq=1)


def confirmed_offered(s: Stage) -> None:
    confirmed(s)
    s.ask("INVITE", body=OFFER)


def confirmed_update_offered(s: Stage) -> None:
    confirmed(s)
    s.ask("UPDATE", body=OFFER)


def confirmed_reinvite_unacknowledged(s: Stage) -> None:
    confirmed_offered(s)
    s.command(lambda: s.core.answer_offer(s.session, ANSWER, now=s.now))


def rejected(s: Stage) -> None:
    s.take()
    s.command(lambda: s.core.reject(s.session, 486, now=s.now))


def cancelled_by_caller(s: Stage) -> None:
    s.take()
    s.send(s.request("CANCEL", branch="z9hG4bKINVITE1"))


def ended_by_peer(s: Stage) -> None:
    confirmed(s)
    s.ask("BYE")


def referring(s: Stage) -> None:
    confirmed(s)
    s.command(lambda: s.core.refer(s.session, TARGET, now=s.now))


def referring_accepted(s: Stage) -> None:
    referring(s)
    s.reply(202)


def referring_final(s: Stage) -> None:
    referring_accepted(s)
    notify(s, 200, "active;expires=60")


def referring_after_bye(s: Stage) -> None:
    referring_accepted(s)
    s.ask("BYE")


def asked_to_refer(s: Stage) -> None:
    confirmed(s)
    s.ask("REFER", ("Refer-To", str(TARGET)))


def subscribed(s: Stage) -> None:
    asked_to_refer(s)
    s.command(lambda: s.core.accept_refer(s.session, now=s.now))


def subscribed_after_bye(s: Stage) -> None:
    subscribed(s)
    s.ask("BYE")


STATES: tuple[Callable[[Stage], None], ...] = (
    calling,
    calling_early,
    calling_reliable,
    calling_early_offer,
    calling_cancelled,
    calling_delayed,
    calling_confirmed,
    calling_refreshed,
    calling_reinviting,
    calling_asking_offer,
    calling_glare,
    calling_bye_sent,
    ringing,
    ringing_told,
    ringing_reliable,
    ringing_answer_waits,
    answered,
    answered_bye_waits,
    answered_our_offer,
    confirmed,
    confirmed_timer,
    confirmed_offered,
    confirmed_update_offered,
    confirmed_reinvite_unacknowledged,
    rejected,
    cancelled_by_caller,
    ended_by_peer,
    referring,
    referring_accepted,
    referring_final,
    referring_after_bye,
    asked_to_refer,
    subscribed,
    subscribed_after_bye,
)


# Inputs ---------------------------------------------------------------------------------------------------------------


def notify(s: Stage, status: int, state: str) -> None:
    body = StatusLine(status).serialize()
    s.ask("NOTIFY", ("Event", "refer"), ("Subscription-State", state), ("Content-Type", "message/sipfrag"), body=body)


def replaced(s: Stage, early: str = "") -> None:
    """Another call that wants to take the place of this one."""
    header = ("Replaces", f"{s.call_id};to-tag={s.tag};from-tag={s.from_tag}{early}")
    request = s.request("INVITE", call_id="other@peer", cseq=1, branch="z9hG4bKother", headers=(header,), body=OFFER)
    s.asked.append(request)
    s.send(request)


def repeat_last(s: Stage) -> None:
    if s.asked:
        s.send(s.asked[-1])


INPUTS: dict[str, Callable[[Stage], object]] = {
    # commands
    "ring": lambda s: s.core.ring(s.session, 183, body=ANSWER, now=s.now),
    "answer": lambda s: s.core.answer(s.session, ANSWER, now=s.now),
    "reject": lambda s: s.core.reject(s.session, 603, now=s.now),
    "cancel": lambda s: s.core.cancel(s.session, now=s.now),
    "bye": lambda s: s.core.bye(s.session, now=s.now),
    "hangup": lambda s: s.core.hangup(s.session, now=s.now),
    "reinvite": lambda s: s.core.reinvite(s.session, OFFER, now=s.now),
    "reinvite without offer": lambda s: s.core.reinvite(s.session, b"", now=s.now),
    "update": lambda s: s.core.update(s.session, OFFER, now=s.now),
    "answer_offer": lambda s: s.core.answer_offer(s.session, ANSWER, now=s.now),
    "reject_offer": lambda s: s.core.reject_offer(s.session, now=s.now),
    "info": lambda s: s.core.info(s.session, "application/dtmf-relay", b"Signal=1", now=s.now),
    "refer": lambda s: s.core.refer(s.session, TARGET, now=s.now),
    "accept_refer": lambda s: s.core.accept_refer(s.session, now=s.now),
    "reject_refer": lambda s: s.core.reject_refer(s.session, now=s.now),
    "notify 180": lambda s: s.core.notify_refer(s.session, 180, now=s.now),
    "notify final": lambda s: s.core.notify_refer(s.session, 486, final=True, now=s.now),
    # requests of the peer
    "ACK": lambda s: s.ask("ACK", cseq=s.cseq),
    "ACK of the INVITE": lambda s: s.ask("ACK", cseq=1, body=ANSWER),
    "BYE": lambda s: s.ask("BYE"),
    "INVITE": lambda s: s.ask("INVITE", body=OFFER),
    "INVITE without offer": lambda s: s.ask("INVITE"),
    "UPDATE": lambda s: s.ask("UPDATE", *TIMER),
    "UPDATE with offer": lambda s: s.ask("UPDATE", body=OFFER),
    "PRACK": lambda s: s.ask("PRACK", ("RAck", "1 1 INVITE")),
    "INFO": lambda s: s.ask("INFO"),
    "OPTIONS": lambda s: s.ask("OPTIONS"),
    "REFER": lambda s: s.ask("REFER", ("Refer-To", str(TARGET))),
    "NOTIFY 180": lambda s: notify(s, 180, "active"),
    "NOTIFY final": lambda s: notify(s, 503, "terminated;reason=noresource"),
    "NOTIFY of another event": lambda s: s.ask("NOTIFY", ("Event", "dialog"), ("Subscription-State", "active")),
    "MESSAGE": lambda s: s.ask("MESSAGE"),
    "lower CSeq": lambda s: s.ask("INFO", cseq=0),
    "CANCEL": lambda s: s.send(s.request("CANCEL", branch="z9hG4bKINVITE1", call_id=s.call_id)),
    "repetition": repeat_last,
    "Replaces": replaced,
    "Replaces, early only": lambda s: replaced(s, ";early-only"),
    # responses of the peer
    **{f"response {status}": (lambda code: lambda s: s.reply(code))(status) for status in (100, 180, 200, 302, 401)},
    **{f"response {status}": (lambda code: lambda s: s.reply(code))(status) for status in (408, 481, 486, 491, 503)},
    "response 422": lambda s: s.reply(422, ("Min-SE", "300")),
    "response 200 with a body": lambda s: s.reply(200, body=ANSWER),
    "response 183 reliable": lambda s: s.reply(183, *RELIABLE, ("RSeq", "2"), body=ANSWER),
    # the world
    "transport error": lambda s: s.core.send_failed(Flow("udp", s.party.address, SOURCE), s.now),
    "a moment": lambda s: s.run(0.6),
    "five seconds": lambda s: s.run(5),
    "forty seconds": lambda s: s.run(40),
    "an hour": lambda s: s.run(3600),
}


def finals(s: Stage) -> Counter[tuple[str, str, int, str]]:
    """Distinct final responses per request (repetitions of one are the same bytes)."""
    seen = {
        (m.via.branch or "", m.call_id, m.cseq.number, m.cseq.method, m.status)
        for m in s.outbox
        if isinstance(m, Response) and m.status >= 200
    }
    return Counter((branch, call, number, method) for branch, call, number, method, _ in seen)


def check(s: Stage) -> None:
    """Let everything end; then one ending per session, one answer per request, nothing left."""
    for session in list(s.core._core.sessions):
        s.core.hangup(session, now=s.now)
    s.run(4000)
    s.network.assert_idle()
    endings = Counter(event.session for event in s.party.events if isinstance(event, e.Ended | e.Failed))
    begun = {event.session for event in s.party.events if isinstance(event, e.IncomingCall)} | {s.session}
    assert set(endings) == begun
    assert set(endings.values()) == {1}
    answers = finals(s)
    for request in s.asked:
        key = (request.via.branch or "", request.call_id, request.cseq.number, request.method)
        assert answers[key] == 1, f"{request.method} {request.cseq.number} has {answers[key]} final answers"


def meet(s: Stage, name: str) -> None:
    try:
        INPUTS[name](s)
    except (WrongStateError, UnknownSessionError):
        pass
    finally:
        s.party.settle()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_state_takes_every_input(state: Callable[[Stage], None]) -> None:
    for name in INPUTS:
        s = Stage()
        state(s)
        try:
            meet(s, name)
            check(s)
        except AssertionError as error:
            raise AssertionError(f"{state.__name__} x {name}: {error}") from error


@settings(max_examples=150, deadline=None)
@given(state=st.sampled_from(STATES), names=st.lists(st.sampled_from(sorted(INPUTS)), min_size=2, max_size=6))
def test_every_walk_ends_once_and_leaves_nothing(state: Callable[[Stage], None], names: list[str]) -> None:
    s = Stage()
    state(s)
    for name in names:
        meet(s, name)
    check(s)


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("UPDATE", "time")),
            st.sampled_from((None, 90, 120, 1800, 10**9)),
            st.sampled_from(("", ";refresher=uac", ";refresher=uas")),
        ),
        max_size=8,
    )
)
def test_the_session_timer_has_one_refresh_and_one_end_whatever_is_agreed(
    steps: list[tuple[str, int | None, str]],
) -> None:
    """RFC 4028 §9, §10: the end is never before the refresh, and never missing while an interval is agreed."""
    s = Stage()
    confirmed_timer(s)
    for what, interval, refresher in steps:
        session = s.core._core.sessions.get(s.session)
        if session is None:
            break
        if what == "time":
            s.run(20)
            for request in [m for m in s.outbox if isinstance(m, Request) and m.method in ("INVITE", "UPDATE")][-1:]:
                s.send(response_to(request, 200, to_tag=s.from_tag))
        else:
            fields = [("Session-Expires", f"{interval}{refresher}")] if interval else []
            s.ask("UPDATE", ("Supported", "timer"), *fields)
        timer = session.expiry
        if timer.interval and session.phase != "closed":
            assert 90 <= timer.interval <= 86400
            assert timer._expiry is not None
            assert timer._refresh is None or timer._refresh.at < timer._expiry.at
    check(s)


CHALLENGES = st.lists(
    st.tuples(
        st.sampled_from((401, 407)),
        st.sampled_from(("one", "two")),
        st.sampled_from(("n1", "n2", "n3")),
        st.booleans(),
        st.sampled_from(("MD5", "SHA-256", "token")),
    ),
    max_size=9,
)


@settings(max_examples=150, deadline=None)
@given(challenges=CHALLENGES)
def test_any_series_of_challenges_ends_soon_and_once(challenges: list[tuple[int, str, str, bool, str]]) -> None:
    """RFC 3261 §22.2: credentials are tried, but nobody can make us try for ever; every header stays."""
    s = Stage()
    s.session, first = s.calling(credentials=Credentials("u", "p"), headers=[("X-Kept", "yes")])
    for status, realm, nonce, stale, algorithm in challenges:
        name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        challenge = f'Digest realm="{realm}", nonce="{nonce}", qop="auth", algorithm={algorithm}'
        s.reply(status, (name, challenge + (", stale=true" if stale else "")))
        if s.party.of(e.Failed):
            break
        latest = s.last(Request)
        assert latest.headers.get("X-Kept") == "yes"
        assert latest.call_id == first.call_id
    assert s.methods().count("INVITE") <= 5
    check(s)


ANSWERS = ("200", "401", "403", "423", "503", "silence", "time", "end")


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.sampled_from(ANSWERS), max_size=10))
def test_a_registration_goes_on_until_it_is_ended_and_then_leaves_nothing(steps: list[str]) -> None:
    """RFC 3261 §10.2: whatever the registrar says, one REGISTER is open at most, and the end is told once."""
    s = Scripted()
    identifier = s.core.register(
        Uri.parse("sip:10.0.0.7"),
        Address(s.party.uri),
        credentials=Credentials("u", "p"),
        expires=600,
        retry=5.0,
        retry_most=50.0,
        now=s.now,
    )
    s.party.settle()
    cseqs: list[int] = []

    def newest() -> Request | None:
        """The REGISTER that waits for its answer."""
        requests = [m for m in s.outbox if isinstance(m, Request)]
        if not requests or requests[-1].cseq.number in cseqs:
            return None
        return requests[-1]

    def answer(status: int, *headers: tuple[str, str]) -> None:
        request = newest()
        if request is not None:
            cseqs.append(request.cseq.number)
            s.respond(request, status, *headers, contact="")

    for step in steps:
        if step == "silence":
            s.run(33)
        elif step == "time":
            s.run(60)
        elif step == "end":
            s.core.unregister(identifier, now=s.now)
            s.party.settle()
        elif step == "401":
            answer(401, ("WWW-Authenticate", f'Digest realm="r", nonce="n{len(cseqs)}", qop="auth"'))
        elif step == "423":
            answer(423, ("Min-Expires", "900"))
        else:
            answer(int(step), ("Expires", "60"))
        assert s.core.counts()["client_transactions"] <= 1 + len(cseqs)
    s.core.unregister(identifier, now=s.now)
    s.party.settle()
    for _ in range(4):
        answer(200)
        s.run(40)
    assert len(s.party.of(e.RegistrationEnded)) == 1
    sent = [m.cseq.number for m in s.outbox if isinstance(m, Request)]
    assert sent == sorted(sent)
    s.run(100)
    s.network.assert_idle()
