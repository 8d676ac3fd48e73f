"""The one switch: continuity of what leaves, the late break, relay and transcoding, clips."""

from __future__ import annotations

import itertools
import random

import pytest

from cordboard.media import (
    COMFORT_NOISE,
    DTMF,
    G722,
    PCMA,
    PCMU,
    Ended,
    JackClosedError,
    Latched,
    Source,
    UnsupportedCodecError,
)
from cordboard.media.python import rtp
from tests.media.stage import ALAW, Stage, assert_continuous
from tests.support.audio import make_tone, tone_present, tone_seconds, tone_windows


def test_relay_passes_payloads_on_and_numbers_them_as_our_own() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party(phase=0.007)
    caller.jack.hears(person.jack)
    person.talk()
    stage.run(1)
    assert len(caller.sent) == 50
    assert caller.sent[0].packet.marker
    assert not any(each.packet.marker for each in caller.sent[1:])
    assert caller.sent[0].packet.ssrc != person.ssrc
    assert_continuous(caller.sent)
    assert tone_present(caller.heard(), 8000, 440, threshold=0.99, seconds=0.9)


def test_relay_keeps_what_the_network_lost_and_disordered() -> None:
    """No jitter buffer on a relay: a hole stays a hole, and a late packet keeps its number."""
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.jack.hears(person.jack)
    packets = []
    for _ in range(8):
        packets.append(person.packet(person.tone(440)))
        person.timestamp += 160
    for index in (0, 1, 3, 2, 6, 6, 7):
        person.deliver(packets[index])
        stage.run(0.02)
    numbers = [each.packet.sequence - caller.sent[0].packet.sequence for each in caller.sent]
    assert numbers == [0, 1, 3, 2, 6, 7]
    stamps = [rtp.distance32(each.packet.timestamp, caller.sent[0].packet.timestamp) for each in caller.sent]
    assert stamps == [160 * number for number in numbers]


def test_relay_transcodes_between_the_laws() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party(receive=ALAW)
    caller.jack.hears(person.jack)
    person.jack.hears(caller.jack)
    caller.talk(500)
    person.talk(900)
    stage.run(1)
    assert {each.packet.payload_type for each in caller.sent} == {0}
    assert {each.packet.payload_type for each in person.sent} == {8}
    assert tone_present(caller.heard(), 8000, 900, 0.99, 0.8)
    assert tone_present(person.heard(), 8000, 500, 0.99, 0.8)


def test_a_peer_that_uses_the_second_of_two_codecs_is_heard() -> None:
    """Field lesson 37: two-party audio is lost when one side offers two codecs and uses the second."""
    stage = Stage()
    caller = stage.party(receive={0: PCMU, 8: PCMA, 101: DTMF})
    person = stage.party()
    person.jack.hears(caller.jack)
    caller.send, caller.codec = 8, "PCMA"
    caller.talk(700)
    stage.run(0.5)
    assert tone_present(person.heard(), 8000, 700, 0.99, 0.4)


@pytest.mark.parametrize("phase", [0.001, 0.0095, 0.0199])
def test_hundred_switches_between_hold_and_person_leave_one_stream(phase: float) -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party(phase=phase)
    chance = random.Random(3)
    hold = stage.board.clip(make_tone(300, 1), 8000)
    caller.talk()
    person.talk(900, jitter=lambda: chance.uniform(-0.002, 0.002))
    caller.jack.hears(hold)
    stage.run(0.5)
    for number in range(100):
        caller.jack.hears(person.jack if number % 2 == 0 else hold)
        stage.run(chance.uniform(0.06, 0.3))
    assert_continuous(caller.sent)
    gaps = [after.at - before.at for before, after in zip(caller.sent, caller.sent[1:], strict=False)]
    assert max(gaps) <= 0.02 + 0.002 + 2 * 0.002 + 1e-6  # one frame, 2 ms, and the source's own jitter
    assert sum(each.packet.marker for each in caller.sent) == 101


def test_switches_among_every_kind_of_source_leave_one_stream() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party(phase=0.011, receive=ALAW)
    mix = stage.board.mix()
    mix.add(person.jack)
    pcm = stage.board.pcm_jack(16000)
    sources: list[Source | None] = [
        person.jack,
        stage.board.clip(make_tone(300, 0.3), 8000),
        caller.jack.say,
        mix,
        pcm,
        None,
    ]
    caller.talk()
    person.talk(900)
    chance = random.Random(5)
    for number in range(200):
        caller.jack.hears(chance.choice(sources), cut=chance.choice(["late", "now"]))
        caller.jack.say.write(make_tone(500, 0.1), 8000)
        pcm.write(make_tone(600, 0.15, 16000))
        if number % 10 == 3:
            caller.jack.send_dtmf("1")
        stage.run(chance.uniform(0.03, 0.2))
    keys = [each for each in caller.sent if each.packet.payload_type == 101]
    assert keys
    numbers = [each.packet.sequence for each in caller.sent]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))
    audio = [each for each in caller.sent if each.packet.payload_type == 0]
    for before, after in itertools.pairwise(audio):
        assert rtp.distance32(after.packet.timestamp, before.packet.timestamp) > 0
    first = audio[0]
    for each in audio:
        ahead = rtp.distance32(each.packet.timestamp, first.packet.timestamp) - round((each.at - first.at) * 8000)
        assert abs(ahead) <= 320


