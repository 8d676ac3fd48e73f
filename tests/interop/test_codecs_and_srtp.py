"""Codecs and SRTP end to end: a caller of the lab against a server, each with its own settings."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cordboard.lab.people import Behaviour
from cordboard.media import BoardSettings, open_board
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri
from cordboard.transfer.ports import TransferClaimed
from tests.support.audio import read_stereo, tone_seconds
from tests.support.house import house, lab_person


def _needs(codec: str = "PCMU", *, srtp: bool = False) -> None:
    board = open_board(BoardSettings())
    try:
        if codec not in {each.name for each in board.codecs}:
            pytest.skip(f"the {board.engine} engine has no {codec} on this machine")
        if srtp and not board.jack().keys:
            pytest.skip(f"the {board.engine} engine has no SRTP on this machine")
    finally:
        board.close()


async def _transferred(folder: Path, server: dict[str, Any], lab: dict[str, Any]) -> tuple[Any, Path]:
    """One warm transfer; the claim and the caller's recording."""
    caller_behaviour = Behaviour("caller", tone=440, keys="0", keys_after=0.5)
    person_behaviour = Behaviour("person", answers_after=0.1, tone=880)
    async with (
        lab_person(folder / "person", person_behaviour, media=lab) as person,
        lab_person(folder / "caller", caller_behaviour, media=lab) as caller,
        house(folder, person_port=person.user_agent.shell.ports[0], media=server) as h,
    ):
        seen = caller.call(Uri.parse(h.uri), from_=Address(Uri.parse("sip:+15550199@127.0.0.1")))
        await h.until(lambda: h.of(TransferClaimed), what="an outcome")
        await asyncio.sleep(1.0)  # the parties talk
        seen.leg.hangup()
        await asyncio.wait_for(seen.ended.wait(), 10)
        await h.until(lambda: not h.server.live_calls(), what="the end")
        claim = h.of(TransferClaimed)[0]
        recording = h.server.settings.records.folder / claim.call_id / "caller.wav"
        return claim.claim, recording


@pytest.mark.parametrize("codec", ["G722", "opus"])
def test_wideband_codecs_carry_a_transfer(tmp_path: Path, codec: str) -> None:
    """The answer takes the codec that both have, and keys and tones pass."""
    _needs(codec)
    media = {"codecs": [codec]}
    claim, recording = asyncio.run(_transferred(tmp_path, media, media))
    assert str(claim.outcome) == "transfer-success"
    assert claim.verified
    _, said, heard = read_stereo(recording)
    assert tone_seconds(said, 8000, 440) > 0.5
    assert tone_seconds(heard, 8000, 880) > 0.3


def test_legs_without_a_common_codec_are_transcoded(tmp_path: Path) -> None:
    """A caller with A-law and a person with mu-law hear each other."""
    claim, recording = asyncio.run(_transferred(tmp_path, {"codecs": ["PCMA", "PCMU"]}, {"codecs": ["PCMU"]}))
    assert str(claim.outcome) == "transfer-success"
    _, _, heard = read_stereo(recording)
    assert tone_seconds(heard, 8000, 880) > 0.3


@pytest.mark.parametrize("server", ["optional", "required"])
def test_srtp_on_both_legs(tmp_path: Path, server: str) -> None:
    """SDES keys are agreed on and audio passes, encrypted on both legs.

    A server that merely accepts SRTP offers none by itself, so it cannot reach a person who requires it.
    """
    _needs(srtp=True)
    claim, recording = asyncio.run(_transferred(tmp_path, {"srtp": server}, {"srtp": "required"}))
    if server == "optional":
        assert str(claim.reason) == "media_negotiation_failed"
        return
    assert str(claim.outcome) == "transfer-success"
    _, said, heard = read_stereo(recording)
    assert tone_seconds(said, 8000, 440) > 0.5
    assert tone_seconds(heard, 8000, 880) > 0.3


def test_a_caller_without_srtp_is_refused_where_it_is_required(tmp_path: Path) -> None:
    """488 and nothing in the clear (RFC 4568 §5.1.2)."""
    _needs(srtp=True)

    async def main() -> int | None:
        async with (
            lab_person(tmp_path / "caller", Behaviour("caller")) as caller,
            house(tmp_path, media={"srtp": "required"}) as h,
        ):
            seen = caller.call(Uri.parse(h.uri), from_=Address(Uri.parse("sip:+15550199@127.0.0.1")))
            await asyncio.wait_for(seen.ended.wait(), 10)
            return seen.status

    assert asyncio.run(main()) == 488
