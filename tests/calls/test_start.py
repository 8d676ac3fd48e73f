"""What cannot start says why in one line and ends with 1; what looks on cannot end a call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from cordboard.calls.events import Noted
from cordboard.server import run_server, serve_http
from cordboard.wire import ListenerError
from tests.support.house import DIRECTORY, directory_of, house, settings_for


@pytest.fixture(autouse=True)
def _plain_log() -> Iterator[None]:
    """The log of a started server goes to the standard error of its own test."""
    yield
    structlog.reset_defaults()


def test_an_http_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """The server of the pages must not end the process in the middle of everything."""

    async def run() -> None:
        async with house(tmp_path) as h:
            with socket.create_server(("127.0.0.1", 0)) as other:
                port = other.getsockname()[1]
                http = h.server.settings.http.model_copy(update={"listen": f"127.0.0.1:{port}"})
                h.server.settings = h.server.settings.model_copy(update={"http": http})
                with pytest.raises(ListenerError, match=rf"http.listen: 127.0.0.1:{port}: Address already in use"):
                    async with serve_http(h.server):
                        raise AssertionError("it serves")
            async with serve_http(h.server) as bound:
                assert bound == port

    asyncio.run(run())


@pytest.mark.parametrize("taken", ["sip", "http", "database"])
def test_what_is_in_the_way_of_the_start_is_one_line_and_status_1(
    taken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.create_server(("127.0.0.1", 0)) as streams,
    ):
        datagrams.bind(("127.0.0.1", 0))
        ways: dict[str, dict[str, Any]] = {
            "sip": {"sip": {"listen": [f"udp://127.0.0.1:{datagrams.getsockname()[1]}"]}},
            "http": {"http": {"listen": f"127.0.0.1:{streams.getsockname()[1]}"}},
            "database": {},
        }
        if taken == "database":
            (tmp_path / "cordboard.db").write_bytes(b"this is no database" * 100)
        settings = settings_for(tmp_path, **ways[taken])
        assert asyncio.run(run_server(settings, directory_of(DIRECTORY.format(person=9)))) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cordboard: ")]
    assert len(told) == 1
    assert {"sip": "udp://127.0.0.1", "http": "http.listen", "database": "database.url"}[taken] in told[0]


def test_a_sink_that_stumbles_ends_no_call(tmp_path: Path) -> None:
    """Such as a terminal that has gone away."""

    async def run() -> None:
        async with house(tmp_path) as h:

            def broken(report: object) -> None:
                raise BrokenPipeError

            h.server._sinks = (broken, *h.server._sinks)
            h.server.report(Noted("call", "note"))
            assert h.of(Noted)

    asyncio.run(run())
