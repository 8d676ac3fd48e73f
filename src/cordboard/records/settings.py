"""The limits of this room, as plain values that the composition root fills from the settings table."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_DATABASE = "sqlite+aiosqlite:///var/cordboard.db"


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """Times in seconds, sizes in bytes."""

    node_id: str = "node-1"
    flush: float = 0.1
    """At most so much of a record is lost when the process is killed."""
    queue_limit: int = 20_000
    """Rows that may wait for the database."""
    queue_bytes: int = 32 * 1024 * 1024
    """Bytes of SIP trace that may wait for the database."""
    batch_rows: int = 500
    """Rows of one kind in one transaction."""
    sip_bytes_per_call: int = 256 * 1024
    events_per_call: int = 10_000
    lines_per_call: int = 5_000
    actions_per_call: int = 500
    warnings_per_call: int = 100
    known_calls: int = 10_000
    """Calls, live and just ended, that the writer keeps count of."""
    retry_first: float = 0.05
    retry_last: float = 5.0
    busy_timeout: float = 1.0
    """How long SQLite waits for another writer before an attempt counts as failed."""
    write_timeout: float = 30.0
    """How long one transaction may take before it counts as failed."""
    drain: float = 5.0
    """How long closing waits for the database."""
    heartbeat: float = 5.0
    heartbeat_lost: float = 30.0
    """A node that has not been heard of for so long has lost its calls."""
    sweep: float = 60.0
    """How often expired prepared calls and lost nodes are looked for."""
    prepared_lifetime: float = 900.0
    prepared_limit: int = 100_000
    prepared_kept: float = 3600.0
    """An expired prepared call is remembered for so long, so that the record can say `expired` and not `unknown`."""
    masked_headers: tuple[str, ...] = ()
    """Further SIP header names whose values are masked in traces."""
