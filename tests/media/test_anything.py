"""The whole engine under random commands and random packets, in virtual time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cordboard.media import Recording, Source, Tap
from tests.media.stage import ALAW, ULAW, Party, Stage
from tests.support.audio import make_tone


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_commanded_and_received_every_stream_stays_whole(
    seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Random commands and packets over the whole engine: nothing raises, and no stream has a gap of ours."""

    def fail(*_: object) -> None:
        raise

    monkeypatch.setattr("cordboard.media.python.board.log.exception", fail)
    stage, chance = Stage(), random.Random(seed)
    parties: list[Party] = []
    mixes = [stage.board.mix(), stage.board.mix()]
    pcm = stage.board.pcm_jack(24000)
    clip = stage.board.clip(make_tone(300, 0.11), 8000, loop=False)
    taps: list[Tap] = []
    recordings: list[Recording] = []

    def source() -> Source | None:
        return chance.choice(
            [None, clip, pcm, *mixes, *[each.jack for each in parties], *[e.jack.say for e in parties]]
        )

    for _ in range(600):
        deed = chance.randrange(14)
        if len(parties) < 2 or (deed == 0 and len(parties) < 6):
            parties.append(stage.party(seed=chance.randrange(1, 99), receive=chance.choice([ULAW, ALAW])))
        party = chance.choice(parties)
        if deed == 1:
            parties.remove(party)
            party.jack.close()
        elif deed in (2, 3):
            party.jack.hears(source(), cut=chance.choice(["late", "now"]))
        elif deed == 4:
            pcm.hears(source())
        elif deed == 5:
            party.negotiate(
                direction=chance.choice(["sendrecv", "sendonly", "recvonly", "inactive"]),
                ptime=chance.choice([10, 20, 30, 60]),
            )
        elif deed == 6:
            party.jack.say.write(make_tone(500, chance.uniform(0, 0.2), 16000), 16000)
            pcm.write(make_tone(500, chance.uniform(0, 0.2), 24000))
        elif deed == 7:
            party.jack.send_dtmf(chance.choice("12w#"))
        elif deed == 8:
            chosen = source()
            if chosen is not None and chosen not in mixes:
                (chance.choice(mixes).add if chance.random() < 0.6 else chance.choice(mixes).remove)(chosen)
        elif deed == 9:
            taps.append(party.jack.tap())
        elif deed == 10 and taps:
            taps.pop().close()
        elif deed == 11:
            recordings.append(
                stage.board.record(tmp_path / f"{len(recordings)}.wav", party.jack.said, party.jack.heard)
            )
        elif deed == 12 and recordings:
            chance.choice([recordings[-1].pause, recordings[-1].resume, recordings[-1].close])()
        else:
            for _ in range(chance.randrange(6)):
                kind = chance.randrange(12)
                if kind == 0:
                    party.deliver(chance.randbytes(chance.randrange(60)))
                elif kind == 1:
                    party.deliver(party.packet(chance.randbytes(4), payload_type=101))
                elif kind == 2:
                    party.sequence = chance.randrange(65536)
                elif kind == 3:
                    party.timestamp = chance.randrange(2**32)
                else:
                    party.say_frame()
        stage.run(chance.choice([0, 0.003, 0.02, 0.1]))
        pcm.read()
        stage.board.events()
        stage.board.frames()
    for each in parties:
        assert len({sent.packet.ssrc for sent in each.sent}) <= 1
        numbers = [sent.packet.sequence for sent in each.sent]
        assert len(set(numbers)) == len(numbers)
    stage.board.close()
    assert stage.board.stats().jacks == stage.board.stats().taps == stage.board.stats().recordings == 0
    assert stage.ports.live == 0
