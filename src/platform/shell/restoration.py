"""Restoring a package into a new tenant: verified first, filled and opened in one transaction.

Whatever stops it, the tenant stays closed and empty; the same command goes on from there.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import BinaryIO

import msgspec

from core.audit import Actor, AuditEntry
from core.package import Origin, PackageRefused
from core.portability import Format, Kind, PortableColumn, PortableTable
from core.portable_parsing import Cells, bytes_literal, copy_line, reader
from core.registration import Organisation, require_valid, time_zone_of
from core.tenant import Tenant
from shell import provisioning, tenants
from shell.audit import append_platform_entry, append_tenants_entry
from shell.database import Pool
from shell.package_files import Bag, Member, Read, members, verified
from shell.portability import LONGEST_SECONDS, Source, sources_of
from shell.queries import SQL
from shell.session import Session, owner_session, platform_session, tenant_of
from shell.tenants import NewTenant

WRITE_BYTES = 256 * 1024
NO_SECRET = "!"  # noqa: S105 -- no hash of anything
SECRET_BYTES = 32


class Target(msgspec.Struct, frozen=True):
    """A table that is filled from a file: the file's columns, and those that need a value of ours."""

    path: str
    table: PortableTable
    fillers: tuple[PortableColumn, ...]


class Restored(msgspec.Struct, frozen=True):
    """A tenant that was made from a package."""

    tenant: Tenant
    tables: int
    rows: int


async def restore(
    pool: Pool, owner_pool: Pool, file: BinaryIO, *, slug: str, actor: Actor, most_bytes: int, read: Read
) -> Restored:
    """Make a tenant with everything that a package has, ACTIVE at the end.

    Its people come without passwords and second factors: each asks for a password reset. Raises
    PackageRefused before anything is made, SlugTaken, InvalidInput.
    """
    bag = await asyncio.to_thread(verified, file, most_bytes=most_bytes, read=read)
    tenant = await _registered(pool, _organisation(bag, slug), actor)
    await provisioning.begin(owner_pool, tenant.id)
    await provisioning.create_role(owner_pool, tenant)
    await provisioning.create_schema(owner_pool, tenant)
    await provisioning.create_tables(owner_pool, tenant)
    async with owner_session(owner_pool, schema=tenant.schema) as session:
        await session.connection.execute(SQL["lock_schema"], tenant.schema)
        await session.connection.execute(SQL["settle_for_copy"])
        rows = await _fill(session, tenant, file, bag, most_bytes=most_bytes, read=read)
        await session.connection.execute(SQL["open_imported_days"], datetime.now(UTC))
        await provisioning.open_tenant(session, tenant.id)
        details = {"rows": str(rows), "from": bag.info.get("External-Identifier", "")}
        entry = AuditEntry("tenant.imported", f"tenant:{tenant.id}", actor, details=details)
        await append_tenants_entry(session, tenant, entry)
    return Restored(tenant, len(bag.payload), rows)


def _organisation(bag: Bag, slug: str) -> Organisation:
    """The new tenant, as the package tells of the old one."""
    try:
        origin = msgspec.json.decode(bag.tags["tenant.json"], type=Origin)
        told = {"name": origin.name, "slug": slug, "country": origin.country}
        organisation = msgspec.convert(
            told | {"vat_id": origin.vat_id, "time_zone": origin.time_zone}, Organisation
        )
    except (KeyError, msgspec.DecodeError) as error:
        raise PackageRefused(reason=f"tenant.json does not tell of a tenant: {error}") from error
    require_valid(organisation)
    return organisation


async def _registered(pool: Pool, organisation: Organisation, actor: Actor) -> Tenant:
    async with platform_session(pool) as session:
        begun = await session.connection.fetchrow(SQL["unfinished_import"], organisation.slug)
        if begun is not None:
            return tenant_of(begun)
        new = NewTenant(
            slug=organisation.slug,
            name=organisation.name,
            country=organisation.country,
            vat_id=organisation.vat_id,
            time_zone=time_zone_of(organisation),
        )
        tenant = await tenants.insert(session, new, None)
        await append_platform_entry(session, AuditEntry("tenant.founded", f"tenant:{tenant.id}", actor))
    return tenant


