"""Guards: who is asking, and whether they may."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from core.audit import Actor, ActorKind, AuditEntry, Outcome
from core.errors import NotAuthenticated, NotFound, NotPermitted, TenantHeaderDisagrees
from core.identity import Identity
from core.permission import Permission
from shell.audit import append_platform_entry
from shell.session import platform_session
from web.services import Services, services_of

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]

BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)


def signed_in() -> Guard:
    """A guard that admits anybody with a valid access token."""

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        authenticate(connection)

    return guard


def may(permission: Permission) -> Guard:
    """A guard that admits callers with a permission, to their own tenant or, for the platform's, to any.

    Another tenant's path is not found, whatever the caller may do in its own, and the attempt is audited.
    """

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        identity = authenticate(connection)
        tenant_id = connection.path_params.get("tenant_id")
        if tenant_id is not None and not identity.may_reach(tenant_id):
            await _audit_refusal(connection, identity, tenant_id)
            raise NotFound(what="tenant")
        if not identity.may(permission):
            raise NotPermitted(permission=permission)
        if tenant_id is None and permission in PLATFORM_ONLY and not identity.is_platform:
            raise NotPermitted(permission=permission)

    return guard


PLATFORM_ONLY = frozenset({Permission.TENANTS_LIST, Permission.TENANTS_CREATE, Permission.PRICES_WRITE})


def authenticate(connection: Connection) -> Identity:
    """Whom the request's bearer token speaks for; raises NotAuthenticated, TenantHeaderDisagrees."""
    found = BEARER.fullmatch(connection.headers.get("authorization", ""))
    if found is None:
        raise NotAuthenticated(reason="send an access token as Authorization: Bearer …")
    identity = services_of(connection.app.state).tokens.verify(found[1], datetime.now(UTC))
    _require_agreement(connection, identity)
    connection.scope["user"] = identity
    return identity


def _require_agreement(connection: Connection, identity: Identity) -> None:
    """X-Tenant names the tenant where no token exists; beside a token it may only repeat the token's id."""
    named = connection.headers.get("x-tenant")
    if named is None or identity.is_platform:
        return
    if named not in {str(identity.tenant_id), identity.tenant_slug}:
        raise TenantHeaderDisagrees


def actor_of(connection: Connection, identity: Identity | None = None) -> Actor:
    """The caller as audit entries name it."""
    kind = ActorKind.ANONYMOUS
    if identity is not None:
        kind = ActorKind.OPERATOR if identity.is_platform else ActorKind.USER
    client = connection.client
    return Actor(
        kind=kind,
        id=None if identity is None else identity.user_id,
        request_id=connection.scope.get("state", {}).get("request_id"),
        address=None if client is None else client.host,
    )


async def _audit_refusal(connection: Connection, identity: Identity, tenant_id: UUID) -> None:
    services: Services = services_of(connection.app.state)
    entry = AuditEntry(
        action="tenant.foreign_access",
        subject=f"tenant:{tenant_id}",
        actor=actor_of(connection, identity),
        outcome=Outcome.DENIED,
        details={
            "method": str(connection.scope.get("method", "")),
            "tenant_of_caller": str(identity.tenant_id),
        },
    )
    async with platform_session(services.pool) as session:
        await append_platform_entry(session, entry)
