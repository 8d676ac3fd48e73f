"""Who answered: a person, a machine, or nobody."""

from .detector import Detector, Parameters
from .verdicts import Event, Label, Revoked, Verdict

__all__ = ["Detector", "Event", "Label", "Parameters", "Revoked", "Verdict"]
