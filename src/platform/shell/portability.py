"""A tenant's data as a package (Art. 20 GDPR): every table, as it was at one moment, in flat memory.

COPY reads a table, Polars turns a batch of rows into the package's format, ISA-L compresses it: each batch in
a thread, while the database writes the next one.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import BinaryIO

import asyncpg
import msgspec
import polars as pl

from core import package, package_guide
from core.classification import Column, Scope, columns_of
from core.package_guide import GLANCE, Chapter
from core.portability import (
    Format,
    Kind,
    LiveColumn,
    Package,
    PortableColumn,
    PortableTable,
    SchemaUndescribed,
    portable,
)
from core.portable_rows import head, plain, tail, written
from core.tenant import Tenant
from shell.copied_rows import frame_of
from shell.queries import SQL
from shell.session import Session, TenantSession
from shell.tar_gz import Content, TarGz

BATCH_BYTES = 2 * 1024 * 1024
LONGEST_SECONDS = 6 * 3_600.0

Told = Callable[[float], Awaitable[None]]
"""Takes the share of the work that is done."""

Copied = Callable[[int], Awaitable[None]]
"""Takes how many bytes of a table have been copied."""


class Source(msgspec.Struct, frozen=True):
    """A table that leaves, the query that COPY reads it with, and about how large it is.

    `needed` are the columns that a row cannot be without, whether they leave or not.
    """

    table: PortableTable
    query: str
    bytes: int
    needed: tuple[PortableColumn, ...]


async def write_package(
    session: TenantSession, file: BinaryIO, format_: Format, made_at: datetime, *, told: Told
) -> Package:
    """Write the package of the session's tenant to an empty file, all tables as its snapshot has them.

    Raises SchemaUndescribed for a table or column that nobody has classified.
    """
    await session.connection.execute(SQL["settle_for_copy"])
    sources, tenant = await sources_of(session), session.tenant
    archive = TarGz(file, f"{tenant.slug}-{made_at:%Y%m%d}", modified_at=int(made_at.timestamp()))
    whole, done, chapters = sum(source.bytes for source in sources) or 1, 0, list[Chapter]()
    archive.add("bagit.txt", package.BAGIT.encode())
    for source in sources:
        copied = _counted(told, done, source.bytes, whole)
        chapters.append(await _write_table(session, archive, source, format_, copied))
        done += source.bytes
    await asyncio.to_thread(_write_tags, archive, format_, tenant, chapters, made_at)
    size, digest = await asyncio.to_thread(_measured, file)
    rows = sum(chapter.payload.rows for chapter in chapters)
    return Package(format=format_, size=size, sha256=digest, rows=rows)


async def sources_of(session: Session) -> list[Source]:
    """The tables that leave, by name, as the live schema and the classification have them."""
    rows = await session.connection.fetch(SQL["live_columns"])
    found: list[Source] = []
    for name, group in groupby(rows, key=lambda row: str(row["table_name"])):
        columns = list(group)
        live = [LiveColumn(_column(row), row["is_key"]) for row in columns]
        table = portable(name, live, _classified(name))
        if table is not None:
            leaves = {column.name for column in table.columns}
            expressions = ", ".join(row["expression"] for row in columns if row["column_name"] in leaves)
            query = f"SELECT {expressions} FROM {columns[0]['relation']}"  # noqa: S608 -- the catalog's own quoted names
            needed = tuple(_column(row) for row in columns if row["is_needed"])
            found.append(Source(table, query, columns[0]["bytes"], needed))
    return found


def _column(row: asyncpg.Record) -> PortableColumn:
    return PortableColumn(row["column_name"], Kind(row["kind"]), row["is_nullable"])


def _classified(name: str) -> Mapping[str, Column]:
    try:
        return columns_of(Scope.TENANT, name)
    except KeyError as error:
        raise SchemaUndescribed(table=name, columns="all of them") from error


def _counted(told: Told, done: int, size: int, whole: int) -> Copied:
    """What says, for so many bytes of a table's text, which share of the whole is done; the two are alike."""

    async def copied(count: int) -> None:
        await told((done + min(count, size)) / whole)

    return copied


async def _write_table(
    session: Session, archive: TarGz, source: Source, format_: Format, copied: Copied
) -> Chapter:
    table = source.table
    with archive.member(table.path(format_)) as content:
        content.write(head(table, format_).encode())
        rows = _Rows(content, table, format_, copied)
        try:
            await session.connection.copy_from_query(
                source.query, output=rows.take, format="text", timeout=LONGEST_SECONDS
            )
            await rows.hand_over()
        finally:
            await rows.settle()
        content.write(tail(format_).encode())
    return Chapter(table, archive.files[-1], rows.glance)


class _Rows:
    """Takes what COPY reads, which is always whole rows, and writes it in batches, one behind."""

    def __init__(self, content: Content, table: PortableTable, format_: Format, copied: Copied) -> None:
        self._content = content
        self._columns = table.columns
        self._format = format_
        self._copied = copied
        self._count = 0
        self._waiting: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Task[None] | None = None
        self.glance = pl.DataFrame(schema={column.name: pl.String() for column in table.columns})

    async def take(self, copied: bytes) -> None:
        """Keep what was read until it makes a batch."""
        self._waiting.append(copied)
        self._size += len(copied)
        if self._size >= BATCH_BYTES:
            await self.hand_over()

    async def hand_over(self) -> None:
        """Let a thread write what waits, when it has written what it was given before."""
        await self.settle()
        batch = b"".join(self._waiting)
        self._count += self._size
        self._waiting, self._size = [], 0
        if batch:
            self._writing = asyncio.create_task(asyncio.to_thread(self._write, batch))
        await self._copied(self._count)

    async def settle(self) -> None:
        """Wait for the thread."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _write(self, batch: bytes) -> None:
        frame = plain(frame_of(batch, self._columns), self._columns)
        self._content.write(written(frame, self._columns, self._format), rows=frame.height)
        if self.glance.is_empty():
            self.glance = frame.head(GLANCE)


def _write_tags(
    archive: TarGz, format_: Format, tenant: Tenant, chapters: Sequence[Chapter], made_at: datetime
) -> None:
    payload = [chapter.payload for chapter in chapters]
    for chapter in chapters:
        archive.add(f"schema/{chapter.table.name}.json", package.schema(chapter.table))
        if format_ is Format.XML:
            archive.add(f"schema/{chapter.table.name}.xsd", package.xml_schema(chapter.table))
    archive.add("tenant.json", package.origin_of(tenant))
    archive.add("README.md", package_guide.readme(format_, tenant, chapters, made_at))
    archive.add("index.html", package_guide.page(format_, tenant, chapters, made_at))
    archive.add("bag-info.txt", package.info(format_, tenant, payload, made_at).encode())
    archive.add(package.MANIFEST, package.manifest(payload).encode())
    tags = [each for each in archive.files if each not in payload]
    archive.add(package.TAG_MANIFEST, package.manifest(tags).encode())
    archive.end()


def _measured(file: BinaryIO) -> tuple[int, str]:
    """Size and SHA-256 of a file, which then stands at its start."""
    size, digest = file.tell(), hashlib.sha256()
    file.seek(0)
    while part := file.read(BATCH_BYTES):
        digest.update(part)
    file.seek(0)
    return size, digest.hexdigest()
