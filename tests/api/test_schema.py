"""The checker that the shape tests lean on refuses what it must."""

from __future__ import annotations

from .schema import COMPONENTS, envelope, faults


def test_wrong_answers_are_found() -> None:
    call = {
        "call_id": "c", "model_id": "m", "status": "done", "call_status": "completed", "start_time": 5,
        "duration": True, "executed_actions": {"a": {"name": "a", "action_type": "t", "return_value": 7}},
    }  # fmt: skip
    page = {"status": "ok", "response": {"pagination": {"total_records": 1, "limit": 1}, "calls": [call]}}
    found = " ".join(faults(page, envelope("Call"), COMPONENTS))
    for part in (
        "pagination: lacks offset",
        ".status: 'done'",
        ".start_time: int",
        ".duration: bool",
        "return_value: fits",
    ):
        assert part in found
