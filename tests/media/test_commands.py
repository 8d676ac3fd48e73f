"""The engine with its thread: what was asked for before a packet was sent holds for that packet."""

from __future__ import annotations

import socket

from cordboard.media import PCMU, BoardSettings, open_board
from cordboard.media.python import rtp


def test_terms_and_cords_hold_for_the_next_packet() -> None:
    """A packet sent right after `negotiated` and `hears` is neither dropped nor sent to the old source's listeners."""
    board = open_board(BoardSettings(ports=(30000, 32000), quarantine=0.0), engine="python")
    try:
        for number in range(20):
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
            ):
                for far in (one, two):
                    far.bind(("127.0.0.1", 0))
                    far.settimeout(2)
                caller, human = board.jack(), board.jack()
                caller.negotiated(receive={0: PCMU}, send=0, remote=one.getsockname())
                human.negotiated(receive={0: PCMU}, send=0, remote=two.getsockname())
                human.hears(caller, cut="now")
                one.sendto(rtp.build(0, False, number, 160, 7, b"\x11" * 160), ("127.0.0.1", caller.port))
                packet = rtp.parse(two.recv(2048))
                assert packet is not None
                assert packet.payload == b"\x11" * 160
                caller.close()
                human.close()
    finally:
        board.close()
