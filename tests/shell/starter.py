"""Other processes for the tests of the embedded servers: starters that can be killed, and other users."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")

# Starts a server on a data folder, prints its pid, and lives until its standard input ends or it is killed.
START = """
import sys
from importlib import import_module
from pathlib import Path
server, data = sys.argv[1:]
start = getattr(import_module(f"shell.embedded.{server}"), f"start_{server}")
print(start(Path(data)).pid, flush=True)
sys.stdin.read()
"""
# The kernel does not end a server with its starter if another thread than the main one started it.
START_IN_A_THREAD = START.replace(
    "print(start(Path(data)).pid,",
    "from concurrent.futures import ThreadPoolExecutor\n"
    "print(ThreadPoolExecutor().submit(start, Path(data)).result().pid,",
)

# Any process: prints a line and waits.
STRANGER = ["/bin/sh", "-c", "echo here; read nothing"]

# What another user needs so that only the server's own rules can turn it away, and no folder's mode.
PASSES_FOLDERS = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")


def as_user(name: str, *options: str) -> list[str]:
    """The beginning of a command that runs the rest as that user."""
    user = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *options]


def is_gone(process: psutil.Process) -> bool:
    """Whether the process has ended; nobody may have asked for its end yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def python(code: str, *arguments: object) -> list[str]:
    """The command that runs the code with the arguments in sys.argv."""
    return [sys.executable, "-c", code, *map(str, arguments)]


@contextmanager
def running(
    command: Sequence[str], *, user: str | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and the first line it prints; it is killed at the end."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=user
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()
