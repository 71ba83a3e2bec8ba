"""Retention: a tenant's policy, and what a run would do by now."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from core.audit import AuditEntry
from core.identity import Identity
from core.permission import Permission
from core.retention import RetentionPolicy
from core.tenant import require_readable, require_writable
from shell import retention, tenants
from shell.audit import append_tenants_entry
from shell.retention import Due
from shell.session import platform_session
from web.guards import actor_of, may, stepped_up
from web.problems import REGISTRY_PROBLEMS, TENANT_PROBLEMS, problems
from web.services import Services


class RetentionPreview(msgspec.Struct, frozen=True):
    """What a run would do by now, by table."""

    items: list[Due]
    audit_details: int
    """Of how many audit entries details and addresses would be erased."""
    deactivated_people: int
    """How many people would be erased whose accounts are deactivated for so long."""


@get(
    "/gdpr/retention",
    operation_id="getRetention",
    summary="Read the retention policy",
    guards=[may(Permission.RETENTION_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def get_retention(tenant_id: FromPath[UUID], services: NamedDependency[Services]) -> RetentionPolicy:
    """For how many days what is kept; invoices and what supports them are kept as the law requires."""
    async with platform_session(services.pool, readonly=True) as session:
        require_readable((await tenants.get(session, tenant_id)).state)
        return await retention.policy_of(session, tenant_id)


@put(
    "/gdpr/retention",
    operation_id="setRetention",
    summary="Set the retention policy",
    guards=[may(Permission.RETENTION_WRITE), stepped_up()],
    responses=problems(400, *REGISTRY_PROBLEMS, 422),
)
async def set_retention(
    tenant_id: FromPath[UUID],
    data: JSONBody[RetentionPolicy],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> RetentionPolicy:
    """Replace the policy. What a longer one keeps is shown again, unless it was deleted for good already."""
    async with platform_session(services.pool) as session:
        tenant = await tenants.lock(session, tenant_id)
        require_writable(tenant.state)
        await retention.set_policy(session, tenant_id, data)
        details = {name: str(days) for name, days in msgspec.structs.asdict(data).items()}
        entry = AuditEntry(
            "retention.policy_set", f"tenant:{tenant_id}", actor_of(request, identity), details=details
        )
        await append_tenants_entry(session, tenant, entry)
    return data


@get(
    "/gdpr/retention/preview",
    operation_id="previewRetention",
    summary="See what retention would do",
    guards=[may(Permission.RETENTION_READ)],
    responses=problems(*TENANT_PROBLEMS),
)
async def preview_retention(
    tenant_id: FromPath[UUID], services: NamedDependency[Services]
) -> RetentionPreview:
    """A dry run: what would be hidden and what deleted for good by now, and how many rows of it."""
    now = datetime.now(UTC)
    due = await retention.preview(services.pool, tenant_id, now)
    details = await retention.preview_audit_details(services.pool, tenant_id, now)
    people = await retention.preview_deactivated_people(services.pool, tenant_id, now)
    return RetentionPreview(due, details, people)


retention_router = Router(
    "/", route_handlers=[get_retention, set_retention, preview_retention], tags=["Data protection"]
)
