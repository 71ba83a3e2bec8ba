"""Founding a tenant: one transaction registers it and queues its provisioning; the answer waits a little."""

import asyncio
import time
from uuid import UUID

import msgspec
from litestar import Response
from litestar.openapi.datastructures import ResponseSpec

from core.audit import Actor, AuditEntry
from core.identity import Account
from core.job import Job, JobKind, JobState
from core.registration import Organisation, time_zone_of
from core.tenant import STANDARD_TIER, Tenant
from shell import jobs, tenants
from shell.announce import announce
from shell.audit import append_platform_entry
from shell.session import Session, platform_session
from shell.tenants import Founder, NewTenant
from web.idempotency import earlier_result, keep_result
from web.services import Services

PATIENCE_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.02


class Founded(msgspec.Struct, frozen=True):
    """What founding made: all that a repeated request needs to be answered alike."""

    tenant_id: UUID
    job_id: UUID
    user: Account | None


class TenantFounded(msgspec.Struct, frozen=True):
    """The new tenant; while its job is not DONE, its schema is still being made."""

    tenant: Tenant
    job: Job
    user: Account | None = None


class Claim(msgspec.Struct, frozen=True):
    """Who repeats what: the caller, its Idempotency-Key, and the request without its secrets."""

    caller: str
    key: str | None
    request: bytes


def still_founding() -> dict[int, ResponseSpec]:
    """The answer about a tenant that takes longer than its founder waits, for the OpenAPI description."""
    return {202: ResponseSpec(TenantFounded, generate_examples=False)}


async def found_tenant(
    services: Services,
    organisation: Organisation,
    founder: Founder | None,
    *,
    claim: Claim,
    actor: Actor,
    tier: str = STANDARD_TIER,
) -> Founded:
    """Register a tenant and queue its provisioning; raises SlugTaken, IdempotencyConflict."""
    async with platform_session(services.pool) as session:
        earlier = await earlier_result(session, caller=claim.caller, key=claim.key, request=claim.request)
        if earlier is not None:
            return msgspec.json.decode(earlier, type=Founded)
        founded = await _register(session, organisation, founder, actor, tier)
        result = msgspec.json.encode(founded).decode()
        await keep_result(session, caller=claim.caller, key=claim.key, result=result)
    await announce(services.announcer, [founded.job_id])
    return founded


async def _register(
    session: Session, organisation: Organisation, founder: Founder | None, actor: Actor, tier: str
) -> Founded:
    new = NewTenant(
        slug=organisation.slug,
        name=organisation.name,
        country=organisation.country,
        vat_id=organisation.vat_id,
        time_zone=time_zone_of(organisation),
        tier=tier,
    )
    tenant = await tenants.insert(session, new, founder)
    job = await jobs.enqueue(
        session,
        JobKind.PROVISION_TENANT,
        dedupe_key=str(tenant.id),
        tenant_id=tenant.id,
        request_id=actor.request_id,
    )
    await append_platform_entry(
        session, AuditEntry("tenant.founded", f"tenant:{tenant.id}", actor, details={"tier": tier})
    )
    return Founded(tenant.id, job.id, founder.account if founder else None)


async def answer_founded(services: Services, founded: Founded) -> Response[TenantFounded]:
    """201 where the tenant is open within two seconds, else 202 with the job's address."""
    job, tenant = await _waited_for(services, founded)
    is_done = job.state is JobState.DONE
    address = f"/api/v1/tenants/{tenant.id}" + ("" if is_done else f"/jobs/{job.id}")
    return Response(
        TenantFounded(tenant, job, founded.user),
        status_code=201 if is_done else 202,
        headers={"Location": address},
    )


async def _waited_for(services: Services, founded: Founded) -> tuple[Job, Tenant]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        async with platform_session(services.pool, readonly=True) as session:
            job = await jobs.get(session, founded.job_id)
            tenant = await tenants.get(session, founded.tenant_id)
        if job.state is JobState.DONE or time.monotonic() > deadline:
            return job, tenant
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
