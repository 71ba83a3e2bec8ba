from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import PlatformError, SecondFactorMissing, SecondFactorRequired, SecondFactorWrong
from core.second_factor import (
    STEP_SECONDS,
    Showing,
    is_stepped_up,
    normalised_code,
    readable_code,
    refusal_of,
    steps_around,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CODES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=24, max_size=24)


def test_the_steps_around_an_instant_are_its_own_and_one_on_either_side() -> None:
    assert list(steps_around(datetime.fromtimestamp(59, UTC))) == [0, 1, 2]
    assert list(steps_around(datetime.fromtimestamp(60, UTC))) == [1, 2, 3]


@given(st.integers(0, 4_000_000_000))
def test_a_code_is_taken_for_at_least_half_a_minute_after_its_own_and_never_after_a_minute(
    second: int,
) -> None:
    own = second // STEP_SECONDS
    assert own in steps_around(datetime.fromtimestamp(second + STEP_SECONDS, UTC))
    assert own not in steps_around(datetime.fromtimestamp(second + 2 * STEP_SECONDS, UTC))


@given(CODES)
def test_a_recovery_code_is_read_as_it_was_shown(code: str) -> None:
    assert normalised_code(f" {readable_code(code)} ") == code


def test_a_shown_factor_counts_for_the_given_minutes() -> None:
    shown_at = int(NOW.timestamp())
    assert is_stepped_up(shown_at, NOW + timedelta(minutes=10), minutes=10)
    assert not is_stepped_up(shown_at, NOW + timedelta(minutes=10, seconds=1), minutes=10)
    assert not is_stepped_up(None, NOW, minutes=10)


@pytest.mark.parametrize(
    ("showing", "refusal"),
    [
        (Showing.NOT_NEEDED, SecondFactorMissing),
        (Showing.MISSING, SecondFactorRequired),
        (Showing.WRONG, SecondFactorWrong),
    ],
)
def test_what_was_not_shown_is_refused_by_its_kind(showing: Showing, refusal: type[PlatformError]) -> None:
    assert not showing.is_good
    assert isinstance(refusal_of(showing), refusal)
