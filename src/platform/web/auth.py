"""Accounts: register, log in, refresh, log out, me."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody

from core.audit import Actor, AuditEntry, Outcome
from core.errors import (
    InvalidInput,
    NotFound,
    RefreshTokenRefused,
    TenantGone,
    TenantHeaderDisagrees,
    TenantNotReady,
    WrongCredentials,
)
from core.identity import Account, Identity, normalised_email
from core.permission import Role
from core.registration import Email, Name, NewPassword, Organisation, require_valid
from core.tenant import PLATFORM_SLUG, Tenant
from shell import accounts
from shell.accounts import Credentials
from shell.audit import append_entry, append_platform_entry
from shell.session import Session, TenantSession, platform_session, tenant_session
from shell.tenants import Founder
from shell.tokens import new_refresh_token, slug_in_refresh_token
from web.founding import Claim, TenantFounded, answer_founded, found_tenant, still_founding
from web.guards import actor_of, signed_in
from web.idempotency import IdempotencyKey
from web.problems import problems
from web.services import Services

TenantName = Annotated[
    str,
    msgspec.Meta(
        max_length=40, description="The tenant's slug; `platform` for operators.", examples=["acme"]
    ),
]
XTenant = Annotated[
    str | None,
    HeaderParameter(name="X-Tenant", max_length=40, description="Names the tenant where the body does not."),
]


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An organisation, and the account that will own it."""

    organisation: Organisation
    email: Email
    password: NewPassword
    full_name: Name


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Credentials of an account; the tenant may stand in the X-Tenant header instead."""

    email: Annotated[str, msgspec.Meta(max_length=254, examples=["ada@example.com"])]
    password: Annotated[str, msgspec.Meta(max_length=1_024, examples=["correct horse battery staple"])]
    tenant: TenantName | None = None


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token, as the last login or refresh gave it; it can be used once."""

    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Tokens(msgspec.Struct, frozen=True):
    """An access token, and the refresh token for the next one."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: Annotated[int, msgspec.Meta(description="Seconds until the access token ends.")]


class Me(msgspec.Struct, frozen=True):
    """The account that a token speaks for, and its tenant; null for the platform's own accounts."""

    user: Account
    tenant: Tenant | None


@post(
    "/register",
    operation_id="register",
    summary="Found an organisation",
    responses=still_founding() | problems(400, 409, 413, 422, 429),
)
async def register(
    data: JSONBody[Registration],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    idempotency_key: IdempotencyKey = None,
) -> Response[TenantFounded]:
    """Found a tenant and its owner: 201 when it is ready within two seconds, else 202; then log in later."""
    require_valid(data.organisation, place="organisation.")
    owner = Account(uuid4(), normalised_email(data.email), data.full_name, Role.OWNER)
    founder = Founder(owner, await services.passwords.hash(data.password))
    asked = msgspec.json.encode((data.organisation, owner.email, owner.full_name))
    claim = Claim("register", idempotency_key, asked)
    founded = await found_tenant(services, data.organisation, founder, claim=claim, actor=actor_of(request))
    return await answer_founded(services, founded)


@post(
    "/login",
    operation_id="login",
    summary="Log in",
    status_code=200,
    responses=problems(400, 401, 409, 422, 429),
)
async def login(
    data: JSONBody[Login], services: NamedDependency[Services], x_tenant: XTenant = None
) -> Tokens:
    """Exchange credentials for tokens; the answer and its cost are the same for unknown accounts."""
    slug = _named_tenant(data.tenant, x_tenant)
    found = await _credentials(services, slug, normalised_email(data.email))
    kept = None if found is None else found.password_hash
    if not await services.passwords.matches(data.password, kept) or found is None:
        raise WrongCredentials
    renewed = await _renewed_hash(services, data.password, found)
    async with _account_session(services, slug) as session:
        if renewed is not None:
            await accounts.renew_password_hash(session, found.account.id, renewed)
        return await _signed_in(services, session, found.account)


