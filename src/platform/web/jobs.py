"""Jobs of a tenant, as far as they are."""

from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from core.errors import NotFound
from core.job import Job
from core.permission import Permission
from shell import jobs
from shell.session import platform_session
from web.guards import may
from web.problems import REGISTRY_PROBLEMS, problems
from web.services import Services


@get(
    "/jobs/{job_id:uuid}",
    operation_id="getJob",
    summary="Read a job",
    guards=[may(Permission.JOBS_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def get_job(
    tenant_id: FromPath[UUID], job_id: FromPath[UUID], services: NamedDependency[Services]
) -> Job:
    """One job: its state, its step, and how far it is, from 0 to 1."""
    async with platform_session(services.pool, readonly=True) as session:
        job = await jobs.get(session, job_id)
    if job.tenant_id != tenant_id:
        raise NotFound(what="job")
    return job


jobs_router = Router("/", route_handlers=[get_job], tags=["Jobs"])
