"""The user agent: signalling and media of one node, handed out as legs.

It owns no decisions. Events of the core and of the board are given to the leg that they belong to, in the order in
which they happened and never from within each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from cordboard.calls.errors import DialRefusedError, MediaNegotiationError
from cordboard.calls.events import CallEventSink, Noted, SipSeen, Warned
from cordboard.calls.following import Follower
from cordboard.calls.identity import identity_of
from cordboard.calls.leg import HeaderList, Leg, LegEvent
from cordboard.calls.media_session import MediaSession, Security
from cordboard.calls.reaper import LegReaper
from cordboard.calls.unclaimed import UnclaimedTraces
from cordboard.media import Recorded
from cordboard.sip import events as sip
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials, EndpointConfig
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.errors import SipError
from cordboard.sip.fields import Reason
from cordboard.sip.flow import Flow
from cordboard.sip.redirection import Gate
from cordboard.sip.uri import Uri
from cordboard.wire import RandomIdentifiers, SipShell, StreamLimits, TlsContexts

if TYPE_CHECKING:
    from cordboard.media import Board, Jack, Recording
    from cordboard.sdp import Codec

log = structlog.get_logger(__name__)

RegistrationEvent = sip.RegistrationKept | sip.RegistrationFailed | sip.RegistrationEnded
FrameListener = Callable[[memoryview], None]
"""Receives 320 samples (20 ms at 16 kHz, native int16) of one leg."""


class UserAgent:
    """``media_address`` is written into session descriptions; ``codecs`` are offered in this order."""

    def __init__(
        self,
        config: EndpointConfig,
        listeners: Sequence[str],
        board: Board,
        *,
        media_address: str,
        codecs: Sequence[Codec],
        srtp: Security = "off",
        sink: CallEventSink,
        reap_after: float,
        tls: TlsContexts | None = None,
        limits: StreamLimits | None = None,
        reached_by: Callable[[Flow], str] | None = None,
    ) -> None:
        """``reached_by`` gives the media address for a peer on a flow, where it is not ``media_address`` for all."""
        identifiers = RandomIdentifiers()
        self.shell = SipShell(Endpoint(config, identifiers), listeners, self._from_core, tls=tls, limits=limits)
        self.board = board
        self.media_address = media_address
        self.codecs = tuple(codecs)
        self.srtp = srtp
        self.sink = sink
        self.comfort = board.clip(bytes(320), 8000, loop=True)
        """Silence that is sent: a quiet line still carries packets, so that no NAT binding, symmetric RTP or media
        time-out of a peer takes it for dead."""
        self.reaper = LegReaper(reap_after)
        self.on_incoming: Callable[[sip.IncomingCall], None] | None = None
        self.on_registration: Callable[[RegistrationEvent], None] | None = None
        self.redirect: Gate | None = None
        """Judges the Contacts of 3xx answers; None: no 3xx is followed."""
        self.refer_gate: Gate | None = None
        """Judges the targets of REFERs that peers send; None: whoever subscribes to the leg decides."""
        self._followers: dict[str, Follower] = {}
        self.longest_call: Callable[[str], float | None] = lambda host: None
        """The longest call through the gateway at a host, in seconds."""
        self.max_hops = 8
        self.may_call: Callable[[str, str], bool] = lambda number, source: True
        """Whether a number of ours takes calls from an address."""
        self.trusts: Callable[[str], bool] = lambda source: False
        """Whether identities that an address asserts are believed (RFC 3325 §4)."""
        self._reached_by = reached_by or (lambda flow: media_address)
        self._new_session = identifiers.tag
        self._session_ids = itertools.count(1)
        self._legs: dict[str, Leg] = {}
        self._jacks: dict[int, Leg] = {}
        self._listeners: dict[int, FrameListener] = {}
        self._unclaimed = UnclaimedTraces(reap_after)
        self._recordings: dict[Recording, Leg] = {}
        self._queue: deque[sip.Event] = deque()
        self._dispatching = False

    async def start(self) -> None:
        """Bind the listeners and listen to the board. Raises `wire.ListenerError`."""
        await self.shell.start()
        asyncio.get_running_loop().add_reader(self.board.fileno(), self._from_board)

    async def close(self) -> None:
        """Stop listening, at once; every leg must have been taken by the reaper."""
        asyncio.get_running_loop().remove_reader(self.board.fileno())
        self.reaper.close()
        self._unclaimed.close()
        await self.shell.close()

    @property
    def legs(self) -> int:
        """How many legs are alive or remembered."""
        return len(self._legs)

    # Legs -----------------------------------------------------------------------------------------------------------

    def receive(self, call: sip.IncomingCall, *, call_id: str, name: str) -> Leg:
        """The leg of an INVITE, with media agreed on but nothing answered. Raises MediaNegotiationError (488)."""
        jack = self.board.jack()
        media = MediaSession(
            self._reached_by(call.flow),
            self.codecs,
            session_id=next(self._session_ids),
            secure=self.srtp,
            keys=jack.keys,
        )
        try:
            if call.offer is None:
                media.new_offer(jack.port)
            else:
                media.take_offer(call.offer, jack.port)
        except MediaNegotiationError:
            jack.close()
            raise
        leg = Leg(self, call_id=call_id, name=name, session=call.session, jack=jack, media=media, request=call.request)
        self._enter(leg)
        if call.offer is not None:
            media.apply(jack, call.flow.remote[0])
        return leg

    def take_over(self, call: sip.IncomingCall) -> None:
        """An INVITE with Replaces (RFC 3891 §3): its sender takes the place of the leg's party; the leg goes on."""
        leg = self._legs.get(call.replaces or "")
        if leg is None or leg.state != "answered":
            self.refuse(call, 481)
            return
        before = leg.session
        try:
            leg.adopt(call)
        except MediaNegotiationError as error:
            self.refuse(call, error.status)
            return
        self._legs.pop(before, None)
        self._legs[leg.session] = leg
        self.sink(Noted(leg.call_id, "leg.replaced", leg.name, {"from": str(call.request.from_.uri)}))
        leg.answer()

    def dial(
        self,
        target: Uri,
        *,
        call_id: str,
        name: str,
        from_: Address,
        headers: HeaderList = (),
        beside: Leg | None = None,
        next_hop: Uri | None = None,
        credentials: Credentials | None = None,
        ring_timeout: float | None = None,
        subscriber: Callable[[LegEvent], None] | None = None,
        secure: bool = False,
    ) -> Leg:
        """Send an INVITE; ``subscriber`` is told what becomes of it.

        ``beside`` is the leg that it may be bridged to: its codec is offered first and its thread relays both.
        ``secure``: offer SRTP only, whatever the general policy. Raises MediaNegotiationError where that cannot be.
        Raises `sip.errors.HeaderInjectionError`, or DialRefusedError where the call has gone round too often, before
        anything is sent.
        """
        headers = [*headers, *self.onward(target, beside)]
        jack = self.board.jack(beside=beside.jack if beside is not None else None)
        prefer = beside.media.sending if beside is not None else None
        media = MediaSession(
            self.media_address,
            self.codecs,
            session_id=next(self._session_ids),
            prefer=prefer,
            secure="required" if secure else self.srtp,
            keys=jack.keys,
        )
        try:
            offer = media.new_offer(jack.port)
        except MediaNegotiationError:
            jack.close()
            raise
        leg = Leg(self, call_id=call_id, name=name, session=self._new_session(), jack=jack, media=media)
        leg.state = "dialing"
        if subscriber is not None:
            leg.subscribe(subscriber)
        leg.traced = True
        self._enter(leg)
        try:
            self.shell.run(
                lambda core, now: core.invite(
                    target,
                    from_=from_,
                    headers=headers,
                    body=offer,
                    next_hop=next_hop,
                    credentials=credentials,
                    timeout=ring_timeout,
                    session=leg.session,
                    redirect=self.redirect,
                    describe=lambda flow: media.readdress(self._reached_by(flow)),
                    now=now,
                )
            )
        except Exception:
            leg.state = "over"
            self._legs.pop(leg.session, None)
            leg.release()
            raise
        longest = self.longest_call((next_hop or target).host)
        if longest is not None:
            limit = asyncio.get_running_loop().call_later(longest, leg.hangup, Reason("Q.850", 31, "Longest call"))
            leg.subscribe(lambda event: limit.cancel() if leg.over else None)
        return leg

    def rename(self, leg: Leg, session: str) -> None:
        """The leg's events are those of another session from now on."""
        self._legs.pop(leg.session, None)
        leg.session = session
        self._legs[session] = leg

    def hang_up_later(self, session: str, seconds: float = 5.0) -> None:
        """BYE a session that is no leg any more, unless its peer does so first."""
        reason = ("Reason", str(Reason("Q.850", 16, "Transferred")))

        def hang_up() -> None:
            self.shell.run(lambda core, now: core.hangup(session, [reason], now=now))

        asyncio.get_running_loop().call_later(seconds, hang_up)

    def onward(self, target: Uri, beside: Leg | None) -> list[tuple[str, str]]:
        """Max-Forwards of a call that goes on (RFC 3261 §16.6 step 3): so that a loop through us ends."""
        if beside is None or beside.request is None:
            return []
        request = beside.request
        left = request.max_forwards
        if identity_of(request, trusted=False).hops > self.max_hops:
            raise DialRefusedError(str(target), f"the call was diverted more than {self.max_hops} times: a loop")
        if left is not None and left <= 1:
            raise DialRefusedError(str(target), "Max-Forwards is used up: a loop (RFC 3261 §16.3)")
        return [] if left is None else [("Max-Forwards", str(min(left, 70) - 1))]

    def refuse(self, call: sip.IncomingCall, status: int, reason: str = "", headers: HeaderList = ()) -> None:
        """Refuse an INVITE that never became a leg."""
        self.shell.run(lambda core, now: core.reject(call.session, status, reason, headers, now=now))

    def claim_traces(self, leg: Leg) -> None:
        """From here on the leg's messages are reported; those that came before its call was opened, first."""
        leg.traced = True
        sip_call_id = leg.request.call_id if leg.request is not None else ""
        for trace in self._unclaimed.claim(sip_call_id):
            self.sink(SipSeen(leg.call_id, leg.name, trace))

    def listen(self, leg: Leg, listener: FrameListener) -> Callable[[], None]:
        """Hear what this leg says, 20 ms at a time; call the result to stop."""
        tap = leg.jack.tap()
        identifier = tap.id
        self._listeners[identifier] = listener

        def stop() -> None:
            if self._listeners.pop(identifier, None) is not None:
                tap.close()

        return stop

    def recorded(self, leg: Leg, recording: Recording) -> None:
        """The record is told where this recording turns out to be incomplete."""
        self._recordings[recording] = leg

    def forget_leg(self, leg: Leg) -> None:
        """The reaper is done with it."""
        self._legs.pop(leg.session, None)

    def forget_jack(self, jack: Jack) -> None:
        self._jacks.pop(jack.id, None)

    def _enter(self, leg: Leg) -> None:
        self._legs[leg.session] = leg
        self._jacks[leg.jack.id] = leg

    # Events ---------------------------------------------------------------------------------------------------------

    def _from_core(self, event: sip.Event) -> None:
        self._queue.append(event)
        if self._dispatching:
            return
        self._dispatching = True
        try:
            while self._queue:
                self._give(self._queue.popleft())
        finally:
            self._dispatching = False

    def _give(self, event: sip.Event) -> None:
        try:
            if isinstance(event, sip.Trace):
                self._trace(event)
            elif isinstance(event, sip.RegistrationKept | sip.RegistrationFailed | sip.RegistrationEnded):
                if self.on_registration is not None:
                    self.on_registration(event)
            elif isinstance(event, sip.IncomingCall):
                if event.replaces is not None:
                    self.take_over(event)
                elif self.on_incoming is None:
                    self.refuse(event, 503)
                else:
                    self.on_incoming(event)
            else:
                leg = self._legs.get(event.session)
                follower = self._followers.get(event.session)
                if follower is not None:
                    if not follower.heard(event):
                        self._followers.pop(event.session, None)
                elif leg is not None and isinstance(event, sip.ReferRequested) and self.refer_gate is not None:
                    follower = Follower(self, leg, event)
                    if follower.start(self.refer_gate):
                        self._followers[follower.session] = follower
                elif leg is not None:
                    leg.from_core(event)
        except Exception:
            log.exception("event_failed", kind=type(event).__name__)
            if isinstance(event, sip.IncomingCall):
                with contextlib.suppress(SipError):  # it may have been answered before the fault
                    self.refuse(event, 500)

    def _trace(self, trace: sip.Trace) -> None:
        leg = self._legs.get(trace.session) if trace.session is not None else None
        if leg is not None and leg.traced:
            self.sink(SipSeen(leg.call_id, leg.name, trace))
            leg.from_trace(trace)
            return
        self._unclaimed.add(trace)

    def _from_board(self) -> None:
        for event in self.board.events():
            if isinstance(event, Recorded):
                recorded = self._recordings.pop(event.recording, None)
                if event.error:
                    log.error("recording_failed", path=event.path, error=event.error)
                    if recorded is not None:
                        text = f"the recording of the {recorded.name} leg is incomplete: {event.error}"
                        self.sink(Warned(recorded.call_id, text))
                continue
            leg = self._jacks.get(event.jack.id)
            if leg is not None:
                try:
                    leg.from_board(event)
                except Exception:
                    log.exception("media_event_failed", kind=type(event).__name__)
        identifiers, samples = self.board.frames()
        for index, identifier in enumerate(identifiers):
            listener = self._listeners.get(identifier)
            if listener is not None:
                try:
                    listener(samples[index * 320 : (index + 1) * 320])
                except Exception:  # once; the others are heard on
                    log.exception("listener_failed")
                    if identifier in self._listeners:
                        self._listeners[identifier] = _hear_nothing


def _hear_nothing(frame: memoryview) -> None:
    """In the place of a listener that failed, until it is taken away with its tap."""
