"""3xx, Replaces, Target-Dialog and Refer-Sub at the endpoint: followed by policy, and never in a circle."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.message import Request, Response
from cordboard.sip.redirection import Detour
from cordboard.sip.uri import Uri
from tests.sip.support.network import OFFER
from tests.sip.support.scripted import Scripted


def everywhere(uri: Uri) -> Detour | None:
    return Detour(uri)


def redirected(s: Scripted, gate: Callable[[Uri], Detour | None], *contacts: str, status: int = 302) -> Request:
    """Our INVITE, answered by these Contacts; it is returned."""
    _, invite = s.calling(redirect=gate)
    s.respond(invite, status, *(("Contact", contact) for contact in contacts), contact="")
    return invite


def test_line_26_a_302_is_followed_with_the_same_call_id_and_the_next_cseq() -> None:
    """Protects transfers to people who divert their phone, and Asterisk's Transfer() before the answer (§8.1.3.4)."""
    s = Scripted()
    first = redirected(s, everywhere, "<sip:other@10.0.0.8>")
    second = s.last(Request)
    assert (second.method, second.uri_text) == ("INVITE", "sip:other@10.0.0.8")
    assert (second.call_id, second.cseq.number) == (first.call_id, 2)
    assert second.headers.get("To") == first.headers.get("To")
    assert second.body == first.body
    s.respond(second, 200, body=OFFER)
    assert [type(event) for event in s.party.events if isinstance(event, e.Answered | e.Failed)] == [e.Answered]
    s.finish()


def test_line_26_contacts_go_by_their_q_and_a_failure_goes_on_to_the_next() -> None:
    """Protects the order that the redirecting side asked for (§20.10)."""
    s = Scripted()
    redirected(s, everywhere, "<sip:low@10.0.0.8>;q=0.1", "<sip:high@10.0.0.8>;q=0.9", status=300)
    assert s.last(Request).uri_text == "sip:high@10.0.0.8"
    s.respond(s.last(Request), 480)
    assert s.last(Request).method == "INVITE"
    assert s.last(Request).uri_text == "sip:low@10.0.0.8"
    s.respond(s.last(Request), 486)
    assert [event.status for event in s.party.of(e.Failed)] == [486]  # type: ignore[union-attr]
    s.finish()


def test_line_26_a_circle_ends_and_so_does_an_endless_chain() -> None:
    """Protects against two peers that redirect to each other, and one that always names another (§8.1.3.4)."""
    s = Scripted()
    redirected(s, everywhere, "<sip:b@10.0.0.8>")
    s.respond(s.last(Request), 302, ("Contact", "<sip:peer@10.0.0.7>"), contact="")
    assert [event.status for event in s.party.of(e.Failed)] == [302]  # type: ignore[union-attr]

    s = Scripted()
    redirected(s, everywhere, "<sip:n0@10.0.0.8>")
    for number in range(1, 20):
        if s.party.of(e.Failed):
            break
        s.respond(s.last(Request), 302, ("Contact", f"<sip:n{number}@10.0.0.8>"), contact="")
    assert s.methods().count("INVITE") == 1 + EndpointConfig().maximum_redirects
    s.finish()


def test_line_26_every_contact_passes_the_gate_and_none_is_followed_without_one() -> None:
    """Protects against calls that a peer lets us pay for (security: the dial policy)."""
    s = Scripted()
    redirected(s, lambda uri: everywhere(uri) if uri.user == "fine" else None, "<sip:+1900555@10.0.0.8>")
    assert s.party.of(e.Failed)
    s = Scripted()
    _, invite = s.calling()
    s.respond(invite, 302, ("Contact", "<sip:other@10.0.0.8>"), contact="")
    assert [event.status for event in s.party.of(e.Failed)] == [302]  # type: ignore[union-attr]


@pytest.mark.parametrize(("status", "contact"), [(305, "<sip:proxy@10.0.0.8>"), (302, "<mailto:a@b.example>")])
def test_line_26_what_is_no_target_is_not_followed(status: int, contact: str) -> None:
    """Protects from proxies and schemes that a peer would choose for us (§21.3.4)."""
    s = Scripted()
    redirected(s, everywhere, contact, status=status)
    assert s.party.of(e.Failed)


def test_line_26_a_6xx_ends_the_search() -> None:
    """Protects a callee who does not want to be reached anywhere (§21.6)."""
    s = Scripted()
    redirected(s, everywhere, "<sip:a@10.0.0.8>", "<sip:b@10.0.0.8>")
    s.respond(s.last(Request), 603)
    assert [event.status for event in s.party.of(e.Failed)] == [603]  # type: ignore[union-attr]
    s.finish()


