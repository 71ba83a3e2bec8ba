from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.throttling import (
    LONGEST_DELAY,
    Bucket,
    Failures,
    Limit,
    Patience,
    delay_after,
    failed_once_more,
    judged,
    one_taken_back,
    withdrawn,
)

PATIENCE = Patience(4, timedelta(minutes=15))
HALF_AN_HOUR = timedelta(minutes=30).total_seconds()


def test_the_wait_doubles_after_the_free_failures_and_ends_at_a_quarter_of_an_hour() -> None:
    seconds = [delay_after(failures, free=4).total_seconds() for failures in range(17)]
    assert seconds == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


@given(st.integers(0, 60), st.integers(0, 10**6))
def test_the_table_of_delays_says_the_same_as_the_rule(free: int, failures: int) -> None:
    delays = [0.0, *Patience(free, timedelta(minutes=1)).delays()]
    place = min(max(0, failures - free), len(delays) - 1)
    assert delays[place] == delay_after(failures, free=free).total_seconds()


@given(st.lists(st.floats(0, 10_000), max_size=60))
def test_nobody_ever_waits_longer_than_the_longest_delay(pauses: list[float]) -> None:
    failures, now = Failures(), 0.0
    for pause in pauses:
        now += pause
        failures = failed_once_more(failures, PATIENCE, now)
        assert failures.until <= now + LONGEST_DELAY.total_seconds()


def test_failures_are_forgiven_one_by_one() -> None:
    failures = Failures()
    for _ in range(4):
        failures = failed_once_more(failures, PATIENCE, 0)
    later = failed_once_more(failures, PATIENCE, HALF_AN_HOUR)
    assert later.count == 4 - 2 + 1
    assert later.until <= HALF_AN_HOUR


def test_what_is_taken_back_was_never_there() -> None:
    failures = failed_once_more(Failures(3, 0, 0), PATIENCE, 0)
    assert one_taken_back(failures).count == 3
    assert one_taken_back(Failures()).count == 0


@given(
    st.floats(0.1, 1_000),
    st.integers(1, 1_000),
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 50)), min_size=1, max_size=50),
)
def test_a_bucket_never_gives_more_than_its_burst_and_what_has_flowed_in(
    per_second: float, burst: int, draws: list[tuple[float, int]]
) -> None:
    limit, bucket, now, given_out = Limit(per_second, burst), Bucket(burst, 0), 0.0, 0
    for pause, wanted in draws:
        now += pause
        bucket, granted = withdrawn(bucket, limit, now, at_most=wanted)
        assert 0 <= granted <= wanted
        given_out += granted
    assert given_out <= burst + now * per_second + 1e-6


def test_a_clock_that_goes_back_gives_no_tokens() -> None:
    limit = Limit(10, 10)
    bucket, _ = withdrawn(Bucket(10, 100), limit, 100, at_most=10)
    bucket, granted = withdrawn(bucket, limit, 50, at_most=10)
    assert granted == 0
    assert bucket == Bucket(0, 100)


def test_a_verdict_tells_what_is_left_and_when_there_is_more() -> None:
    limit = Limit(per_second=2, burst=10)
    allowed = judged("tenant", limit, is_allowed=True, tokens=4.5)
    assert (allowed.quota, allowed.window, allowed.remaining, allowed.reset) == (10, 5, 4, 3)
    refused = judged("tenant", limit, is_allowed=False, tokens=0.25)
    assert (refused.remaining, refused.reset) == (0, 1)
