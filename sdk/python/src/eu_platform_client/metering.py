"""Usage that is gathered and sent in the background, each event counted once, none lost without a word."""

import atexit
import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
from eu_platform_client.problem import ApiProblem
from eu_platform_client.retry import Backoff
from eu_platform_client.sign_in import SessionEnded
from eu_platform_client.spool import Event, Spool

log = logging.getLogger("eu_platform_client")

TOO_LARGE = 413
MOST_EVENTS = 10_000
"""The most that the API takes at once."""

Send = Callable[[Sequence[Event]], list[dict[str, Any]]]
"""Sends events, and gives what the API rejected: `{"index", "detail"}`."""

FAILURES = (httpx.HTTPError, ApiProblem, SessionEnded)


class BufferFull(Exception):
    """No room for another event: they are recorded faster than they can be sent. The event was not taken."""


class MeterClosed(Exception):
    """The meter takes no more events."""


class NotDelivered(Exception):
    """Events that have not been sent; `events` are all of them, `__cause__` the last failure."""

    def __init__(self, events: list[Event]) -> None:
        """What is still to be sent."""
        self.events = events
        super().__init__(f"{len(events)} events have not been sent")


class EventsRejected(Exception):
    """Events that the API will never take; `rejected` has each with the reason. All others are stored."""

    def __init__(self, rejected: list[tuple[Event, str]]) -> None:
        """What was refused, and why."""
        self.rejected = rejected
        event, reason = rejected[0]
        super().__init__(f"{len(rejected)} events were rejected, the first, {event['id']}: {reason}")


