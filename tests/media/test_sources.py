"""Who may be heard: strangers never reach an ear, and nobody is flooded at our hands."""

from __future__ import annotations

import itertools

import pytest

from cordboard.media import Latched, Silent
from cordboard.media.python import rtcp
from tests.media.stage import Party, Stage
from tests.support.audio import make_tone, tone_windows

STRANGER = ("203.0.113.9", 7000)


def bridge(**settings: object) -> tuple[Stage, Party, Party]:
    stage = Stage(**settings)
    caller, person = stage.party(), stage.party(seed=2)
    person.say_frame()
    caller.say_frame()
    caller.jack.hears(person.jack)
    stage.run(0.02)
    person.sent.clear()
    return stage, caller, person


class Injector:
    """Somebody who sends RTP of his own to a party's jack."""

    def __init__(self, target: Party, sender: tuple[str, int], ssrc: int = 0xBAD) -> None:
        self.target, self.sender, self.ssrc, self.sequence = target, sender, ssrc, 100

    def send(self) -> None:
        from cordboard.media.python import rtp

        self.sequence += 1
        data = rtp.build(0, False, self.sequence, self.sequence * 160, self.ssrc, self.target.tone(1700))
        self.target.deliver(data, self.sender)


@pytest.mark.parametrize("sender", ["another address", "another port", "another SSRC from the party's own address"])
def test_injected_packets_reach_no_ear(sender: str) -> None:
    """RTP bleed (AST-2017-005/008): a flood of foreign packets while the party talks, and then is silent."""
    stage, caller, person = bridge()
    address = {
        "another address": STRANGER,
        "another port": (person.remote[0], person.remote[1] + 40),
        "another SSRC from the party's own address": person.remote,
    }[sender]
    intruder = Injector(person, address)
    person.talk(900)
    tap = person.jack.tap()
    for _ in range(100):
        for _ in range(3):
            stage.run(0.005)
            intruder.send()
        stage.run(0.005)
    heard = caller.heard()
    assert max(tone_windows(heard, 8000, 1700)) < 0.05
    ids, pcm = stage.board.frames()
    assert set(ids) == {tap.id}
    assert max(tone_windows(pcm, 16000, 1700)) < 0.05
    assert person.jack.stats().rejected == 300
    assert {each.to for each in person.sent} <= {person.remote}


@pytest.mark.parametrize("sender", [STRANGER, ("192.0.2.1", 9999)])
def test_silence_never_opens_the_latch_again(sender: tuple[str, int]) -> None:
    stage, caller, person = bridge()
    stage.run(60)
    count = len(caller.sent)
    intruder = Injector(person, sender)
    for _ in range(200):
        intruder.send()
        stage.run(0.02)
    assert len(caller.sent) == count
    assert person.jack.stats().remote == person.remote


def test_strangers_before_the_first_packet_are_not_latched() -> None:
    stage = Stage()
    person = stage.party()
    intruder = Injector(person, STRANGER)
    for _ in range(50):
        intruder.send()
    assert not person.jack.stats().latched
    person.say_frame()
    assert person.jack.stats().latched


def test_the_address_of_the_description_passes_at_once() -> None:
    stage = Stage()
    person = stage.party()
    person.say_frame()
    stage.run(0.02)
    assert stage.board.events() == [Latched(person.jack, person.remote)]
    assert person.jack.stats().first_received_at == pytest.approx(1000.0)
    person.say_frame()
    assert stage.board.events() == []


def test_another_port_must_show_several_packets_and_is_latched_once() -> None:
    """Symmetric RTP behind NAT."""
    stage = Stage()
    person, caller = stage.party(), stage.party()
    caller.jack.hears(person.jack)
    person.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    real = (person.remote[0], 31337)
    for number in range(6):
        person.deliver(person.packet(person.tone(900)), real)
        person.timestamp += 160
        stage.run(0.02)
        assert person.jack.stats().latched == (number >= 3)
    assert len(caller.sent) == 3
    assert person.sent[-1].to == real
    assert [each for each in stage.board.events() if isinstance(each, Latched)] == [Latched(person.jack, real)]
    # Latched once: neither the described port nor a third one is heard now.
    rejected = person.jack.stats().rejected
    person.deliver(person.packet(b"\xff" * 160), person.remote)
    intruder = Injector(person, (person.remote[0], 31338))
    for _ in range(20):
        intruder.send()
    assert person.jack.stats().rejected == rejected + 21


