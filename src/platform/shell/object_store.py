"""Objects: files by name, in a folder of this machine or in an S3-compatible bucket, whole or not at all."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from core.errors import NotFound, PlatformError
from shell.settings import Secret, Settings

READ_BYTES = 1024 * 1024
PART_BYTES = 8 * 1024 * 1024
"""Of an upload in parts; S3 takes 10,000 of them, which is 80 GB."""

PARTS_AT_ONCE = 4
UNFINISHED = re.compile(r"#\d+$")
"""How a file in a folder ends while it is being written."""


class StoreUnavailable(PlatformError):
    """The object store does not answer as it should: {reason}."""

    fields = ("reason",)


class StoredObject(msgspec.Struct, frozen=True):
    """What the store says of an object."""

    name: str
    size: int
    modified_at: datetime


class ObjectStore:
    """Objects by name (`exports/…`); each appears whole, and survives a crash once it has been put."""

    def __init__(self, settings: Settings) -> None:
        """Use the folder or bucket that settings name; nothing is asked of it yet."""
        self._folder = None if settings.object_store_is_bucket else settings.objects_folder
        self._store = _folder(self._folder) if self._folder else _bucket(settings)

    async def put(self, name: str, content: bytes | BinaryIO) -> None:
        """Keep an object, in place of one with the same name; a file is read from where it stands."""
        with _said():
            await obstore.put_async(
                self._store, name, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )
        if self._folder is not None:
            await asyncio.to_thread(_made_durable, self._folder / name)

    async def get(self, name: str) -> bytes:
        """A small object, whole; raises NotFound."""
        with _said():
            found = await obstore.get_async(self._store, name)
            return bytes(await found.bytes_async())

    async def head(self, name: str) -> StoredObject:
        """What the store says of an object; raises NotFound."""
        with _said():
            meta = await obstore.head_async(self._store, name)
        return StoredObject(meta["path"], meta["size"], meta["last_modified"])

    async def open(self, name: str) -> AsyncIterator[bytes]:
        """An object's bytes, a MiB at a time, once it is there to be read; raises NotFound."""
        with _said():
            found = await obstore.get_async(self._store, name)
        return _read(aiter(found.stream(min_chunk_size=READ_BYTES)))

    async def delete(self, name: str) -> None:
        """Forget an object; one that is not there is fine."""
        with suppress(NotFound), _said():
            await obstore.delete_async(self._store, name)

    async def under(self, prefix: str) -> AsyncIterator[StoredObject]:
        """The objects whose names begin with a folder, in no order."""
        with _said():
            async for batch in obstore.list(self._store, prefix):
                for meta in batch:
                    yield StoredObject(meta["path"], meta["size"], meta["last_modified"])

    async def remove_leftovers(self, *, before: datetime) -> int:
        """Delete what a killed process left half-written in a folder before an instant; gives how many files.

        A bucket hides what is half-written, and deletes it by a rule of its own (docs/settings.md).
        """
        if self._folder is None:
            return 0
        return await asyncio.to_thread(_remove_leftovers, self._folder, before.timestamp())


def _folder(folder: Path) -> LocalStore:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LocalStore(prefix=folder)


def _bucket(settings: Settings) -> S3Store:
    parts, endpoint = urlsplit(settings.object_store or ""), settings.s3_endpoint
    known = {
        "region": settings.s3_region,
        "endpoint": endpoint,
        "access_key_id": _revealed(settings.s3_access_key_id),
        "secret_access_key": _revealed(settings.s3_secret_access_key),
    }
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        client_options={"allow_http": (endpoint or "").startswith("http://")},
        **cast("Any", {key: value for key, value in known.items() if value is not None}),
    )


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.value


async def _read(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with _said():
        async for part in parts:
            yield bytes(part)


@contextmanager
def _said() -> Iterator[None]:
    """Turn the library's errors into ours, which name no address and no key."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(what="object") from error
    except BaseError as error:
        raise StoreUnavailable(reason=type(error).__name__) from error


def _made_durable(path: Path) -> None:
    """Wait until the disk has the file and its name."""
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_leftovers(folder: Path, before: float) -> int:
    removed = 0
    for path in folder.rglob("*#*"):
        with suppress(FileNotFoundError):
            if UNFINISHED.search(path.name) and path.stat().st_mtime < before:
                path.unlink()
                removed += 1
    return removed
