"""Launching a server: its program, its environment, its privileges, and the wait until it is ready."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psutil

from shell.embedded.errors import (
    BinaryMissing,
    DataFolderUnusable,
    EmbeddedServerError,
    ServerDidNotStart,
    SetprivMissing,
)
from shell.embedded.folder import blamed_on, refuse_if_full
from shell.embedded.process import Program, end_process

_POLL_SECONDS = 0.005
_LAST_LINES = 15


def find_binary(*, package: str, path: str) -> Path:
    """The program at that path in an installed package, which is not imported: importing may have effects."""
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        program = Path(folder) / path
        if os.access(program, os.X_OK):
            return program
    raise BinaryMissing(program=Path(path).name, package=package)


def server_environment() -> dict[str, str]:
    """What a server's process sees of ours: no secrets, no PG* variables, always the C locale and UTC."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


# --- setpriv ------------------------------------------------------------------------------------


def under(options: Sequence[str], command: list[str]) -> list[str]:
    """The command, run under these options of setpriv(1) if there are any."""
    if not options:
        return command
    program = shutil.which("setpriv")
    if program is None:
        raise SetprivMissing
    return [program, *options, *command]


def dies_with_us(name: str) -> list[str]:
    """The setpriv options by which the kernel sends the signal when this process ends, where it can.

    The kernel watches the thread that starts the server, not its process: in any thread but the main one,
    the server would die too early. It then outlives a killed starter, until the next start ends it.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    return ["--pdeathsig", name] if in_main_thread and _knows_pdeathsig() else []


@cache
def _knows_pdeathsig() -> bool:
    program = shutil.which("setpriv")
    if program is None:
        return False
    answer = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    return "--pdeathsig" in answer.stdout


# --- start ---------------------------------------------------------------------------------------


def start(
    program: Program, command: list[str], *, ready: Callable[[int], bool], log: Path, seconds: float
) -> int:
    """Start a server, with its output appended to the log, and return its pid when it is ready.

    Raises ServerDidNotStart with the last lines it logged, or DataFolderUnusable if the disk is full.
    """
    with blamed_on(log):
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            logged_before = os.fstat(output).st_size
            pid = _spawn(command, output=output)
        finally:
            os.close(output)
    with ended_on_failure(program, pid):
        if _comes_up(ready, pid=pid, seconds=seconds):
            return pid
        raise did_not_start(program, output=log.read_bytes()[logged_before:], folder=log.parent)


@contextmanager
def ended_on_failure(program: Program, pid: int) -> Iterator[None]:
    """End the server that was just started if the body fails or is interrupted."""
    try:
        yield
    except BaseException:
        with suppress(psutil.NoSuchProcess):
            end_process(program, psutil.Process(pid))
        raise


def _spawn(command: list[str], *, output: int) -> int:
    # A process group of its own: Ctrl-C in the terminal reaches the starter, which ends its servers last.
    # Not subprocess.Popen, whose object would have to live, and be waited for, as long as the server.
    return os.posix_spawn(
        command[0],
        command,
        server_environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setpgroup=0,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    )


def _comes_up(ready: Callable[[int], bool], *, pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not ready(pid):
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def did_not_start(program: Program, *, output: bytes, folder: Path) -> EmbeddedServerError:
    """The error for a server that said why it cannot start; if the folder's disk is full, it says nothing."""
    try:
        refuse_if_full(folder)
    except DataFolderUnusable as error:
        return error
    lines = output.decode(errors="replace").splitlines()[-_LAST_LINES:]
    return ServerDidNotStart(server=program.title, log="\n".join(lines) or "(nothing)")
