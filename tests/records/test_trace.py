"""`cordboard trace`: every form of a recorded call, and a clear word where there is none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cordboard.cli import app
from cordboard.records import CallRecord, CallType, RecordStore, RecordWriter

US, PEER = "192.0.2.2:5060", "192.0.2.1:5062"
INVITE = (
    b"INVITE sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nAuthorization: Digest username=secret\r\n"
    b"Call-ID: one@test\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)
RINGING = b"SIP/2.0 180 Ringing\r\nCall-ID: one@test\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Settings whose database holds one call with many messages."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'cordboard.db'}"

    async def main() -> None:
        store = await RecordStore.open(url)
        writer = RecordWriter(store.engine)
        await writer.start()
        writer.open_call(CallRecord("call-1", "m", "default", CallType.INBOUND, "+1", "+2", 1700000000.0))
        for number in range(1100):
            at = 1700000000.0 + number
            if number % 2:
                writer.sip_message("call-1", "out", "udp", US, PEER, RINGING, session="caller", at=at)
            else:
                writer.sip_message("call-1", "in", "udp", US, PEER, INVITE, session="caller", at=at)
        await writer.flush()
        await writer.aclose()
        await store.aclose()

    asyncio.run(main())
    file = tmp_path / "cordboard.yaml"
    file.write_text(f"database:\n  url: {url}\n")
    return file


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_a_ladder_is_the_default_and_shows_more_than_one_page(configuration: Path) -> None:
    status, text, _ = run("trace", "call-1", "--config", str(configuration))
    assert status == 0
    assert len(text.splitlines()) == 1101
    assert "180 Ringing (INVITE)" in text


def test_json_has_every_message_and_no_secret(configuration: Path) -> None:
    status, text, _ = run("trace", "call-1", "--json", "--config", str(configuration))
    assert status == 0
    messages = json.loads(text)["messages"]
    assert len(messages) == 1100
    assert (messages[0]["source"], messages[0]["destination"], messages[0]["leg"]) == (PEER, US, "caller")
    assert "secret" not in text
    assert "[masked]" in text


def test_a_capture_is_written_to_a_file(configuration: Path, tmp_path: Path) -> None:
    output = tmp_path / "call.pcap"
    status, text, _ = run("trace", "call-1", "--pcap", "--output", str(output), "--config", str(configuration))
    assert (status, text) == (0, "")
    data = output.read_bytes()
    assert data[:4] == b"\xd4\xc3\xb2\xa1"
    assert data.count(b"INVITE sip:b@192.0.2.2") == 550
    assert b"secret" not in data


def test_an_unknown_call_is_said(configuration: Path) -> None:
    status, text, error = run("trace", "call-2", "--config", str(configuration))
    assert (status, text) == (1, "")
    assert "call-2: there is no such call" in error


def test_looking_does_not_make_a_database(tmp_path: Path) -> None:
    file = tmp_path / "cordboard.yaml"
    file.write_text(f"database:\n  url: sqlite+aiosqlite:///{tmp_path / 'nothing.db'}\n")
    status, _, error = run("trace", "call-1", "--config", str(file))
    assert status == 1
    assert "there is no such call" in error
    assert not (tmp_path / "nothing.db").exists()


def test_two_forms_at_once_are_refused(configuration: Path) -> None:
    assert run("trace", "call-1", "--json", "--pcap", "--config", str(configuration))[0] == 2
