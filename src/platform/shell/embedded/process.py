"""Server processes: found for certain, and ended within bounds."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from shell.embedded.errors import ServerDidNotStop
from shell.embedded.folder import blamed_on

_POLL_SECONDS = 0.005
_STRAY_SECONDS = 2


class Program(msgspec.Struct, frozen=True):
    """A server program."""

    title: str
    name: str  # of its process
    farewell: tuple[tuple[signal.Signals, float], ...]  # what ends it, each with the seconds to wait after it


def named_pid(pid_file: Path) -> int | None:
    """The pid in the first line of the file, whether or not such a process exists, or None."""
    with suppress(OSError, ValueError, IndexError):
        pid = int(pid_file.read_text().split(maxsplit=1)[0])
        return pid if 0 < pid < 2**31 else None
    return None


def find_process(program: Program, *, pid_file: Path, folder: Path) -> psutil.Process | None:
    """The live process that the pid file names, if it is this program at work on this folder, else None.

    A pid may have been given to a stranger meanwhile, or the folder may be a copy that came with its pid
    file: so the process must have the program's name, and the folder as an argument or working directory.
    """
    pid = named_pid(pid_file)
    if pid is None:
        return None
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.name() != program.name or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process if str(folder) in process.cmdline() or _works_in(process, folder) else None
    return None


def own_child(program: Program, pid: int) -> psutil.Process | None:
    """The child of this process with that pid, if it is this program and lives; its pid is surely its own."""
    with suppress(ChildProcessError, psutil.NoSuchProcess):
        ended, _ = os.waitpid(pid, os.WNOHANG)
        process = psutil.Process(pid)
        return process if not ended and process.name() == program.name else None
    return None


def _works_in(process: psutil.Process, folder: Path) -> bool:
    # In a container, root itself may not be allowed to see the working directory of another user's process.
    with suppress(OSError, psutil.Error):
        return folder.samefile(process.cwd())
    return False


def end_process(program: Program, process: psutil.Process) -> None:
    """Send the program's signals, one after the other, until the process is gone."""
    for signum, seconds in program.farewell:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
        if _is_gone_within(process, seconds):
            return
    raise ServerDidNotStop(server=program.title, pid=process.pid)


def end_leftover(program: Program, *, pid_file: Path, folder: Path) -> None:
    """End what a killed starter left running on the folder; remove a pid file that keeps a new server out."""
    leftover = find_process(program, pid_file=pid_file, folder=folder)
    if leftover is not None:
        end_process(program, leftover)
    pid = named_pid(pid_file)
    if pid is None:  # it shut down, or there was none
        return
    with suppress(ChildProcessError):  # it may be a child of ours that crashed
        os.waitpid(pid, os.WNOHANG)
    _end_strays(program, folder=folder)
    if psutil.pid_exists(pid):
        # Its pid is a stranger's now, whom PostgreSQL would take for a server. If the pid is nobody's, the
        # file stays: by it, PostgreSQL makes sure once more that no stray of the old server uses its files.
        with blamed_on(pid_file):
            pid_file.unlink(missing_ok=True)


def _end_strays(program: Program, *, folder: Path) -> None:
    """Kill the children of a killed server: processes of the same name that work in the same folder."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if process.name() != program.name or not _works_in(process, folder):
                continue
            process.kill()
            if not _is_gone_within(process, _STRAY_SECONDS):
                raise ServerDidNotStop(server=program.title, pid=process.pid)


def _is_gone_within(process: psutil.Process, seconds: float) -> bool:
    # Not process.wait(): it waits for a zombie too, and in a container an orphan may stay one for ever.
    deadline = time.monotonic() + seconds
    while not _is_gone(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _is_gone(process: psutil.Process) -> bool:
    with suppress(ChildProcessError):  # a child of ours is gone when we have let go of it, not before
        ended, _ = os.waitpid(process.pid, os.WNOHANG)
        return ended == process.pid
    with suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True