def test_late_break_keeps_the_old_source_until_the_first_packet() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    stage.run(0.5)
    caller.jack.hears(person.jack)
    person.phase = 0.11
    person.talk(900)
    stage.run(0.5)
    assert_continuous(caller.sent)
    music = tone_seconds(caller.heard(), 8000, 300, window=0.02)
    assert 0.59 <= music <= 0.63
    assert max(b.at - a.at for a, b in zip(caller.sent, caller.sent[1:], strict=False)) <= 0.0201


def test_late_break_does_not_wait_for_a_muted_party() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    stage.run(0.5)
    switched = stage.now
    caller.jack.hears(person.jack)
    stage.run(1)
    assert 0.17 <= caller.sent[-1].at - switched <= 0.2


def test_cut_now_does_not_wait() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    stage.run(0.5)
    switched = stage.now
    caller.jack.hears(person.jack, cut="now")
    stage.run(1)
    assert caller.sent[-1].at <= switched


def test_late_break_into_speech_waits_for_the_first_words() -> None:
    """The caller hears music until the agent has something to say."""
    stage = Stage()
    caller = stage.party()
    caller.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    stage.run(0.1)
    caller.jack.hears(caller.jack.say)
    stage.at(0.1, lambda: caller.jack.say.write(make_tone(900, 0.5), 8000))
    stage.run(0.5)
    assert_continuous(caller.sent)
    assert max(b.at - a.at for a, b in zip(caller.sent, caller.sent[1:], strict=False)) <= 0.0201


def test_hearing_nothing_sends_nothing_and_the_clock_goes_on() -> None:
    stage = Stage()
    caller = stage.party()
    clip = stage.board.clip(make_tone(300, 1), 8000)
    caller.jack.hears(clip)
    stage.run(0.2)
    caller.talk()
    caller.jack.hears(None)
    count = len(caller.sent)
    stage.run(3)
    assert len(caller.sent) == count
    caller.jack.hears(clip)
    stage.run(0.2)
    assert_continuous(caller.sent)
    assert caller.sent[count].packet.marker


def test_when_a_source_closes_its_listeners_hear_nothing() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    person.talk()
    caller.jack.hears(person.jack)
    stage.run(0.2)
    person.jack.close()
    person.hush()
    stage.run(0.5)
    count = len(caller.sent)
    caller.jack.hears(person.jack)  # too late: nothing to hear
    stage.run(0.5)
    assert len(caller.sent) == count
    with pytest.raises(JackClosedError):
        person.jack.hears(caller.jack)
    person.jack.close()


def test_a_clip_that_ends_says_so_once() -> None:
    stage = Stage()
    caller = stage.party()
    clip = stage.board.clip(make_tone(440, 0.25, 16000), 16000, loop=False)
    assert clip.duration_ms == 250
    caller.jack.hears(clip)
    stage.run(1)
    assert len(caller.sent) == 13
    assert [each for each in stage.board.events() if isinstance(each, Ended)] == [Ended(caller.jack, clip)]


def test_a_clip_that_is_cut_off_does_not_say_that_it_ended() -> None:
    stage = Stage()
    caller = stage.party()
    caller.jack.hears(stage.board.clip(make_tone(440, 0.25), 8000, loop=False))
    stage.run(0.1)
    caller.jack.hears(None)
    stage.run(1)
    assert not any(isinstance(each, Ended) for each in stage.board.events())


def test_each_listener_hears_a_clip_from_its_beginning() -> None:
    stage = Stage()
    one, two = stage.party(), stage.party()
    clip = stage.board.clip(make_tone(440, 0.2) + make_tone(900, 0.2), 8000, loop=False)
    one.jack.hears(clip)
    stage.run(0.1)
    two.jack.hears(clip)
    stage.run(0.5)
    assert one.heard() == two.heard()