def test_a_refresh_keeps_the_party_behind_nat() -> None:
    stage = Stage()
    person, caller = stage.party(), stage.party()
    caller.jack.hears(person.jack)
    real = (person.remote[0], 31337)
    for _ in range(10):
        person.deliver(person.packet(person.tone(900)), real)
        person.timestamp += 160
        stage.run(0.02)
    stage.board.events()
    person.negotiate()
    count = len(caller.sent)
    person.deliver(person.packet(person.tone(900)), real)
    stage.run(0.02)
    assert len(caller.sent) == count + 1
    assert stage.board.events() == [Latched(person.jack, real)]


def test_a_new_address_begins_anew() -> None:
    _stage, caller, person = bridge()
    old, person.remote = person.remote, ("198.51.100.7", 5004)
    person.negotiate()
    count = len(caller.sent)
    person.deliver(person.packet(person.tone(900)), old)
    assert len(caller.sent) == count
    person.say_frame()
    assert len(caller.sent) == count + 1


def test_a_party_may_change_its_ssrc() -> None:
    """A gateway that bridges elsewhere sends another SSRC without a new offer."""
    stage, caller, person = bridge()
    person.talk(900)
    stage.run(1)
    person.ssrc, person.sequence, person.timestamp = 77, 9000, 123456
    count = len(caller.sent)
    stage.run(1)
    assert len(caller.sent) - count >= 46  # a pause of 50 ms and three packets to prove it
    numbers = [each.packet.sequence for each in caller.sent]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))


def test_fifty_packets_at_most_before_one_comes_back() -> None:
    stage = Stage()
    person = stage.party()
    person.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    stage.run(5)
    assert len(person.sent) == 50
    assert person.jack.stats().held_back == 200
    person.say_frame()
    stage.run(5)
    assert len(person.sent) == 300


def test_a_stranger_does_not_lift_the_limit() -> None:
    stage = Stage()
    person = stage.party()
    person.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    stage.run(2)
    for _ in range(20):
        Injector(person, STRANGER).send()
        stage.board.arrived(person.session.report, rtcp.build(1, "x", wall=1, sent=None, block=None), STRANGER)
        stage.run(0.1)
    assert len(person.sent) == 50


def test_a_report_lifts_the_limit() -> None:
    """A party that only listens answers by RTCP."""
    stage = Stage()
    person = stage.party()
    person.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    stage.run(2)
    report = rtcp.build(1, "x", wall=1, sent=None, block=None)
    stage.board.arrived(person.session.report, report, (person.remote[0], person.remote[1] + 1))
    stage.run(1)
    assert len(person.sent) == 100
    assert person.jack.stats().rtcp_seen


@pytest.mark.parametrize("data", [b"", b"\x80", b"x" * 500, b"\x80\x00" + b"\0" * 9, b"\x80\x7f" + b"\0" * 170])
def test_what_is_not_ours_is_counted_and_forgotten(data: bytes) -> None:
    _stage, caller, person = bridge()
    count = len(caller.sent)
    person.deliver(data)
    assert len(caller.sent) == count
    assert person.jack.stats().malformed == 1


def test_nothing_is_accepted_before_the_negotiation_or_after_the_end() -> None:
    stage = Stage()
    person = stage.party(negotiate=False)
    person.say_frame()
    assert person.jack.stats().packets_in == 0
    person.negotiate()
    person.jack.close()
    stage.run(0.02)
    person.say_frame()
    assert person.jack.stats().packets_in == 0


