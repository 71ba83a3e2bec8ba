"""Passwords: change one's own, and reset a lost one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from core.audit import AuditEntry
from core.errors import NotFound, ResetRefused, TenantGone, TenantNotReady, WrongCredentials
from core.identity import Account, Identity, normalised_email
from core.password_reset import MAX_TOKEN_LENGTH, ResetRequest, slug_in_reset_token
from core.registration import Email, NewPassword
from core.tenant import PLATFORM_SLUG, Slug, Tenant
from shell import password_reset
from shell.account_session import account_session, append_account_entry, tenant_in
from shell.announce import announce
from shell.session import Session, platform_session
from web.guards import actor_of, address_of, signed_in
from web.own_password import require_own_password
from web.problems import problems
from web.rate_limit import Target, counted
from web.services import Services


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password that is in force, and the one to come."""

    current_password: Annotated[
        str, msgspec.Meta(max_length=1_024, examples=["correct horse battery staple"])
    ]
    new_password: NewPassword


class LostPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose password is lost."""

    tenant: Slug
    email: Email


class PasswordReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token from the mail, and the new password."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOKEN_LENGTH)]
    new_password: NewPassword


class ResetAsked(msgspec.Struct, frozen=True):
    """The answer to everybody who asks for a reset."""

    detail: str = "If there is such an account, a mail with a token is on its way to it."


@post(
    "/password",
    operation_id="changePassword",
    summary="Change one's password",
    status_code=204,
    guards=[signed_in()],
    responses=problems(400, 401, 403, 422, 429),
)
async def change_password(
    data: JSONBody[PasswordChange],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> None:
    """Set a new password; all other sessions of the account end."""
    found, tenant = await require_own_password(
        services, request, identity, data.current_password, action="auth.password_changed"
    )
    hashed = await services.passwords.hash_new(data.new_password, about=_about(found.account, tenant))
    now = datetime.now(UTC)
    async with account_session(services.pool, identity.tenant_slug or PLATFORM_SLUG) as session:
        if not await password_reset.change(session, found, hashed, session_id=identity.session_id, now=now):
            raise WrongCredentials
        actor = actor_of(request, identity)
        await append_account_entry(
            session, AuditEntry("auth.password_changed", f"user:{identity.user_id}", actor)
        )
    services.standings.forget(identity.user_id)


@post(
    "/password-reset",
    operation_id="askForPasswordReset",
    summary="Ask for a password reset",
    status_code=202,
    responses=problems(400, 422, 429),
)
async def ask_for_reset(
    data: JSONBody[LostPassword], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> ResetAsked:
    """Have a token mailed that can be used once in 30 minutes; the answer never tells who has an account."""
    asked = ResetRequest(data.tenant, normalised_email(data.email), address_of(request))
    await counted(services, request, services.attempts.reset, Target(asked.tenant, asked.email))
    async with platform_session(services.pool) as session:
        job = await services.password_resets.ask(session, asked, request_id=actor_of(request).request_id)
    await announce(services.announcer, [job.id])
    return ResetAsked()


@post(
    "/password-reset/confirm",
    operation_id="resetPassword",
    summary="Reset a password",
    status_code=204,
    responses=problems(400, 422, 429),
)
async def reset_password(
    data: JSONBody[PasswordReset], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Set a new password with the token from the mail; all sessions of the account end."""
    async with _token_session(services, data.token, readonly=True) as session:
        account = await password_reset.account_for(session, data.token, now=datetime.now(UTC))
        tenant = tenant_in(session)
    if account is None:
        raise ResetRefused
    hashed = await services.passwords.hash_new(data.new_password, about=_about(account, tenant))
    now = datetime.now(UTC)
    async with _token_session(services, data.token) as session:
        if not await password_reset.reset(session, data.token, account.id, hashed, now=now):
            raise ResetRefused
        await append_account_entry(
            session, AuditEntry("auth.password_reset", f"user:{account.id}", actor_of(request))
        )
    services.standings.forget(account.id)


def _about(account: Account, tenant: Tenant | None) -> list[str]:
    """What an attacker would try first for this account."""
    return [account.email, account.full_name, *([] if tenant is None else [tenant.slug, tenant.name])]


@asynccontextmanager
async def _token_session(services: Services, token: str, *, readonly: bool = False) -> AsyncIterator[Session]:
    """The session of the tenant that a reset token names; raises ResetRefused without one."""
    try:
        async with account_session(services.pool, slug_in_reset_token(token), readonly=readonly) as session:
            yield session
    except (NotFound, TenantGone, TenantNotReady) as error:
        raise ResetRefused from error


passwords_router = Router(
    "/auth", route_handlers=[change_password, ask_for_reset, reset_password], tags=["Accounts"]
)
