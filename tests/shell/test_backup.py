"""Backups: taken while the platform lives, opened by their key alone, restored for one tenant or for all."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from core.audit import SYSTEM
from core.backup import BackedUpTenant, BackupRefused, Manifest, Stay, overdue
from core.errors import SettingInvalid
from core.membership import UserState
from core.permission import Role
from core.retention import RetentionPolicy
from core.tenant import Tenant, TenantState
from jobs.runner import run_job
from shell import deletion_ledger, legal_holds, persons, retention, tenants, users
from shell.backup import PLAIN_MANIFEST, UNFINISHED_MANIFEST, backup_key, open_backup, take_backup
from shell.backup_pruning import prune_backups
from shell.commands.connect import Connected
from shell.object_store import ObjectStore
from shell.persons import Correction
from shell.postgres_tools import ToolFailed
from shell.restoring import restore_all, restore_tenant
from shell.session import platform_session, tenant_session
from shell.settings import Secret, Settings
from shell.users import Changer, UserChange
from tests.erasure import INVOICE, filled, requested, require_erased
from tests.events import store, usage
from tests.installation import (
    Installation,
    add_account,
    administrator,
    current,
    database_url,
    found,
    installed,
    rows,
)
from tests.waiting import until

KEY = Secret("a key of backups that is long enough, and random elsewhere")


def connected(installation: Installation) -> Connected:
    settings = msgspec.structs.replace(installation.settings, backup_key=KEY)
    return Connected(settings, installation.pool, installation.owner_pool)


async def events(installation: Installation, tenant: Tenant) -> set[object]:
    """The ids of the usage that a tenant has, as the application sees it."""
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        return {row["id"] for row in await session.connection.fetch("SELECT id FROM usage_events")}


@asynccontextmanager
async def empty_database(servers: Settings, admin_url: str, name: str) -> AsyncIterator[Installation]:
    async with administrator(admin_url) as admin:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    url = Secret(database_url(admin_url, name))
    async with installed(msgspec.structs.replace(servers, database_url=url)) as fresh:
        yield fresh
    async with administrator(admin_url) as admin:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_one_tenant_is_put_back_while_others_live_on(
    own_installation: Installation, tmp_path: Path
) -> None:
    platform = connected(own_installation)
    tenant, other = await filled(own_installation), await found(own_installation)
    await store(own_installation, tenant, usage("before"))
    backup = await take_backup(platform, tmp_path)
    before = await events(own_installation, tenant)
    await store(own_installation, tenant, usage("after"))
    written = 0

    async def live() -> None:
        nonlocal written
        while True:
            await store(own_installation, other, usage(f"other-{written}"))
            written += 1

    living = asyncio.create_task(live())
    await restore_tenant(platform, open_backup(backup.folder, KEY), tenant.slug)
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    assert await events(own_installation, tenant) == before
    assert {f"other-{index}" for index in range(written)} <= await events(own_installation, other)
    assert written > 0
    query = "SELECT chain FROM public.audit_log WHERE action = 'backup.restored' ORDER BY chain"
    assert {row["chain"] for row in await rows(own_installation, query)} == {"platform", tenant.chain}


async def test_people_stay_who_they_are_unless_they_are_put_back_too(
    own_installation: Installation, tmp_path: Path
) -> None:
    platform, tenant = connected(own_installation), await found(own_installation)
    names = ("chief", "restricted", "deactivated", "erased", "renamed")
    people = {name: (await add_account(own_installation, tenant, Role.OWNER)).id for name in names}
    chief = Changer(people["chief"], Role.OWNER)
    async with administrator(own_installation.admin_url) as admin:
        await admin.execute(
            f"INSERT INTO {tenant.schema}.anomalies SELECT gen_random_uuid(), current_date, 'cpu',"
            " 1, 1, 1, 1, 1, 'high', now(), now(), $1, 'Ada was here'",
            people["erased"],
        )
    backup = await take_backup(platform, tmp_path, slug=tenant.slug)
    async with tenant_session(own_installation.pool, tenant_id=tenant.id) as session:
        await persons.restrict(session, people["restricted"], reason="a dispute", by=chief)
        gone = UserChange(state=UserState.DEACTIVATED)
        await users.change(session, people["deactivated"], gone, by=chief)
        await persons.rectify(session, people["renamed"], Correction(full_name="Grace"), by=chief)
        await session.connection.execute("UPDATE users SET password_hash = 'new'")
    async with platform_session(own_installation.pool) as platform_:
        await persons.erase(platform_, tenant.id, people["erased"], by=chief, actor=SYSTEM)
    joined = await add_account(own_installation, tenant, Role.MEMBER)

    async def everybody() -> dict[object, tuple[object, ...]]:
        query = f"SELECT id, state, full_name, password_hash FROM {tenant.schema}.users"
        return {row["id"]: tuple(row.values())[1:] for row in await rows(own_installation, query)}

    async def are_open() -> int:
        query = f"SELECT count(*) AS open FROM {tenant.schema}.sessions WHERE revoked_at IS NULL"
        [row] = await rows(own_installation, query)
        return int(str(row["open"]))

    now, open_now = await everybody(), await are_open()
    notes = f"SELECT note FROM {tenant.schema}.anomalies"
    assert await restore_tenant(platform, backup, tenant.slug)
    assert (await everybody(), await are_open()) == (now, open_now)
    assert joined.id in now
    assert await rows(own_installation, notes) == [{"note": None}], "the erased person's note is not back"
    assert not await restore_tenant(platform, backup, tenant.slug, with_people=True)
    assert await everybody() == {
        person: ("ACTIVE", "Ada Lovelace", "none") for name, person in people.items() if name != "erased"
    }
    assert await are_open() == 0
    assert await rows(own_installation, notes) == [{"note": None}]


async def test_what_would_lose_an_invoice_is_refused_and_changes_nothing(
    own_installation: Installation, tmp_path: Path
) -> None:
    platform, tenant = connected(own_installation), await found(own_installation)
    backup = await take_backup(platform, tmp_path, slug=tenant.slug)
    async with administrator(own_installation.admin_url) as admin:
        await admin.execute(INVOICE.format(schema=tenant.schema))
    await store(own_installation, tenant, usage("after"))
    with pytest.raises(ToolFailed, match="ACME-2026-00001"):
        await restore_tenant(platform, backup, tenant.slug)
    assert await events(own_installation, tenant) == {"after"}
    async with administrator(own_installation.admin_url) as admin:
        await admin.execute(f"DELETE FROM {tenant.schema}.invoices")
        await admin.execute(f"INSERT INTO {tenant.schema}.invoice_numbers VALUES (2026, 7)")
    left = own_installation.settings.data / "restoring" / "dump-left"
    left.mkdir(parents=True)
    await restore_tenant(platform, backup, tenant.slug)
    assert await events(own_installation, tenant) == set()
    assert not left.exists(), "what a killed restore had unsealed"
    numbers = await rows(own_installation, f"SELECT year, last FROM {tenant.schema}.invoice_numbers")
    assert numbers == [{"year": 2026, "last": 7}], "no number is given twice"


async def test_a_restore_that_is_cut_off_changes_nothing(
    own_installation: Installation, tmp_path: Path
) -> None:
    platform, tenant = connected(own_installation), await found(own_installation)
    backup = await take_backup(platform, tmp_path, slug=tenant.slug)
    await store(own_installation, tenant, usage("after"))
    async with administrator(own_installation.admin_url) as admin:
        async with admin.transaction():
            await admin.execute(f"LOCK TABLE {tenant.schema}.spent_keys")  # it is dropped last of all

            async def waits() -> bool:
                query = (
                    "SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"
                )
                return bool(await rows(own_installation, query, "psql"))

            restoring = asyncio.create_task(restore_tenant(platform, backup, tenant.slug))
            await until(waits)
            restoring.cancel()
            await asyncio.gather(restoring, return_exceptions=True)
        assert restoring.cancelled()
    assert await events(own_installation, tenant) == {"after"}
    with pytest.raises(BackupRefused, match="no open tenant"):
        stranger = msgspec.structs.replace(backup.manifest.tenants[0], id=uuid4())
        manifest = msgspec.structs.replace(backup.manifest, tenants=(stranger,))
        await restore_tenant(platform, msgspec.structs.replace(backup, manifest=manifest), tenant.slug)


async def test_everything_is_restored_into_an_empty_database_and_what_was_erased_stays_so(
    own_installation: Installation, servers: Settings, tmp_path: Path
) -> None:
    platform = connected(own_installation)
    tenant, erased = await found(own_installation), await filled(own_installation)
    await store(own_installation, tenant, usage("kept"))
    backup = await take_backup(platform, tmp_path)
    job = await requested(own_installation, erased)
    await run_job(own_installation.context, job.id)
    assert await deletion_ledger.mirror(own_installation.pool, ObjectStore(own_installation.settings))
    with pytest.raises(BackupRefused, match="in use"):
        await restore_all(platform, backup)
    async with empty_database(servers, own_installation.admin_url, "restored_whole") as fresh:
        assert await restore_all(connected(fresh), open_backup(backup.folder, KEY)) == 2
        assert await events(fresh, tenant) == {"kept"}
        await require_erased(fresh, erased)
        await store(fresh, tenant, usage("goes on"))


async def test_backups_lose_who_may_be_in_them_no_more(
    own_installation: Installation, servers: Settings, tmp_path: Path
) -> None:
    platform = connected(own_installation)
    stays, leaves, held = [await found(own_installation) for _ in range(3)]
    erased = await filled(own_installation)
    await store(own_installation, stays, usage("kept"))
    async with platform_session(own_installation.pool) as session:
        for tenant in (leaves, held):
            await retention.set_policy(session, tenant.id, RetentionPolicy(backups_days=30))
        await tenants.lock(session, held.id)
        await legal_holds.place(session, held.id, user_id=None, reason="case", by=held.id)
    whole = await take_backup(platform, tmp_path)
    own = await take_backup(platform, tmp_path, slug=leaves.slug)
    other = Secret("a key from before, which was just as long as this one is")
    foreign = await take_backup(
        msgspec.structs.replace(
            platform, settings=msgspec.structs.replace(platform.settings, backup_key=other)
        ),
        tmp_path,
        slug=stays.slug,
    )
    job = await requested(own_installation, erased)
    await run_job(own_installation.context, job.id)

    async def prune(days: int, *, dry_run: bool = False) -> dict[str, set[str]]:
        now = whole.manifest.taken_at + timedelta(days=days, minutes=1)
        done = await prune_backups(platform, tmp_path, now, dry_run=dry_run)
        assert done.unopened == [foreign.folder]
        return {each.backup.manifest.id: {tenant.slug for tenant in each.tenants} for each in done.prunings}

    expected = {whole.manifest.id: {leaves.slug, erased.slug}, own.manifest.id: {leaves.slug}}
    assert await prune(30, dry_run=True) == expected
    assert open_backup(whole.folder, KEY) == whole
    assert await prune(29) == {whole.manifest.id: {erased.slug}}, "what was erased leaves at once"
    with_leaver = shutil.copytree(whole.folder / leaves.schema, tmp_path / "copy")
    assert await prune(30) == {whole.manifest.id: {leaves.slug}, own.manifest.id: {leaves.slug}}
    assert not own.folder.exists()
    shutil.copytree(with_leaver, whole.folder / leaves.schema)  # as if it had been cut off
    for name in (PLAIN_MANIFEST, UNFINISHED_MANIFEST):
        (whole.folder / name).write_bytes(b"{}")
    with pytest.raises(BackupRefused, match="not a part of it"):
        open_backup(whole.folder, KEY)
    assert await prune(31) == {}
    query = "SELECT subject FROM public.audit_log WHERE action = 'backup.pruned' ORDER BY occurred_at"
    told = [entry["subject"] for entry in await rows(own_installation, query)]
    assert told == [f"tenant:{tenant.id}" for tenant in (erased, leaves, leaves)]
    left = open_backup(whole.folder, KEY)
    assert {tenant.slug for tenant in left.manifest.tenants} == {stays.slug, held.slug}
    with pytest.raises(BackupRefused, match=f"holds {leaves.slug} no more"):
        await restore_all(platform, left)
    await rows(own_installation, f"DROP SCHEMA {leaves.schema} CASCADE")  # whose role both databases share
    async with empty_database(servers, own_installation.admin_url, "restored_pruned") as fresh:
        assert await restore_all(connected(fresh), left, without_pruned=True) == 2
        assert await events(fresh, stays) == {"kept"}
        await require_erased(fresh, erased)
        for gone in (leaves, erased):
            assert (await current(fresh, gone)).state is TenantState.DELETED


async def test_who_is_not_known_here_stays_in_backups() -> None:
    tenant = BackedUpTenant(uuid4(), "acme", "tenant_acme", 1)
    now = datetime.now(UTC)
    manifest = Manifest(1, "x", now - timedelta(days=4_000), "18", 1, (tenant,), ())
    assert overdue(manifest, {}, now) == []
    [over] = overdue(manifest, {tenant.id: Stay(tenant.id, 3_000, is_erased=False, is_held=False)}, now)
    assert (over.id, over.slug, over.schema) == (tenant.id, tenant.slug, tenant.schema)


async def test_a_backup_that_was_touched_is_refused(own_installation: Installation, tmp_path: Path) -> None:
    platform, tenant = connected(own_installation), await found(own_installation)
    backup = await take_backup(platform, tmp_path / "made", slug=tenant.slug)
    assert not any(b"COPY" in file.read_bytes() for file in backup.folder.rglob("*") if file.is_file())
    for number, (said, touch) in enumerate(TOUCHES.items()):
        place = tmp_path / str(number)
        shutil.copytree(backup.folder, place / backup.folder.name)
        touch(place / backup.folder.name)
        with pytest.raises(BackupRefused, match=said):
            open_backup(next(place.iterdir()), KEY)
    with pytest.raises(BackupRefused, match="key is another"):
        open_backup(backup.folder, Secret("another key that is just as long as the right one"))
    for key in (None, Secret("too short")):
        with pytest.raises(SettingInvalid, match="PLATFORM_BACKUP_KEY"):
            backup_key(msgspec.structs.replace(own_installation.settings, backup_key=key))
    with pytest.raises(BackupRefused, match="one tenant alone"):
        await restore_all(platform, backup)


def flipped(folder: Path) -> None:
    file = next(folder.rglob("toc.dat.sealed"))
    content = bytearray(file.read_bytes())
    content[-40] ^= 1
    file.write_bytes(content)


def shortened(folder: Path) -> None:
    file = next(folder.rglob("toc.dat.sealed"))
    file.write_bytes(file.read_bytes()[:-1])


def swapped(folder: Path) -> None:
    first, second = sorted(folder.rglob("*.gz.sealed"))[:2]
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)


def added(folder: Path) -> None:
    (folder / "x").write_bytes(b"")


def removed(folder: Path) -> None:
    next(folder.rglob("*.gz.sealed")).unlink()


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name("renamed"))


def interrupted(folder: Path) -> None:
    (folder / "manifest.sealed").unlink()


def forged(folder: Path) -> None:
    file = folder / "manifest.sealed"
    file.write_bytes(file.read_bytes()[:-1] + b"x")


TOUCHES: dict[str, Callable[[Path], None]] = {
    "toc.dat was changed$|toc.dat was changed": flipped,
    "was changed": shortened,
    r"\d+.dat.gz was changed": swapped,
    "x is not a part of it": added,
    "is missing": removed,
    "folder was renamed": renamed,
    "was interrupted": interrupted,
    "its manifest was changed": forged,
}
