"""The rights of one person inside a tenant (Art. 15 to 18 GDPR), for its administrators and for itself."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from core.audit import Actor, AuditEntry
from core.errors import ConfirmationMissing
from core.identity import Identity
from core.job import Job
from core.permission import Permission
from core.registration import Email, Name, refuse
from core.tenant import require_readable
from shell import persons, tenants, users
from shell.access_package import archive_of
from shell.announce import announce
from shell.audit import append_entry, append_tenants_entry
from shell.persons import Correction
from shell.session import TenantSession, platform_session, reading, tenant_session
from shell.users import Changer, User
from web.guards import Guard, actor_of, may, stepped_up
from web.legal_holds import Reason
from web.own_password import require_own_password
from web.problems import TENANT_PROBLEMS, problems
from web.refusals import refusals_audited
from web.services import Services
from web.users import role_of

ZIP = "application/zip"
PACKAGE = ResponseSpec(
    bytes, media_type=ZIP, description="A zip of data.json and index.html.", generate_examples=False
)


class PersonErasure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The person's e-mail address, to confirm."""

    confirm: Email


class Rectification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is right; what is left out stays. Whoever changes the own address repeats the password."""

    full_name: Name | None = None
    email: Email | None = None
    password: Annotated[str, msgspec.Meta(max_length=128)] | None = None


class Restriction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why processing is restricted, such as a dispute about what is right."""

    reason: Reason


def may_or_self(permission: Permission) -> Guard:
    """A guard that admits callers with a permission, and the person in the path for itself."""
    of_others = may(permission)
    of_oneself = may(Permission.TENANT_READ)

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        await of_oneself(connection, handler)
        identity: Identity = connection.scope["user"]
        is_oneself = identity.permissions is None and identity.user_id == connection.path_params["user_id"]
        if not is_oneself:
            await of_others(connection, handler)

    return guard


