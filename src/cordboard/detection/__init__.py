"""Who answered: a person, a machine, or nobody."""

from .capture import Capture
from .detector import Detector, Parameters
from .files import FileResult, Report, detect_file, detect_files
from .screening import GRAMMAR as SCREENING_GRAMMAR
from .screening import UTTERANCE_LIMIT, Answer, Answered, Screening, answer_of
from .verdicts import Event, Label, Revoked, Verdict

__all__ = [
    "SCREENING_GRAMMAR",
    "UTTERANCE_LIMIT",
    "Answer",
    "Answered",
    "Capture",
    "Detector",
    "Event",
    "FileResult",
    "Label",
    "Parameters",
    "Report",
    "Revoked",
    "Screening",
    "Verdict",
    "answer_of",
    "detect_file",
    "detect_files",
]
