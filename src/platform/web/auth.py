"""Accounts: log in, refresh, log out, me."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
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
from core.membership import UserState
from core.second_factor import Showing, refusal_of
from core.tenant import PLATFORM_SLUG, Tenant
from shell import accounts, second_factor
from shell.account_session import account_session, append_account_entry, tenant_in
from shell.accounts import Credentials
from shell.audit import append_platform_entry
from shell.session import Session, platform_session
from shell.tokens import slug_in_refresh_token
from web.guards import actor_of, signed_in
from web.problems import problems
from web.rate_limit import Target, attempted
from web.second_factor import Code, shown
from web.services import Services, services_of
from web.sign_in import Tokens, client_of, counted_login, refusals_counted, tokens_for

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


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Credentials of an account; the tenant may stand in the X-Tenant header instead."""

    email: Annotated[str, msgspec.Meta(max_length=254, examples=["ada@example.com"])]
    password: Annotated[str, msgspec.Meta(max_length=1_024, examples=["correct horse battery staple"])]
    tenant: TenantName | None = None
    totp: Code | None = None


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token, as the last login or refresh gave it; it can be used once."""

    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Me(msgspec.Struct, frozen=True):
    """The account that a token speaks for, and its tenant; null for the platform's own accounts."""

    user: Account
    tenant: Tenant | None


async def require_room(request: Request[Any, Any, Any]) -> None:
    """Refuse in a storm of logins before the body is read and Redis is asked; raises TooBusy."""
    with refusals_counted():
        services_of(request.app.state).passwords.require_room()


@post(
    "/login",
    operation_id="login",
    summary="Log in",
    status_code=200,
    before_request=require_room,
    responses=problems(400, 401, 409, 422, 429),
)
async def login(
    data: JSONBody[Login],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    x_tenant: XTenant = None,
) -> Tokens:
    """Exchange credentials for tokens; the answer and its cost are the same for unknown accounts."""
    slug, email = _named_tenant(data.tenant, x_tenant), normalised_email(data.email)
    with counted_login():
        async with attempted(services, request, services.attempts.login, Target(slug, email)):
            try:
                return await _logged_in(services, request, slug, data)
            except WrongCredentials:
                await _audit_failure(services, slug, email, actor_of(request))
                raise


async def _logged_in(services: Services, request: Request[Any, Any, Any], slug: str, data: Login) -> Tokens:
    found = await _credentials(services, slug, normalised_email(data.email))
    kept = None if found is None else found.password_hash
    if not await services.passwords.matches(data.password, kept) or found is None:
        raise WrongCredentials
    renewed = await _renewed_hash(services, data.password, found)
    async with account_session(services.pool, slug) as session:
        if not await accounts.is_still_current(session, found):
            raise WrongCredentials
        showing = await shown(services, session, found.account.id, data.totp, actor_of(request))
        if showing not in {Showing.MISSING, Showing.WRONG}:
            if renewed is not None:
                await accounts.renew_password_hash(session, found.account.id, renewed)
            return await _begun(services, session, found.account, request, is_stepped_up=showing.is_good)
    raise refusal_of(showing)  # after the transaction, so that the audit entry of a wrong code is kept


