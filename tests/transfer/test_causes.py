"""The one table: every row, its precedence, and that the page generated from it is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordboard.transfer import causes
from cordboard.transfer.events import Label, LegFailed, LocalCause, ReferNotified, ScreeningAnswer
from cordboard.transfer.outcome import Outcome, Reason

from .support import WARM, Bench
from .test_cold import sent

TIMEOUT = "transfer-failed-timeout"
ERROR = "transfer-failed-connection-error"

# The design's own list, written down a second time on purpose.
STATUS = {
    408: (TIMEOUT, "no_answer"),
    480: (TIMEOUT, "no_answer"),
    486: (ERROR, "busy"),
    600: (ERROR, "busy"),
    603: (ERROR, "rejected_by_destination"),
    607: (ERROR, "rejected_by_destination"),
    608: (ERROR, "rejected_by_destination"),
    404: (ERROR, "number_not_found"),
    410: (ERROR, "number_not_found"),
    604: (ERROR, "number_not_found"),
    484: (ERROR, "number_incomplete"),
    482: (ERROR, "routing_loop"),
    483: (ERROR, "routing_loop"),
    488: (ERROR, "media_negotiation_failed"),
    606: (ERROR, "media_negotiation_failed"),
    415: (ERROR, "media_negotiation_failed"),
    500: (ERROR, "carrier_unavailable"),
    501: (ERROR, "carrier_unavailable"),
    502: (ERROR, "carrier_unavailable"),
    503: (ERROR, "carrier_unavailable"),
    504: (ERROR, "carrier_unavailable"),
    302: (ERROR, "destination_unavailable"),
    499: (ERROR, "destination_unavailable"),
    699: (ERROR, "rejected_by_destination"),
}


@pytest.mark.parametrize(("status", "ended"), STATUS.items())
def test_status_list_of_the_design_warm_and_cold(status: int, ended: tuple[str, str]) -> None:
    assert Bench(WARM).post(LegFailed(leg=0, status=status)).ended == ended
    assert sent().post(ReferNotified(status=status, final=True)).ended == ended


@pytest.mark.parametrize("status", causes.SIP_STATUS)
def test_every_status_row_decides_an_attempt(status: int) -> None:
    row = causes.SIP_STATUS[status]
    assert Bench(WARM).post(LegFailed(leg=0, status=status)).ended == (row.outcome.value, row.reason.value)
    assert row.source
    assert row.outcome in (Outcome.TIMEOUT, Outcome.CONNECTION_ERROR)


@pytest.mark.parametrize("cause", causes.Q850)
def test_every_q850_row_outranks_the_status(cause: int) -> None:
    row = causes.Q850[cause]
    assert row.source == f"Q.850 cause {cause}"
    bench = Bench(WARM).post(LegFailed(leg=0, status=480, q850=cause))
    assert bench.ended == (row.outcome.value, row.reason.value)


@pytest.mark.parametrize("cause", [16, 31, 127])
def test_a_cause_that_says_nothing_leaves_the_word_to_the_status(cause: int) -> None:
    assert causes.from_failure(486, cause, None).reason is Reason.BUSY


@pytest.mark.parametrize(("cause", "ended"), [(17, (ERROR, "busy")), (18, (TIMEOUT, "no_answer"))])
def test_q850_causes_of_the_design(cause: int, ended: tuple[str, str]) -> None:
    assert Bench(WARM).post(LegFailed(leg=0, status=500, q850=cause)).ended == ended


@pytest.mark.parametrize("local", LocalCause)
def test_every_local_cause_has_a_row_and_outranks_the_wire(local: LocalCause) -> None:
    row = causes.LOCAL[local]
    bench = Bench(WARM).post(LegFailed(leg=0, status=486, q850=17, local=local))
    assert bench.ended == (row.outcome.value, row.reason.value)


@pytest.mark.parametrize("status", [*causes.REFER_STATUS, 400, 403, 481, 500, 603])
def test_refer_refusals(status: int) -> None:
    row = causes.from_refer_refusal(status, None, False)
    assert row.outcome is Outcome.CONNECTION_ERROR
    assert row.reason is causes.REFER_STATUS.get(status, causes.REFER_REJECTED).reason


def test_every_label_and_answer_has_its_row() -> None:
    assert set(causes.DETECTION_TIMEOUT) == {None, *Label}
    assert set(causes.SCREENING) == set(ScreeningAnswer)
    assert causes.from_verdict(Label.SIT, 34).reason is Reason.CARRIER_UNAVAILABLE
    assert causes.from_verdict(Label.SIT, None).reason is Reason.DESTINATION_UNAVAILABLE


def test_lesson_35_every_reason_can_be_reached_and_is_of_the_list() -> None:
    tables = (
        *causes.SIP_STATUS.values(),
        *causes.SIP_CLASS.values(),
        *causes.Q850.values(),
        *causes.REFER_STATUS.values(),
        *causes.LOCAL.values(),
        *causes.DETECTION.values(),
        *causes.DETECTION_TIMEOUT.values(),
        *causes.SCREENING.values(),
        causes.REFER_REJECTED,
        causes.REFER_NO_REPORT,
        causes.CALLER_HUNG_UP,
        causes.CANCELLED_BY_OPERATOR,
        causes.SHUTDOWN,
        causes.BRIDGED,
    )
    assert {row.reason for row in tables} == set(Reason)
    assert {row.outcome for row in tables} == set(Outcome)


def test_the_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "outcomes.md"
    assert page.read_text(encoding="utf-8") == causes.outcomes_markdown()
