"""Limits of attempts, as requests meet them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from core.audit import AuditEntry, Outcome
from core.errors import (
    AttemptThrottled,
    NotFound,
    RefreshTokenRefused,
    SecondFactorWrong,
    TenantGone,
    TenantNotReady,
    WrongCredentials,
)
from core.identity import Identity
from shell import accounts
from shell.account_session import account_session, append_account_entry
from shell.attempts import Attempt, Rule
from shell.audit import append_platform_entry
from shell.session import platform_session
from web.guards import Connection, actor_of, address_of
from web.services import Services

GUESSED_WRONG = (WrongCredentials, SecondFactorWrong, RefreshTokenRefused)


class Target(msgspec.Struct, frozen=True):
    """At what an attempt is made: a tenant's slug, and in it an e-mail address, a token or another name."""

    slug: str
    name: str


@asynccontextmanager
async def attempted(
    services: Services, connection: Connection, rule: Rule, target: Target
) -> AsyncIterator[None]:
    """An attempt at an account: a wrong guess in the body counts against it, a success clears the account.

    Raises AttemptThrottled before the body where account or address has to wait. Whatever else ends the body
    with an error judged no guess, and does not count.
    """
    attempt = await counted(services, connection, rule, target)
    try:
        yield
    except GUESSED_WRONG:
        raise
    except Exception:
        await services.attempts.take_back(attempt)
        raise
    await services.attempts.succeeded(attempt, time.time())


async def counted(services: Services, connection: Connection, rule: Rule, target: Target) -> Attempt:
    """Count something that may be done now and then only, however it ends; raises AttemptThrottled."""
    address = address_of(connection)
    try:
        return await services.attempts.begin(
            rule, account=f"{target.slug} {target.name}", address=address, now=time.time()
        )
    except AttemptThrottled as refused:
        if refused.data["held"] is not None:  # once in a while, so that a storm costs the database nothing
            await _audit_throttled(services, connection, rule, target, held=refused.data["held"])
        raise


async def _audit_throttled(
    services: Services, connection: Connection, rule: Rule, target: Target, *, held: str
) -> None:
    """Append to the chain of the account's tenant, or to the platform's where there is no such tenant."""
    identity: Identity | None = connection.scope.get("user")
    entry = AuditEntry(
        "auth.throttled",
        "user:unknown" if identity is None else f"user:{identity.user_id}",
        actor_of(connection, identity),
        Outcome.DENIED,
        {"attempt": rule.name, "held": held},
    )
    try:
        async with account_session(services.pool, target.slug) as session:
            found = None if identity is not None else await accounts.credentials_of(session, target.name)
            if found is not None:
                entry = msgspec.structs.replace(entry, subject=f"user:{found.account.id}")
            await append_account_entry(session, entry)
    except (NotFound, TenantGone, TenantNotReady):
        async with platform_session(services.pool) as session:
            await append_platform_entry(session, entry)