@post(
    "/refresh",
    operation_id="refreshTokens",
    summary="Renew tokens",
    status_code=200,
    responses=problems(400, 401, 422, 429),
)
async def refresh(
    data: JSONBody[Refresh], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> Tokens:
    """Exchange a refresh token for new tokens; used twice, it ends every session that came from its login."""
    text = data.refresh_token
    target = Target(slug_in_refresh_token(text), text)
    async with attempted(services, request, services.attempts.refresh, target):
        tokens = await _refreshed(services, text, actor_of(request))
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
async def logout(
    data: JSONBody[Refresh], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """End the session that a refresh token belongs to; an unknown token ends nothing."""
    async with _token_session(services, data.refresh_token) as session:
        ended = await accounts.revoke_family_of(session, data.refresh_token)
        if ended is not None:
            entry = AuditEntry("auth.logout", f"user:{ended.user_id}", actor_of(request))
            await append_account_entry(session, entry)
    if ended is not None:
        services.standings.forget(ended.user_id)


@get(
    "/me",
    operation_id="getMe",
    summary="Who am I",
    guards=[signed_in(before_enrolment=True)],
    responses=problems(401, 404, 410),
)
async def me(identity: NamedDependency[Identity], services: NamedDependency[Services]) -> Me:
    """The account that the token speaks for."""
    slug = identity.tenant_slug or PLATFORM_SLUG
    async with account_session(services.pool, slug, readonly=True) as session:
        return Me(await accounts.get(session, identity.user_id), tenant_in(session))


async def _begun(
    services: Services,
    session: Session,
    account: Account,
    request: Request[Any, Any, Any],
    *,
    is_stepped_up: bool,
) -> Tokens:
    """A new session of an account that has shown all that is asked of it."""
    now = datetime.now(UTC)
    session_id = await accounts.begin_session(session, account.id, client_of(request))
    if is_stepped_up:
        await second_factor.mark_stepped_up(session, session_id, now)
    entry = AuditEntry("auth.login", f"user:{account.id}", actor_of(request))
    await append_account_entry(session, entry)
    return await tokens_for(
        services, session, account, session_id=session_id, second_factor_at=now if is_stepped_up else None
    )


def _named_tenant(in_body: str | None, in_header: str | None) -> str:
    if in_body is None and in_header is None:
        raise InvalidInput(errors=[{"field": "tenant", "detail": "is required, here or as X-Tenant"}])
    if in_body is not None and in_header not in {None, in_body}:
        raise TenantHeaderDisagrees
    return in_body or in_header or ""


async def _credentials(services: Services, slug: str, email: str) -> Credentials | None:
    try:
        async with account_session(services.pool, slug, readonly=True) as session:
            return await accounts.credentials_of(session, email)
    except (NotFound, TenantGone):
        return None  # answered like a wrong password, and as slowly


async def _audit_failure(services: Services, slug: str, email: str, actor: Actor) -> None:
    """Append the failure to the tenant's chain, or to the platform's where there is no such tenant.

    An e-mail address that is nobody's is not kept: people type passwords into that field.
    """
    try:
        async with account_session(services.pool, slug) as session:
            found = await accounts.credentials_of(session, email)
            await append_account_entry(
                session, _failure("unknown" if found is None else found.account.id, actor)
            )
    except (NotFound, TenantGone):
        async with platform_session(services.pool) as session:
            await append_platform_entry(session, _failure("unknown", actor))


def _failure(user: UUID | str, actor: Actor) -> AuditEntry:
    return AuditEntry("auth.login_failed", f"user:{user}", actor, Outcome.DENIED)


async def _renewed_hash(services: Services, password: str, found: Credentials) -> str | None:
    if not services.passwords.is_outdated(found.password_hash):
        return None
    return await services.passwords.hash(password)


async def _refreshed(services: Services, text: str, actor: Actor) -> Tokens | None:
    async with _token_session(services, text) as session:
        used = await accounts.use_refresh_token(session, text)
        if used is not None:
            account = await accounts.get(session, used.user_id)
            if account.state is not UserState.ACTIVE:
                return None
            shown_at = await second_factor.stepped_up_at(session, used.family_id)
            return await tokens_for(
                services, session, account, session_id=used.family_id, second_factor_at=shown_at
            )
        revoked = await accounts.revoke_family_on_reuse(session, text)
        if revoked is not None:
            subject = f"user:{revoked.user_id}"
            await append_account_entry(
                session, AuditEntry("auth.refresh_reused", subject, actor, Outcome.DENIED)
            )
    if revoked is not None:
        services.standings.forget(revoked.user_id)
    return None


@asynccontextmanager
async def _token_session(services: Services, text: str) -> AsyncIterator[Session]:
    """The session of the tenant that a refresh token names; raises RefreshTokenRefused without one."""
    try:
        async with account_session(services.pool, slug_in_refresh_token(text)) as session:
            yield session
    except (NotFound, TenantGone, TenantNotReady) as error:
        raise RefreshTokenRefused from error


auth_router = Router("/auth", route_handlers=[login, refresh, logout, me], tags=["Accounts"])
