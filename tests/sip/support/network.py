"""Endpoints in virtual time over a network that loses, repeats, delays and reorders datagrams by a seeded chance."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count

from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.events import Event, Trace
from cordboard.sip.flow import Answer, Connect, Flow, HostPort, Query, Resolve, SendBytes
from cordboard.sip.uri import Uri

OFFER = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
ANSWER = OFFER.replace(b"10.0.0.1", b"10.0.0.2")


class CountingIdentifiers:
    """Unique and the same in every run."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = count(1)

    def tag(self) -> str:
        return f"{self._name}t{next(self._count)}"

    def branch(self) -> str:
        return f"z9hG4bK{self._name}{next(self._count)}"

    def call_id(self) -> str:
        return f"{self._name}c{next(self._count)}@test"


class Party:
    """One endpoint with an address, its events, and what it does on them."""

    def __init__(self, network: Network, name: str, host: str, config: EndpointConfig | None = None) -> None:
        self.network = network
        self.name = name
        self.address: HostPort = (host, 5060)
        self.endpoint = Endpoint(config or EndpointConfig(), CountingIdentifiers(name))
        self.endpoint.listening("udp", self.address)
        self.events: list[Event] = []
        self.traces: list[Trace] = []
        self.reactions: list[Callable[[Party, Event], None]] = []
        self.uri = Uri("sip", user=name, host=host, port=5060)

    @property
    def now(self) -> float:
        return self.network.now

    @property
    def me(self) -> Address:
        return Address(self.uri)

    def react(self, reaction: Callable[[Party, Event], None]) -> None:
        """Call ``reaction`` with every event but traces."""
        self.reactions.append(reaction)

    def settle(self) -> None:
        """Flush what the endpoint wants."""
        while True:
            events = self.endpoint.take_events()
            for event in events:
                if isinstance(event, Trace):
                    self.traces.append(event)
                    continue
                self.events.append(event)
                for reaction in list(self.reactions):
                    reaction(self, event)
            outgoing = self.endpoint.take_outgoing()
            for output in outgoing:
                if isinstance(output, SendBytes):
                    self.network.carry(output.flow, output.data)
                elif isinstance(output, Resolve):
                    self.network.resolve(self, output.query)
                elif isinstance(output, Connect):
                    self.network.connect(self, output.flow)
            if not events and not outgoing:
                return

    def of(self, kind: type) -> list[Event]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def names(self) -> list[str]:
        """The types of all events, in order."""
        return [type(event).__name__ for event in self.events]

    def sent(self, word: str) -> list[bytes]:
        """First lines of sent messages that hold ``word``."""
        return [t.data for t in self.traces if t.direction == "out" and word.encode() in t.data.split(b"\r\n", 1)[0]]


class Network:
    """Carries datagrams between parties."""

    def __init__(
        self,
        seed: int = 0,
        *,
        loss: float = 0.0,
        repetition: float = 0.0,
        delay: tuple[float, float] = (0.001, 0.001),
    ) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self.loss = loss
        self.repetition = repetition
        self.delay = delay
        self.parties: dict[HostPort, Party] = {}
        self.records: dict[Query, list[Answer]] = {}
        self.drop: Callable[[bytes, Flow], bool] | None = None
        self.wire: list[tuple[float, Flow, bytes]] = []
        self._order = count()
        self._flying: list[tuple[float, int, Callable[[], None]]] = []

    def party(self, name: str, host: str, config: EndpointConfig | None = None) -> Party:
        party = Party(self, name, host, config)
        self.parties[party.address] = party
        return party

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a point in time."""
        heapq.heappush(self._flying, (when, next(self._order), action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self.at(self.now + seconds, action)

    def carry(self, flow: Flow, data: bytes) -> None:
        self.wire.append((self.now, flow, data))
        if self.drop is not None and self.drop(data, flow):
            return
        copies = 1
        if self.random.random() < self.loss:
            copies = 0
        elif self.random.random() < self.repetition:
            copies = 2
        for _ in range(copies):
            self.at(self.now + self.random.uniform(*self.delay), lambda: self._deliver(flow, data))

    def _deliver(self, flow: Flow, data: bytes) -> None:
        party = self.parties.get(flow.remote)
        if party is not None:
            party.endpoint.receive(data, Flow(flow.transport, flow.remote, flow.local), self.now)
            party.settle()

    def inject(self, party: Party, data: bytes, source: HostPort) -> None:
        """A datagram from outside."""
        party.endpoint.receive(data, Flow("udp", party.address, source), self.now)
        party.settle()

    def resolve(self, party: Party, query: Query) -> None:
        def answer() -> None:
            party.endpoint.resolved(query, self.records.get(query, []), self.now)
            party.settle()

        self.after(0.001, answer)

    def connect(self, party: Party, flow: Flow) -> None:
        def refuse() -> None:
            party.endpoint.send_failed(flow, self.now)
            party.settle()

        self.after(0.001, refuse)

    def run(self, seconds: float = 0.5) -> None:
        """Let this much time pass."""
        end = self.now + seconds
        for party in self.parties.values():
            party.settle()
        while True:
            soonest = min(
                (t for t in (p.endpoint.next_timer() for p in self.parties.values()) if t is not None),
                default=None,
            )
            flight = self._flying[0][0] if self._flying else None
            candidates = [t for t in (soonest, flight) if t is not None and t <= end]
            if not candidates:
                break
            self.now = max(self.now, min(candidates))
            if flight is not None and flight <= self.now:
                action = heapq.heappop(self._flying)[2]
                action()
            for party in self.parties.values():
                due = party.endpoint.next_timer()
                if due is not None and due <= self.now:
                    party.endpoint.handle_timer(self.now)
                party.settle()
        self.now = end

    def assert_idle(self) -> None:
        """After long enough every table is empty."""
        for party in self.parties.values():
            counts = {name: size for name, size in party.endpoint.counts().items() if size}
            assert not counts, f"{party.name} keeps {counts}"
