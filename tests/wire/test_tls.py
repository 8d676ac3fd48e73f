"""TLS over real sockets: calls by ``sips:``, whose certificate is believed, mutual TLS, reload, limits."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path

import pytest

from cordboard.sip import events as e
from cordboard.sip.config import EndpointConfig
from cordboard.wire import ListenerError, StreamLimits, TlsError, TlsFiles
from cordboard.wire.tls import TlsContexts
from tests.wire.certificates import Authority
from tests.wire.sides import Names, Side, running, whole_call

HERE = "tls://127.0.0.1:0"
NAMES = Names(bob_example="127.0.0.1", carol_example="127.0.0.1")


def test_line_31_a_sips_call_end_to_end(tmp_path: Path) -> None:
    """Protects secure calls: TLS on every hop, sips in Contact, TLS in Via (RFC 3261 §26.2.2)."""
    authority = Authority(tmp_path)

    async def main() -> None:
        alice = Side(HERE, tls=authority.contexts(authority.sign("a.pem", "sip:alice.example")), resolver=NAMES)
        bob = Side(HERE, tls=authority.contexts(authority.sign("b.pem", "sip:bob.example")), answers=True)
        async with running(alice, bob):
            await whole_call(alice, bob, f"sips:bob@bob.example:{bob.shell.ports[0]}")
        messages = [trace.data for trace in (*alice.traces("out"), *bob.traces("out"))]
        assert {trace.transport for trace in alice.traces("out")} == {"tls"}
        invite = next(data for data in messages if data.startswith(b"INVITE"))
        answer = next(data for data in messages if data.startswith(b"SIP/2.0 200") and b"INVITE" in data)
        assert b"Via: SIP/2.0/TLS" in invite
        assert b"Contact: <sips:" in invite
        assert b"Contact: <sips:" in answer

    asyncio.run(main())


@pytest.mark.parametrize("name", ["*.example", "other.example", "sip:bob@bob.example"])
def test_line_31_a_server_with_another_certificate_is_not_sent_a_byte(tmp_path: Path, name: str) -> None:
    """Protects calls from a server whose certificate our authority signed, for another (RFC 5922 §7.2)."""
    authority = Authority(tmp_path)

    async def main() -> None:
        alice = Side(HERE, tls=authority.contexts(authority.sign("a.pem", "sip:alice.example")), resolver=NAMES)
        bob = Side(HERE, tls=authority.contexts(authority.sign("b.pem", name)), answers=True)
        async with running(alice, bob):
            alice.call(f"sips:bob@bob.example:{bob.shell.ports[0]}")
            failed = await alice.until(e.Failed)
        assert (failed.status, failed.detail) == (503, "transport")
        assert bob.traces("in") == []

    asyncio.run(main())


def test_line_31_a_certificate_of_nobody_we_know_is_refused(tmp_path: Path) -> None:
    """Protects against a certificate that anybody can make."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "Elsewhere")

    async def main() -> None:
        alice = Side(HERE, tls=ours.contexts(ours.sign("a.pem", "sip:alice.example")), resolver=NAMES)
        bob = Side(HERE, tls=theirs.contexts(theirs.sign("b.pem", "sip:bob.example")), answers=True)
        async with running(alice, bob):
            alice.call(f"sips:bob@bob.example:{bob.shell.ports[0]}")
            await alice.until(e.Failed)
        assert bob.traces("in") == []

    asyncio.run(main())


@pytest.mark.parametrize("shown", [True, False])
def test_mutual_tls_wants_a_certificate_of_the_client(tmp_path: Path, shown: bool) -> None:
    """Protects a listener for one carrier from everybody else, before any SIP is read."""
    authority = Authority(tmp_path)

    async def main() -> None:
        own = authority.sign("a.pem", "sip:alice.example")
        client = authority.contexts(own)
        if not shown:
            client.client = authority.contexts(None).client
        alice = Side(HERE, tls=client, resolver=NAMES)
        bob = Side(HERE, tls=authority.contexts(authority.sign("b.pem", "bob.example"), peers="required"), answers=True)
        async with running(alice, bob):
            if shown:
                await whole_call(alice, bob, f"sips:bob@bob.example:{bob.shell.ports[0]}")
            else:
                alice.call(f"sips:bob@bob.example:{bob.shell.ports[0]}")
                await alice.until(e.Failed)
                assert bob.traces("in") == []

    asyncio.run(main())


