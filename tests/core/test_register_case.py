from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CaseStepRefused
from core.register_case import STEPS, CaseKind, CaseState, CaseStep, due_of, month_later, next_case_state


@pytest.mark.parametrize(
    ("day", "months", "last"),
    [
        (date(2026, 1, 14), 1, date(2026, 2, 16)),  # the 14th of February is a Saturday
        (date(2026, 1, 31), 1, date(2026, 3, 2)),  # there is no 31st, and the 28th is a Saturday
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 11, 25), 1, date(2026, 12, 25)),  # a holiday, which is not known here
        (date(2026, 11, 25), 3, date(2027, 2, 25)),
        (date(2026, 12, 1), 1, date(2027, 1, 1)),
    ],
)
def test_a_month_ends_as_regulation_1182_71_says(day: date, months: int, last: date) -> None:
    assert month_later(day, months) == last


@given(st.dates(date(2020, 1, 1), date(2090, 1, 1)), st.sampled_from([1, 3]))
def test_a_period_ends_on_a_working_day_within_three_days_of_the_month(day: date, months: int) -> None:
    last = month_later(day, months)
    assert last.weekday() < 5
    assert timedelta(days=28 * months) <= last - day <= timedelta(days=31 * months + 3)


def test_a_breach_is_due_after_72_hours_and_a_request_at_the_end_of_its_last_day() -> None:
    began = datetime(2026, 11, 25, 17, 30, tzinfo=UTC)
    assert due_of(CaseKind.BREACH, began, CaseState.OPEN) == datetime(2026, 11, 28, 17, 30, tzinfo=UTC)
    assert due_of(CaseKind.REQUEST, began, CaseState.OPEN) == datetime(2026, 12, 26, tzinfo=UTC)
    assert due_of(CaseKind.REQUEST, began, CaseState.EXTENDED) == datetime(2027, 2, 26, tzinfo=UTC)


@given(st.sampled_from(CaseKind), st.sampled_from(CaseState), st.sampled_from(CaseStep))
def test_only_the_steps_of_the_table_are_taken(kind: CaseKind, state: CaseState, step: CaseStep) -> None:
    if (kind, state, step) in STEPS:
        assert next_case_state(kind, state, step) is STEPS[kind, state, step]
    else:
        with pytest.raises(CaseStepRefused):
            next_case_state(kind, state, step)