@post(
    "/refresh",
    operation_id="refreshTokens",
    summary="Renew tokens",
    status_code=200,
    responses=problems(400, 401, 422),
)
async def refresh(
    data: JSONBody[Refresh], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> Tokens:
    """Exchange a refresh token for new tokens; used twice, it ends every session that came from its login."""
    tokens = await _refreshed(services, data.refresh_token, actor_of(request))
    if tokens is None:  # after the transaction, so that the revocation and its audit entry are kept
        raise RefreshTokenRefused
    return tokens


@post(
    "/logout",
    operation_id="logout",
    summary="Log out",
    status_code=204,
    responses=problems(400, 401, 422),
)
async def logout(data: JSONBody[Refresh], services: NamedDependency[Services]) -> None:
    """End the session that a refresh token belongs to; an unknown token ends nothing."""
    async with _token_session(services, data.refresh_token) as session:
        await accounts.revoke_family_of(session, data.refresh_token)


@get("/me", operation_id="getMe", summary="Who am I", guards=[signed_in()], responses=problems(401, 404, 410))
async def me(identity: NamedDependency[Identity], services: NamedDependency[Services]) -> Me:
    """The account that the token speaks for."""
    slug = identity.tenant_slug or PLATFORM_SLUG
    async with _account_session(services, slug, readonly=True) as session:
        return Me(await accounts.get(session, identity.user_id), _tenant_of(session))


def _named_tenant(in_body: str | None, in_header: str | None) -> str:
    if in_body is None and in_header is None:
        raise InvalidInput(errors=[{"field": "tenant", "detail": "is required, here or as X-Tenant"}])
    if in_body is not None and in_header not in {None, in_body}:
        raise TenantHeaderDisagrees
    return in_body or in_header or ""


async def _credentials(services: Services, slug: str, email: str) -> Credentials | None:
    try:
        async with _account_session(services, slug, readonly=True) as session:
            return await accounts.credentials_of(session, email)
    except (NotFound, TenantGone):
        return None  # answered like a wrong password, and as slowly


async def _renewed_hash(services: Services, password: str, found: Credentials) -> str | None:
    if not services.passwords.is_outdated(found.password_hash):
        return None
    return await services.passwords.hash(password)


async def _signed_in(
    services: Services, session: Session, account: Account, *, family_id: UUID | None = None
) -> Tokens:
    """New tokens for an account: a new family at login, the old one at refresh."""
    now, settings = datetime.now(UTC), services.settings
    tenant = _tenant_of(session)
    slug = PLATFORM_SLUG if tenant is None else tenant.slug
    following = new_refresh_token(slug, now, timedelta(days=settings.refresh_token_days))
    await accounts.keep_refresh_token(session, following, account.id, family_id=family_id)
    return Tokens(
        access_token=services.tokens.issue(account, tenant, now),
        refresh_token=following.text,
        token_type="Bearer",  # noqa: S106 -- RFC 6750's name of the type
        expires_in=settings.access_token_seconds,
    )


async def _refreshed(services: Services, text: str, actor: Actor) -> Tokens | None:
    async with _token_session(services, text) as session:
        used = await accounts.use_refresh_token(session, text)
        if used is not None:
            account = await accounts.get(session, used.user_id)
            return await _signed_in(services, session, account, family_id=used.family_id)
        revoked = await accounts.revoke_family_of(session, text)
        if revoked is not None:
            subject = f"user:{revoked.user_id}"
            await _audit(session, AuditEntry("auth.refresh_reused", subject, actor, Outcome.DENIED))
    return None


@asynccontextmanager
async def _account_session(
    services: Services, slug: str, *, readonly: bool = False
) -> AsyncIterator[Session]:
    """The session that an account lives in: its tenant's, or the platform's own."""
    if slug == PLATFORM_SLUG:
        async with platform_session(services.pool, readonly=readonly) as session:
            yield session
    else:
        async with tenant_session(services.pool, slug=slug, readonly=readonly) as tenant_:
            yield tenant_


@asynccontextmanager
async def _token_session(services: Services, text: str) -> AsyncIterator[Session]:
    """The session of the tenant that a refresh token names; raises RefreshTokenRefused without one."""
    try:
        async with _account_session(services, slug_in_refresh_token(text)) as session:
            yield session
    except (NotFound, TenantGone, TenantNotReady) as error:
        raise RefreshTokenRefused from error


def _tenant_of(session: Session) -> Tenant | None:
    return session.tenant if isinstance(session, TenantSession) else None


async def _audit(session: Session, entry: AuditEntry) -> None:
    if isinstance(session, TenantSession):
        await append_entry(session, entry)
    else:
        await append_platform_entry(session, entry)


auth_router = Router("/auth", route_handlers=[register, login, refresh, logout, me], tags=["Accounts"])
