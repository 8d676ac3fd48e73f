"""SRTP against an implementation of RFC 3711 written here over another library's primitives."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cordboard.media import Board, KeyPair, Keys, UnsupportedCodecError
from tests.media_native.party import ULAW, Party, parse, until

Make = Callable[..., Any]
SUITES = ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"]


def keystream(key: bytes, iv: bytes, size: int) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(bytes(size))


class Srtp:
    """RFC 3711 §4: one direction, sequence numbers that do not roll over."""

    def __init__(self, key_salt: bytes, suite: str, control: bool = False) -> None:
        key, salt = key_salt[:16], key_salt[16:]

        def derived(label: int, size: int) -> bytes:
            iv = bytearray(salt + bytes(2))
            iv[7] ^= label + (3 if control else 0)
            return keystream(key, bytes(iv), size)

        self.key, self.auth, self.salt = derived(0, 16), derived(1, 20), derived(2, 14)
        self.tag = 4 if suite.endswith("32") and not control else 10

    def _cipher(self, ssrc: int, index: int, text: bytes) -> bytes:
        iv = int.from_bytes(self.salt + bytes(2), "big") ^ ssrc << 64 ^ index << 16
        stream = keystream(self.key, iv.to_bytes(16, "big"), len(text))
        return bytes(a ^ b for a, b in zip(text, stream, strict=True))

    def _sign(self, data: bytes) -> bytes:
        return hmac.new(self.auth, data, hashlib.sha1).digest()[: self.tag]

    def protect(self, packet: bytes) -> bytes:
        sequence, _, ssrc = struct.unpack("!HII", packet[2:12])
        out = packet[:12] + self._cipher(ssrc, sequence, packet[12:])
        return out + self._sign(out + bytes(4))

    def unprotect(self, data: bytes) -> bytes:
        body, tag = data[: -self.tag], data[-self.tag :]
        assert tag == self._sign(body + bytes(4))
        sequence, _, ssrc = struct.unpack("!HII", body[2:12])
        return body[:12] + self._cipher(ssrc, sequence, body[12:])

    def unprotect_control(self, data: bytes) -> bytes:
        body, tag = data[: -self.tag], data[-self.tag :]
        assert tag == self._sign(body)
        word, ssrc = struct.unpack("!I", body[-4:])[0], struct.unpack("!I", body[4:8])[0]
        assert word >> 31
        return body[:8] + self._cipher(ssrc, word & 0x7FFFFFFF, body[8:-4])


def test_rfc3711_appendix_b3() -> None:
    """The reference above is right: session keys of the RFC's own test vector."""
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139" + "0EC675AD498AFEEBB6960B3AABE6")
    session = Srtp(master, SUITES[0])
    assert session.key.hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert session.salt.hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert session.auth.hex().upper().startswith("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")


@pytest.mark.parametrize("suite", SUITES)
def test_a_protected_leg_and_a_plain_one(native: Board, party: Make, suite: str) -> None:
    one, two = native.jack(), native.jack()
    caller, human = party(one), party(two)
    ours = next(key for key in one.keys if key.suite == suite)
    theirs = Keys(suite, os.urandom(30))
    one.negotiated(receive=ULAW, send=0, remote=caller.address, keys=KeyPair(ours, theirs))
    two.negotiated(receive=ULAW, send=0, remote=human.address)
    one.hears(two)
    two.hears(one)
    protect, unprotect = Srtp(theirs.key_salt, suite), Srtp(ours.key_salt, suite)
    for n in range(5):
        caller.sequence += 1
        caller.timestamp += 160
        data = protect.protect(caller.header() + bytes([n]) * 160)
        caller.send_raw(data)
        assert human.expect().payload == bytes([n]) * 160
        caller.send_raw(data)  # replayed
        caller.send_raw(caller.header() + bytes([n]) * 160)  # not protected
        human.send(bytes([n + 100]) * 160)
        caller.socket.settimeout(1)
        packet = parse(unprotect.unprotect(caller.socket.recv(2048)))
        assert packet
        assert packet.payload == bytes([n + 100]) * 160
    until(lambda: one.stats().malformed >= 10)
    assert human.receive(0.05) is None
    for _ in range(2):  # the same keys again: nothing begins anew
        one.negotiated(receive=ULAW, send=0, remote=caller.address, keys=KeyPair(ours, theirs))
        human.send(b"\x55" * 160)
        assert unprotect.unprotect(caller.socket.recv(2048))[12:] == b"\x55" * 160


def test_reports_are_protected(native: Board, party: Make) -> None:
    jack = native.jack()
    caller, control = party(jack), Party(jack)
    ours, theirs = jack.keys[0], Keys(SUITES[0], os.urandom(30))
    jack.negotiated(receive=ULAW, send=0, remote=caller.address, rtcp=control.address, keys=KeyPair(ours, theirs))
    control.socket.settimeout(8)
    plain = Srtp(ours.key_salt, SUITES[0], control=True).unprotect_control(control.socket.recv(2048))
    assert plain[1] in (200, 201)
    assert b"cordboard-" in plain
    control.close()


def test_keys_are_fresh_and_checked(native: Board) -> None:
    one, two = native.jack(), native.jack()
    assert [key.suite for key in one.keys] == SUITES
    assert len({key.key_salt for key in (*one.keys, *two.keys)}) == 4
    with pytest.raises(UnsupportedCodecError):
        one.negotiated(
            receive=ULAW, send=0, remote=("127.0.0.1", 9), keys=KeyPair(Keys("F8", bytes(30)), Keys("F8", bytes(30)))
        )
    with pytest.raises(ValueError):
        one.negotiated(
            receive=ULAW, send=0, remote=("127.0.0.1", 9), keys=KeyPair(Keys(SUITES[0], b""), Keys(SUITES[0], b""))
        )
