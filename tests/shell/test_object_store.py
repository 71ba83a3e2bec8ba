"""Every test runs on a folder and on a real S3 server."""

import os
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import NotFound
from shell.object_store import PART_BYTES, ObjectStore, StoreUnavailable
from shell.settings import Settings
from tests.s3 import in_bucket

NOW = datetime.now(UTC)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, s3: str) -> ObjectStore:
    settings = Settings(data=tmp_path) if request.param == "folder" else in_bucket(s3)
    return ObjectStore(settings)


async def collected(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


async def test_an_object_is_read_as_it_was_put(store: ObjectStore) -> None:
    await store.put("a/small", b"first")
    await store.put("a/small", b"second")
    assert await store.get("a/small") == b"second"
    assert await collected(await store.open("a/small")) == b"second"
    head = await store.head("a/small")
    assert (head.name, head.size) == ("a/small", 6)
    assert abs(head.modified_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_file_of_many_parts_is_read_as_it_was_put(store: ObjectStore) -> None:
    content = os.urandom(PART_BYTES) * 2 + b"end"
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        await store.put("a/large", file)
    assert await collected(await store.open("a/large")) == content


async def test_objects_are_listed_by_the_folder_in_their_names(store: ObjectStore) -> None:
    for name in ("list/a/1", "list/a/2", "list/ab/3"):
        await store.put(name, b"x")
    assert {found.name async for found in store.under("list/a")} == {"list/a/1", "list/a/2"}


async def test_a_deleted_object_is_not_found(store: ObjectStore) -> None:
    await store.put("a/gone", b"x")
    await store.delete("a/gone")
    await store.delete("a/gone")
    for asked in (store.get, store.head, store.open):
        with pytest.raises(NotFound):
            await asked("a/gone")


async def test_half_written_files_are_removed_and_never_seen(tmp_path: Path) -> None:
    store = ObjectStore(Settings(data=tmp_path))
    await store.put("a/whole", b"x")
    half = tmp_path / "objects" / "a" / "half#1"
    half.write_bytes(b"half")
    assert [found.name async for found in store.under("a")] == ["a/whole"]
    assert await store.remove_leftovers(before=NOW - timedelta(days=1)) == 0
    assert await store.remove_leftovers(before=datetime.now(UTC) + timedelta(seconds=1)) == 1
    assert not half.exists()
    assert await store.get("a/whole") == b"x"


def test_a_folder_of_objects_is_its_owners_alone(tmp_path: Path) -> None:
    ObjectStore(Settings(data=tmp_path))
    assert (tmp_path / "objects").stat().st_mode & 0o777 == 0o700


async def test_a_store_that_refuses_says_so_without_its_keys(s3: str) -> None:
    store = ObjectStore(in_bucket(s3, "no-such-bucket"))
    with pytest.raises((StoreUnavailable, NotFound)) as refused:
        await store.put("a", b"x")
    assert "secret" not in str(refused.value)
