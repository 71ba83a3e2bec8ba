from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.job import LONGEST_RETRY, MAX_ATTEMPTS, GiveUp, Retry, after_failure

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def delays() -> list[timedelta]:
    """How long the retries wait, one after the other, until the job is given up."""
    found: list[timedelta] = []
    while isinstance(following := after_failure(len(found) + 1, NOW), Retry):
        found.append(following.not_before - NOW)
    return found


def test_a_job_is_tried_eight_times_after_twice_the_last_delay() -> None:
    assert [delay.total_seconds() for delay in delays()] == [2, 4, 8, 16, 32, 64, 128]
    assert len(delays()) == MAX_ATTEMPTS - 1


def test_retries_wait_ever_longer_but_never_longer_than_ten_minutes() -> None:
    assert all(earlier < later <= LONGEST_RETRY for earlier, later in pairwise(delays()))


@given(st.integers(MAX_ATTEMPTS, 10**6))
def test_after_its_last_attempt_a_job_is_given_up_for_good(attempts: int) -> None:
    assert after_failure(attempts, NOW) == GiveUp()
