"""``cordboard trace``: the SIP messages of a recorded call, as a ladder, as JSON or as a capture file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Literal

from sqlalchemy import make_url

from cordboard.records import ladder, pcap
from cordboard.records.database import normalise
from cordboard.records.models import CallRecord, SipMessage
from cordboard.records.store import RecordStore

Form = Literal["ladder", "json", "pcap"]

_PAGE = 1000


class UnknownCallError(LookupError):
    """No call of that id is recorded."""


@dataclass(frozen=True, slots=True)
class CallTrace:
    """One call and its messages, secrets masked, in the order in which they crossed the wire."""

    call: CallRecord
    messages: tuple[SipMessage, ...]


async def read_trace(url: str, call_id: str) -> CallTrace:
    """The trace of a call by its id, or by the id under which it was prepared.

    Raises UnknownCallError, also where there is no database yet, which is not made by looking.
    """
    missing = _missing_file(url)
    if missing:
        raise UnknownCallError(f"{call_id}: there is no such call; no record is kept at {missing} yet")
    store = await RecordStore.open(url)
    try:
        found = await store.get_call(call_id)
        if found is None:
            raise UnknownCallError(f"{call_id}: there is no such call")
        messages: list[SipMessage] = []
        while True:
            after = messages[-1].seq if messages else 0
            page = await store.sip_messages(found.call.call_id, after=after, limit=_PAGE)
            messages += page
            if len(page) < _PAGE:
                return CallTrace(found.call, tuple(messages))
    finally:
        await store.aclose()


def _missing_file(url: str) -> str | None:
    parsed = make_url(normalise(url))
    file = parsed.database if parsed.get_backend_name() == "sqlite" else None
    return file if file and file != ":memory:" and not Path(file).exists() else None


def written(trace: CallTrace, form: Form) -> bytes:
    """The trace as the bytes of a file."""
    if form == "ladder":
        return ladder.render(trace.messages, truncated=trace.call.sip_truncated).encode()
    if form == "json":
        return (json.dumps(_object(trace), indent=2) + "\n").encode()
    file = BytesIO()
    pcap.write(trace.messages, file)
    return file.getvalue()


def _object(trace: CallTrace) -> dict[str, object]:
    return {
        "call_id": trace.call.call_id,
        "sip_call_id": trace.call.sip_call_id,
        "truncated": trace.call.sip_truncated,
        "incomplete": trace.call.incomplete,
        "messages": _messages(trace.messages),
    }


def _messages(messages: Sequence[SipMessage]) -> list[dict[str, object]]:
    return [
        {
            "seq": message.seq,
            "time": datetime.fromtimestamp(message.at, UTC).isoformat(timespec="microseconds"),
            "direction": message.direction,
            "transport": message.transport,
            "source": message.source,
            "destination": message.destination,
            "leg": message.session,
            "text": message.data.decode("utf-8", "replace"),
        }
        for message in messages
    ]
