"""Registering: found an organisation, or accept an invitation into one."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import uuid4

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody, Schema
from litestar.params import RawBody

from core.audit import Actor, AuditEntry
from core.errors import InvalidInput, InvitationRefused, MalformedBody, NotFound, TenantGone, TenantNotReady
from core.identity import Account, normalised_email
from core.permission import Role
from core.registration import Email, Name, NewPassword, Organisation, require_valid
from core.tenant import PLATFORM_SLUG, Tenant, require_writable
from shell import invitations
from shell.audit import append_entry
from shell.invitations import Accepted, slug_in_invitation
from shell.session import tenant_session
from shell.tenants import Founder
from web.founding import Claim, TenantFounded, answer_founded, found_tenant, still_founding
from web.guards import actor_of
from web.idempotency import IdempotencyKey
from web.problems import problems
from web.rate_limit import Target, counted
from web.services import Services

MEDIA_TYPE = "application/json"

Body = TypeVar("Body", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$\.?(.*)`$")


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An organisation, and the account that will own it."""

    organisation: Organisation
    email: Email
    password: NewPassword
    full_name: Name


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of an invitation, and the account that it makes; the invitation has the e-mail address."""

    invitation: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    password: NewPassword
    full_name: Name


class Either(msgspec.Struct, frozen=True):
    """As much of a body as tells which of the two it is."""

    invitation: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Joined(msgspec.Struct, frozen=True):
    """The account that an invitation made, and the tenant that it belongs to."""

    user: Account
    tenant: Tenant


@dataclass
class Register(Operation):
    """The operation with its two bodies, which the handler tells apart itself."""

    def __post_init__(self) -> None:
        """The framework says that there is no body where it decodes none."""
        bodies = [
            Reference(ref=f"#/components/schemas/{body.__name__}") for body in (Registration, Acceptance)
        ]
        content = {MEDIA_TYPE: OpenAPIMediaType(schema=Schema(one_of=bodies))}
        self.request_body = RequestBody(required=True, content=content)


@post(
    "/register",
    operation_id="register",
    summary="Found an organisation, or accept an invitation",
    operation_class=Register,
    responses=still_founding() | problems(400, 403, 409, 413, 422, 429),
)
async def register(
    body: RawBody,
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    idempotency_key: IdempotencyKey = None,
) -> Response[TenantFounded | Joined]:
    """Found a tenant and its owner: 201 when it is ready within two seconds, else 202; then log in later.

    With an invitation: 201 with the account and its tenant. An invitation can be accepted once, which no
    Idempotency-Key changes.
    """
    if _decoded(body, Either).invitation is not msgspec.UNSET:
        acceptance = _decoded(body, Acceptance)
        target = Target(PLATFORM_SLUG, acceptance.invitation)
        await counted(services, request, services.attempts.register, target)
        return Response(await _join(services, acceptance, actor_of(request)), status_code=201)
    registration = _decoded(body, Registration)
    name = f"{registration.organisation.slug} {normalised_email(registration.email)}"
    await counted(services, request, services.attempts.register, Target(PLATFORM_SLUG, name))
    return await _found(services, registration, idempotency_key, actor_of(request))


async def _found(
    services: Services, data: Registration, key: str | None, actor: Actor
) -> Response[TenantFounded | Joined]:
    require_valid(data.organisation, place="organisation.")
    owner = Account(uuid4(), normalised_email(data.email), data.full_name, Role.OWNER)
    about = (owner.email, owner.full_name, data.organisation.slug, data.organisation.name)
    founder = Founder(owner, await services.passwords.hash_new(data.password, about=about))
    asked = msgspec.json.encode((data.organisation, owner.email, owner.full_name))
    claim = Claim("register", key, asked)
    founded = await found_tenant(services, data.organisation, founder, claim=claim, actor=actor)
    answer: Response[Any] = await answer_founded(services, founded)
    return answer


async def _join(services: Services, data: Acceptance, actor: Actor) -> Joined:
    """The new account; a password is hashed only for a token that is good, and the token is used up after."""
    slug, token = slug_in_invitation(data.invitation), data.invitation
    try:
        async with tenant_session(services.pool, slug=slug, readonly=True) as session:
            tenant = session.tenant
            invitation = await invitations.opened_by(session, token, datetime.now(UTC))
    except (NotFound, TenantGone, TenantNotReady) as error:
        raise InvitationRefused from error
    about = (invitation.email, data.full_name, tenant.slug, tenant.name)
    password_hash = await services.passwords.hash_new(data.password, about=about)
    async with tenant_session(services.pool, slug=slug) as session:
        require_writable(session.tenant.state)
        accepted = await invitations.accept(
            session, token, full_name=data.full_name, password_hash=password_hash, now=datetime.now(UTC)
        )
        await append_entry(session, _entry(accepted, actor))
    return Joined(accepted.account, tenant)


def _entry(accepted: Accepted, actor: Actor) -> AuditEntry:
    details = {"user": str(accepted.account.id), "role": accepted.account.role.value}
    return AuditEntry("invitation.accepted", f"invitation:{accepted.invitation.id}", actor, details=details)


def _decoded(body: bytes, kind: type[Body]) -> Body:
    """The body as its type; raises MalformedBody, and InvalidInput with the field that is wrong."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        field_ = place[1] if place and place[1] else "$"
        raise InvalidInput(errors=[{"field": field_, "detail": _PLACE.sub("", str(error))}]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(detail=str(error)) from error


register_router = Router("/auth", route_handlers=[register], tags=["Accounts"])
