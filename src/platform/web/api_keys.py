"""API keys of a tenant's machines: make, list, revoke."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from core.api_key import Scope, key_objections, permissions_of
from core.audit import AuditEntry
from core.cursor import decode_cursor
from core.errors import NotPermitted
from core.identity import Identity
from core.permission import Permission
from core.registration import Name, refuse
from core.tenant import require_readable, require_writable
from shell import api_keys, tenants
from shell.api_keys import ApiKey, NewApiKey
from shell.audit import append_tenants_entry
from shell.session import Session, platform_session
from web.guards import actor_of, may, stepped_up
from web.idempotency import IdempotencyKey, earlier_result, keep_result
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import REGISTRY_PROBLEMS, TENANT_PROBLEMS, problems
from web.refusals import refusals_audited
from web.services import Services

Network = Annotated[
    str, msgspec.Meta(max_length=50, description="CIDR notation.", examples=["203.0.113.0/24"])
]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class ApiKeyWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made: good until it is revoked without `expires_at`, and anywhere without `networks`."""

    name: Name
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(Scope))]
    expires_at: Instant | None = None
    networks: Annotated[list[Network], msgspec.Meta(max_length=50)] = []


class ApiKeyMade(ApiKey, frozen=True, kw_only=True):
    """A new key; `key` is its text, shown this once, and null where the same Idempotency-Key comes again."""

    key: str | None


@post(
    "/api-keys",
    operation_id="createApiKey",
    summary="Make an API key",
    guards=[may(Permission.API_KEYS_WRITE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def create_api_key(
    tenant_id: FromPath[UUID],
    data: JSONBody[ApiKeyWanted],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    idempotency_key: IdempotencyKey = None,
) -> Response[ApiKeyMade]:
    """Make a key for machines; nobody can give a scope that goes beyond what he may do himself.

    The key's text is in the first answer alone: a request that is repeated with its Idempotency-Key is
    answered with the key and without its text.
    """
    now, actor = datetime.now(UTC), actor_of(request, identity)
    refuse(key_objections(networks=data.networks, expires_at=data.expires_at, now=now))
    wanted = NewApiKey(data.name, sorted(set(data.scopes)), list(data.networks), data.expires_at)
    async with refusals_audited(services, tenant_id, "api_key.created", f"tenant:{tenant_id}", actor):
        _require_may_give(identity, wanted.scopes)
    caller = f"api-keys:{tenant_id}:{identity.user_id}"
    async with platform_session(services.pool) as session:
        tenant = await tenants.get(session, tenant_id)
        require_writable(tenant.state)
        asked = msgspec.json.encode(data)
        earlier = await earlier_result(session, caller=caller, key=idempotency_key, request=asked)
        if earlier is not None:
            return _made(msgspec.json.decode(earlier, type=ApiKey), None)
        key, text = await services.api_keys.make(session, tenant_id, wanted, by=identity.user_id)
        details = {"scopes": ",".join(key.scopes)}
        entry = AuditEntry("api_key.created", f"api_key:{key.id}", actor, details=details)
        await append_tenants_entry(session, tenant, entry)
        kept = msgspec.json.encode(key).decode()
        await keep_result(session, caller=caller, key=idempotency_key, result=kept)
    return _made(key, text)


@get(
    "/api-keys",
    operation_id="listApiKeys",
    summary="List API keys",
    guards=[may(Permission.API_KEYS_READ)],
    responses=problems(*REGISTRY_PROBLEMS, 422),
)
async def list_api_keys(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[ApiKey]:
    """A tenant's keys by age, revoked ones included; `last_used_at` may lag behind by some seconds."""
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    async with platform_session(services.pool, readonly=True) as session:
        await _require_open(session, tenant_id)
        found = await api_keys.page(session, tenant_id, after=after, limit=limit)
    return page_of(found, limit, lambda key: (key.created_at, key.id))


@get(
    "/api-keys/{api_key_id:uuid}",
    operation_id="getApiKey",
    summary="Read an API key",
    guards=[may(Permission.API_KEYS_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def get_api_key(
    tenant_id: FromPath[UUID], api_key_id: FromPath[UUID], services: NamedDependency[Services]
) -> ApiKey:
    """One key, without its text."""
    async with platform_session(services.pool, readonly=True) as session:
        await _require_open(session, tenant_id)
        return await api_keys.get(session, tenant_id, api_key_id)


@delete(
    "/api-keys/{api_key_id:uuid}",
    operation_id="revokeApiKey",
    summary="Revoke an API key",
    status_code=204,
    guards=[may(Permission.API_KEYS_WRITE)],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def revoke_api_key(
    tenant_id: FromPath[UUID],
    api_key_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> None:
    """End a key for good, also a suspended tenant's; it is refused within 20 seconds everywhere."""
    async with platform_session(services.pool) as session:
        tenant = await tenants.get(session, tenant_id)
        require_readable(tenant.state)
        await api_keys.revoke(session, tenant_id, api_key_id)
        entry = AuditEntry("api_key.revoked", f"api_key:{api_key_id}", actor_of(request, identity))
        await append_tenants_entry(session, tenant, entry)
    services.api_keys.forget(api_key_id)


def _require_may_give(identity: Identity, scopes: list[Scope]) -> None:
    for permission in sorted(permissions_of(scopes)):
        if not identity.may(permission):
            raise NotPermitted(permission=permission)


async def _require_open(session: Session, tenant_id: UUID) -> None:
    """Raises NotFound, TenantGone."""
    require_readable((await tenants.get(session, tenant_id)).state)


def _made(key: ApiKey, text: str | None) -> Response[ApiKeyMade]:
    made = ApiKeyMade(**msgspec.structs.asdict(key), key=text)
    address = f"/api/v1/tenants/{key.tenant_id}/api-keys/{key.id}"
    return Response(made, status_code=201, headers={"Location": address, "Cache-Control": "no-store"})


api_keys_router = Router(
    "/", route_handlers=[create_api_key, list_api_keys, get_api_key, revoke_api_key], tags=["API keys"]
)
