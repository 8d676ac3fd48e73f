"""From the name of a recording to its file, and never to any other file."""

from __future__ import annotations

from pathlib import Path

from cordboard.records.models import CallRecord


def find_recording(call: CallRecord, name: str, folder: Path) -> Path | None:
    """The file of the recording `name` of `call` inside `folder`; ``None`` where there is none."""
    for recording in call.recordings:
        if recording.name == name:
            root = folder.resolve()
            path = (root / recording.path).resolve()
            return path if path.is_relative_to(root) and path.is_file() else None
    return None