@pytest.mark.parametrize(("ptime", "octets"), [(10, 80), (20, 160), (30, 240), (40, 320), (60, 480)])
def test_packets_have_the_negotiated_length(ptime: int, octets: int) -> None:
    stage = Stage()
    caller = stage.party(ptime=ptime)
    caller.talk()
    caller.jack.hears(stage.board.clip(make_tone(440, 1), 8000))
    stage.run(1.2)
    assert {len(each.packet.payload) for each in caller.sent} == {octets}
    stamps = [each.packet.timestamp for each in caller.sent]
    assert {rtp.distance32(b, a) for a, b in itertools.pairwise(stamps)} == {octets}
    assert tone_present(caller.heard(), 8000, 440, 0.99, 1.0)


def test_comfort_noise_is_tolerated_and_leaves_no_hole() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.jack.hears(person.jack)
    for number in range(20):
        if number % 5 == 4:
            person.deliver(person.packet(b"\x40", payload_type=13))
            person.timestamp += 160
        else:
            person.say_frame()
        stage.run(0.02)
    assert len(caller.sent) == 16
    assert_continuous(caller.sent)
    assert person.jack.stats().malformed == 0
    assert person.jack.stats().packets_in == 20


def test_comfort_noise_alone_is_evidence_of_a_party() -> None:
    stage = Stage()
    person = stage.party(receive={0: PCMU, 13: COMFORT_NOISE})
    person.deliver(person.packet(b"\x40", payload_type=13))
    assert [each for each in stage.board.events() if isinstance(each, Latched)] == [Latched(person.jack, person.remote)]


def test_a_source_that_sets_its_timestamps_anew_stays_on_the_clock() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.say_frame()
    caller.jack.hears(person.jack)
    for number in range(60):
        if number == 20:
            person.timestamp = 77_000
        if number == 40:
            person.timestamp += 4_000_000
        person.say_frame()
        stage.run(0.02)
    assert len(caller.sent) == 60
    assert_continuous(caller.sent)


def test_a_source_whose_clock_runs_fast_stays_on_ours() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.say_frame()
    caller.jack.hears(person.jack)
    for _ in range(3000):
        person.say_frame()
        stage.run(0.0199)
    first, last = caller.sent[0], caller.sent[-1]
    elapsed = round((last.at - first.at) * 8000)
    assert abs(rtp.distance32(last.packet.timestamp, first.packet.timestamp) - elapsed) <= 320


@pytest.mark.parametrize(
    ("direction", "hears_out", "is_heard"),
    [("sendrecv", True, True), ("sendonly", True, False), ("recvonly", False, True), ("inactive", False, False)],
)
def test_direction(direction: str, hears_out: bool, is_heard: bool) -> None:
    stage = Stage()
    held, other = stage.party(direction=direction), stage.party()
    held.jack.hears(other.jack)
    other.jack.hears(held.jack)
    held.talk(500)
    other.talk(900)
    stage.run(0.5)
    assert bool(held.sent) == hears_out
    assert bool(other.sent) == is_heard


def test_hold_and_back_by_negotiating_again_loses_nothing() -> None:
    """Field lesson 30: a re-INVITE that changes codec or RTP port loses audio."""
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.jack.hears(person.jack)
    person.jack.hears(caller.jack)
    caller.talk(500)
    person.talk(900)
    stage.run(0.5)
    caller.negotiate(direction="recvonly")
    stage.run(0.5)
    silent = len(caller.sent)
    caller.negotiate()
    stage.run(0.5)
    assert 45 <= len(caller.sent) <= 51
    assert len(caller.sent) > silent
    assert_continuous(caller.sent)
    assert 75 <= len(person.sent) <= 77
    # Now another codec, at another port.
    caller.remote = ("192.0.2.1", 7070)
    caller.receive, caller.send, caller.codec = ALAW, 8, "PCMA"
    caller.negotiate()
    stage.run(0.5)
    assert 100 <= len(person.sent) <= 102
    assert {(each.to, each.packet.payload_type) for each in caller.sent[-20:]} == {(("192.0.2.1", 7070), 8)}
    assert_continuous(caller.sent)
    assert tone_seconds(caller.heard(), 8000, 900, 0.9) >= 0.9


def test_speech_waits_for_the_first_negotiation() -> None:
    """The greeting may be written before the answer is known; its first words are not lost."""
    stage = Stage()
    caller = stage.party(negotiate=False)
    caller.jack.hears(caller.jack.say)
    caller.jack.say.write(make_tone(440, 0.3), 8000)
    stage.run(1)
    assert caller.jack.say.queued_ms == 300
    caller.negotiate()
    stage.run(1)
    assert len(caller.sent) == 15


