"""Tokens for a session: at login, at refresh, and when a second factor is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar.connection import ASGIConnection

from core.errors import AttemptThrottled, TooBusy, WrongCredentials
from core.identity import Account
from core.tenant import PLATFORM_SLUG
from shell import accounts
from shell.account_session import tenant_in
from shell.accounts import Client
from shell.measures import LOGINS
from shell.session import Session
from shell.tokens import new_refresh_token
from web.guards import address_of
from web.services import Services

MAX_DEVICE_LENGTH = 200


class Tokens(msgspec.Struct, frozen=True):
    """An access token, and the refresh token for the next one."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: Annotated[int, msgspec.Meta(description="Seconds until the access token ends.")]


async def tokens_for(
    services: Services,
    session: Session,
    account: Account,
    *,
    session_id: UUID,
    second_factor_at: datetime | None = None,
) -> Tokens:
    """A new access token and the session's next refresh token."""
    now, settings, tenant = datetime.now(UTC), services.settings, tenant_in(session)
    slug = PLATFORM_SLUG if tenant is None else tenant.slug
    following = new_refresh_token(slug, now, timedelta(days=settings.refresh_token_days))
    await accounts.keep_refresh_token(
        session,
        following,
        account.id,
        session_id=session_id,
        session_life=timedelta(days=settings.session_days),
    )
    return Tokens(
        access_token=services.tokens.issue(
            account, tenant, now, session_id=session_id, second_factor_at=second_factor_at
        ),
        refresh_token=following.text,
        token_type="Bearer",  # noqa: S106 -- RFC 6750's name of the type
        expires_in=settings.access_token_seconds,
    )


@contextmanager
def refusals_counted() -> Iterator[None]:
    """Count a login that is refused since too many wait."""
    try:
        yield
    except TooBusy:
        LOGINS.labels("refused").inc()
        raise


@contextmanager
def counted_login() -> Iterator[None]:
    """Count how a login ends; one that was asked for a second factor, or broke, has not ended."""
    try:
        with refusals_counted():
            yield
    except WrongCredentials:
        LOGINS.labels("failed").inc()
        raise
    except AttemptThrottled:
        LOGINS.labels("throttled").inc()
        raise
    LOGINS.labels("succeeded").inc()


def client_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Client:
    """What the session is begun with, as far as the request tells."""
    device = connection.headers.get("user-agent", "unknown")[:MAX_DEVICE_LENGTH]
    return Client(device.replace("\x00", ""), address_of(connection))
