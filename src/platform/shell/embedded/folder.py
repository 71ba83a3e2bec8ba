"""The data folder: one starter at a time, folders closed to other users, and places for sockets.

Nothing above the data folder is ever created with special rights or changed: only the folders made here are.
"""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shell.embedded.errors import DataFolderInUse, DataFolderUnusable

# sockaddr_un.sun_path, less its final zero byte, is 107 bytes on Linux and 103 on macOS.
_LONGEST_SOCKET_PATH = 103
_LONGEST_SOCKET_NAME = len("/.s.PGSQL.5432")
_ALMOST_FULL = 16 * 2**20
_REMOVAL_SECONDS = 5.0
_PRIVATE = 0o700


@contextmanager
def blamed_on(folder: Path) -> Iterator[None]:
    """Raise what the operating system refuses in the body as DataFolderUnusable."""
    try:
        yield
    except OSError as error:
        raise DataFolderUnusable(folder=folder, reason=error.strerror or str(error)) from error


@contextmanager
def lock_data_folder(data: Path) -> Iterator[Path]:
    """Hold the data folder, made where it is missing, for this process alone, or raise DataFolderInUse.

    The kernel gives the lock back however this process ends, so there is no stale lock to clean up.
    """
    with blamed_on(data):
        data.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        # Without O_TRUNC: the text belongs to the holder of the lock, who may be somebody else.
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 20, 0).decode().strip() or "unknown"
            raise DataFolderInUse(folder=data, pid=int(holder) if holder.isdigit() else holder) from error
        with blamed_on(data):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield data
    finally:
        os.close(lock)


def private_folder(folder: Path) -> Path:
    """The folder, made if missing, which only the user of this process (and root) can enter."""
    with blamed_on(folder):
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid != os.geteuid():
            raise DataFolderUnusable(folder=folder, reason="it belongs to another user")
        if stat.S_IMODE(status.st_mode) != _PRIVATE:
            folder.chmod(_PRIVATE)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove the folder and all that is in it; a missing one is fine.

    What was cut off a moment ago may for some seconds still write files in it, or remove its own.
    """
    patience = time.monotonic() + _REMOVAL_SECONDS
    with blamed_on(folder):
        while folder.exists():
            try:
                shutil.rmtree(folder)
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ENOTEMPTY} or time.monotonic() > patience:
                    raise


def rename_for_good(old: Path, new: Path) -> None:
    """Rename a folder so that a power failure after this returns does not undo it."""
    with blamed_on(new):
        old.rename(new)
        parent = os.open(new.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def refuse_if_full(folder: Path) -> None:
    """Raise DataFolderUnusable if next to nothing can be written any more, the servers' logs included."""
    with blamed_on(folder):
        free = shutil.disk_usage(folder).free
    if free < _ALMOST_FULL:
        raise DataFolderUnusable(folder=folder, reason=f"only {free // 2**20} MiB are free on its disk")


# --- sockets ------------------------------------------------------------------------------------


def socket_folder(server_folder: Path) -> Path:
    """Where the server of this folder has its socket: in `socket`, or where the link of that name points."""
    place = server_folder / "socket"
    return place.readlink() if place.is_symlink() else place


def make_socket_folder(server_folder: Path) -> Path:
    """A new, empty, private socket folder for a server that does not run; an old one is removed."""
    remove_socket_folder(server_folder)
    place = server_folder / "socket"
    with blamed_on(server_folder):
        if _can_hold_a_socket(place):
            place.mkdir(mode=_PRIVATE)
            return place
        # The outer folder stays ours when the inner one is given to the server's account: nobody else, not
        # even another process of that account, can put a socket of its own in the place of the server's.
        # Not in TMPDIR, which may be as long as the name that did not fit.
        inner = Path(tempfile.mkdtemp(prefix="eu-platform-", dir="/tmp")) / "socket"
        inner.mkdir(mode=_PRIVATE)
        place.symlink_to(inner)
    return inner


def remove_socket_folder(server_folder: Path) -> None:
    """Remove the server's socket folder wherever it is; a missing one is fine."""
    place = server_folder / "socket"
    if place.is_symlink():
        remove_folder(place.readlink().parent)
        with blamed_on(server_folder):
            place.unlink()
    else:
        remove_folder(place)


def _can_hold_a_socket(place: Path) -> bool:
    """Whether a socket in the folder has a name short enough for the kernel and plain enough for a URL.

    A list of hosts in a URL is split at commas, even at escaped ones; a surrogate (a name that is not UTF-8)
    or a control character does not survive the way through a URL.
    """
    text = str(place)
    fits = len(os.fsencode(text)) + _LONGEST_SOCKET_NAME <= _LONGEST_SOCKET_PATH
    return fits and text.isprintable() and "," not in text