def test_a_hold_without_an_address_sends_nowhere() -> None:
    """RFC 2543 hold: c=0.0.0.0."""
    stage, caller, _ = bridge()
    caller.negotiate(remote=("0.0.0.0", 6000))
    caller.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    count = len(caller.sent)
    stage.run(1)
    assert len(caller.sent) == count


def test_silence_is_told_once_per_silence() -> None:
    stage = Stage(silent_after=2.0)
    person = stage.party()
    person.talk()
    stage.run(1)
    person.hush()
    stage.run(10)
    silent = [each for each in stage.board.events() if isinstance(each, Silent)]
    assert [each.jack for each in silent] == [person.jack]
    assert 2.0 <= silent[0].seconds < 2.2
    person.talk()
    stage.run(1)
    person.hush()
    stage.run(5)
    assert len(stage.board.events()) == 1


def test_a_party_that_never_speaks_is_silent_and_one_on_hold_is_not() -> None:
    stage = Stage(silent_after=2.0)
    stage.party(direction="sendonly")
    mute = stage.party()
    stage.run(5)
    assert [each.jack for each in stage.board.events() if isinstance(each, Silent)] == [mute.jack]
    mute.jack.silent_after(None)
    mute.negotiate()
    stage.run(5)
    assert stage.board.events() == []


def test_reports_go_to_the_next_port_and_tell_the_truth() -> None:
    stage, caller, person = bridge()
    caller.say_frame()
    person.talk(900)
    stage.run(12)
    data, to = caller.control.raw[0]
    assert to == (caller.remote[0], caller.remote[1] + 1)
    report = rtcp.parse(data)
    assert report is not None
    assert report.ssrc == caller.jack.stats().ssrc_out
    assert report.ntp is not None
    assert person.control.raw
    received = rtcp.parse(person.control.raw[-1][0])
    assert received is not None
    assert received.ntp is None  # we have sent it nothing since: a receiver report
    assert received.blocks[0].ssrc == person.ssrc
    assert received.blocks[0].lost == 0


def test_round_trip_from_a_report() -> None:
    stage, caller, person = bridge()
    person.talk(900)
    caller.talk()
    stage.run(8)
    sent = rtcp.parse(caller.control.raw[0][0])
    assert sent is not None
    assert sent.ntp is not None
    wall = stage.board.wall(stage.now)
    since = (rtcp.middle(wall - 0.040) - sent.ntp) & 0xFFFFFFFF
    block = rtcp.Block(sent.ssrc, 0, 3, 0, 0, sent.ntp, since)
    data = rtcp.build(caller.ssrc, "x", wall=wall, sent=None, block=block)
    stage.board.arrived(caller.session.report, data, (caller.remote[0], caller.remote[1] + 1))
    stats = caller.jack.stats()
    assert stats.round_trip_ms == pytest.approx(40, abs=1)
    assert stats.remote_lost == 3
    assert stats.mos is not None
    assert stats.mos > 4.3


def test_multiplexed_reports_use_the_media_port() -> None:
    """RFC 5761."""
    stage = Stage()
    person = stage.party(rtcp_mux=True)
    person.talk()
    stage.run(8)
    assert not person.control.raw
    assert any(to == person.remote for _, to in person.socket.raw)
    person.deliver(rtcp.build(1, "x", wall=1, sent=None, block=None))
    assert person.jack.stats().rtcp_seen


def test_figures_of_a_party() -> None:
    stage, caller, person = bridge()
    caller.talk()
    for number in range(50):
        packet = person.packet(person.tone(900))
        person.timestamp += 160
        if number % 10 != 5:
            person.deliver(packet)
        stage.run(0.02)
    stats = person.jack.stats()
    assert (stats.packets_in, stats.octets_in, stats.lost) == (46, 46 * 160, 5)
    assert stats.jitter_ms < 1
    assert stats.last_received_age_ms == pytest.approx(20, abs=1)
    assert caller.jack.stats().packets_out == 45
    assert caller.jack.stats().largest_gap_out_ms == pytest.approx(40, abs=1)
    board = stage.board.stats()
    assert (board.jacks, board.packets_out) == (2, 45)
