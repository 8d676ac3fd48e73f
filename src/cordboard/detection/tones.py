"""Tones: beeps, special information tones, fax tones, and the cadence of ringing and busy tones.

A run is a stretch of rows with one unchanging tone. Runs with the same tone and the gaps between them are a cadence,
which is compared with every tone of the world's plans at once: while all that are still possible have one
kind, that kind is the opinion; it is sure once a whole period was seen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .spectrum import STEP, Row
from .tone_plans import CED, CNG, SIT_BANDS, SIT_CAUSES, SIT_GENERIC, V21_HIGH, Kind, Tone, shapes

ToneKind = Literal["beep", "ringback", "busy", "sit", "fax"]

LEAKAGE = 9.0
"""Spread in Hz that a pure tone shows through the window."""
CONFIRMED = 6
"""Rows after which a run is a tone and not a moment of speech."""
VOICES_BELOW = 750.0
"""Hz under which a vowel can look like a tone."""
PROGRESS = (330.0, 640.0)
"""Where ringing and busy tones lie, in Hz."""
LONGEST_GAP = 6.5
"""Seconds without tone after which a cadence is forgotten."""
MELODY = 3
MELODY_TIME = 4.0
"""So many different notes within so many seconds are a melody."""
TORN = 0.095
"""A shorter gap in a tone is a lost packet, in seconds."""
LIKELY = 0.8
"""Share of the countries, among those whose tones are still possible, that makes an opinion."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A tone was recognised. `sure` False: it may still turn out as another one. `started`: seconds."""

    kind: ToneKind
    sure: bool
    at: float
    started: float
    text: str
    q850: int | None = None


@dataclass(slots=True)
class Run:
    """One unbroken tone; memory does not grow with it. Moments in seconds."""

    started: float
    rows: int = 0
    centre: float = 0.0
    spread: float = 0.0
    level: float = -96.0
    wander: float = 0.0
    """Variance of the centre, Hz²."""
    ripple: float = 0.0
    """Variance of the level between the edges, dB²."""
    first: list[float] = field(default_factory=list)
    last: deque[float] = field(default_factory=lambda: deque(maxlen=5))
    missed: int = 0
    before: float = 0.0
    """Seconds of the same tone before a lost packet."""
    begun: bool = False
    possible: tuple[Tone, ...] = ()
    told: str = ""

    def add(self, row: Row) -> None:
        if self.rows < 5:
            self.first.append(row.level)
        self.last.append(row.level)
        self.rows += 1
        weight = 1 / min(self.rows, 25)
        off = row.centre - self.centre
        self.centre += off * weight
        self.spread += (row.spread - self.spread) * weight
        if self.rows <= 3:
            # The first windows hold only a part of the tone.
            self.level = max(self.level, row.level)
            return
        self.wander += (off * off - self.wander) * weight
        # Two rows late, so that the tone's end does not count as a swell.
        rise = self.last[-3] - self.level
        self.level += rise * weight
        self.ripple += (rise * rise - self.ripple) * weight

    @property
    def seconds(self) -> float:
        """Length between the half-power points."""
        edge = sum(level < self.level - 4.0 for level in self.first)
        if self.rows > len(self.first):
            tail = list(self.last)[-min(5, self.rows - len(self.first)) :]
            edge += sum(level < self.level - 4.0 for level in tail)
        return self.before + (self.rows - edge) * STEP

    @property
    def tone(self) -> bool:
        """Neither wanders nor swells as voices do. Low vowels are nearly tones: there the measure is strict."""
        if self.rows < CONFIRMED:
            return False
        if self.centre < VOICES_BELOW:
            return self.wander < 9.0 and self.ripple < 25.0
        return self.spread < 45.0 and (self.wander < 9.0 or (self.wander < 400.0 and self.rows >= CONFIRMED + 3))

    @property
    def pure(self) -> bool:
        """One frequency and an even level: a beep. A low-rate codec in noise roughens both."""
        if self.centre < VOICES_BELOW:
            return self.spread < 15.0 and self.wander < 9.0 and self.ripple < 4.0
        return self.spread < 35.0 and self.ripple < 14.0

    def fits(self, row: Row) -> bool:
        if self.centre >= VOICES_BELOW and self.spread < 45.0:
            return abs(row.centre - self.centre) <= 40.0 and row.spread < 60.0
        return abs(row.centre - self.centre) <= max(8.0, 0.35 * self.spread) and abs(row.spread - self.spread) <= 12.0