def test_what_cannot_be_negotiated() -> None:
    stage = Stage()
    jack = stage.board.jack()
    with pytest.raises(UnsupportedCodecError, match="G722"):
        jack.negotiated(receive={9: G722}, send=9, remote=("192.0.2.1", 6000))
    with pytest.raises(ValueError, match="ptime"):
        jack.negotiated(receive={0: PCMU}, send=0, remote=("192.0.2.1", 6000), ptime=5)
    with pytest.raises(ValueError, match="payload type"):
        jack.negotiated(receive={0: PCMU}, send=8, remote=("192.0.2.1", 6000))
    with pytest.raises(ValueError):
        jack.negotiated(receive={0: PCMU}, send=0, remote=("example.com", 6000))


def test_a_dynamic_type_may_differ_by_side() -> None:
    """RFC 3264 §5.1: each side numbers what it receives."""
    stage = Stage()
    caller = stage.party(receive={97: PCMU}, send=97)
    caller.negotiate(send=110, send_codec=PCMU)
    caller.talk()
    caller.jack.hears(stage.board.clip(make_tone(440, 1), 8000))
    stage.run(0.1)
    assert {each.packet.payload_type for each in caller.sent} == {110}
    assert caller.jack.stats().packets_in == 6


def test_a_mix_gives_each_ear_the_others() -> None:
    stage = Stage()
    parties = [stage.party(seed=n) for n in (1, 2, 3)]
    mix = stage.board.mix()
    for party, frequency in zip(parties, (500, 900, 1300), strict=True):
        party.talk(frequency)
        mix.add(party.jack)
        party.jack.hears(mix)
    stage.run(1)
    for own, party in zip((500, 900, 1300), parties, strict=True):
        assert_continuous(party.sent)
        heard = party.heard()[3200:]
        for frequency in (500, 900, 1300):
            share = max(tone_windows(heard, 8000, frequency))
            assert share < 0.02 if frequency == own else share > 0.4
    mix.remove(parties[2].jack)
    stage.run(0.5)
    assert max(tone_windows(parties[0].heard()[-4800:], 8000, 900)) > 0.9
    mix.close()
    stage.run(0.5)
    assert stage.board.stats().mixes == 0


def test_a_mix_takes_speech_with_gain() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    mix = stage.board.mix()
    mix.add(caller.jack.say, gain=0.5)
    caller.jack.hears(mix)
    person.jack.hears(mix)
    caller.jack.say.write(make_tone(500, 0.5), 8000)
    stage.run(0.4)
    for party in (caller, person):
        assert tone_present(party.heard(), 8000, 500, 0.99, 0.3)
    with pytest.raises(ValueError, match="mix"):
        mix.add(stage.board.mix())


def test_a_party_without_a_socket_hears_and_is_heard() -> None:
    stage = Stage()
    caller, browser = stage.party(), stage.board.pcm_jack(48000)
    caller.jack.hears(browser)
    browser.hears(caller.jack)
    caller.talk(700)
    tap = browser.tap()
    heard = bytearray()
    for _ in range(50):
        browser.write(make_tone(1000, 0.02, 48000))
        stage.run(0.02)
        heard += browser.read()
    assert tone_present(bytes(heard), 48000, 700, 0.95, 0.8)
    assert tone_seconds(caller.heard(), 8000, 1000, 0.5) >= 0.7
    ids, _ = stage.board.frames()
    assert set(ids) == {tap.id}
    browser.hears(caller.jack.say)
    caller.jack.say.write(make_tone(300, 0.5), 8000)
    stage.run(0.5)
    assert tone_present(browser.read(), 48000, 300, 0.9, 0.3)
    browser.close()
    stage.run(0.1)
    assert stage.board.stats().pcm_jacks == 0


def test_nothing_is_heard_in_a_bridge_but_the_other() -> None:
    """The caller never hears the whisper: what the human hears is the human's alone."""
    stage = Stage()
    caller, human = stage.party(), stage.party(seed=4)
    caller.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    human.jack.hears(human.jack.say)
    human.jack.say.write(make_tone(1500, 1), 8000)
    caller.talk(500)
    human.talk(900)
    stage.run(1)
    caller.jack.hears(human.jack)
    human.jack.hears(caller.jack)
    stage.run(1)
    assert max(tone_windows(caller.heard(), 8000, 1500)) < 0.05
    heard = human.heard()
    assert tone_present(heard[:16000], 8000, 1500, 0.9, 0.9)
    assert max(tone_windows(heard[:15000], 8000, 500)) < 0.05


def test_a_source_that_starts_its_numbers_again_is_still_heard() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.say_frame()
    caller.jack.hears(person.jack)
    person.jack.tap()
    for number in range(60):
        if number == 20:
            person.sequence = 30000  # far ahead
        if number == 40:
            person.sequence = 25000  # far behind
        person.say_frame()
        stage.run(0.02)
    assert len(caller.sent) == 58
    assert_continuous(caller.sent)
    assert person.jack.stats().lost == 0
    stage.run(0.1)
    assert len(stage.board.frames()[0]) == 60
