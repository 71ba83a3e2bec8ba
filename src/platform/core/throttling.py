"""Throttling: how long a caller waits after failures in a row, and how many requests a token bucket gives.

Two rules, both pure. **Patience** is for attempts at something secret: some failures are free, then each one
doubles the wait, which never exceeds a quarter of an hour, and failures are forgiven one by one. **A bucket**
is for ordinary requests: it holds `burst` tokens and gets `per_second` new ones. `shell.throttle` runs the
same rules inside Redis, for all processes at once.
"""

import math
import re
from collections.abc import Iterable
from datetime import timedelta

import msgspec

FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=15)

TIER = re.compile(r"(?P<name>[a-z][a-z0-9-]{0,39})=(?P<rate>[1-9][0-9]{0,6})/(?P<burst>[1-9][0-9]{0,7})")

ALMOST = 1e-6
"""A failure counts until all of it is forgiven, but not for an error of rounding."""

LARGEST_PORTION = 100
"""How many tokens a process takes from the common bucket at a time."""


class Limit(msgspec.Struct, frozen=True):
    """A token bucket: requests per second in the long run, and how many at once."""

    per_second: float
    burst: int

    @property
    def window(self) -> int:
        """The seconds in which an empty bucket fills up."""
        return math.ceil(self.burst / self.per_second)

    @property
    def portion(self) -> int:
        """How many tokens a process may take at once: few of a small bucket, so that others get theirs."""
        return max(1, min(LARGEST_PORTION, self.burst // 20))


class TierLimits(msgspec.Struct, frozen=True):
    """What a tenant's requests draw on together, and what those of one of its API keys draw on."""

    tenant: Limit
    key: Limit


class Verdict(msgspec.Struct, frozen=True):
    """Whether a request may go on, and what the RateLimit header fields say."""

    is_allowed: bool
    policy: str
    quota: int
    window: int
    remaining: int
    reset: int
    """Seconds until the quota is whole again, or, for one that was refused, until there is some of it."""


class Patience(msgspec.Struct, frozen=True):
    """How many failures are free, and how often one is forgiven."""

    free: int
    forgiven_every: timedelta

    def delays(self) -> list[float]:
        """The seconds to wait after each failure that is not free; the last is for all that follow."""
        found = [FIRST_DELAY.total_seconds()]
        while found[-1] < LONGEST_DELAY.total_seconds():
            failures = self.free + len(found) + 1
            found.append(delay_after(failures, free=self.free).total_seconds())
        return found


class Failures(msgspec.Struct, frozen=True):
    """How often somebody failed, as of a time, and until when they wait; times in seconds of one clock."""

    count: float = 0.0
    at: float = 0.0
    until: float = 0.0


class Bucket(msgspec.Struct, frozen=True):
    """The tokens that a bucket holds, as of a time in seconds."""

    tokens: float
    at: float


def parsed_tiers(texts: Iterable[str]) -> dict[str, TierLimits]:
    """Tiers written as `name=requests per second/burst`; a key may use all of its tenant's.

    Raises ValueError.
    """
    found = [TIER.fullmatch(text) for text in texts]
    if not all(found):
        raise ValueError("a tier is name=requests per second/burst")
    limits = {tier["name"]: Limit(float(tier["rate"]), int(tier["burst"])) for tier in found if tier}
    return {name: TierLimits(tenant=limit, key=limit) for name, limit in limits.items()}


def delay_after(failures: int, *, free: int) -> timedelta:
    """How long a caller waits after so many failures in a row: nothing at first, then ever longer."""
    if failures <= free:
        return timedelta(0)
    doublings = min(failures - free - 1, 20)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def failed_once_more(failures: Failures, patience: Patience, now: float) -> Failures:
    """The failures with one more, and the wait that follows from them."""
    forgiven = max(0.0, now - failures.at) / patience.forgiven_every.total_seconds()
    count = max(0.0, failures.count - forgiven) + 1
    delay = delay_after(math.ceil(count - ALMOST), free=patience.free)
    # A free failure sets no end of waiting, not even `now`: another process's clock may be a moment behind.
    until = max(failures.until, now + delay.total_seconds()) if delay else failures.until
    return Failures(count, now, until)


def one_taken_back(failures: Failures) -> Failures:
    """The failures without the last one, which was none; nobody waits for what they did not do."""
    return Failures(max(0.0, failures.count - 1), failures.at, 0.0)


def refilled(tokens: float, limit: Limit, elapsed_seconds: float) -> float:
    """The tokens in a bucket some time later."""
    return min(float(limit.burst), tokens + max(0.0, elapsed_seconds) * limit.per_second)


def withdrawn(bucket: Bucket, limit: Limit, now: float, *, at_most: int) -> tuple[Bucket, int]:
    """The bucket after taking out as many whole tokens as there are and are wanted, and their number."""
    tokens = refilled(bucket.tokens, limit, now - bucket.at)
    granted = min(at_most, math.floor(tokens))
    return Bucket(tokens - granted, max(bucket.at, now)), granted


def judged(policy: str, limit: Limit, *, is_allowed: bool, tokens: float) -> Verdict:
    """The verdict on a request that finds so many tokens, the ones that its process holds among them."""
    missing = limit.burst - tokens if is_allowed else 1 - tokens
    return Verdict(
        is_allowed=is_allowed,
        policy=policy,
        quota=limit.burst,
        window=limit.window,
        remaining=max(0, math.floor(tokens)),
        reset=max(0 if is_allowed else 1, math.ceil(missing / limit.per_second)),
    )


def refused(policy: str, quota: int, *, window: int, seconds: float) -> Verdict:
    """The verdict on an attempt that has to wait."""
    return Verdict(
        is_allowed=False,
        policy=policy,
        quota=quota,
        window=window,
        remaining=0,
        reset=max(1, math.ceil(seconds)),
    )