def matches(run: Run, tone: Tone) -> bool:
    """Whether the run's frequencies are the tone's: exchanges may be off by some Hz."""
    spread = math.hypot(tone.spread, LEAKAGE)
    return abs(run.centre - tone.centre) <= 14.0 and abs(run.spread - spread) <= 4.0 + 0.1 * spread


def follows(tone: Tone, pattern: Sequence[float], truncated: bool) -> bool:
    """Whether on, off, on ... may come from the tone's cadence; the last duration is still growing.

    `truncated`: the first burst may have begun before we listened.
    """
    cadence = tone.cadence
    for offset in range(0, len(cadence), 2):
        for index, seconds in enumerate(pattern):
            expected = cadence[(offset + index) % len(cadence)]
            slack = 0.12 * expected + 0.045
            if seconds > expected + slack:
                break
            growing = index == len(pattern) - 1
            if not growing and seconds < expected - slack and not (truncated and index == 0):
                break
        else:
            return True
    return False


class ToneEar:
    """Rows in, recognised tones out."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._ended: Run | None = None  # the last confirmed run
        self._ended_at = -100.0
        self._pattern: list[float] = []  # finished durations of the cadence: on, off, on, ...
        self._cadence_started = 0.0
        self._truncated = False
        self._told: tuple[str, bool] = ("", False)
        self._beep: Run | None = None  # ended, and waits for quiet after it
        self._sit: list[Run] = []
        self._sit_told = 0
        self._notes: deque[tuple[float, float]] = deque(maxlen=6)  # when, and where, tones ended
        self._fsk = 0
        self._fsk_told = False
        self._gap_from = -100.0  # the end of the last confirmed run, between half-power points

    @property
    def pending(self) -> int:
        """Rows of a run that is not yet long enough to be believed."""
        run = self._run
        return run.rows if run is not None and not run.begun and run.rows < CONFIRMED + 4 else 0

    @property
    def sounding(self) -> bool:
        """A tone is there now."""
        return self._run is not None and self._run.begun

    def resembles(self, row: Row, at: float) -> bool:
        """A piece of the tone that was there before: lost packets tear tones up."""
        last = self._ended
        return (
            last is not None
            and at - self._ended_at < LONGEST_GAP
            and row.share > 0.7
            and abs(row.centre - last.centre) < 15.0
            and abs(row.spread - last.spread) < 25.0
        )

    def notes(self, at: float) -> int:
        """Different notes that ended within the last MELODY_TIME: MELODY of them are one."""
        if not self._notes:
            return 0
        return len({round(centre / 25) for when, centre in self._notes if at - when < MELODY_TIME})

    @property
    def last_tone(self) -> float:
        """When the last confirmed tone was there, in seconds."""
        return self._ended_at

    def forget(self) -> None:
        """The next row is the first of a new listening (the leg was answered); a tone that sounds goes on."""
        self._told = ("", False)
        self._pattern = []
        self._ended = self._beep = None
        self._notes.clear()

    def feed(self, row: Row, at: float, *, spoken: bool, musical: bool) -> Iterator[Heard]:
        """`spoken`: speech was heard shortly before this tone. `musical`: it is part of music."""
        tonal = row.share >= 0.75 and row.level > -54.0 and row.spread <= 90.0
        run = self._run
        if run is not None:
            if tonal and run.fits(row):
                run.rows += run.missed
                run.missed = 0
                run.add(row)
            elif run.missed < self._patience(run, row):
                run.missed += 1
            else:
                self._finish(run, at - STEP * (run.missed + 1))
                run = self._run = None
        if run is None and tonal:
            run = self._run = Run(at)
            run.add(row)
        yield from self._fax_preamble(row, at)
        if run is not None and not run.begun and run.tone:
            run.begun = True
            self._begin(run)
        if run is not None and run.begun:
            self._ended_at = at
            yield from self._sounding(run, at, spoken, musical)
        yield from self._after(at, row, spoken, musical)

    def _patience(self, run: Run, row: Row) -> int:
        """How many rows may differ before the run is over: a lost packet, concealed or not, does not end a tone."""
        concealed = row.share > 0.85 and abs(row.centre - run.centre) <= 10.0 and row.level > run.level - 10.0
        if row.lost or (run.begun and concealed):
            return 6
        return 1 if run.begun else 0

    # --- runs and cadences ------------------------------------------------------------------------------------------

    def _begin(self, run: Run) -> None:
        run.possible = tuple(t for t in shapes() if matches(run, t)) if PROGRESS[0] < run.centre < PROGRESS[1] else ()
        before = self._ended
        gap = run.started - self._gap_from if before is not None else 100.0
        alike = before is not None and abs(before.centre - run.centre) < 12 and abs(before.spread - run.spread) < 10
        if alike and gap < TORN and before is not None and self._pattern:
            run.before = self._pattern.pop() + max(gap, 0.0)
            run.started = before.started
            run.told = before.told
        elif alike and gap < LONGEST_GAP:
            self._pattern.append(gap)
            if len(self._pattern) > 8:
                del self._pattern[:2]
                self._truncated = False
        else:
            self._pattern = []
            self._cadence_started = run.started
            self._truncated = run.started < 0.12
            self._told = ("", False)
        self._beep = None
        if self._sit and run.started - self._gap_from > 0.12:
            self._sit = []
            self._sit_told = 0

    def _finish(self, run: Run, at: float) -> None:
        if not run.begun:
            return
        seconds = run.seconds
        if not run.before:
            # The window sees a tone a little before it is half there, and a little after.
            run.started += sum(level < run.level - 4.0 for level in run.first) * STEP
        self._gap_from = run.started + seconds
        self._ended = run
        self._ended_at = at
        self._pattern.append(seconds)
        if run.pure:
            self._notes.append((at, run.centre))
        self._beep = run
        place = len(self._sit)
        low, high = SIT_BANDS[place] if place < 3 else (0.0, 0.0)
        if low <= run.centre <= high and run.spread < 20 and 0.2 <= seconds <= 0.46:
            self._sit.append(run)
        else:
            self._sit = []
            self._sit_told = 0

    def _tell(self, kind: ToneKind, sure: bool, at: float, started: float, text: str) -> Iterator[Heard]:
        if self._told == (kind, True) or self._told == (kind, sure):
            return
        self._told = (kind, sure)
        yield Heard(kind, sure, at, started, text)

    def _sounding(self, run: Run, at: float, spoken: bool, musical: bool) -> Iterator[Heard]:
        seconds = run.seconds
        yield from self._sit_sounding(run, at)
        if musical or self._sit:
            return
        if abs(run.centre - CED) < 25:
            # A beep may have this frequency too, but is not as long.
            if seconds >= (1.0 if spoken else 0.45):
                yield from self._tell("fax", seconds >= 1.0, at, run.started, f"{run.centre:.0f} Hz, called station")
            return
        alone = not self._pattern and not run.possible and not self.notes(at)
        if run.pure and spoken and seconds >= 0.40 and run.told != "beep" and alone:
            # Straight after speech a long pure tone is a beep, unless it may be a network's.
            run.told = "beep"
            yield Heard("beep", True, at, run.started, f"beep, {run.centre:.0f} Hz")
        if run.rows >= 9 and (not spoken or len(self._pattern) >= 2):
            yield from self._cadence(at, [*self._pattern, seconds], run)

    def _after(self, at: float, row: Row, spoken: bool, musical: bool) -> Iterator[Heard]:
        """What a tone was can be clear only when it has ended."""
        last = self._ended
        if last is None or self.sounding:
            return
        gap = at - self._gap_from - 0.03
        if self._beep is not None and gap >= 0.1:
            if self._run is None and row.level < last.level - 10.0:
                yield from self._ended_tone(self._beep, at, spoken, musical)
                self._beep = None
            elif gap > 0.4:
                self._beep = None
        if last.possible and not musical and gap < LONGEST_GAP and (not spoken or len(self._pattern) >= 3):
            yield from self._cadence(at, [*self._pattern, max(gap, 0.0)], last)

    def _ended_tone(self, run: Run, at: float, spoken: bool, musical: bool) -> Iterator[Heard]:
        seconds = run.seconds
        network = self._told[0] in ("ringback", "busy")
        if not run.pure or musical or run.told == "beep" or self._sit_told or network:
            return
        others = self.notes(at) - 1
        if others >= (2 if spoken else 1):
            return  # a beep comes alone, or as a chime of two
        if not spoken and abs(run.centre - CNG) <= 38 and 0.38 <= seconds <= 0.65:
            repeated = len(self._pattern) >= 3 and abs(self._pattern[-2] - 3.0) < 0.4
            yield from self._tell("fax", repeated, at, run.started, f"{run.centre:.0f} Hz, calling tone")
        elif run.possible and not spoken:
            return
        elif 0.12 <= seconds < 1.3 and 350 < run.centre < 2600 and len(self._pattern) <= (3 if spoken else 1):
            run.told = "beep"
            yield Heard("beep", spoken, at, run.started, f"beep, {run.centre:.0f} Hz for {seconds:.2f} s")

    def _cadence(self, at: float, pattern: list[float], run: Run) -> Iterator[Heard]:
        possible = [tone for tone in run.possible if follows(tone, pattern, self._truncated)]
        if run.ripple > 8.0 and not any(tone.modulation for tone in possible):
            return  # struck strings fade; exchanges do not
        if not possible:
            if len(pattern) >= 4:
                yield from self._unlisted(at, pattern, run)
            return
        ringing = sum(tone.countries for tone in possible if tone.kind == "ringback") / sum(
            tone.countries for tone in possible
        )
        if 1 - LIKELY < ringing < LIKELY:
            return
        kind: Kind = "ringback" if ringing > 0.5 else "busy"
        certain = ringing in (0.0, 1.0)
        if kind == "busy":
            sure = certain and (len(pattern) >= 4 or (len(pattern) == 3 and pattern[2] >= 0.8 * pattern[0]))
            # One burst alone might be anything; two edges of a listed cadence are an opinion.
            if len(pattern) == 1 and pattern[0] < 0.18:
                return
        else:
            off = pattern[1] if len(pattern) > 1 else 0.0
            sure = certain and (off >= 0.9 or len(pattern) >= 4 or pattern[0] >= 1.3)
        text = f"{'+'.join(f'{f:g}' for f in possible[0].frequencies)} Hz, {kind}"
        yield from self._tell(kind, sure, at, self._cadence_started, text)

    def _unlisted(self, at: float, pattern: list[float], run: Run) -> Iterator[Heard]:
        """A regular cadence that no plan lists."""
        on, off, again = pattern[-4:-1] if len(pattern) % 2 == 0 else pattern[-3:]
        inside = PROGRESS[0] - 30 < run.centre < PROGRESS[1] + 30
        if not inside or not run.pure or len(pattern) < 6 or off < 0.12 or abs(on - again) > 0.15 * on + 0.04:
            return
        text = f"{run.centre:.0f} Hz, {on:.2f} s on, {off:.2f} s off"
        if on <= 0.8 and off <= 0.8:
            yield from self._tell("busy", True, at, self._cadence_started, text)
        elif on >= 0.8 and off >= 1.5:
            yield from self._tell("ringback", True, at, self._cadence_started, text)

    # --- special information tones, fax -----------------------------------------------------------------------------

    def _sit_sounding(self, run: Run, at: float) -> Iterator[Heard]:
        place = len(self._sit)
        if not 1 <= place <= 2 or self._sit_told >= place:
            return
        low, high = SIT_BANDS[place]
        if not low <= run.centre <= high or run.spread > 20:
            return
        self._sit_told = place
        started = self._sit[0].started
        if place == 1:
            yield Heard("sit", False, at, started, "two of the special information tones")
        else:
            cause, meaning = _sit_cause(*self._sit)
            yield Heard("sit", True, at, started, meaning, cause)

    def _fax_preamble(self, row: Row, at: float) -> Iterator[Heard]:
        low, high = V21_HIGH
        inside = row.share > 0.85 and low - 60 < row.centre < high + 60 and row.spread > 25 and row.level > -50
        self._fsk = self._fsk + 1 if inside else max(0, self._fsk - 3)
        if self._fsk >= 25 and not self._fsk_told:
            self._fsk_told = True
            yield Heard("fax", True, at, at - 25 * STEP, "V.21 preamble")


def _sit_cause(first: Run, second: Run) -> tuple[int, str]:
    long = 0.327
    if abs(first.centre - 950) < 17 and abs(second.centre - 1400) < 14:
        return SIT_GENERIC
    key = (first.centre > 950, first.seconds > long, second.centre > 1400, second.seconds > long)
    return SIT_CAUSES.get(key, SIT_GENERIC)
