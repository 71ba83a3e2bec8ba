"""Guards: who is asking, and whether they may."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope

from core.api_key import PREFIX as API_KEY_PREFIX
from core.audit import Actor, ActorKind, AuditEntry, Outcome
from core.errors import (
    AttemptThrottled,
    EnrolmentRequired,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    StepUpRequired,
    TenantHeaderDisagrees,
)
from core.identity import Identity
from core.permission import Permission
from core.second_factor import is_stepped_up
from shell.audit import append_platform_entry
from shell.measures import FOREIGN_ACCESSES
from shell.session import platform_session
from shell.standing import Standing
from web.services import Services, services_of

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]

PERMISSION_OF: dict[object, Permission] = {}
"""The permission that a guard asks for; the OpenAPI document tells from it where an API key will do."""

STEP_UP_MINUTES = 10
BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)


def signed_in(*, before_enrolment: bool = False) -> Guard:
    """A guard that admits anybody with a valid access token, and no API key.

    `before_enrolment` marks what an account may do that has yet to enrol the second factor that it needs.
    """

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        identity = await authenticate(connection, before_enrolment=before_enrolment)
        if identity.permissions is not None:
            raise NotAuthenticated(reason="an account's access token is needed here, not an API key")

    return guard


def stepped_up(minutes: int = STEP_UP_MINUTES) -> Guard:
    """A guard, after one that authenticates, for sensitive actions of accounts that have a second factor.

    It must have been shown within the last minutes.
    """

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        await require_stepped_up(connection, minutes)

    return guard


async def require_stepped_up(connection: Connection, minutes: int = STEP_UP_MINUTES) -> None:
    """Raise StepUpRequired where the caller has a second factor and has not shown it of late."""
    identity: Identity = connection.scope["user"]
    if identity.permissions is not None:
        return
    if is_stepped_up(identity.second_factor_at, datetime.now(UTC), minutes=minutes):
        return
    standing = await services_of(connection.app.state).standings.require_current(identity)
    if standing.has_second_factor:
        raise StepUpRequired(minutes=minutes)


def may(permission: Permission) -> Guard:
    """A guard that admits callers with a permission, to their own tenant or, for the platform's, to any.

    Another tenant's path is not found, whatever the caller may do in its own, and the attempt is audited.
    """

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        identity = await authenticate(connection)
        tenant_id = connection.path_params.get("tenant_id")
        if tenant_id is not None and not identity.may_reach(tenant_id):
            await _audit_refusal(connection, identity, "tenant.foreign_access", f"tenant:{tenant_id}")
            raise NotFound(what="tenant")
        if not identity.may(permission):
            raise NotPermitted(permission=permission)

    PERMISSION_OF[guard] = permission
    return guard


async def authenticate(connection: Connection, *, before_enrolment: bool = False) -> Identity:
    """Whom the access token or API key speaks for.

    Raises NotAuthenticated, TenantHeaderDisagrees, TooManyRequests, and EnrolmentRequired for an account
    without the second factor that it needs, unless the route is open before enrolment.
    """
    found = BEARER.fullmatch(_header(connection, b"authorization") or "")
    if found is None:
        raise NotAuthenticated(reason="send an access token or an API key as Authorization: Bearer …")
    services, now = services_of(connection.app.state), datetime.now(UTC)
    if found[1].startswith(API_KEY_PREFIX):
        identity = await services.api_keys.identify(found[1], address=address_of(connection), now=now)
    else:
        identity = services.tokens.verify(found[1], now)
        standing = await services.standings.require_current(identity)
        if not (standing.has_second_factor or before_enrolment):
            _require_no_enrolment(services, identity, standing)
        if standing.tier != identity.tier:
            identity = msgspec.structs.replace(identity, tier=standing.tier)
    _require_agreement(connection, identity)
    connection.scope["user"] = identity
    await _require_tokens(connection, services, identity)
    return identity


def _header(connection: Connection, name: bytes) -> str | None:
    """The header's first value; the framework would decode all headers to find it."""
    found = next((value for key, value in connection.scope["headers"] if key == name), None)
    return None if found is None else found.decode("latin-1")


def address_of(connection: Connection) -> str | None:
    """Where the request comes from: the peer, or whom trusted proxies forwarded it for (`web.edge`)."""
    return None if connection.client is None else connection.client.host


async def _require_tokens(connection: Connection, services: Services, identity: Identity) -> None:
    """Draw on the caller's buckets, and keep for the answer's header fields what is left of them."""
    throttle = services.throttle
    verdicts = await throttle.spend(throttle.allowances(identity), time.time())
    connection.scope.setdefault("state", {})["rate_limits"] = verdicts


def _require_no_enrolment(services: Services, identity: Identity, standing: Standing) -> None:
    of_platform = services.settings.require_operator_totp and identity.is_platform
    if of_platform or standing.needs_second_factor:
        raise EnrolmentRequired


def _require_agreement(connection: Connection, identity: Identity) -> None:
    """X-Tenant names the tenant where no token exists; beside a token it may only repeat the token's id."""
    named = _header(connection, b"x-tenant")
    if named is None or identity.is_platform:
        return
    if named not in {str(identity.tenant_id), identity.tenant_slug}:
        raise TenantHeaderDisagrees


def actor_of(connection: Connection, identity: Identity | None = None) -> Actor:
    """The caller as audit entries name it."""
    return Actor(
        kind=_kind_of(identity),
        id=None if identity is None else identity.user_id,
        request_id=connection.scope.get("state", {}).get("request_id"),
        address=address_of(connection),
    )


def _kind_of(identity: Identity | None) -> ActorKind:
    if identity is None:
        return ActorKind.ANONYMOUS
    if identity.permissions is not None:
        return ActorKind.API_KEY
    return ActorKind.OPERATOR if identity.is_platform else ActorKind.USER


async def audit_unknown_id(error: Exception, scope: Scope) -> None:
    """Audit that an account asked for a thing by an id that its tenant does not know: a hook on errors.

    It may be another tenant's: seen with the tenant's own role, that is an id like any that never was.
    """
    identity: object = scope.get("user")
    path: Mapping[str, object] = scope.get("path_params", {})
    if not (isinstance(error, NotFound) and isinstance(identity, Identity) and identity.tenant_id):
        return
    unknown = [
        f"{name}:{found}" for name, found in path.items() if name != "tenant_id" and isinstance(found, UUID)
    ]
    if unknown and path.get("tenant_id", identity.tenant_id) == identity.tenant_id:
        await _audit_refusal(ASGIConnection(scope), identity, "id.unknown", unknown[0])


async def _audit_refusal(connection: Connection, identity: Identity, action: str, subject: str) -> None:
    """Audit the first such requests of an account, and then one now and then: they must not fill the log."""
    services: Services = services_of(connection.app.state)
    FOREIGN_ACCESSES.inc()
    following = "audited"
    try:
        await services.attempts.begin(
            services.attempts.foreign,
            account=str(identity.user_id),
            address=address_of(connection),
            now=time.time(),
        )
    except AttemptThrottled as refused:
        if refused.data["held"] is None:
            return
        following = "not audited for a while"
    entry = AuditEntry(
        action=action,
        subject=subject,
        actor=actor_of(connection, identity),
        outcome=Outcome.DENIED,
        details={
            "method": str(connection.scope.get("method", "")),
            "tenant_of_caller": str(identity.tenant_id),
            "following": following,
        },
    )
    async with platform_session(services.pool) as session:
        await append_platform_entry(session, entry)