@post(
    "/users/{user_id:uuid}/gdpr/erase",
    operation_id="eraseUser",
    summary="Erase a person",
    status_code=202,
    guards=[may_or_self(Permission.USERS_WRITE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def erase_user(
    tenant_id: FromPath[UUID],
    user_id: FromPath[UUID],
    data: JSONBody[PersonErasure],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Job:
    """Erase a person for good (Art. 17): account and sessions now, details of audit entries by a job.

    Invoices stay as the law requires. Refused under a legal hold, under a restriction, and to the last OWNER.
    """
    actor = actor_of(request, identity)
    async with refusals_audited(services, tenant_id, "user.erased", f"user:{user_id}", actor):
        job = await _erased(services, tenant_id, user_id, data.confirm, identity, actor)
    services.standings.forget(user_id)
    await announce(services.announcer, [job.id])
    return job


@get(
    "/users/{user_id:uuid}/gdpr/access",
    operation_id="getAccessPackage",
    summary="Read all that is held of a person",
    guards=[may_or_self(Permission.USERS_WRITE), stepped_up()],
    responses={200: PACKAGE} | problems(*TENANT_PROBLEMS),
)
async def get_access_package(
    tenant_id: FromPath[UUID],
    user_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Response[bytes]:
    """What is held of a person, why, for how long, and who receives it (Art. 15), as JSON and as a page."""
    now, controller = datetime.now(UTC), services.settings.seller_name
    entry = AuditEntry("user.access_given", f"user:{user_id}", actor_of(request, identity))
    async with platform_session(services.pool) as session:
        tenant = await tenants.get(session, tenant_id)
        require_readable(tenant.state)
        await append_tenants_entry(session, tenant, entry)
        package = await persons.access(session, tenant, user_id, controller=controller, now=now)
    headers = {
        "Content-Disposition": f'attachment; filename="data-of-{user_id}.zip"',
        "Cache-Control": "no-store",
    }
    return Response(archive_of(package), media_type=ZIP, headers=headers)


@post(
    "/users/{user_id:uuid}/gdpr/rectify",
    operation_id="rectifyUser",
    summary="Correct a person's data",
    status_code=200,
    guards=[may_or_self(Permission.USERS_WRITE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422, 429),
)
async def rectify_user(
    tenant_id: FromPath[UUID],
    user_id: FromPath[UUID],
    data: JSONBody[Rectification],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> User:
    """Correct a name or an e-mail address (Art. 16); whoever logs in uses the new address from now on."""
    actor = actor_of(request, identity)
    if data.email is not None and user_id == identity.user_id:
        refuse([] if data.password else [("password", "is needed to change one's own e-mail address")])
        await require_own_password(services, request, identity, data.password or "", action="user.rectified")
    async with (
        refusals_audited(services, tenant_id, "user.rectified", f"user:{user_id}", actor),
        tenant_session(services.pool, tenant_id=tenant_id) as session,
    ):
        right = Correction(data.full_name, data.email)
        fields = await persons.rectify(session, user_id, right, by=_changer(identity))
        details = {"fields": ",".join(fields)}
        await append_entry(session, AuditEntry("user.rectified", f"user:{user_id}", actor, details=details))
        return await users.get(session, user_id)


@post(
    "/users/{user_id:uuid}/gdpr/restrict",
    operation_id="restrictUser",
    summary="Restrict the processing of a person's data",
    status_code=200,
    guards=[may_or_self(Permission.USERS_WRITE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def restrict_user(
    tenant_id: FromPath[UUID],
    user_id: FromPath[UUID],
    data: JSONBody[Restriction],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> User:
    """Keep a person's data and do nothing else with it (Art. 18), until an administrator lifts that.

    The person cannot log in or act, gets no mail, is not changed, erased or deleted by retention.
    """
    actor = actor_of(request, identity)
    async with (
        refusals_audited(services, tenant_id, "user.restricted", f"user:{user_id}", actor),
        tenant_session(services.pool, tenant_id=tenant_id) as session,
    ):
        await persons.restrict(session, user_id, reason=data.reason, by=_changer(identity))
        user = await _recorded(session, user_id, "user.restricted", actor, {"reason": data.reason})
    services.standings.forget(user_id)
    return user


@post(
    "/users/{user_id:uuid}/gdpr/lift-restriction",
    operation_id="liftUserRestriction",
    summary="Lift a restriction",
    status_code=200,
    guards=[may(Permission.USERS_WRITE), stepped_up()],
    responses=problems(*TENANT_PROBLEMS),
)
async def lift_user_restriction(
    tenant_id: FromPath[UUID],
    user_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> User:
    """Process a person's data again, as before the restriction. Tell the person first (Art. 18(3))."""
    actor = actor_of(request, identity)
    async with (
        refusals_audited(services, tenant_id, "user.restriction_lifted", f"user:{user_id}", actor),
        tenant_session(services.pool, tenant_id=tenant_id) as session,
    ):
        await persons.lift(session, user_id, by=_changer(identity))
        user = await _recorded(session, user_id, "user.restriction_lifted", actor, {})
    services.standings.forget(user_id)
    return user


async def _erased(
    services: Services, tenant_id: UUID, user_id: UUID, confirm: str, identity: Identity, actor: Actor
) -> Job:
    """Erase the person whose address confirms it."""
    user = await reading(services.pool, tenant_id, lambda session: users.get(session, user_id))
    if user.email != confirm.strip().lower():
        raise ConfirmationMissing
    async with platform_session(services.pool) as session:
        return await persons.erase(session, tenant_id, user_id, by=_changer(identity), actor=actor)


async def _recorded(
    session: TenantSession, user_id: UUID, action: str, actor: Actor, details: dict[str, str]
) -> User:
    await append_entry(session, AuditEntry(action, f"user:{user_id}", actor, details=details))
    return await users.get(session, user_id)


def _changer(identity: Identity) -> Changer:
    return Changer(identity.user_id, role_of(identity))


persons_router = Router(
    "/",
    route_handlers=[erase_user, get_access_package, rectify_user, restrict_user, lift_user_restriction],
    tags=["Data protection"],
)
