"""The shell over real loopback sockets: a call by UDP and by TCP, names by DNS, ports, faults."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.flow import Answer, Query
from cordboard.sip.uri import Uri
from cordboard.wire import DnsResolver, Listener, ListenerError, RandomIdentifiers, SipShell

OFFER = b"v=0\r\n"


class Side:
    """A shell with its events, and a way to wait for one."""

    def __init__(self, *listeners: str, resolver: DnsResolver | None = None) -> None:
        self.events: list[e.Event] = []
        self._woken = asyncio.Event()
        self.react: Callable[[e.Event], None] = lambda event: None
        self.shell = SipShell(
            Endpoint(EndpointConfig(), RandomIdentifiers()), listeners, self._on_event, resolver=resolver
        )

    def _on_event(self, event: e.Event) -> None:
        self.events.append(event)
        self._woken.set()
        self.react(event)

    async def until(self, kind: type[e.Event]) -> e.Event:
        async with asyncio.timeout(5):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self._woken.clear()
                await self._woken.wait()


def answering(side: Side) -> Callable[[e.Event], None]:
    def react(event: e.Event) -> None:
        if isinstance(event, e.IncomingCall):
            session = event.session
            side.shell.run(lambda core, now: core.answer(session, OFFER, now=now))

    return react


async def call_through(transport: str) -> None:
    alice, bob = Side(f"{transport}://127.0.0.1:0"), Side(f"{transport}://127.0.0.1:0")
    await alice.shell.start()
    await bob.shell.start()
    bob.react = answering(bob)
    try:
        target = Uri("sip", user="bob", host="127.0.0.1", port=bob.shell.ports[0])
        if transport != "udp":
            target = target.with_parameter("transport", transport)
        me = Address(Uri("sip", user="alice", host="127.0.0.1"))
        session = alice.shell.run(lambda core, now: core.invite(target, from_=me, body=OFFER, now=now))
        await alice.until(e.Answered)
        await bob.until(e.Confirmed)
        alice.shell.run(lambda core, now: core.bye(session, now=now))
        await bob.until(e.Ended)
    finally:
        await alice.shell.close()
        await bob.shell.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_over_real_sockets(transport: str) -> None:
    asyncio.run(call_through(transport))


def test_a_port_that_is_taken_is_named_and_nothing_stays_open() -> None:
    async def main() -> None:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            side = Side("udp://127.0.0.1:0", f"udp://127.0.0.1:{port}")
            with pytest.raises(ListenerError, match=f"udp://127.0.0.1:{port}"):
                await side.shell.start()

    asyncio.run(main())


@pytest.mark.parametrize(
    "text", ["127.0.0.1:5060", "sctp://127.0.0.1", "udp://host:1", "udp://[::1", "udp://1.2.3.4:x"]
)
def test_a_listener_that_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(ListenerError):
        Listener.parse(text)


@pytest.mark.parametrize("text", ["udp://127.0.0.1:5060", "tls://[::1]:5061", "tcp://0.0.0.0:0"])
def test_a_listener_is_written_as_it_is_read(text: str) -> None:
    assert str(Listener.parse(text)) == text


def test_localhost_needs_no_name_server() -> None:
    async def main() -> None:
        resolver = DnsResolver(nameservers=["127.0.0.1"], time_limit=0.1)
        assert await resolver.resolve(Query("A", "localhost")) == [Answer("127.0.0.1")]
        assert await resolver.resolve(Query("SRV", "_sip._udp.nowhere.invalid")) == []

    asyncio.run(main())


def test_a_name_is_resolved_before_the_invite_goes_out() -> None:
    async def main() -> None:
        alice, bob = Side("udp://127.0.0.1:0"), Side("udp://127.0.0.1:0")
        await alice.shell.start()
        await bob.shell.start()
        bob.react = answering(bob)
        target = Uri("sip", user="bob", host="localhost", port=bob.shell.ports[0])
        me = Address(Uri("sip", user="alice", host="127.0.0.1"))
        alice.shell.run(lambda core, now: core.invite(target, from_=me, body=OFFER, now=now))
        await alice.until(e.Answered)
        await alice.shell.close()
        await bob.shell.close()

    asyncio.run(main())
