"""The load client: a process of its own that spends as little as it can of the cores that it shares.

It holds keep-alive connections, writes whole requests that were encoded before the clock started, and reads
of an answer no more than its status, its length and, of the first bad one, its text. One request at a time
is under way on each connection. It runs on uvloop, as the API does and as the baselines do.

With a rate, each request has a time at which it is due, whatever became of those before it, and its latency
counts from then: a server that stalls is not asked less, and does not look better for it.

It reads rounds (`Round`, one JSON value a line) from standard input and writes for each one first a line
when all is prepared, and after a line that says go, the `Result`.
"""

import asyncio
import random
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import uvloop

LENGTH = struct.Struct(">I")
REFUSED = b"HTTP/1.1 429"
HEAD_END = b"\r\n\r\n"
CONTENT_LENGTH = b"content-length:"
GOOD = b"HTTP/1.1 2"


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: the requests of a file in order, or so many drawn from it at random with a seed."""

    host: str
    port: int
    connections: int
    requests: str
    draws: int | None = None
    seed: int = 0
    per_second: float | None = None
    may_be_refused: bool = False


class Result(msgspec.Struct, frozen=True):
    """How it went: the wall clock from the first byte to the last, and the latencies in milliseconds."""

    seconds: float
    answered: int
    failed: int
    refused: int
    first_failure: str
    p50: float
    p99: float
    longest: float


def write_requests(file: Path, requests: list[bytes]) -> None:
    """Keep requests where the client reads them."""
    with file.open("wb") as stream:
        for request in requests:
            stream.write(LENGTH.pack(len(request)))
            stream.write(request)


def read_requests(file: Path) -> list[bytes]:
    """The requests of a file."""
    content, position, found = file.read_bytes(), 0, []
    while position < len(content):
        (length,) = LENGTH.unpack_from(content, position)
        start = position + LENGTH.size
        found.append(content[start : start + length])
        position = start + length
    return found


class Playing:
    """A round that is being played: what is left to send, and what was answered."""

    def __init__(self, requests: list[bytes], plan: Round) -> None:
        """Nothing is sent yet."""
        rate = plan.per_second
        self.requests: Iterator[tuple[float | None, bytes]] = (
            (None if rate is None else index / rate, request) for index, request in enumerate(requests)
        )
        self.may_be_refused = plan.may_be_refused
        self.latencies: list[float] = []
        self.refusals: list[float] = []
        self.failures: list[str] = []
        self.started = 0.0


class Exchange(asyncio.Protocol):
    """One connection: sends the next request when the last one is answered, until there are no more."""

    def __init__(self, round_: "Playing") -> None:
        """Share the supply of requests with other connections."""
        self._round = round_
        self._answer = b""
        self._awaited = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the start."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is registered as none

    def send_next(self) -> None:
        """Send a request, or be done."""
        assert self._transport is not None
        following = next(self._round.requests, None)
        if following is None:
            if not self.done.done():
                self.done.set_result(None)
            return
        offset, request = following
        if offset is None:
            self._sent_at = time.perf_counter()
            self._transport.write(request)
            return
        self._sent_at = self._round.started + offset
        loop = asyncio.get_running_loop()
        loop.call_later(max(0.0, self._sent_at - time.perf_counter()), self._transport.write, request)

    def data_received(self, data: bytes) -> None:
        """Take in a part of an answer, most often the whole."""
        self._answer += data
        if not self._awaited:
            end = self._answer.find(HEAD_END)
            if end < 0:
                return
            self._awaited = end + len(HEAD_END) + _content_length(self._answer[:end])
        if len(self._answer) < self._awaited:
            return
        seconds = time.perf_counter() - self._sent_at
        if self._round.may_be_refused and self._answer.startswith(REFUSED):
            self._round.refusals.append(seconds)
        else:
            self._round.latencies.append(seconds)
            if not self._answer.startswith(GOOD):
                self._round.failures.append(self._answer.decode(errors="replace"))
        self._answer, self._awaited = self._answer[self._awaited :], 0
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends early is a failure."""
        if not self.done.done():
            self._round.failures.append(f"connection lost: {exc}")
            self.done.set_result(None)

    def close(self) -> None:
        """Hang up."""
        assert self._transport is not None
        self._transport.close()


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.find(CONTENT_LENGTH)
    assert start >= 0, "an answer without a content-length"
    return int(lowered[start + len(CONTENT_LENGTH) :].split(b"\r\n", 1)[0])


async def _play(plan: Round) -> Result:
    """Prepare, say so, wait for go, and send."""
    requests = read_requests(Path(plan.requests))
    if plan.draws is not None:
        requests = random.Random(plan.seed).choices(requests, k=plan.draws)
    playing = Playing(requests, plan)
    loop, exchanges = asyncio.get_running_loop(), []
    for _ in range(plan.connections):
        _, exchange = await loop.create_connection(lambda: Exchange(playing), plan.host, plan.port)
        exchanges.append(exchange)
    print("prepared", flush=True)
    sys.stdin.readline()
    started = playing.started = time.perf_counter()
    for exchange in exchanges:
        exchange.send_next()
    await asyncio.gather(*(exchange.done for exchange in exchanges))
    seconds = time.perf_counter() - started
    for exchange in exchanges:
        exchange.close()
    ordered, failures = sorted(playing.latencies) or [0.0], playing.failures
    return Result(
        seconds=seconds,
        answered=len(playing.latencies),
        failed=len(failures),
        refused=len(playing.refusals),
        first_failure=failures[0][:1_000] if failures else "",
        p50=1_000 * ordered[len(ordered) // 2],
        p99=1_000 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        longest=1_000 * ordered[-1],
    )


def main() -> None:
    """Play rounds until standard input ends."""
    for line in sys.stdin:
        result = uvloop.run(_play(msgspec.json.decode(line, type=Round)))
        print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main()
