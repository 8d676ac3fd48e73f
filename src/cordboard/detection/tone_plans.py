"""The world's tone plans as data: ringing, busy and congestion tones, special information tones, fax tones.

Facts of ITU-T E.180/Q.35 and its supplement 2 (various tones used in national networks), and of national
documents where those are newer. Frequencies in Hz, durations in seconds: on, off, on, off, ...
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

Kind = Literal["ringback", "busy"]


@dataclass(frozen=True)
class Tone:
    """One tone of one country. `modulation` is the frequency in Hz by which a single carrier is modulated."""

    country: str
    kind: Kind
    frequencies: tuple[float, ...]
    cadence: tuple[float, ...]
    modulation: float = 0.0
    countries: int = 1
    """How many countries of the table have this very tone."""

    @cached_property
    def centre(self) -> float:
        """Where the power is: the mean of equal components."""
        return sum(self.frequencies) / len(self.frequencies)

    @cached_property
    def spread(self) -> float:
        """The standard deviation of the power around `centre`, in Hz."""
        if self.modulation:
            # 90 % modulation: each side band has 0.2 of the carrier's power.
            return self.modulation * math.sqrt(0.4 / 1.4)
        return math.sqrt(sum((f - self.centre) ** 2 for f in self.frequencies) / len(self.frequencies))


def _plan(
    country: str,
    ring: str,
    busy: str,
    congestion: str = "",
) -> tuple[Tone, ...]:
    """`ring`, `busy`, `congestion`: ``440+480 2 4``, ``400*25 0.4 0.2 0.4 2`` (``*``: modulated by)."""
    found = []
    for kind, text in (("ringback", ring), ("busy", busy), ("busy", congestion)):
        for part in filter(None, text.split(",")):
            tone, *cadence = part.split()
            carrier, _, modulation = tone.partition("*")
            found.append(
                Tone(
                    country,
                    "ringback" if kind == "ringback" else "busy",
                    tuple(float(f) for f in carrier.split("+")),
                    tuple(float(seconds) for seconds in cadence),
                    float(modulation or 0),
                )
            )
    return tuple(found)


# ISO 3166 code; ringing tone; busy tone; congestion (reorder) tone. A comma separates variants.
PLANS: dict[str, tuple[Tone, ...]] = {
    tones[0].country: tones
    for tones in (
        _plan("ar", "425 1 4", "425 0.3 0.2", "425 0.3 0.4"),
        _plan("at", "420 1 5", "420 0.4 0.4", "420 0.2 0.2"),
        _plan("au", "413+438 0.4 0.2 0.4 2,400+450 0.4 0.2 0.4 2", "425 0.375 0.375", "420 0.375 0.375"),
        _plan("be", "425 1 3", "425 0.5 0.5", "425 0.167 0.167"),
        _plan("bg", "425 1 4", "425 0.5 0.5", "425 0.25 0.25"),
        _plan("br", "425 1 4", "425 0.25 0.25", "425 0.25 0.25 0.75 0.25"),
        _plan("ca", "440+480 2 4", "480+620 0.5 0.5", "480+620 0.25 0.25"),
        _plan("ch", "425 1 4", "425 0.5 0.5", "425 0.2 0.2"),
        _plan("cl", "400 1 3", "400 0.5 0.5", "400 0.2 0.2"),
        _plan("cn", "450 1 4", "450 0.35 0.35", "450 0.7 0.7"),
        _plan("co", "425 1 4", "425 0.25 0.25", "425 0.125 0.125"),
        _plan("cz", "425 1 4", "425 0.33 0.33", "425 0.165 0.165"),
        _plan("de", "425 1 4", "425 0.48 0.48", "425 0.24 0.24"),
        _plan("dk", "425 1 4", "425 0.5 0.5", "425 0.2 0.2"),
        _plan("ee", "425 1 4", "425 0.3 0.3", "425 0.2 0.2"),
        _plan("eg", "425*50 2 1", "450 0.5 0.5"),
        _plan("es", "425 1.5 3", "425 0.2 0.2", "425 0.2 0.2 0.2 0.2 0.2 0.6"),
        _plan("fi", "425 1 4", "425 0.3 0.3", "425 0.2 0.2"),
        _plan("fr", "440 1.5 3.5", "440 0.5 0.5", "440 0.25 0.25"),
        _plan("gb", "400+450 0.4 0.2 0.4 2", "400 0.375 0.375", "400 0.4 0.35 0.225 0.525"),
        _plan("gr", "425 1 4", "425 0.3 0.3", "425 0.2 0.2"),
        _plan("hk", "440+480 0.4 0.2 0.4 3", "480+620 0.5 0.5", "480+620 0.25 0.25"),
        _plan("hr", "425 1 4", "425 0.5 0.5", "425 0.25 0.25"),
        _plan("hu", "425 1.25 3.75", "425 0.3 0.3"),
        _plan("id", "425 1 4", "425 0.5 0.5", "425 0.25 0.25"),
        _plan("ie", "400+450 0.4 0.2 0.4 2", "425 0.5 0.5", "425 0.25 0.25"),
        _plan("il", "414 1 3,400 1 3", "414 0.5 0.5,400 0.5 0.5", "414 0.25 0.25"),
        _plan("in", "400*25 0.4 0.2 0.4 2", "400 0.75 0.75", "400 0.25 0.25"),
        _plan("is", "425 1.2 4.7", "425 0.25 0.25"),
        _plan("it", "425 1 4", "425 0.5 0.5", "425 0.2 0.2"),
        _plan("jp", "400*16 1 2", "400 0.5 0.5"),
        _plan("kr", "440+480 1 2", "480+620 0.5 0.5", "480+620 0.3 0.2"),
        _plan("lt", "425 1 4", "425 0.35 0.35", "425 0.2 0.2"),
        _plan("lv", "425 1 4", "425 0.3 0.3", "425 0.2 0.2"),
        _plan("mx", "425 1 4", "425 0.25 0.25"),
        _plan("my", "425 0.4 0.2 0.4 2", "425 0.5 0.5", "425 0.25 0.25"),
        _plan("nl", "425 1 4", "425 0.5 0.5", "425 0.25 0.25"),
        _plan("no", "425 1 4", "425 0.5 0.5", "425 0.2 0.2"),
        _plan("nz", "400+450 0.4 0.2 0.4 2", "400 0.5 0.5", "400 0.25 0.25"),
        _plan("ph", "425+480 1 4", "480+620 0.5 0.5", "480+620 0.25 0.25"),
        _plan("pl", "425 1 4", "425 0.5 0.5"),
        _plan("pt", "425 1 5", "425 0.5 0.5", "425 0.2 0.2"),
        _plan("ro", "425 1.85 4.15", "425 0.167 0.167"),
        _plan("ru", "425 1 4", "425 0.35 0.35", "425 0.175 0.175"),
        _plan("se", "425 1 5", "425 0.25 0.25", "425 0.25 0.75"),
        _plan("sg", "425*24 0.4 0.2 0.4 2", "425 0.75 0.75", "425 0.25 0.25"),
        _plan("si", "425 1 4", "425 0.5 0.5", "425 0.2 0.2"),
        _plan("sk", "425 1 4", "425 0.33 0.33", "425 0.165 0.165"),
        _plan("th", "420 1 5,400 1 4", "400 0.5 0.5", "400 0.3 0.3"),
        _plan("tr", "450 2 4", "450 0.5 0.5", "450 0.2 0.2 0.2 0.2 0.2 0.2 0.6 0.2"),
        _plan("tw", "440+480 1 2", "480+620 0.5 0.5", "480+620 0.25 0.25"),
        _plan("ua", "425 1 4", "425 0.35 0.35", "425 0.175 0.175"),
        _plan("us", "440+480 2 4", "480+620 0.5 0.5", "480+620 0.25 0.25"),
        _plan("ve", "425 1 4", "425 0.5 0.5", "425 0.25 0.25"),
        _plan("vn", "425 1 4", "425 0.5 0.5", "425 0.25 0.25"),
        _plan("za", "400*33 0.4 0.2 0.4 2,383+417 0.4 0.2 0.4 2", "400 0.5 0.5", "400 0.25 0.25"),
    )
}


@lru_cache(maxsize=1)
def shapes() -> tuple[Tone, ...]:
    """Every different tone of the table once (the country is the first that has it)."""
    found: dict[tuple[object, ...], Tone] = {}
    count: Counter[tuple[object, ...]] = Counter()
    for tones in PLANS.values():
        for tone in tones:
            key = (tone.kind, tone.frequencies, tone.cadence, tone.modulation)
            found.setdefault(key, tone)
            count[key] += 1
    return tuple(replace(tone, countries=count[key]) for key, tone in found.items())


# --- special information tones --------------------------------------------------------------------------------------

SIT_BANDS = ((880.0, 1020.0), (1320.0, 1480.0), (1730.0, 1870.0))
"""Where the three tones may lie: 950, 1400, 1800 Hz, each ± 50 (E.180 §7), and the North American variants."""

SIT_SHORT = 0.274
SIT_LONG = 0.380

# North American segment encoding (Telcordia GR-1162; the meaning of each combination as Q.850 cause):
# (first is 985.2 not 913.8, first is long, second is 1428.5 not 1370.6, second is long) -> cause, meaning
SIT_CAUSES: dict[tuple[bool, bool, bool, bool], tuple[int, str]] = {
    (False, False, False, False): (22, "intercept: number changed"),
    (True, True, False, False): (1, "vacant code: unallocated number"),
    (False, False, True, True): (42, "reorder: switching equipment congestion"),
    (True, False, False, True): (42, "reorder, other carrier: switching equipment congestion"),
    (True, True, True, True): (34, "no circuit available"),
    (False, True, False, True): (34, "no circuit available, other carrier"),
    (False, True, True, False): (31, "ineffective other"),
}
SIT_GENERIC = (4, "special information tone")
"""Q.850 cause 4: send special information tone. For 950, 1400, 1800 Hz, which name no cause."""

# --- fax and modem --------------------------------------------------------------------------------------------------

CNG = 1100.0
"""Calling tone (T.30 §4.3.3): 0.5 s every 3.5 s, ± 38 Hz."""
CED = 2100.0
"""Called station identification (T.30 §4.3.2), ANS and ANSam (V.8 §3.3): at least 2.6 s, ± 15 Hz."""
V21_HIGH = (1650.0, 1850.0)
"""V.21 channel 2, the preamble of T.30."""