def test_line_26_a_cancel_during_a_detour_ends_it() -> None:
    """Protects the rule of one ending when a caller hangs up while a redirected phone rings."""
    s = Scripted()
    session, invite = s.calling(redirect=everywhere)
    s.respond(invite, 302, ("Contact", "<sip:other@10.0.0.8>"), contact="")
    s.respond(s.last(Request), 180)
    s.core.cancel(session, now=s.now)
    s.party.settle()
    assert s.last(Request).method == "CANCEL"
    assert s.last(Request).uri_text == "sip:other@10.0.0.8"
    assert len(s.party.of(e.Failed)) == 1
    s.finish()


# Replaces, Target-Dialog, Refer-Sub -----------------------------------------------------------------------------------


def test_line_44_replaces_from_elsewhere_finds_no_dialog() -> None:
    """Protects a call from being taken over by somebody who learnt its identifiers (RFC 3891 §5)."""
    s = Scripted()
    _, invite, tag = s.answered()
    header = ("Replaces", f"{invite.call_id};to-tag={tag};from-tag=peer")
    thief = s.request("INVITE", call_id="t", branch="z9hG4bKt", from_tag="thief", body=OFFER, headers=(header,))
    answers = [m.status for m in s.send(thief, ("192.0.2.66", 5060)) if isinstance(m, Response)]
    assert answers == [481]
    colleague = s.request("INVITE", call_id="c", branch="z9hG4bKc", from_tag="new", body=OFFER, headers=(header,))
    s.send(colleague)
    assert s.party.of(e.IncomingCall)[-1].replaces  # type: ignore[union-attr]
    s.finish()


def test_line_44_our_replaces_names_the_dialog_as_the_peer_sees_it() -> None:
    """Protects attended transfers: to-tag is the tag of who gets the INVITE (RFC 3891 §3)."""
    s = Scripted()
    session, invite = s.calling()
    s.respond(invite, 200, tag="theirs", body=OFFER)
    replaces = s.core.replaces(session)
    assert replaces is not None
    assert (replaces.call_id, replaces.to_tag, replaces.from_tag) == (invite.call_id, "theirs", invite.from_.tag)
    s.finish()


def refer_by_target_dialog(s: Scripted, invite: Request, tag: str, *headers: tuple[str, str]) -> Request:
    target = ("Target-Dialog", f"{invite.call_id};local-tag={tag};remote-tag=peer")
    refer_to = ("Refer-To", "<sip:night@10.0.0.9>")
    return s.request("REFER", call_id="refer", branch="z9hG4bKr", from_tag="away", headers=(target, refer_to, *headers))


def test_line_43_a_refer_outside_is_taken_where_it_names_our_dialog() -> None:
    """Protects transfers by systems that REFER in a dialog of its own (RFC 4538 §3); NOTIFYs go in that dialog."""
    s = Scripted(EndpointConfig(accept_refer=lambda flow: True))
    session, invite, tag = s.answered()
    s.send(refer_by_target_dialog(s, invite, tag))
    assert [str(event.refer_to.uri) for event in s.party.of(e.ReferRequested)] == ["sip:night@10.0.0.9"]  # type: ignore[union-attr]
    s.core.accept_refer(session, now=s.now)
    s.party.settle()
    accepted = next(m for m in reversed(s.outbox) if isinstance(m, Response) and m.cseq.method == "REFER")
    assert accepted.status == 202
    notify = s.last(Request)
    assert (notify.method, notify.call_id, notify.to.tag) == ("NOTIFY", "refer", "away")
    assert notify.from_.tag == accepted.to.tag != tag
    s.respond(notify, 200)
    s.core.notify_refer(session, 200, final=True, now=s.now)
    s.party.settle()
    s.respond(s.last(Request), 200)
    s.finish()


def test_line_43_a_refer_outside_that_names_nothing_of_ours_is_refused() -> None:
    """Protects against strangers who would have us call somebody."""
    s = Scripted(EndpointConfig(accept_refer=lambda flow: True))
    _, invite, tag = s.answered()
    assert s.status(refer_by_target_dialog(s, invite, "guessed")) == 603
    assert s.status(s.request("REFER", call_id="x", headers=(("Refer-To", "<sip:a@b.example>"),))) == 603
    stranger = s.send(refer_by_target_dialog(s, invite, tag), ("192.0.2.66", 5060))
    assert [m.status for m in stranger if isinstance(m, Response)] == [603]
    s.finish()


def test_line_42_a_refer_without_subscription_asks_for_it_and_takes_the_grant() -> None:
    """Protects peers that cannot send NOTIFY: Refer-Sub: false there and back (RFC 4488 §4)."""
    s = Scripted()
    session, _, _ = s.answered()
    s.core.refer(session, Address(Uri.parse("sip:night@10.0.0.9")), subscription=False, now=s.now)
    s.party.settle()
    assert s.last(Request).headers.get("Refer-Sub") == "false"
    s.respond(s.last(Request), 200, ("Refer-Sub", "false"))
    assert [event.reason for event in s.party.of(e.ReferEnded)] == ["no_subscription"]  # type: ignore[union-attr]
    s.finish()
