"""Tenants: create, list, read, change, suspend, activate, ask for deletion."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from core.audit import Actor, AuditEntry
from core.cursor import decode_cursor
from core.errors import NotPermitted
from core.identity import Identity
from core.job import Job
from core.permission import Permission
from core.registration import Country, Name, Organisation, VatId, billing_objections, refuse, require_valid
from core.tenant import (
    STANDARD_TIER,
    Tenant,
    TenantEvent,
    TenantState,
    Tier,
    next_state,
    require_readable,
    require_writable,
)
from shell import erasures, tenants
from shell.audit import append_platform_entry
from shell.session import platform_session
from web.erasure import ask_for_erasure
from web.founding import Claim, TenantFounded, answer_founded, found_tenant, still_founding
from web.guards import actor_of, may, require_stepped_up, stepped_up
from web.idempotency import IdempotencyKey
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import REGISTRY_PROBLEMS, TENANT_PROBLEMS, problems
from web.services import Services


class TenantToFound(Organisation, frozen=True, forbid_unknown_fields=True):
    """A customer to be, as an operator founds it."""

    tier: Tier = STANDARD_TIER


class TenantChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. The slug and the time zone stay for ever."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    country: Country | msgspec.UnsetType = msgspec.UNSET
    vat_id: VatId | msgspec.UnsetType | None = msgspec.UNSET
    tier: Tier | msgspec.UnsetType = msgspec.UNSET
    require_second_factor: bool | msgspec.UnsetType = msgspec.UNSET


NEEDED_FOR = {"tier": Permission.TENANTS_TIER, "require_second_factor": Permission.TENANT_POLICY}
"""What a change of a field needs beyond the permission to change a tenant."""


Confirmation = Annotated[
    str | None, QueryParameter(max_length=40, description="The tenant's slug, to confirm.")
]


@post(
    "/",
    operation_id="createTenant",
    summary="Create a tenant",
    guards=[may(Permission.TENANTS_CREATE)],
    responses=still_founding() | problems(400, 401, 403, 409, 422),
)
async def create_tenant(
    data: JSONBody[TenantToFound],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    idempotency_key: IdempotencyKey = None,
) -> Response[TenantFounded]:
    """Create a tenant without an owner. 201 where it is ready within two seconds, else 202 with its job."""
    require_valid(data)
    _require_tier(services, data.tier)
    claim = Claim(f"operator:{identity.user_id}", idempotency_key, msgspec.json.encode(data))
    actor = actor_of(request, identity)
    founded = await found_tenant(services, data, None, claim=claim, actor=actor, tier=data.tier)
    return await answer_founded(services, founded)


@get(
    "/",
    operation_id="listTenants",
    summary="List tenants",
    guards=[may(Permission.TENANTS_LIST)],
    responses=problems(401, 403, 422),
)
async def list_tenants(
    services: NamedDependency[Services],
    tenant_state: Annotated[
        TenantState | None, QueryParameter(name="state", description="Only tenants in this state.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Tenant]:
    """All tenants by age."""
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    async with platform_session(services.pool, readonly=True) as session:
        found = await tenants.page(session, after=after, state=tenant_state, limit=limit)
    return page_of(found, limit, lambda tenant: (tenant.created_at, tenant.id))


@get(
    "/{tenant_id:uuid}",
    operation_id="getTenant",
    summary="Read a tenant",
    guards=[may(Permission.TENANT_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def get_tenant(
    tenant_id: FromPath[UUID], identity: NamedDependency[Identity], services: NamedDependency[Services]
) -> Tenant:
    """One tenant, in whatever state; its own accounts see it until it is being erased."""
    async with platform_session(services.pool, readonly=True) as session:
        tenant = await tenants.get(session, tenant_id)
    if not identity.is_platform:
        require_readable(tenant.state)
    return tenant


@patch(
    "/{tenant_id:uuid}",
    operation_id="updateTenant",
    summary="Change a tenant",
    guards=[may(Permission.TENANT_UPDATE)],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def update_tenant(
    tenant_id: FromPath[UUID],
    data: JSONBody[TenantChanges],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Tenant:
    """Change a tenant's name or billing data; invoices that were issued keep the old ones.

    Operators also set its tier. Operators and OWNERs may demand a second factor of all its people, who then
    do nothing but enrol one until they have it; an account with a factor must have stepped up for that.
    """
    changes: dict[str, Any] = msgspec.to_builtins(data)
    await _require_permitted(request, identity, changes)
    if "tier" in changes:
        _require_tier(services, changes["tier"])
    async with platform_session(services.pool) as session:
        tenant = await tenants.lock(session, tenant_id)
        require_writable(tenant.state)
        wanted = msgspec.structs.replace(tenant, **changes)
        objections = billing_objections(wanted.country, wanted.vat_id)
        refuse([(field, detail) for field, detail in objections if detail is not None])
        details = {"fields": ",".join(sorted(changes))} | {
            field: changes[field] for field in NEEDED_FOR if field in changes
        }
        entry = AuditEntry(
            "tenant.updated", f"tenant:{tenant_id}", actor_of(request, identity), details=details
        )
        await append_platform_entry(session, entry)
        return await tenants.update(session, tenant_id, changes)


@post(
    "/{tenant_id:uuid}/suspend",
    operation_id="suspendTenant",
    summary="Suspend a tenant",
    status_code=200,
    guards=[may(Permission.TENANTS_SUSPEND)],
    responses=problems(*TENANT_PROBLEMS),
)
async def suspend_tenant(
    tenant_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Tenant:
    """Refuse changes to a tenant's data from now on; reading goes on."""
    return await _moved(services, tenant_id, TenantEvent.SUSPEND, actor_of(request, identity))


