"""One party's RTP session, on the engine's side: what comes in, what goes out, and the reports about both."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cordboard.media.face import UNANSWERED_PACKETS, Address, Direction, JackStats
from cordboard.media.python import dtmf, g711, rtcp, rtp
from cordboard.media.python.ear import Cord, Ear, Inbound, PacketSource, Player
from cordboard.media.python.gate import Gate
from cordboard.media.python.record import Channel
from cordboard.media.python.tap import TapStream
from cordboard.media.python.timeline import FRAME, RATE, Placement, Sequence

EVENT = "TELEPHONE-EVENT"
NOISE = "CN"


class Socket(Protocol):
    def sendto(self, data: bytes, address: Address, /) -> int: ...


class Notices(Protocol):
    """What a session tells the board; each becomes an event of the face."""

    def pressed(self, digit: str, duration: int) -> None: ...
    def latched(self, remote: Address) -> None: ...
    def silent(self, seconds: float) -> None: ...
    def ended(self, source: object) -> None: ...


class Clocks(Protocol):
    def position(self, now: float) -> int:
        """On the board's clock, in samples of 8 kHz."""

    def wall(self, now: float) -> float:
        """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one offer/answer has settled; codec names in capitals."""

    receive: Mapping[int, str]
    send: int
    codec: str
    dtmf: int | None
    ptime: int
    direction: Direction
    remote: Address | None
    rtcp: Address | None
    rtcp_mux: bool

    @property
    def sends(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")


@dataclass(slots=True)
class Counters:
    packets_in: int = 0
    octets_in: int = 0
    packets_out: int = 0
    octets_out: int = 0
    lost_before: int = 0
    duplicates_before: int = 0
    reordered_before: int = 0
    rejected: int = 0
    malformed: int = 0
    held_back: int = 0
    rtcp_in: int = 0
    rtcp_out: int = 0
    dtmf_in: int = 0
    dtmf_out: int = 0


class Session(PacketSource, Ear):
    def __init__(
        self,
        media: Socket,
        control: Socket,
        clocks: Clocks,
        notices: Notices,
        chance: random.Random,
        name: str,
        silent_after: float | None,
    ) -> None:
        PacketSource.__init__(self)
        Ear.__init__(self)
        self._media = media
        self._control = control
        self._clocks = clocks
        self._notices = notices
        self._chance = chance
        self._name = name
        self.silent_after = silent_after
        self.closed = False
        self.terms: Terms | None = None
        self.gate = Gate()
        self.count = Counters()
        self.taps: list[TapStream] = []
        self.said_channels: list[Channel] = []
        self.heard_channels: list[Channel] = []
        self.keys_out = dtmf.Sender()
        self._keys_in = dtmf.Receiver()
        self._reception: rtp.Reception | None = None
        self._placement = Placement()
        self._withheld = 0
        self._heard_at: float | None = None
        self._first_at: float | None = None
        self._listening_since = 0.0
        self._told_silent = False
        # Random starts, below half of the range, so that no early wrap meets a peer that counts badly (RFC 3550 §5.1).
        self._ssrc = chance.getrandbits(32)
        self._base = chance.getrandbits(31)
        self._sequence = Sequence(chance.getrandbits(15))
        self._streaming = False
        self._made = b""
        self._made_at = 0
        self._event_at = 0
        self._unanswered = 0
        self._sent_at: float | None = None
        self._largest_gap = 0.0
        self._unsent = 0.0
        self._report_at: float | None = None
        self._sent_since_report = False
        self._rtcp_at: float | None = None
        self._rtcp_seen = False
        self._peer_report: tuple[int, float] | None = None
        self._round_trip: float | None = None
        self._remote_lost: int | None = None

    # --- negotiation -------------------------------------------------------------------------------------------------

    def negotiated(self, terms: Terms, now: float) -> None:
        old, self.terms = self.terms, terms
        if old is None or old.remote != terms.remote:
            self._unanswered = 0
            self._rtcp_at = None
        if old is None or (old.codec, old.ptime, old.send) != (terms.codec, terms.ptime, terms.send):
            self._made = b""
        self._rtcp_seen = False
        self._largest_gap = 0.0
        if terms.dtmf is None:
            self.keys_out.clear()
        self.gate.negotiated(terms.remote)
        self._listening_since, self._told_silent = now, False
        if self._report_at is None:
            self._report_at = now + rtcp.INTERVAL * self._chance.uniform(0.25, 0.75)  # RFC 3550 §6.2: half at first

    # --- in ----------------------------------------------------------------------------------------------------------

    def datagram(self, data: bytes, sender: Address, now: float) -> None:
        terms = self.terms
        if terms is None or self.closed:
            self.count.rejected += 1
            return
        if rtp.is_rtcp(data):
            self.report(data, sender, now)
            return
        packet = rtp.parse(data)
        if packet is None:
            self.count.malformed += 1
            return
        codec = terms.receive.get(packet.payload_type)
        if codec is None and packet.payload_type == 13:
            codec = NOISE  # RFC 3389: tolerated, whether negotiated or not
        if codec is None:
            self.count.malformed += 1
            return
        verdict = self.gate.admit(sender, packet.ssrc, packet.sequence, now)
        if not verdict.accepted:
            self.count.rejected += 1
            return
        self._unanswered = 0
        if verdict.switched or self._reception is None:
            self._begin_source(packet)
        assert self._reception is not None
        number = self._reception.update(packet.sequence, packet.timestamp, now)
        self.count.packets_in += 1
        self.count.octets_in += len(packet.payload)
        self._heard_at, self._told_silent = now, False
        if self._first_at is None:
            self._first_at = now
        if verdict.latched:
            self._notices.latched(sender)
        if number is None:
            return
        if not terms.receives or codec == NOISE or not packet.payload:
            self._withheld += 1
            return
        clock = self._clocks.position(now)
        if codec == EVENT:
            at = self._placement.event(packet.timestamp, clock)
            for key in self._keys_in.receive(packet.payload, packet.timestamp, now):
                self._press(key)
        else:
            at = self._placement.place(packet.timestamp, clock)
        inbound = Inbound(codec, packet.payload, number - self._withheld, at, packet.marker, codec == EVENT)
        for listener in tuple(self.listeners):
            listener.packet(self, inbound, now)
        if codec != EVENT:
            for tap in self.taps:
                tap.packet(number, at, inbound.pcm, now)
            for channel in self.said_channels:
                channel.write(at, inbound.pcm)

    def _begin_source(self, packet: rtp.Packet) -> None:
        if (old := self._reception) is not None:
            self.count.lost_before += old.lost
            self.count.duplicates_before += old.duplicates
            self.count.reordered_before += old.reordered
        self._reception = rtp.Reception(packet.ssrc, packet.sequence)
        self._placement = Placement()
        self._withheld = 0
        for tap in self.taps:
            tap.begin_anew()
        for listener in self.listeners:
            if isinstance(listener, Ear) and listener.cord is not None and listener.cord.source is self:
                listener.cord.relay.anchored = False

    def _press(self, key: dtmf.Pressed) -> None:
        self.count.dtmf_in += 1
        self._notices.pressed(key.digit, key.duration)

    # --- out: what this party hears ----------------------------------------------------------------------------------

    def switched(self) -> None:
        self._streaming = False
        self._made = b""

    def hear_packet(self, cord: Cord, inbound: Inbound, now: float) -> None:
        terms = self.terms
        if terms is None or self.keys_out.speaking or not self._may_send():
            cord.relay.anchored = False
            return
        if inbound.event:
            if terms.dtmf is None:
                # Left out without a hole in our numbers.
                cord.relay.number -= 1
                return
            payload_type, payload, length = terms.dtmf, inbound.payload, 0
        else:
            payload_type = terms.send
            payload = g711.transcode(inbound.codec, terms.codec, inbound.payload)
            length = len(payload)
        clock = self._clocks.position(now)
        placed = self._sequence.relayed(cord.relay, inbound.number, inbound.at, clock, length, inbound.event)
        if placed is None:
            return
        sequence, at, first = placed
        if self._transmit(payload_type, inbound.marker or first, sequence, at, payload, now) and not inbound.event:
            self._record_heard(at, payload, terms.codec)

    def hear_player(self, player: Player, tick: int, now: float, first: bool) -> bool:
        terms = self.terms
        if terms is None or self.keys_out.speaking:
            return False  # it waits for the first negotiation, and for the end of each key
        payload = player.pull_encoded(terms.codec, tick)
        if payload is None:
            if self._made:  # the last words, where a packet holds more than a frame
                size = terms.ptime * RATE // 1000
                self._play(g711.SILENCE[terms.codec] * (size - len(self._made)), terms, now)
            self._streaming = False
            return False
        if self._sends():
            if first:
                self.switched()
            self._play(payload, terms, now)
        return True

    def player_ended(self, cord: Cord) -> None:
        self._notices.ended(cord.source)

    def _play(self, payload: bytes, terms: Terms, now: float) -> None:
        clock = self._clocks.position(now)
        sequence = self._sequence
        if not self._made:
            at = sequence.start(clock)
            if self._streaming and sequence.last is not None:
                following = sequence.last + sequence.length
                if abs(following - clock) <= FRAME:
                    at = following
                else:
                    self._streaming = False
            self._made_at = at
        self._made += payload
        size = terms.ptime * RATE // 1000
        while len(self._made) >= size:
            packet, self._made = self._made[:size], self._made[size:]
            if not self._may_send():
                self._streaming, self._made = False, b""
                return
            at, marker = self._made_at, not self._streaming
            number = sequence.own(at, size)
            if self._transmit(terms.send, marker, number, at, packet, now):
                self._record_heard(at, packet, terms.codec)
            self._streaming = True
            self._made_at = at + size

    def _record_heard(self, at: int, payload: bytes, codec: str) -> None:
        if self.heard_channels:
            pcm = g711.decode(codec, payload)
            for channel in self.heard_channels:
                channel.write(at, pcm)

    def _sends(self) -> bool:
        return self.terms is not None and self.terms.sends and self.gate.target is not None and not self.closed

    def _may_send(self) -> bool:
        if not self._sends():
            return False
        if not self.gate.answered and self._unanswered >= UNANSWERED_PACKETS:
            self.count.held_back += 1
            return False
        return True

    def _transmit(self, payload_type: int, marker: bool, sequence: int, at: int, payload: bytes, now: float) -> bool:
        target = self.gate.target
        if target is None:
            return False
        data = rtp.build(payload_type, marker, sequence, self._base + at, self._ssrc, payload)
        try:
            self._media.sendto(data, target)
        except OSError:
            return False
        self._unanswered += 1
        self.count.packets_out += 1
        self.count.octets_out += len(payload)
        self._sent_since_report = True
        if self._sent_at is not None:
            gap = now - self._sent_at
            self._largest_gap = max(self._largest_gap, gap)
            if gap > 0.045:  # two frames and the clock's own unrest
                self._unsent += gap - 0.02
        self._sent_at = now
        return True

    # --- the clock ---------------------------------------------------------------------------------------------------

    def tick(self, tick: int, now: float) -> None:
        """One frame of the clock; `now` is when it should have begun."""
        if len(self.keys_out):
            self._send_key(now)
        self.listen_on_tick(tick, now)

    def _send_key(self, now: float) -> None:
        terms = self.terms
        step = self.keys_out.step()
        if step is None or terms is None or terms.dtmf is None or not self._may_send():
            return
        if step.first:
            self._event_at = self._sequence.start(self._clocks.position(now))
            self.count.dtmf_out += 1
        # Every packet of a key bears the time at which it began (RFC 4733 §2.2.2); audio goes on behind its end.
        number = self._sequence.own(self._event_at, step.duration)
        payload = dtmf.build(step.event, step.end, step.duration)
        self._transmit(terms.dtmf, step.first, number, self._event_at, payload, now)
        self._streaming = False
        if self.cord is not None:
            self.cord.relay.anchored = False

    def house_keeping(self, now: float) -> None:
        """Ten times a second: keys whose ends were lost, taps that wait, silence, reports."""
        for key in self._keys_in.expire(now):
            self._press(key)
        for tap in self.taps:
            tap.expire(now)
            tap.pause(self._clocks.position(now))
        terms = self.terms
        if terms is None:
            return
        if self.silent_after is not None and terms.receives and terms.remote is not None and not self._told_silent:
            since = max(self._listening_since, self._heard_at or 0.0)
            if now - since >= self.silent_after:
                self._told_silent = True
                self._notices.silent(now - since)
        if self._report_at is not None and now >= self._report_at:
            self._report_at = now + rtcp.INTERVAL * self._chance.uniform(0.5, 1.5)
            self._send_report(now)

    # --- reports -----------------------------------------------------------------------------------------------------

    def report(self, data: bytes, sender: Address, now: float) -> None:
        """RTCP, from either port."""
        remote = self.gate.target
        if remote is None or sender[0] != remote[0] or self.closed:
            self.count.rejected += 1
            return
        parsed = rtcp.parse(data)
        if parsed is None:
            self.count.malformed += 1
            return
        self.count.rtcp_in += 1
        self._rtcp_at, self._rtcp_seen = now, True
        self.gate.answered = True
        if parsed.ntp is not None:
            self._peer_report = (parsed.ntp, now)
        for block in parsed.blocks:
            if block.ssrc != self._ssrc:
                continue
            self._remote_lost = max(0, block.lost)
            if block.last_report:
                took = (rtcp.middle(self._clocks.wall(now)) - block.last_report - block.since_last_report) & 0xFFFFFFFF
                if took < 10 * 65536:
                    self._round_trip = took / 65.536

    def _send_report(self, now: float, bye: bool = False) -> None:
        target = self._report_target()
        if target is None or not (self.gate.answered or self._unanswered < UNANSWERED_PACKETS):
            return
        sent = None
        if self._sent_since_report or bye:
            sent = (self._base + self._clocks.position(now), self.count.packets_out, self.count.octets_out)
        self._sent_since_report = False
        block = None
        if (reception := self._reception) is not None:
            last, since = 0, 0
            if self._peer_report is not None:
                last, since = self._peer_report[0], int((now - self._peer_report[1]) * 65536) & 0xFFFFFFFF
            block = rtcp.Block(
                reception.ssrc,
                reception.fraction_lost(),
                reception.lost,
                reception.highest,
                int(reception.jitter),
                last,
                since,
            )
        data = rtcp.build(self._ssrc, self._name, wall=self._clocks.wall(now), sent=sent, block=block, bye=bye)
        mux = self.terms is not None and self.terms.rtcp_mux
        try:
            (self._media if mux else self._control).sendto(data, target)
        except OSError:
            return
        self.count.rtcp_out += 1

    def _report_target(self) -> Address | None:
        target = self.gate.target
        if target is None or self.terms is None:
            return None
        if self.terms.rtcp_mux:
            return target
        if self.terms.rtcp is not None:
            return self.terms.rtcp
        return (target[0], target[1] + 1) if target[1] < 65535 else None

    # --- the end, and the figures ------------------------------------------------------------------------------------

    def close(self, now: float) -> None:
        if self.closed:
            return
        if self.count.packets_out:
            self._send_report(now, bye=True)
        self.closed = True
        self.unplug()
        for listener in tuple(self.listeners):
            listener.source_closed(self)
        self.listeners.clear()
        self.taps.clear()
        self.said_channels.clear()
        self.heard_channels.clear()

    def stats(self, now: float) -> JackStats:
        count, reception = self.count, self._reception
        jitter = reception.jitter * 1000 / RATE if reception else 0.0
        lost = count.lost_before + (reception.lost if reception else 0)
        return JackStats(
            packets_in=count.packets_in,
            octets_in=count.octets_in,
            packets_out=count.packets_out,
            octets_out=count.octets_out,
            lost=lost,
            duplicates=count.duplicates_before + (reception.duplicates if reception else 0),
            reordered=count.reordered_before + (reception.reordered if reception else 0),
            rejected=count.rejected,
            malformed=count.malformed,
            held_back=count.held_back,
            jitter_ms=jitter,
            first_received_at=self._first_at,
            last_received_age_ms=None if self._heard_at is None else max(0.0, (now - self._heard_at) * 1000),
            remote=self.gate.target,
            latched=self.gate.latched,
            ssrc_in=self.gate.ssrc,
            ssrc_out=self._ssrc,
            rtcp_in=count.rtcp_in,
            rtcp_out=count.rtcp_out,
            rtcp_seen=self._rtcp_seen,
            last_rtcp_age_ms=None if self._rtcp_at is None else max(0.0, (now - self._rtcp_at) * 1000),
            round_trip_ms=self._round_trip,
            remote_lost=self._remote_lost,
            mos=mos(count.packets_in, lost, jitter, self._round_trip),
            dtmf_in=count.dtmf_in,
            dtmf_out=count.dtmf_out,
            largest_gap_out_ms=self._largest_gap * 1000,
            unsent_ms=self._unsent * 1000,
        )


def mos(packets: int, lost: int, jitter_ms: float, round_trip_ms: float | None) -> float | None:
    """ITU-T G.107, shortened: G.711 with a jitter buffer of twice the jitter (Ie = 0, Bpl = 4.3)."""
    if packets < 10:
        return None
    delay = (round_trip_ms or 0.0) / 2 + 2 * jitter_ms + 20
    percent = 100 * lost / (packets + lost)
    rating = 93.2 - 0.024 * delay - (0.11 * (delay - 177.3) if delay > 177.3 else 0) - 95 * percent / (percent + 4.3)
    rating = min(100.0, max(0.0, rating))
    return round(1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6, 2)
