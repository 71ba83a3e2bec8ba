import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from core.errors import NotFound, TenantGone
from core.job import Job, JobKind
from core.portability import Format
from core.tenant import Tenant, TenantState
from jobs.context import WorkerContext
from jobs.portability import export_tenant, remove_expired_exports
from jobs.progress import Progress
from shell import exports
from shell.exports import Export, Kept
from shell.object_store import ObjectStore
from shell.session import platform_session
from tests.installation import Installation, put_into, queued, rows
from tests.jobs.crash import Crash, Crashing
from tests.s3 import in_bucket


async def asked(installation: Installation, tenant: Tenant) -> Job:
    """An export that nobody has begun."""
    job = await queued(installation, JobKind.EXPORT_TENANT, tenant, format="json")
    async with platform_session(installation.pool) as session:
        await exports.insert(session, job.id, tenant.id, Format.JSON, by=None)
    return job


async def export_of(context: WorkerContext, job: Job) -> Export:
    async with platform_session(context.pool, readonly=True) as session:
        return await exports.get(session, job.id)


async def kept(context: WorkerContext, job: Job) -> Kept:
    async with platform_session(context.pool, readonly=True) as session:
        return await exports.kept(session, job.id)


async def objects(context: WorkerContext) -> set[str]:
    return {found.name async for found in ObjectStore(context.settings).under("exports")}


async def actions(installation: Installation, job: Job) -> list[object]:
    found = await rows(
        installation, "SELECT action FROM public.audit_log WHERE subject = $1", f"export:{job.id}"
    )
    return [entry["action"] for entry in found]


async def expire(installation: Installation, job: Job) -> None:
    async with platform_session(installation.pool) as session:
        statement = "UPDATE public.exports SET expires_at = $2 WHERE id = $1"
        await session.connection.execute(statement, job.id, datetime.now(UTC))


@pytest.fixture
def context(context: WorkerContext, tmp_path: Path) -> WorkerContext:
    """A worker with an object store of the test's own."""
    return msgspec.structs.replace(context, settings=msgspec.structs.replace(context.settings, data=tmp_path))


async def test_a_package_is_kept_in_a_bucket_and_deleted_from_it(
    installation: Installation, context: WorkerContext, tenant: Tenant, s3: str
) -> None:
    settings = in_bucket(s3, settings=context.settings)
    worker = msgspec.structs.replace(context, settings=settings)
    job = await asked(installation, tenant)
    await export_tenant(worker, job, Progress(worker, job.id))
    found = await kept(worker, job)
    content = await ObjectStore(settings).get(found.object_name)
    assert hashlib.sha256(content).hexdigest() == found.export.sha256
    await expire(installation, job)
    await remove_expired_exports(worker)
    assert await objects(worker) == set()


async def test_a_package_is_kept_whole_and_told_once(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    job = await asked(installation, tenant)
    for _ in range(2):
        await export_tenant(context, job, Progress(context, job.id))
    found = await kept(context, job)
    content = await ObjectStore(context.settings).get(found.object_name)
    assert (found.export.size, found.export.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert found.export.finished_at is not None
    assert found.export.expires_at == found.export.finished_at + timedelta(hours=72)
    assert await objects(context) == {found.object_name}
    assert await actions(installation, job) == ["export.finished"]


async def test_a_worker_that_dies_before_it_stores_leaves_nothing(
    installation: Installation, context: WorkerContext, tenant: Tenant, tmp_path: Path
) -> None:
    job = await asked(installation, tenant)
    with pytest.raises(Crash):
        await export_tenant(context, job, Crashing(context, "store"))
    assert [files for _, _, files in os.walk(tmp_path) if files] == []
    with pytest.raises(NotFound):
        await kept(context, job)
    await export_tenant(context, job, Progress(context, job.id))
    assert await objects(context) == {(await kept(context, job)).object_name}


async def test_of_two_workers_at_the_same_export_the_first_is_believed(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    job = await asked(installation, tenant)

    class Overtaken(Progress):
        async def __call__(self, step: str, share: float) -> None:
            if step == "store":
                await export_tenant(context, job, Progress(context, job.id))
            await super().__call__(step, share)

    await export_tenant(context, job, Overtaken(context, job.id))
    found = await kept(context, job)
    assert await objects(context) == {found.object_name}
    assert await actions(installation, job) == ["export.finished"]


async def test_an_export_of_a_tenant_that_is_erased_meanwhile_is_thrown_away(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    job = await asked(installation, tenant)

    class Erased(Progress):
        async def __call__(self, step: str, share: float) -> None:
            if step == "store":
                await put_into(installation, tenant, TenantState.DEPROVISIONING)
            await super().__call__(step, share)

    with pytest.raises(TenantGone):
        await export_tenant(context, job, Erased(context, job.id))
    assert await objects(context) == set()


async def test_an_expired_package_is_deleted_and_audited_once(
    installation: Installation, context: WorkerContext, tenant: Tenant, other_tenant: Tenant
) -> None:
    job, other = await asked(installation, tenant), await asked(installation, other_tenant)
    for each in (job, other):
        await export_tenant(context, each, Progress(context, each.id))
    await expire(installation, job)
    for _ in range(2):
        await remove_expired_exports(context)
    assert await objects(context) == {(await kept(context, other)).object_name}
    assert (await export_of(context, job)).deleted_at is not None
    with pytest.raises(NotFound):
        await kept(context, job)
    assert await actions(installation, job) == ["export.finished", "export.expired"]


async def test_the_packages_of_an_erased_tenant_are_deleted(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    job = await asked(installation, tenant)
    await export_tenant(context, job, Progress(context, job.id))
    await put_into(installation, tenant, TenantState.DEPROVISIONING)
    assert await exports.remove_of_tenant(context.pool, ObjectStore(context.settings), tenant.id) == 1
    assert await objects(context) == set()
    assert await actions(installation, job) == ["export.finished", "export.erased"]


async def test_an_object_that_no_export_knows_of_is_deleted_when_it_is_old(
    installation: Installation, context: WorkerContext, tenant: Tenant
) -> None:
    job = await asked(installation, tenant)
    await export_tenant(context, job, Progress(context, job.id))
    store, orphan = ObjectStore(context.settings), exports.new_object_name(UUID(int=1))
    await store.put(orphan, b"half a day's work")
    now = datetime.now(UTC)
    assert await exports.remove_orphans(context.pool, store, now) == 0
    assert await exports.remove_orphans(context.pool, store, now + timedelta(days=2)) == 1
    assert await objects(context) == {(await kept(context, job)).object_name}
