"""The embedded Redis, on the real binary."""

import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedis
from taskiq_redis import RedisStreamBroker

from shell.embedded.errors import DataFolderUnusable, ServerDidNotStart
from shell.embedded.redis import EmbeddedRedis, find_running_redis, start_redis, stop_redis
from tests.shell.starter import START, START_IN_A_THREAD, STRANGER, is_gone, python, running


@contextmanager
def started(data: Path) -> Iterator[EmbeddedRedis]:
    server = start_redis(data)
    try:
        yield server
    finally:
        stop_redis(server)


@contextmanager
def client(server: EmbeddedRedis) -> Iterator[Redis]:
    connection = Redis.from_url(server.url)
    try:
        yield connection
    finally:
        connection.close()


def test_the_second_start_finds_what_the_first_one_stored(tmp_path: Path) -> None:
    with started(tmp_path / "data") as server, client(server) as redis:
        redis.set("kept", "42")
    with started(tmp_path / "data") as again, client(again) as redis:
        assert redis.get("kept") == b"42"


@pytest.mark.parametrize(
    "name",
    ["with spaces, commas, a:b@c?d=e&f#g + 100% \"quotes'", "Größe/日本", "deep/" * 20 + "and deeper"],
    ids=["punctuation", "letters", "deep"],
)
async def test_clients_connect_whatever_the_data_folder_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with started(folder) as server:
        assert find_running_redis(folder) == server
        with client(server) as redis:
            assert redis.ping()
        pool = BlockingConnectionPool.from_url(server.url)
        assert await AsyncRedis(connection_pool=pool).ping()
        await pool.disconnect()


async def test_taskiq_takes_the_url(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        broker = RedisStreamBroker(server.url)
        await broker.startup()
        await broker.shutdown()
        with client(server) as redis:
            assert redis.exists("taskiq")


def test_stopping_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    server = start_redis(tmp_path)
    process = psutil.Process(server.pid)
    stop_redis(server)
    assert not process.is_running()
    assert not (tmp_path / "redis" / "socket").exists()
    assert find_running_redis(tmp_path) is None
    stop_redis(server)  # once more does no harm


def test_another_process_finds_the_running_server(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from shell.embedded.redis import find_running_redis;"
        "print(find_running_redis(Path(sys.argv[1])).url)"
    )
    with started(tmp_path) as server, running(python(code, tmp_path)) as (_, url):
        assert url == server.url


def test_it_listens_on_no_network_address(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        assert psutil.Process(server.pid).net_connections(kind="inet") == []


def test_only_the_starter_can_read_what_is_stored_and_logged(tmp_path: Path) -> None:
    with started(tmp_path) as server, client(server) as redis:
        redis.set("kept", "42")
        home = tmp_path / "redis"
        folders = [tmp_path / "logs", home, home / "socket", home / "appendonlydir"]
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
        stored = list((home / "appendonlydir").iterdir())
        assert any(b"kept" in file.read_bytes() for file in stored)
        files = [tmp_path / "logs" / "redis.log", home / "redis.pid", *stored]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert psutil.Process(server.pid).uids().real == os.geteuid()


def test_it_writes_what_it_is_told_and_forgets_nothing_when_memory_is_short(tmp_path: Path) -> None:
    with started(tmp_path) as server, client(server) as redis:
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        assert {name: redis.config_get(name)[name] for name in wanted} == wanted


def test_the_leftover_of_a_killed_starter_gives_way(tmp_path: Path) -> None:
    with running(python(START_IN_A_THREAD, "redis", tmp_path)) as (starter, line):
        leftover = psutil.Process(int(line))
        starter.kill()
        starter.wait()
        assert leftover.is_running()
        with started(tmp_path) as server, client(server) as redis:
            assert server.pid != leftover.pid
            assert is_gone(leftover)
            assert redis.ping()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv asks the kernel for this")
def test_the_server_dies_with_its_starter(tmp_path: Path) -> None:
    with running(python(START, "redis", tmp_path)) as (starter, line):
        orphan = psutil.Process(int(line))
        starter.kill()
        starter.wait()
        deadline = time.monotonic() + 5
        while not is_gone(orphan) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert is_gone(orphan)


def test_a_killed_server_starts_again_with_its_data(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        with client(server) as redis:
            redis.set("kept", "42")
        os.kill(server.pid, signal.SIGKILL)
        with started(tmp_path) as again, client(again) as redis:
            assert redis.get("kept") == b"42"


def test_a_stranger_with_the_recycled_pid_lives_on(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with running(STRANGER) as (stranger, _):
        (tmp_path / "redis" / "redis.pid").write_text(f"{stranger.pid}\n")
        assert find_running_redis(tmp_path) is None
        with started(tmp_path) as server, client(server) as redis:
            assert redis.ping()
        assert stranger.poll() is None


def test_a_copy_of_the_data_folder_does_not_claim_the_original_s_server(tmp_path: Path) -> None:
    with started(tmp_path / "data") as server:
        shutil.copytree(
            tmp_path / "data" / "redis", tmp_path / "copy" / "redis", ignore=lambda *_: ["socket"]
        )
        assert (tmp_path / "copy" / "redis" / "redis.pid").exists()
        assert find_running_redis(tmp_path / "copy") is None
        assert find_running_redis(tmp_path / "data") == server


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_text("not an append-only file\n")
    with pytest.raises(ServerDidNotStart, match="Bad file format"):
        start_redis(tmp_path)
    assert find_running_redis(tmp_path) is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusable, match="Not a directory"):
        start_redis(tmp_path / "file" / "data")
