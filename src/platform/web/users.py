"""People of a tenant: list, read, change, deactivate."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from core.audit import Actor, AuditEntry
from core.cursor import decode_cursor
from core.errors import NotPermitted
from core.identity import Identity
from core.membership import UserState, role_objections, state_objections
from core.permission import Permission, Role
from core.registration import Name, refuse
from core.tenant import require_writable
from shell import users
from shell.audit import append_entry
from shell.session import TenantSession, reading, tenant_session
from shell.users import Changed, Changer, User, UserChange
from web.guards import actor_of, may, stepped_up
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import TENANT_PROBLEMS, problems
from web.refusals import refusals_audited
from web.services import Services


class UserChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. The e-mail address stays for ever."""

    role: Annotated[
        Role | None, msgspec.Meta(description="OWNER, ADMIN, MEMBER or VIEWER; never above one's own.")
    ] = None
    full_name: Name | None = None
    state: UserState | None = None


@get(
    "/users",
    operation_id="listUsers",
    summary="List users",
    guards=[may(Permission.USERS_READ)],
    responses=problems(*TENANT_PROBLEMS, 422),
)
async def list_users(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[User]:
    """A tenant's people by age, deactivated ones included."""
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    found = await reading(
        services.pool, tenant_id, lambda session: users.page(session, after=after, limit=limit)
    )
    return page_of(found, limit, lambda user: (user.created_at, user.id))


@get(
    "/users/{user_id:uuid}",
    operation_id="getUser",
    summary="Read a user",
    guards=[may(Permission.USERS_READ)],
    responses=problems(*TENANT_PROBLEMS),
)
async def get_user(
    tenant_id: FromPath[UUID], user_id: FromPath[UUID], services: NamedDependency[Services]
) -> User:
    """One of a tenant's people."""
    return await reading(services.pool, tenant_id, lambda session: users.get(session, user_id))


@patch(
    "/users/{user_id:uuid}",
    operation_id="updateUser",
    summary="Change a user",
    guards=[may(Permission.USERS_WRITE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def update_user(
    tenant_id: FromPath[UUID],
    user_id: FromPath[UUID],
    data: JSONBody[UserChanges],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> User:
    """Change a role, a name or a state; nobody acts on a role above his own, and one active OWNER remains.

    Tokens with the old role are refused within 20 seconds everywhere, and so are those of a deactivated
    account, which loses its sessions for good. Open invitations that go beyond the new role are revoked.
    """
    refuse([*role_objections(data.role), *state_objections(data.state)])
    wanted = UserChange(data.role, data.full_name, data.state)
    actor = actor_of(request, identity)
    async with (
        refusals_audited(services, tenant_id, "user.updated", f"user:{user_id}", actor),
        tenant_session(services.pool, tenant_id=tenant_id) as session,
    ):
        require_writable(session.tenant.state)
        changed = await _changed(session, user_id, wanted, identity, actor)
    services.standings.forget(user_id)
    return changed.after


@delete(
    "/users/{user_id:uuid}",
    operation_id="deactivateUser",
    summary="Deactivate a user",
    status_code=204,
    guards=[may(Permission.USERS_WRITE), stepped_up()],
    responses=problems(*TENANT_PROBLEMS),
)
async def deactivate_user(
    tenant_id: FromPath[UUID],
    user_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> None:
    """The same as changing the state to DEACTIVATED, but also in a suspended tenant: the account stays.

    What it did keeps its name, and it can be made ACTIVE again.
    """
    wanted, actor = UserChange(state=UserState.DEACTIVATED), actor_of(request, identity)
    async with (
        refusals_audited(services, tenant_id, "user.updated", f"user:{user_id}", actor),
        tenant_session(services.pool, tenant_id=tenant_id) as session,
    ):
        await _changed(session, user_id, wanted, identity, actor)
    services.standings.forget(user_id)


@delete(
    "/users/{user_id:uuid}/sessions",
    operation_id="endUserSessions",
    summary="End a user's sessions",
    status_code=204,
    guards=[may(Permission.USERS_WRITE), stepped_up()],
    responses=problems(*TENANT_PROBLEMS),
)
async def end_user_sessions(
    tenant_id: FromPath[UUID],
    user_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> None:
    """End all sessions of one of the tenant's people, as where a device was lost; the account stays as it is.

    They cannot be renewed, and their access tokens are refused within 20 seconds everywhere.
    """
    actor = actor_of(request, identity)
    async with (
        refusals_audited(services, tenant_id, "user.sessions_ended", f"user:{user_id}", actor),
        tenant_session(services.pool, tenant_id=tenant_id) as session,
    ):
        await users.end_sessions(session, user_id, by=Changer(identity.user_id, role_of(identity)))
        await append_entry(session, AuditEntry("user.sessions_ended", f"user:{user_id}", actor))
    services.standings.forget(user_id)


async def _changed(
    session: TenantSession, user_id: UUID, wanted: UserChange, identity: Identity, actor: Actor
) -> Changed:
    changer = Changer(identity.user_id, role_of(identity))
    changed = await users.change(session, user_id, wanted, by=changer)
    details = _difference(changed)
    if details:
        await append_entry(session, AuditEntry("user.updated", f"user:{user_id}", actor, details=details))
    return changed


def role_of(identity: Identity) -> Role:
    """The caller's role; raises NotPermitted for an API key, which has none."""
    if identity.role is None:
        raise NotPermitted(permission=Permission.USERS_WRITE)
    return identity.role


def _difference(changed: Changed) -> dict[str, str]:
    """What an audit entry says of a change: roles and states, but no names."""
    before, after = changed.before, changed.after
    details: dict[str, str] = {}
    if before.role is not after.role:
        details |= {"role_from": before.role, "role_to": after.role}
    if before.state is not after.state:
        details |= {"state_from": before.state, "state_to": after.state}
    if before.full_name != after.full_name:
        details["fields"] = "full_name"
    return details


users_router = Router(
    "/",
    route_handlers=[list_users, get_user, update_user, deactivate_user, end_user_sessions],
    tags=["People"],
)
