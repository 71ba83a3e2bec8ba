"""`start`: `eu-platform up` on fresh data, from the command to its line that says ready, and its memory.

The demo tenant is founded as on any first start. Memory is the proportional set size (PSS) of the command and
of all processes below it, servers included: pages that several processes share are counted once.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.figures import Figure, alone
from bench.stage import HOST, free_port, fresh_folder
from shell.settings import PREFIX

SECONDS_AT_MOST = 15
MEGABYTES_AT_MOST = 900
READY = "The platform is ready"
STOP_SECONDS = 15
PROGRAM = Path(sys.executable).with_name("eu-platform")


async def start(*, quick: bool) -> list[Figure]:
    """The figures of the time until ready and of the memory then."""
    found = [await asyncio.to_thread(_started) for _ in range(1 if quick else 5)]
    seconds, megabytes, processes = zip(*found, strict=True)
    return [
        alone("start, until ready", "s", seconds, value_at_most=SECONDS_AT_MOST),
        alone(
            "start, memory",
            "MB",
            megabytes,
            value_at_most=MEGABYTES_AT_MOST,
            notes={"processes": max(processes)},
        ),
    ]


def _started() -> tuple[float, float, int]:
    """One start: seconds until ready, megabytes and processes then."""
    with fresh_folder() as folder:
        before = time.perf_counter()
        with _up(folder) as process:
            _wait_until_ready(process)
            seconds = time.perf_counter() - before
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            return seconds, sum(_pss(member.pid) for member in tree), len(tree)


@contextmanager
def _up(folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = subprocess.Popen(
        [str(PROGRAM), "up", "--data", str(folder), "--host", HOST, "--port", str(free_port())],
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_SECONDS)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(READY):
            return
    raise AssertionError("`up` ended before it was ready")


def _pss(pid: int) -> float:
    """The proportional set size of a process, in megabytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1_000
