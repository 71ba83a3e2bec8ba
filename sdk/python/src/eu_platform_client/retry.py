"""Requests that failed for a reason that passes are sent again, where that cannot do a thing twice."""

import random
import re
import time
from dataclasses import dataclass

import httpx
from eu_platform_client.generated.keyed import KEYED
from eu_platform_client.problem import retry_after

KEY_HEADER = "Idempotency-Key"
PASSING = frozenset({429, 502, 503, 504})
UNREAD = frozenset({429})
"""Answered before anything was done: even what must not happen twice may be sent again."""

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

_KEYED = tuple(re.compile(pattern) for pattern in KEYED)
_USAGE = re.compile(r"^/api/v1/tenants/[^/]+/usage$")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often, and after how many seconds, a request is sent again: doubled each time, with full jitter."""

    attempts: int = 5
    first: float = 0.2
    longest: float = 20.0

    def delay(self, attempt: int, *, asked: float | None, jitter: float) -> float | None:
        """The seconds before the attempt after this one, counted from 1; None where it is time to give up.

        `jitter` lies in [0, 1). What the server asks for is the least, and more than `longest` is not waited.
        """
        if attempt >= self.attempts or (asked is not None and asked > self.longest):
            return None
        ceiling = min(self.longest, self.first * 2.0 ** min(attempt - 1, 32))
        return (asked or 0.0) + ceiling * jitter


def takes_key(request: httpx.Request) -> bool:
    """Whether a request makes something, and takes an Idempotency-Key so that it is made once."""
    return request.method == "POST" and any(pattern.match(request.url.path) for pattern in _KEYED)


def is_repeatable(request: httpx.Request) -> bool:
    """Whether a request that may have been carried out can be sent again: usage is named by its event ids."""
    return (
        request.method in IDEMPOTENT
        or KEY_HEADER in request.headers
        or (request.method == "POST" and _USAGE.match(request.url.path) is not None)
    )


class RetryingTransport(httpx.BaseTransport):
    """A transport that sends again what another could not deliver."""

    def __init__(self, inner: httpx.BaseTransport, backoff: Backoff) -> None:
        """Send by `inner`, as often as `backoff` says."""
        self._inner = inner
        self._backoff = backoff

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The first answer that is not a passing failure, or the last failure."""
        for attempt in range(1, self._backoff.attempts + 1):
            try:
                response = self._inner.handle_request(request)
            except httpx.TransportError as error:
                may_repeat = isinstance(error, NEVER_SENT) or is_repeatable(request)
                delay = self._delay(attempt, None) if may_repeat else None
                if delay is None:
                    raise
            else:
                may_repeat = response.status_code in UNREAD or is_repeatable(request)
                is_passing = response.status_code in PASSING and may_repeat
                delay = self._delay(attempt, retry_after(response)) if is_passing else None
                if delay is None:
                    return response
                response.close()
            time.sleep(delay)
        raise AssertionError("the last attempt answers or raises")

    def close(self) -> None:
        """Close the transport below."""
        self._inner.close()

    def _delay(self, attempt: int, asked: float | None) -> float | None:
        return self._backoff.delay(attempt, asked=asked, jitter=random.random())  # noqa: S311 -- no secret
