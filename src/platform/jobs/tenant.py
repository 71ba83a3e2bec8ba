"""Which tenant a job is for."""

from uuid import UUID

from core.job import Job


def tenant_of(job: Job) -> UUID:
    """The tenant's id; every job of a kind that has one was queued with it."""
    if job.tenant_id is None:
        raise ValueError(f"a job of kind {job.kind} without a tenant")
    return job.tenant_id
