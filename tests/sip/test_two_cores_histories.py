"""Hundreds of seeded histories under loss, repetition, delay and reordering.

No transaction stays, no dialog leaks, no session ends twice, and none stays without an end.
"""

from __future__ import annotations

from collections import Counter

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.uri import Uri
from cordboard.sip.usage_errors import UnknownSessionError, WrongStateError
from tests.sip.support.network import ANSWER, OFFER, Network, Party

TARGET = Address(Uri.parse("sip:agent@10.0.0.9"))


def attempt(network: Network, party: Party, session: str) -> None:
    """One random thing that a user may do to a session, legal or not."""
    endpoint, now, chance = party.endpoint, network.now, network.random
    actions = (
        lambda: endpoint.hangup(session, now=now),
        lambda: endpoint.bye(session, now=now),
        lambda: endpoint.cancel(session, now=now),
        lambda: endpoint.ring(session, chance.choice((180, 183)), body=chance.choice((b"", ANSWER)), now=now),
        lambda: endpoint.answer(session, ANSWER, now=now),
        lambda: endpoint.answer(session, ANSWER, now=now),
        lambda: endpoint.reject(session, chance.choice((404, 486, 603)), now=now),
        lambda: endpoint.reinvite(session, chance.choice((b"", OFFER)), now=now),
        lambda: endpoint.update(session, OFFER, now=now),
        lambda: endpoint.answer_offer(session, ANSWER, now=now),
        lambda: endpoint.reject_offer(session, 488, now=now),
        lambda: endpoint.info(session, "application/dtmf-relay", b"Signal=1", now=now),
        lambda: endpoint.refer(session, TARGET, now=now),
        lambda: endpoint.accept_refer(session, now=now),
        lambda: endpoint.notify_refer(session, chance.choice((100, 180)), now=now),
        lambda: endpoint.notify_refer(session, 200, final=True, now=now),
    )
    try:
        chance.choice(actions)()
    except (WrongStateError, UnknownSessionError):
        return
    finally:
        party.settle()


def history(seed: int) -> Network:
    network = Network(seed, loss=0.15, repetition=0.1, delay=(0.001, 0.4))
    chance = network.random
    parties = [
        network.party(name, host, EndpointConfig(accept_refer=lambda flow: True))
        for name, host in (("alice", "10.0.0.1"), ("bob", "10.0.0.2"))
    ]
    sessions: list[tuple[Party, str]] = []

    def remember(party: Party, event: e.Event) -> None:
        if isinstance(event, e.IncomingCall):
            sessions.append((party, event.session))

    def eager(party: Party, event: e.Event) -> None:
        """Most users answer what they are asked."""
        if chance.random() < 0.3:
            return
        session = event.session
        if isinstance(event, e.IncomingCall) and session is not None:
            delay = chance.uniform(0, 2)
            network.after(delay, lambda: answer(party, session))
        elif isinstance(event, e.Offered) or (isinstance(event, e.Answered | e.OfferAnswered) and event.needs_answer):
            asked = event.session
            network.after(chance.uniform(0, 1), lambda: settle_offer(party, asked))

    def answer(party: Party, session: str) -> None:
        try:
            party.endpoint.answer(session, ANSWER, now=network.now)
        except (WrongStateError, UnknownSessionError):
            return
        party.settle()

    def settle_offer(party: Party, session: str) -> None:
        try:
            party.endpoint.answer_offer(session, ANSWER, now=network.now)
        except (WrongStateError, UnknownSessionError):
            return
        party.settle()

    for party in parties:
        party.react(remember)
        party.react(eager)
    for caller, called in (parties, reversed(parties)):
        body = chance.choice((OFFER, OFFER, b""))
        headers = chance.choice(((), (("Require", "100rel"),)))
        session = caller.endpoint.invite(
            called.uri, from_=caller.me, body=body, headers=headers, timeout=chance.choice((3, 60)), now=network.now
        )
        sessions.append((caller, session))
    for _ in range(12):
        network.run(chance.uniform(0, 3))
        party, session = chance.choice(sessions)
        attempt(network, party, session)
    for party, session in list(sessions):
        party.endpoint.hangup(session, now=network.now)
        party.settle()
    network.run(700)
    # Whoever missed the last BYE under loss hangs up too; a real user has its own limits.
    for party, session in list(sessions):
        party.endpoint.hangup(session, now=network.now)
        party.settle()
    network.run(700)
    for party in parties:
        endings = Counter(event.session for event in party.events if isinstance(event, e.Ended | e.Failed))
        mine = {session for owner, session in sessions if owner is party}
        assert set(endings) == mine, f"seed {seed}: {party.name} has sessions without an end"
        assert set(endings.values()) <= {1}, f"seed {seed}: {party.name} ended one twice"
    return network


@pytest.mark.parametrize("block", range(10))
def test_seeded_histories_leave_nothing(block: int) -> None:
    for seed in range(block * 60, block * 60 + 60):
        history(seed).assert_idle()


@pytest.mark.long
@pytest.mark.parametrize("block", range(100))
def test_ten_thousand_histories(block: int) -> None:
    for seed in range(1000 + block * 100, 1100 + block * 100):
        history(seed).assert_idle()