class Meter:
    """A buffer of usage events, and a thread that sends them.

    An event gets its id when it is recorded, and leaves the buffer when the API has answered for it:
    whatever is sent twice counts once. A full buffer makes `record` wait, and then raise BufferFull. What
    fails is sent again for as long as the meter is open. `close`, which also runs at the interpreter's
    exit, sends what is left; what cannot be sent goes to the spool, or is raised as NotDelivered where
    there is none. A process that is killed loses what is in the buffer.
    """

    def __init__(
        self,
        send: Send,
        *,
        source: str,
        batch: int = 1_000,
        every: float = 2.0,
        capacity: int = 50_000,
        spool: Path | None = None,
        backoff: Backoff = Backoff(first=0.5),  # noqa: B008 -- a frozen value
    ) -> None:
        """Send up to `batch` events as soon as there are so many, and whatever there is `every` seconds."""
        if not 1 <= batch <= MOST_EVENTS or capacity < batch:
            raise ValueError(f"a batch has 1 to {MOST_EVENTS} events, and fits into the buffer")
        self._send, self._source, self._batch, self._every = send, source, batch, every
        self._capacity, self._backoff = capacity, backoff
        self._spool = None if spool is None else Spool(spool)
        self._pending: deque[Event] = deque(self._spool.read() if self._spool else ())
        self._recorded, self._settled = len(self._pending), 0
        self._rejected: list[tuple[Event, str]] = []
        self._failure: BaseException | None = None
        self._failures = 0
        self._waiting_for_flush = 0
        self._closing = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="eu-platform-meter", daemon=True)
        self._thread.start()
        atexit.register(self._close_at_exit)

    def record(
        self,
        resource: str,
        quantity: Decimal | int | str,
        *,
        at: datetime | None = None,
        event_id: str | None = None,
        attributes: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> str:
        """Take an event, of now unless `at` says otherwise; gives its id.

        Waits up to `timeout` seconds for room. Raises BufferFull, MeterClosed, and ValueError for a
        quantity that is negative or no number, or a time without an offset.
        """
        event = _event(self._source, resource, quantity, at=at, event_id=event_id, attributes=attributes)
        with self._changed:
            has_room = self._changed.wait_for(
                lambda: self._closing or len(self._pending) < self._capacity, timeout=timeout
            )
            if self._closing:
                raise MeterClosed("the meter is closed; the event was not taken")
            if not has_room:
                raise BufferFull(f"{self._capacity} events wait to be sent") from self._failure
            self._pending.append(event)
            self._recorded += 1
            if len(self._pending) >= self._batch:
                self._changed.notify_all()
        return str(event["id"])

    def flush(self, timeout: float = 30.0) -> None:
        """Return when everything recorded so far is stored; raises NotDelivered and EventsRejected."""
        with self._changed:
            goal = self._recorded
            self._waiting_for_flush += 1
            self._changed.notify_all()
            try:
                done = self._changed.wait_for(lambda: self._settled >= goal, timeout=timeout)
            finally:
                self._waiting_for_flush -= 1
            if not done:
                raise NotDelivered(list(self._pending)) from self._failure
            self._raise_rejected()

    def close(self, timeout: float = 30.0) -> None:
        """Take no more events, send what is left, and stop; a second call does nothing.

        Raises EventsRejected, and NotDelivered unless a spool keeps what could not be sent.
        """
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._pending, timeout=timeout)
            left = list(self._pending)
            if left and self._spool:
                self._spool.write(left)
                log.warning("%d events are kept in %s: %s", len(left), self._spool.path, self._failure)
            self._closed = True  # what is left is the spool's or the caller's now: it is not sent again here
            self._changed.notify_all()
        atexit.unregister(self._close_at_exit)
        if left and not self._spool:
            raise NotDelivered(left) from self._failure
        with self._changed:
            self._raise_rejected()

    def __enter__(self) -> Self:
        """The meter itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except (NotDelivered, EventsRejected) as error:
            log.critical("At exit: %s (%s)", error, error.__cause__)

    def _raise_rejected(self) -> None:
        rejected, self._rejected = self._rejected, []
        if rejected:
            raise EventsRejected(rejected)

    # the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_due, timeout=self._every)
                if self._closed or (self._closing and not self._pending):
                    return
                batch = list(islice(self._pending, self._batch))
            if batch:
                self._deliver(batch)

    def _is_due(self) -> bool:
        hurried = self._closing or self._waiting_for_flush > 0
        return len(self._pending) >= self._batch or (hurried and bool(self._pending)) or self._closing

    def _deliver(self, batch: Sequence[Event]) -> None:
        try:
            rejected = self._send(batch)
        except FAILURES as error:
            self._after_failure(error, batch)
        else:
            self._settle(batch, [(batch[each["index"]], each["detail"]) for each in rejected])

    def _settle(self, batch: Sequence[Event], rejected: list[tuple[Event, str]]) -> None:
        with self._changed:
            for _ in batch:
                self._pending.popleft()
            self._settled += len(batch)
            self._rejected += rejected
            self._failure, self._failures = None, 0
            if self._spool and not self._pending:
                self._spool.clear()
            self._changed.notify_all()
        for event, reason in rejected:
            log.error("Usage event %s was rejected: %s", event["id"], reason)

    def _after_failure(self, error: Exception, batch: Sequence[Event]) -> None:
        """Wait before the batch is sent again; one that is too large is made smaller first."""
        if isinstance(error, ApiProblem) and error.status == TOO_LARGE:
            if len(batch) == 1:
                self._settle(batch, [(batch[0], str(error))])
            self._batch = max(1, len(batch) // 2)
            return
        if self._failures == 0 or str(error) != str(self._failure):
            log.warning("Usage waits to be sent again: %s", error)
        self._failure, self._failures = error, self._failures + 1
        with self._changed:
            was_closing = self._closing
            # Closing cuts the first pause short, and only that.
            self._changed.wait_for(
                lambda: self._closed or (self._closing and not was_closing), timeout=self._pause(error)
            )

    def _pause(self, error: Exception) -> float:
        asked = error.retry_after if isinstance(error, ApiProblem) else None
        longest = self._backoff.longest
        ceiling = min(longest, self._backoff.first * 2.0 ** min(self._failures - 1, 32))
        return min(longest, asked or 0.0) + ceiling * random.random()  # noqa: S311 -- no secret


def _event(
    source: str,
    resource: str,
    quantity: Decimal | int | str,
    *,
    at: datetime | None,
    event_id: str | None,
    attributes: Mapping[str, str] | None,
) -> Event:
    """An event as the API takes it, with an id of its own that no later attempt changes."""
    amount = Decimal(str(quantity)) if _is_number(quantity) else Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"a quantity is a number that is not negative, not {quantity!r}")
    instant = at or datetime.now(UTC)
    if instant.tzinfo is None:
        raise ValueError("a time needs an offset")
    event: Event = {
        "id": event_id or str(uuid4()),
        "source": source,
        "resource": str(resource),
        "quantity": f"{amount:f}",
        "occurred_at": instant.isoformat(),
    }
    return event if attributes is None else event | {"attributes": dict(attributes)}


def _is_number(quantity: object) -> bool:
    try:
        Decimal(str(quantity))
    except ArithmeticError:
        return False
    return not isinstance(quantity, bool)
