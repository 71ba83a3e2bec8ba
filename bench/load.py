"""The benchmark's side of the load client: starts its process, and has it play rounds."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from bench.client import Result, Round


class LoadClient:
    """A running load client."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Speak to it by its standard streams."""
        self._process = process

    async def play(self, plan: Round) -> Result:
        """Have a round prepared and played; stops the benchmark where any request fails."""
        self._say(msgspec.json.encode(plan).decode())
        assert await self._hear() == "prepared\n"
        self._say("go")
        result = msgspec.json.decode(await self._hear(), type=Result)
        assert not result.failed, (
            f"{result.failed} requests failed, the first one with: {result.first_failure}"
        )
        return result

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    async def _hear(self) -> str:
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        assert line, "the load client has ended"
        return line


@contextmanager
def load_client() -> Iterator[LoadClient]:
    """A load client for as long as the body runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield LoadClient(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
