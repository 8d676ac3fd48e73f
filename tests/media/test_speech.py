"""Say, marks, flush; taps; keys in both directions."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from cordboard.media import DTMF, PCMU, Dtmf, JackClosedError, Mark, MediaError, NotNegotiatedError
from cordboard.media.python import dtmf, rtp
from tests.media.stage import ALAW, Party, Stage, assert_continuous
from tests.support.audio import level, make_tone, tone_present, tone_seconds, tone_windows


def keys(stage: Stage, party: Party | None = None) -> str:
    return "".join(
        each.digit
        for each in stage.board.events()
        if isinstance(each, Dtmf) and (party is None or each.jack is party.jack)
    )


# --- say --------------------------------------------------------------------------------------------------------------


def test_speech_in_pieces_has_no_gap() -> None:
    stage = Stage()
    caller = stage.party()
    caller.jack.hears(caller.jack.say)
    tone = make_tone(440, 1, 24000)
    pieces = [tone[i : i + 1234] for i in range(0, len(tone), 1234)]
    for number, piece in enumerate(pieces):
        stage.at(number * 0.01, partial(caller.jack.say.write, piece, 24000))
    stage.run(1.5)
    assert_continuous(caller.sent)
    assert len(caller.sent) == 50
    assert min(tone_windows(caller.heard(), 8000, 440)) > 0.98


def test_an_empty_say_sends_nothing_and_the_clock_goes_on() -> None:
    stage = Stage()
    caller = stage.party()
    caller.say_frame()
    caller.jack.hears(caller.jack.say)
    stage.run(1)
    assert caller.sent == []
    caller.jack.say.write(make_tone(440, 0.1), 8000)
    stage.run(1)
    caller.jack.say.write(make_tone(440, 0.1), 8000)
    stage.run(1)
    assert len(caller.sent) == 10
    assert_continuous(caller.sent)
    assert [each.packet.marker for each in caller.sent] == [True] + [False] * 4 + [True] + [False] * 4


def test_speech_waits_until_it_is_heard() -> None:
    stage = Stage()
    caller = stage.party()
    assert caller.jack.say.write(make_tone(440, 0.5, 16000), 16000) == pytest.approx(500, abs=2)
    stage.run(1)
    assert caller.jack.say.queued_ms == pytest.approx(500, abs=2)
    caller.jack.hears(caller.jack.say)
    stage.run(0.2)
    assert caller.jack.say.queued_ms == pytest.approx(300, abs=2)


def test_a_mark_is_told_when_what_was_before_it_has_been_sent() -> None:
    stage = Stage()
    caller = stage.party()
    caller.jack.hears(caller.jack.say)
    caller.jack.say.write(make_tone(440, 0.2), 8000)
    caller.jack.say.mark(1)
    caller.jack.say.write(make_tone(440, 0.2), 8000)
    caller.jack.say.mark(2)
    stage.run(0.18)
    assert stage.board.events() == []
    stage.run(0.02)
    assert stage.board.events() == [Mark(caller.jack, 1)]
    stage.run(0.5)
    assert stage.board.events() == [Mark(caller.jack, 2)]
    caller.jack.say.mark(3)  # nothing waits: reached at once
    assert stage.board.events() == [Mark(caller.jack, 3)]


def test_flush_forgets_words_and_marks() -> None:
    """Barge-in."""
    stage = Stage()
    caller = stage.party()
    caller.jack.hears(caller.jack.say)
    caller.jack.say.write(make_tone(440, 2), 8000)
    caller.jack.say.mark(1)
    stage.run(0.5)
    assert caller.jack.say.flush() == pytest.approx(1500)
    stage.run(0.5)
    assert len(caller.sent) == 25
    assert stage.board.events() == []
    caller.jack.say.write(make_tone(900, 0.1), 8000)
    caller.jack.say.mark(2)
    stage.run(0.5)
    assert len(caller.sent) == 30
    assert stage.board.events() == [Mark(caller.jack, 2)]


def test_the_last_words_are_sent_though_they_fill_no_packet() -> None:
    stage = Stage()
    caller = stage.party(ptime=60)
    caller.jack.hears(caller.jack.say)
    caller.jack.say.write(make_tone(440, 0.07), 8000)
    stage.run(0.5)
    assert [len(each.packet.payload) for each in caller.sent] == [480, 480]
    assert tone_seconds(caller.heard(), 8000, 440, window=0.01) == pytest.approx(0.07)


def test_one_word_shorter_than_a_frame_is_sent() -> None:
    stage = Stage()
    caller = stage.party()
    caller.jack.hears(caller.jack.say)
    caller.jack.say.write(make_tone(440, 0.005), 8000)
    caller.jack.say.mark(1)
    stage.run(0.1)
    assert len(caller.sent) == 1
    assert stage.board.events() == [Mark(caller.jack, 1)]


def test_a_say_has_an_end_of_patience() -> None:
    stage = Stage(say_limit=1.0)
    caller = stage.party()
    caller.jack.say.write(make_tone(440, 0.8), 8000)
    with pytest.raises(MediaError):
        caller.jack.say.write(make_tone(440, 0.3), 8000)
    with pytest.raises(ValueError, match="16 bits"):
        caller.jack.say.write(b"abc", 8000)
    with pytest.raises(ValueError, match="rate"):
        caller.jack.say.write(b"ab", 0)


# --- tap --------------------------------------------------------------------------------------------------------------


def test_a_tap_gives_frames_of_what_the_party_says() -> None:
    stage = Stage()
    caller = stage.party()
    tap = caller.jack.tap()
    caller.talk(700)
    stage.run(1)
    ids, pcm = stage.board.frames()
    assert len(pcm) == len(ids) * 320
    assert set(ids) == {tap.id}
    assert 49 <= len(ids) <= 51
    assert tone_present(pcm, 16000, 700, 0.99, 0.9)
    assert stage.board.frames()[0].tolist() == []
    tap.close()
    tap.close()
    stage.run(0.02)
    stage.board.frames()  # what was under way
    stage.run(1)
    assert len(stage.board.frames()[0]) == 0
    assert stage.board.stats().taps == 0


def test_a_tap_puts_packets_in_order_and_fills_what_is_lost() -> None:
    stage = Stage()
    caller = stage.party()
    caller.jack.tap()
    packets = []
    for number in range(12):
        packets.append(caller.packet(caller.tone(700) if number != 6 else b"\xff" * 160))
        caller.timestamp = (caller.timestamp + 160) & 0xFFFFFFFF
    for index in (0, 1, 3, 2, 2, 4, 5, 7, 8, 9, 10, 11):  # two change places, one comes twice, one is lost
        caller.deliver(packets[index])
        stage.run(0.02)
    stage.run(0.1)
    _, pcm = stage.board.frames()
    shares = tone_windows(pcm, 16000, 700, window=0.02)
    assert len(shares) == 12
    assert all(share > 0.97 for share in (*shares[1:6], *shares[8:]))
    assert level(pcm[6 * 320 + 40 : 7 * 320 - 40].tobytes()) < 0.01


def test_a_pause_of_the_party_is_silence_of_the_same_length() -> None:
    stage = Stage()
    caller = stage.party()
    caller.jack.tap()
    caller.say_frame(700)
    caller.timestamp = (caller.timestamp + 8000) & 0xFFFFFFFF
    stage.run(1.02)
    caller.say_frame(700)
    stage.run(0.1)
    assert len(stage.board.frames()[0]) == 52


def test_a_pause_is_heard_while_it_lasts() -> None:
    """A telephone that stops sending in a pause: recognition hears the end of speech then, not at the next word."""
    stage = Stage()
    caller = stage.party()
    caller.jack.tap()
    caller.say_frame(700)
    stage.run(0.5)
    assert 15 <= len(stage.board.frames()[0]) <= 25
    stage.run(0.5)
    assert len(stage.board.frames()[0]) == 25


def test_frames_that_nobody_fetches_are_bounded() -> None:
    stage = Stage()
    caller = stage.party()
    caller.jack.tap()
    caller.talk()
    stage.run(5)
    assert len(stage.board.frames()[0]) == 100
    assert stage.board.stats().dropped_frames >= 145


# --- keys -------------------------------------------------------------------------------------------------------------


def press(stage: Stage, party: Party, digit: str, payload_type: int = 101, lose_ends: bool = False) -> None:
    """100 ms of one key as a telephone sends it."""
    event = dtmf.KEYS.index(digit)
    for number in range(1, 6):
        if not (lose_ends and number == 5):
            end = number == 5
            for _ in range(3 if end else 1):
                payload = dtmf.build(event, end, 160 * number)
                party.deliver(party.packet(payload, payload_type=payload_type, marker=number == 1))
        stage.run(0.02)
    party.timestamp = (party.timestamp + 800) & 0xFFFFFFFF


def test_each_key_is_told_once() -> None:
    stage = Stage()
    caller = stage.party()
    for digit in "0123456789*#ABCD":
        press(stage, caller, digit)
        caller.say_frame()
        stage.run(0.02)
    events = [each for each in stage.board.events() if isinstance(each, Dtmf)]
    assert "".join(each.digit for each in events) == "0123456789*#ABCD"
    assert {each.duration for each in events} == {100}
    assert caller.jack.stats().dtmf_in == 16


def test_a_key_whose_ends_are_lost_is_told_once() -> None:
    stage = Stage()
    caller = stage.party()
    press(stage, caller, "5", lose_ends=True)
    stage.run(1)
    assert keys(stage) == "5"


@pytest.mark.parametrize("same_codec", [True, False])
def test_keys_follow_the_cord_under_the_listeners_type(same_codec: bool) -> None:
    """Field lesson 16: DTMF is sent to the wrong leg."""
    stage = Stage()
    caller = stage.party()
    person = stage.party(receive={0: PCMU, 96: DTMF} if same_codec else ALAW)
    third = stage.party()
    person.jack.hears(caller.jack)
    caller.jack.hears(person.jack)
    for _ in range(10):
        caller.say_frame()
        stage.run(0.02)
    for digit in "5#":
        press(stage, caller, digit)
        for _ in range(3):
            caller.say_frame()
            stage.run(0.02)
    out = [each for each in person.sent if each.packet.payload_type == 96]
    assert len(out) == 14
    assert len({each.packet.timestamp for each in out}) == 2
    told = dtmf.Receiver()
    got = [key for each in out for key in told.receive(each.packet.payload, each.packet.timestamp, each.at)]
    assert got == [("5", 100), ("#", 100)]
    numbers = [each.packet.sequence for each in person.sent]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))
    assert out[0].packet.marker
    assert not third.sent
    assert not any(each.packet.payload_type == 101 for each in caller.sent)


def test_keys_do_not_go_to_a_listener_that_takes_none() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party(receive={0: PCMU})
    person.jack.hears(caller.jack)
    caller.say_frame()
    press(stage, caller, "5")
    caller.say_frame()
    assert keys(stage) == "5"
    numbers = [each.packet.sequence for each in person.sent]
    assert len(numbers) == 2
    assert (numbers[1] - numbers[0]) & 0xFFFF == 1
    with pytest.raises(NotNegotiatedError):
        person.jack.send_dtmf("1")


def test_keys_that_we_send() -> None:
    stage = Stage()
    person = stage.party()
    person.talk()
    person.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    stage.run(0.2)
    person.jack.send_dtmf("17wb#")
    stage.run(3)
    out = [each for each in person.sent if each.packet.payload_type == 101]
    told = dtmf.Receiver()
    got = "".join(
        key.digit for each in out for key in told.receive(each.packet.payload, each.packet.timestamp, each.at)
    )
    assert got == "17B#"
    ends = [each for each in out if each.packet.payload[1] & 0x80]
    assert len(ends) == 12  # each end three times: RFC 4733 §2.5.1.4
    starts: dict[int, float] = {}
    for each in out:
        starts.setdefault(each.packet.timestamp, each.at)
    moments = list(starts.values())
    assert moments[2] - moments[1] >= 0.5 + 0.18 - 1e-6
    assert [each.packet.marker for each in out].count(True) == 4
    numbers = [each.packet.sequence for each in person.sent]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))
    assert person.jack.stats().dtmf_out == 4
    # Each key lasts as long as it says, and audio goes on behind it.
    for stamp in starts:
        last = max(
            each.packet.payload[2] << 8 | each.packet.payload[3] for each in out if each.packet.timestamp == stamp
        )
        assert last == 800
        later = [each.packet.timestamp for each in person.sent if rtp.distance32(each.packet.timestamp, stamp) > 0]
        assert rtp.distance32(later[0], stamp) >= 800


def test_a_relay_pauses_for_a_key_and_goes_on() -> None:
    stage = Stage()
    caller, person = stage.party(), stage.party()
    caller.jack.hears(person.jack)
    caller.talk()
    person.talk(900)
    stage.run(0.5)
    caller.jack.send_dtmf("5")
    stage.run(0.5)
    numbers = [each.packet.sequence for each in caller.sent]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))
    assert caller.sent[-1].packet.payload_type == 0
    assert sum(each.packet.payload_type == 101 for each in caller.sent) == 7


def test_keys_that_cannot_be_sent() -> None:
    stage = Stage()
    person = stage.party()
    with pytest.raises(ValueError):
        person.jack.send_dtmf("5x")
    with pytest.raises(ValueError):
        person.jack.send_dtmf("5" * 65)
    person.jack.close()
    with pytest.raises(JackClosedError):
        person.jack.send_dtmf("5")


def test_what_comes_while_the_agent_does_not_hear_is_not_kept() -> None:
    """Field lesson 24: the bot hears the hold music. A tap hears the party, not what the party hears."""
    stage = Stage()
    caller = stage.party()
    caller.jack.tap()
    caller.jack.hears(stage.board.clip(make_tone(300, 1), 8000))
    for _ in range(20):
        caller.deliver(caller.packet(b"\xff" * 160))
        caller.timestamp += 160
        stage.run(0.02)
    _, pcm = stage.board.frames()
    assert level(pcm) < 0.001
