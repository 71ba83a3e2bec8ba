"""Invitations: nobody enters an existing tenant without one."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from core.audit import AuditEntry
from core.cursor import decode_cursor
from core.identity import Identity, normalised_email
from core.membership import require_may_give, role_objections
from core.permission import Permission, Role
from core.registration import Email, refuse
from core.tenant import require_writable
from shell import invitations, users
from shell.audit import append_entry
from shell.invitations import Invitation, NewInvitation
from shell.session import reading, tenant_session
from shell.users import Changer
from web.guards import actor_of, may, stepped_up
from web.idempotency import IdempotencyKey
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import TENANT_PROBLEMS, problems
from web.refusals import refusals_audited
from web.services import Services
from web.users import role_of


class InvitationWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to invite, to be what."""

    email: Email
    role: Annotated[Role, msgspec.Meta(description="OWNER, ADMIN, MEMBER or VIEWER; never above one's own.")]


class InvitationMade(Invitation, frozen=True, kw_only=True):
    """A new invitation; `token` is shown this once, and null where the same Idempotency-Key comes again."""

    token: str | None


@post(
    "/invitations",
    operation_id="createInvitation",
    summary="Invite somebody",
    guards=[may(Permission.USERS_WRITE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def create_invitation(
    tenant_id: FromPath[UUID],
    data: JSONBody[InvitationWanted],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    idempotency_key: IdempotencyKey = None,
) -> Response[InvitationMade]:
    """Invite somebody to a role that is not above one's own, for seven days.

    Whoever holds the token can use it once, at `POST /auth/register`; it is in the first answer alone.
    """
    refuse(role_objections(data.role))
    new, actor = NewInvitation(normalised_email(data.email), data.role), actor_of(request, identity)
    by = Changer(identity.user_id, role_of(identity))
    async with (
        refusals_audited(services, tenant_id, "invitation.created", f"tenant:{tenant_id}", actor),
        tenant_session(services.pool, tenant_id=tenant_id) as session,
    ):
        require_writable(session.tenant.state)
        require_may_give(by.role, new.role)
        await users.require_unchanged(session, by)
        now = datetime.now(UTC)
        invitation, token = await invitations.invite(session, new, by=by.id, key=idempotency_key, now=now)
        if token is not None:
            details = {"role": invitation.role.value}
            entry = AuditEntry("invitation.created", f"invitation:{invitation.id}", actor, details=details)
            await append_entry(session, entry)
    made = InvitationMade(**msgspec.structs.asdict(invitation), token=token)
    return Response(made, status_code=201, headers={"Cache-Control": "no-store"})


@get(
    "/invitations",
    operation_id="listInvitations",
    summary="List invitations",
    guards=[may(Permission.USERS_READ)],
    responses=problems(*TENANT_PROBLEMS, 422),
)
async def list_invitations(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Invitation]:
    """A tenant's invitations by age, those that have ended included."""
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    found = await reading(
        services.pool, tenant_id, lambda session: invitations.page(session, after=after, limit=limit)
    )
    return page_of(found, limit, lambda invitation: (invitation.created_at, invitation.id))


@delete(
    "/invitations/{invitation_id:uuid}",
    operation_id="revokeInvitation",
    summary="Revoke an invitation",
    status_code=204,
    guards=[may(Permission.USERS_WRITE)],
    responses=problems(*TENANT_PROBLEMS),
)
async def revoke_invitation(
    tenant_id: FromPath[UUID],
    invitation_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> None:
    """End an invitation that was not accepted, also a suspended tenant's; to a role not above one's own."""
    actor, subject = actor_of(request, identity), f"invitation:{invitation_id}"
    async with (
        refusals_audited(services, tenant_id, "invitation.revoked", subject, actor),
        tenant_session(services.pool, tenant_id=tenant_id) as session,
    ):
        invitation = await invitations.lock(session, invitation_id)
        require_may_give(role_of(identity), invitation.role)
        await invitations.revoke(session, invitation_id, datetime.now(UTC))
        await append_entry(session, AuditEntry("invitation.revoked", subject, actor))


invitations_router = Router(
    "/", route_handlers=[create_invitation, list_invitations, revoke_invitation], tags=["People"]
)