async def _fill(
    session: Session, tenant: Tenant, file: BinaryIO, bag: Bag, *, most_bytes: int, read: Read
) -> int:
    """Fill the tables, each after those that it refers to; gives how many rows."""
    format_, rows = Format(bag.info["EU-Platform-Format"]), 0
    targets = _targets(bag, format_, await sources_of(session))
    for level in await _levels(session, targets):
        for member in members(file, most_bytes=most_bytes, read=read):
            if member.path in level:
                target = targets[member.path]
                rows += await _copy(session, tenant, target, _Lines(member, target, format_, bag))
    return rows


def _targets(bag: Bag, format_: Format, sources: list[Source]) -> dict[str, Target]:
    """What each file of the payload fills; raises PackageRefused for what there is no place for."""
    places = {source.table.path(format_): source for source in sources}
    for path in bag.payload.keys() - places.keys():
        raise PackageRefused(reason=f"there is no table for {path}")
    return {path: _target(path, places[path], bag) for path in bag.payload}


def _target(path: str, source: Source, bag: Bag) -> Target:
    name, live = source.table.name, {column.name: column for column in source.table.columns}
    try:
        schema = msgspec.json.decode(bag.tags[f"schema/{name}.json"], type=dict[str, msgspec.Raw])
        names = list(msgspec.json.decode(schema["properties"], type=dict[str, msgspec.Raw]))
        columns = tuple(live[each] for each in names)
    except (KeyError, msgspec.DecodeError) as error:
        raise PackageRefused(reason=f"the schema of {name} fits no table here: {error}") from error
    fillers = tuple(column for column in source.needed if column.name not in names)
    for column in fillers:
        if column.kind not in {Kind.TEXT, Kind.BYTES} or column.name in live:
            raise PackageRefused(reason=f"{name} lacks the column {column.name}")
    return Target(path, PortableTable(name, columns), fillers)


async def _levels(session: Session, targets: Mapping[str, Target]) -> list[set[str]]:
    """The files in groups: what a table refers to is in a group before its own."""
    paths = {target.table.name: target.path for target in targets.values()}
    order: TopologicalSorter[str] = TopologicalSorter({path: [] for path in targets})
    for row in await session.connection.fetch(SQL["live_references"]):
        if row["table_name"] in paths and row["needs"] in paths:
            order.add(paths[row["table_name"]], paths[row["needs"]])
    order.prepare()
    levels: list[set[str]] = []
    while order.is_active():
        ready = order.get_ready()
        order.done(*ready)
        levels.append(set(ready))
    return levels


async def _copy(session: Session, tenant: Tenant, target: Target, lines: "_Lines") -> int:
    columns = [column.name for column in (*target.table.columns, *target.fillers)]
    await session.connection.copy_to_table(
        target.table.name,
        schema_name=tenant.schema,
        source=lines.batches(),
        columns=columns,
        format="text",
        timeout=LONGEST_SECONDS,
    )
    lines.require_as_verified()
    return lines.rows


class _Lines:
    """The rows of a file as COPY takes them; counts them, and notices a file that was changed meanwhile."""

    def __init__(self, member: Member, target: Target, format_: Format, bag: Bag) -> None:
        self._member = member
        self._target = target
        self._reader = reader(format_, target.table)
        self._expected = bag.payload[member.path].sha256
        self._digest = hashlib.sha256()
        self.rows = 0

    async def batches(self) -> AsyncIterator[bytes]:
        """Lines, some hundred kilobytes at a time."""
        batch = bytearray()
        for line in self._lines():
            batch += line
            if len(batch) >= WRITE_BYTES:
                yield bytes(batch)
                batch.clear()
        yield bytes(batch)

    def require_as_verified(self) -> None:
        """Raise PackageRefused where the file is another than the one that was verified."""
        if self._digest.hexdigest() != self._expected:
            raise PackageRefused(reason=f"{self._member.path} was changed while it was read")

    def _lines(self) -> Iterator[bytes]:
        for cells in self._rows():
            self.rows += 1
            yield copy_line([*cells, *(_filler(column.kind) for column in self._target.fillers)])

    def _rows(self) -> Iterator[Cells]:
        for piece in self._member.pieces():
            self._digest.update(piece)
            yield from self._reader.feed(piece)
        yield from self._reader.end()


def _filler(kind: Kind) -> str:
    """A value for a secret that was left out: nobody has what it would be the hash of."""
    return bytes_literal(os.urandom(SECRET_BYTES)) if kind is Kind.BYTES else NO_SECRET
