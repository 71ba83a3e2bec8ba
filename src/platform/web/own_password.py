"""One's own password, asked for again before something that a stolen access token must not be enough for."""

from typing import Any

from litestar.connection import ASGIConnection

from core.audit import AuditEntry, Outcome
from core.errors import WrongCredentials
from core.identity import Identity
from core.tenant import PLATFORM_SLUG, Tenant
from shell import accounts
from shell.account_session import account_session, append_account_entry, tenant_in
from shell.accounts import Credentials
from web.guards import actor_of
from web.rate_limit import Target, attempted
from web.services import Services


async def require_own_password(
    services: Services,
    request: ASGIConnection[Any, Any, Any, Any],
    identity: Identity,
    password: str,
    *,
    action: str,
) -> tuple[Credentials, Tenant | None]:
    """The caller's credentials and tenant, if this is the password; a wrong one is an attempt at the account.

    Raises WrongCredentials, audited as a refusal of the action, and AttemptThrottled.
    """
    slug = identity.tenant_slug or PLATFORM_SLUG
    async with account_session(services.pool, slug, readonly=True) as session:
        account = await accounts.get(session, identity.user_id)
        found, tenant = await accounts.credentials_of(session, account.email), tenant_in(session)
    if found is None:
        raise WrongCredentials
    async with attempted(services, request, services.attempts.login, Target(slug, found.account.email)):
        if not await services.passwords.matches(password, found.password_hash):
            entry = AuditEntry(action, f"user:{account.id}", actor_of(request, identity), Outcome.DENIED)
            async with account_session(services.pool, slug) as session:
                await append_account_entry(session, entry)
            raise WrongCredentials
    return found, tenant
