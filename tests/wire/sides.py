"""A shell on loopback with its events, for tests over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.flow import Answer, Query
from cordboard.sip.uri import Uri
from cordboard.wire import DnsResolver, RandomIdentifiers, SipShell, StreamLimits, TlsContexts

OFFER = b"v=0\r\n"
ME = Address(Uri("sip", user="alice", host="127.0.0.1"))

K = TypeVar("K", bound=e.Event)


class Names(DnsResolver):
    """A DNS of our own: every name is loopback."""

    def __init__(self, **records: str) -> None:
        super().__init__(nameservers=["127.0.0.1"], time_limit=0.1)
        self.records = {name.replace("_", "."): address for name, address in records.items()}

    async def resolve(self, query: Query) -> list[Answer]:
        """The address of a name, if it is known."""
        address = self.records.get(query.name)
        wanted = "AAAA" if address is not None and ":" in address else "A"
        return [Answer(address)] if address is not None and query.kind == wanted else []


class Side:
    """A shell and what it told."""

    def __init__(
        self,
        *listeners: str,
        config: EndpointConfig | None = None,
        tls: TlsContexts | None = None,
        resolver: DnsResolver | None = None,
        limits: StreamLimits | None = None,
        answers: bool = False,
    ) -> None:
        self.events: list[e.Event] = []
        self.react: Callable[[e.Event], None] = self._answer if answers else lambda event: None
        self._woken = asyncio.Event()
        self.shell = SipShell(
            Endpoint(config or EndpointConfig(), RandomIdentifiers()),
            listeners,
            self._on_event,
            resolver=resolver,
            tls=tls,
            limits=limits,
        )

    def _answer(self, event: e.Event) -> None:
        if isinstance(event, e.IncomingCall):
            session = event.session
            self.shell.run(lambda core, now: core.answer(session, OFFER, now=now))

    def _on_event(self, event: e.Event) -> None:
        self.events.append(event)
        self._woken.set()
        self.react(event)

    async def until(self, *kinds: type[K]) -> K:
        """The first event of a kind, within 5 s."""
        async with asyncio.timeout(5):
            while True:
                for event in self.events:
                    if isinstance(event, kinds):
                        return event
                self._woken.clear()
                await self._woken.wait()

    def traces(self, direction: str) -> list[e.Trace]:
        return [event for event in self.events if isinstance(event, e.Trace) and event.direction == direction]

    def call(self, uri: str, body: bytes = OFFER) -> str:
        target = Uri.parse(uri)
        return self.shell.run(lambda core, now: core.invite(target, from_=ME, body=body, now=now))

    def bye(self, session: str) -> None:
        self.shell.run(lambda core, now: core.bye(session, now=now))


@asynccontextmanager
async def running(*sides: Side) -> AsyncIterator[None]:
    """Started, and closed at the end."""
    try:
        for side in sides:
            await side.shell.start()
        yield
    finally:
        for side in sides:
            await side.shell.close()


async def whole_call(alice: Side, bob: Side, uri: str, body: bytes = OFFER) -> None:
    """Alice calls, Bob answers by himself, Alice hangs up."""
    session = alice.call(uri, body)
    result = await alice.until(e.Answered, e.Failed)
    assert isinstance(result, e.Answered), result
    await bob.until(e.Confirmed)
    alice.bye(session)
    await bob.until(e.Ended)
