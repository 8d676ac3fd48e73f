"""Reachability over real sockets: large requests, all interfaces, IPv6, NAT, and connections that are used again."""

from __future__ import annotations

import asyncio
import socket

import pytest

from cordboard.sip import events as e
from cordboard.sip.config import EndpointConfig
from tests.wire.sides import OFFER, Side, running, whole_call

LARGE = OFFER + b"a=x-filler:" + b"x" * 1600 + b"\r\n"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def transports(side: Side) -> set[str]:
    return {trace.transport for trace in side.traces("out") if trace.data.startswith(b"INVITE")}


def test_line_30_a_large_invite_goes_by_tcp() -> None:
    """Protects large INVITEs from fragments that firewalls drop (RFC 3261 §18.1.1)."""

    async def main() -> None:
        port = free_port()
        alice = Side("udp://127.0.0.1:0", "tcp://127.0.0.1:0")
        bob = Side(f"udp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}", answers=True)
        async with running(alice, bob):
            await whole_call(alice, bob, f"sip:bob@127.0.0.1:{port};transport=udp", LARGE)
        assert transports(alice) == {"tcp"}
        assert any(b"Via: SIP/2.0/TCP" in trace.data for trace in bob.traces("in"))

    asyncio.run(main())


def test_line_30_a_peer_without_tcp_still_gets_the_large_invite() -> None:
    """Protects calls to gateways that only speak UDP, by the fallback of §18.1.1."""

    async def main() -> None:
        port = free_port()
        alice = Side("udp://127.0.0.1:0", "tcp://127.0.0.1:0")
        bob = Side(f"udp://127.0.0.1:{port}", answers=True)
        async with running(alice, bob):
            await whole_call(alice, bob, f"sip:bob@127.0.0.1:{port}", LARGE)
        assert transports(alice) == {"udp"}

    asyncio.run(main())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_listener_on_all_interfaces_answers_from_the_address_that_was_reached(transport: str) -> None:
    """Protects peers on a second interface: Contact, and the packets themselves, come from where they sent to."""

    async def main() -> None:
        alice = Side(f"{transport}://127.0.0.1:0")
        bob = Side(f"{transport}://0.0.0.0:0", answers=True)
        async with running(alice, bob):
            uri = f"sip:bob@127.0.0.2:{bob.shell.ports[0]};transport={transport}"
            await whole_call(alice, bob, uri)
        assert {trace.remote[0] for trace in alice.traces("in")} == {"127.0.0.2"}
        answer = next(trace.data for trace in alice.traces("in") if trace.data.startswith(b"SIP/2.0 200"))
        assert f"@127.0.0.2:{bob.shell.ports[0]}".encode() in answer

    asyncio.run(main())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["[::1]", "[::]"])
def test_a_call_by_ipv6(transport: str, host: str) -> None:
    """Protects peers that have no IPv4: brackets in Via, Contact and the Request-URI (RFC 3261 §25.1, RFC 5118)."""

    async def main() -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        alice = Side(f"{transport}://[::1]:0")
        bob = Side(f"{transport}://{host}:0", answers=True)
        async with running(alice, bob):
            await whole_call(alice, bob, f"sip:bob@[::1]:{bob.shell.ports[0]};transport={transport}")
        answer = next(trace.data for trace in alice.traces("in") if trace.data.startswith(b"SIP/2.0 200"))
        assert f"@[::1]:{bob.shell.ports[0]}".encode() in answer

    asyncio.run(main())


def test_line_27_a_peer_behind_nat_is_answered_where_its_packets_come_from() -> None:
    """Protects phones whose Via and Contact name an address that only their own network knows (RFC 3581 §4)."""

    async def main() -> None:
        bob = Side("udp://127.0.0.1:0", answers=True)
        async with running(bob):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
                phone.bind(("127.0.0.1", 0))
                phone.setblocking(False)
                loop = asyncio.get_running_loop()
                invite = (
                    "INVITE sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1;rport\r\n"
                    "From: <sip:p@192.168.1.20>;tag=p\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: nat\r\nCSeq: 1 INVITE\r\n"
                    "Contact: <sip:p@192.168.1.20:5060>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
                )
                await loop.sock_sendto(phone, invite.encode(), ("127.0.0.1", bob.shell.ports[0]))
                answers = [await asyncio.wait_for(loop.sock_recv(phone, 65535), 3) for _ in range(2)]
                own = phone.getsockname()[1]
                assert f"rport={own};received=127.0.0.1".encode() in answers[0]
                assert answers[1].startswith(b"SIP/2.0 200")
                call = await bob.until(e.IncomingCall)
                bob.bye(call.session)
                bye = b""
                async with asyncio.timeout(40):
                    ack = answers[1].split(b"\r\nTo: ")[1].split(b"\r\n")[0].decode()
                    text = (
                        "ACK sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK2\r\n"
                        f"From: <sip:p@192.168.1.20>;tag=p\r\nTo: {ack}\r\nCall-ID: nat\r\nCSeq: 1 ACK\r\n"
                        "Content-Length: 0\r\n\r\n"
                    )
                    await loop.sock_sendto(phone, text.encode(), ("127.0.0.1", bob.shell.ports[0]))
                    while not bye.startswith(b"BYE"):
                        bye = await loop.sock_recv(phone, 65535)
                assert bye.startswith(b"BYE sip:p@192.168.1.20:5060")

    asyncio.run(main())


def test_line_32_two_calls_by_tcp_share_one_connection() -> None:
    """Protects peers from a connection for every call (RFC 5923 §3)."""

    async def main() -> None:
        alice = Side("tcp://127.0.0.1:0")
        bob = Side("tcp://127.0.0.1:0", answers=True)
        async with running(alice, bob):
            for _ in range(2):
                alice.events.clear()
                bob.events.clear()
                await whole_call(alice, bob, f"sip:bob@127.0.0.1:{bob.shell.ports[0]};transport=tcp")
            assert bob.shell.accepted == 1
            assert alice.shell.endpoint.counts()["connections"] == 1

    asyncio.run(main())


def test_connections_of_one_source_are_bounded() -> None:
    """Protects everybody else's connections from one peer that opens without end."""

    async def main() -> None:
        bob = Side("tcp://127.0.0.1:0", config=EndpointConfig(maximum_connections=3))
        async with running(bob):
            writers = [(await asyncio.open_connection("127.0.0.1", bob.shell.ports[0])) for _ in range(6)]
            closed = 0
            for reader, _ in writers[3:]:
                assert await asyncio.wait_for(reader.read(), 3) == b""
                closed += 1
            assert closed == 3
            assert bob.shell.endpoint.counts()["connections"] == 3
            for _, writer in writers:
                writer.close()

    asyncio.run(main())