@post(
    "/{tenant_id:uuid}/activate",
    operation_id="activateTenant",
    summary="Activate a tenant",
    status_code=200,
    guards=[may(Permission.TENANTS_SUSPEND)],
    responses=problems(*TENANT_PROBLEMS),
)
async def activate_tenant(
    tenant_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Tenant:
    """Admit changes again."""
    return await _moved(services, tenant_id, TenantEvent.ACTIVATE, actor_of(request, identity))


@delete(
    "/{tenant_id:uuid}",
    operation_id="deleteTenant",
    summary="Ask for a tenant's deletion",
    status_code=202,
    guards=[may(Permission.TENANT_DELETE), stepped_up()],
    responses=problems(*TENANT_PROBLEMS, 422),
)
async def delete_tenant(
    tenant_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    confirm: Confirmation = None,
) -> Response[Job]:
    """The same as asking for its erasure: `confirm` must repeat its slug, and a waiting period follows."""
    return await ask_for_erasure(services, tenant_id, confirm, actor_of(request, identity))


async def _require_permitted(
    request: Request[Any, Any, Any], identity: Identity, changes: dict[str, Any]
) -> None:
    """Raises NotPermitted and StepUpRequired for what not everybody may change who changes a tenant."""
    for field, permission in NEEDED_FOR.items():
        if field in changes and not identity.may(permission):
            raise NotPermitted(permission=permission)
    if "require_second_factor" in changes:
        await require_stepped_up(request)


def _require_tier(services: Services, tier: str) -> None:
    """Raises InvalidInput for a tier that settings do not name."""
    if tier not in services.throttle.tiers:
        refuse([("tier", "is not one of " + ", ".join(sorted(services.throttle.tiers)))])


async def _moved(services: Services, tenant_id: UUID, event: TenantEvent, actor: Actor) -> Tenant:
    """Take one step of the lifecycle, and audit it; raises TransitionRefused, ErasureRefused."""
    async with platform_session(services.pool) as session:
        tenant = await tenants.lock(session, tenant_id)
        state = next_state(tenant.state, event)
        await erasures.require_none_under_way(session, tenant_id, event)
        entry = AuditEntry(
            f"tenant.{event}", f"tenant:{tenant.id}", actor, details={"from": tenant.state, "to": state}
        )
        await append_platform_entry(session, entry)
        return await tenants.set_state(session, tenant, state)


tenants_router = Router(
    "/tenants",
    route_handlers=[
        create_tenant,
        list_tenants,
        get_tenant,
        update_tenant,
        suspend_tenant,
        activate_tenant,
        delete_tenant,
    ],
    tags=["Tenants"],
)
