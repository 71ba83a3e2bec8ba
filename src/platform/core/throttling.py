"""Throttling: how long a login must wait after failures, and how fast a token bucket refills."""

from datetime import timedelta

import msgspec

FREE_FAILURES = 5
FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=15)


class Limit(msgspec.Struct, frozen=True):
    """A token bucket: requests per second in the long run, and how many at once."""

    per_second: float
    burst: int


class Verdict(msgspec.Struct, frozen=True):
    """Whether a request may go on, and what the RateLimit header fields say."""

    is_allowed: bool
    limit: int
    remaining: int
    retry_after: int


def login_delay(failures: int) -> timedelta:
    """How long an account or address waits after its n-th failure in a row: nothing, then ever longer."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    doublings = min(failures - FREE_FAILURES, 20)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def refilled(tokens: float, limit: Limit, elapsed_seconds: float) -> float:
    """The tokens in a bucket some time later."""
    return min(float(limit.burst), tokens + max(0.0, elapsed_seconds) * limit.per_second)