def test_a_changed_certificate_is_taken_without_a_restart_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """Protects the listener at the end of a certificate's life, and from a half-written file."""
    authority = Authority(tmp_path)

    async def serial(port: int) -> int:
        context = ssl.create_default_context(cafile=authority.pem)
        context.check_hostname = False
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        certificate = writer.get_extra_info("peercert")
        writer.close()
        return int(certificate["serialNumber"], 16)

    async def main() -> None:
        file = authority.sign("b.pem", "bob.example")
        contexts = authority.contexts(file)
        bob = Side(HERE, tls=contexts)
        async with running(bob):
            port = bob.shell.ports[0]
            first = await serial(port)
            assert not contexts.reload_if_changed()
            authority.sign("b.pem", "bob.example")
            assert contexts.reload_if_changed()
            second = await serial(port)
            assert second != first
            file.write_text("half a file")
            os.utime(file, (1, 1))
            assert not contexts.reload_if_changed()
            assert await serial(port) == second

    asyncio.run(main())


def test_old_tls_is_refused(tmp_path: Path) -> None:
    """Protects against TLS 1.0 and 1.1 (RFC 8996)."""
    contexts = Authority(tmp_path).contexts(None)
    assert contexts.client.minimum_version == ssl.TLSVersion.TLSv1_2


def test_faults_of_the_files_are_named(tmp_path: Path) -> None:
    """Protects whoever configures TLS from a start that fails without saying why."""
    with pytest.raises(TlsError, match=r"missing\.pem"):
        TlsContexts(TlsFiles(tmp_path / "missing.pem"))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(TlsError, match=r"empty\.pem"):
        TlsContexts(TlsFiles(authorities=tmp_path / "empty.pem"))

    async def main() -> None:
        with pytest.raises(ListenerError, match="tls_certificate"):
            await Side(HERE).shell.start()

    asyncio.run(main())


def test_handshakes_that_stand_still_count_and_end(tmp_path: Path) -> None:
    """Protects the table from half-open TLS connections: bounded for each source, and cut off in time."""
    authority = Authority(tmp_path)

    async def main() -> None:
        limits = StreamLimits(handshake=0.5, maximum_per_source=5)
        bob = Side(HERE, tls=authority.contexts(authority.sign("b.pem", "bob.example")), limits=limits)
        async with running(bob):
            loop = asyncio.get_running_loop()
            open_sockets = []
            for _ in range(20):
                client = socket.socket()
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", bob.shell.ports[0]))
                open_sockets.append(client)
            ends = await asyncio.wait_for(asyncio.gather(*(_ended(client) for client in open_sockets)), 5)
            assert all(ends)
            assert bob.shell.accepted == 0
            for client in open_sockets:
                client.close()

    asyncio.run(main())


async def _ended(client: socket.socket) -> bool:
    try:
        while await asyncio.get_running_loop().sock_recv(client, 100):
            pass
    except ConnectionError:
        return True
    return True


def test_a_source_that_may_not_call_gets_no_handshake(tmp_path: Path) -> None:
    """Protects the processor from handshakes for scanners."""
    authority = Authority(tmp_path)

    async def main() -> None:
        bob = Side(
            HERE,
            tls=authority.contexts(authority.sign("b.pem", "bob.example")),
            config=EndpointConfig(admit=lambda flow: "drop"),
        )
        async with running(bob):
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await asyncio.open_connection(
                    "127.0.0.1", bob.shell.ports[0], ssl=authority.contexts(None).client, server_hostname="bob.example"
                )

    asyncio.run(main())
