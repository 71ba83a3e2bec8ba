"""Sessions of one's own account: list, end one, end all."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from core.audit import AuditEntry
from core.cursor import decode_cursor
from core.errors import NotFound
from core.identity import Identity
from core.tenant import PLATFORM_SLUG
from shell import login_sessions
from shell.account_session import account_session, append_account_entry
from shell.login_sessions import LoginSession
from web.guards import actor_of, signed_in
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import problems
from web.services import Services


class OpenSession(LoginSession, frozen=True, kw_only=True):
    """A session of one's own account."""

    current: Annotated[bool, msgspec.Meta(description="Whether the request was sent with its token.")]


@get(
    "/sessions",
    operation_id="listSessions",
    summary="List one's sessions",
    guards=[signed_in(before_enrolment=True)],
    responses=problems(401, 410, 422),
)
async def list_sessions(
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[OpenSession]:
    """The open sessions of the account that the token speaks for, by age: each was begun by a login."""
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    lifetime = timedelta(days=services.settings.refresh_token_days)
    async with account_session(services.pool, _slug_of(identity), readonly=True) as session:
        found = await login_sessions.page(
            session, identity.user_id, lifetime=lifetime, now=datetime.now(UTC), after=after, limit=limit
        )
    shown = [
        OpenSession(**msgspec.structs.asdict(each), current=each.id == identity.session_id) for each in found
    ]
    return page_of(shown, limit, lambda each: (each.created_at, each.id))


@delete(
    "/sessions/{session_id:uuid}",
    operation_id="endSession",
    summary="End one of one's sessions",
    status_code=204,
    guards=[signed_in(before_enrolment=True)],
    responses=problems(401, 404, 410),
)
async def end_session(
    session_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> None:
    """End a session: it cannot be renewed, and its access token is refused within 20 seconds everywhere."""
    async with account_session(services.pool, _slug_of(identity)) as session:
        if not await login_sessions.end(session, identity.user_id, session_id, datetime.now(UTC)):
            raise NotFound(what="session")
        actor = actor_of(request, identity)
        await append_account_entry(session, AuditEntry("auth.session_ended", f"session:{session_id}", actor))
    services.standings.forget(identity.user_id)


@post(
    "/logout-everywhere",
    operation_id="logoutEverywhere",
    summary="End all of one's sessions",
    status_code=204,
    guards=[signed_in(before_enrolment=True)],
    responses=problems(401, 410),
)
async def logout_everywhere(
    request: Request[Any, Any, Any], identity: NamedDependency[Identity], services: NamedDependency[Services]
) -> None:
    """End all sessions of the account that the token speaks for, this one included."""
    async with account_session(services.pool, _slug_of(identity)) as session:
        await login_sessions.end_all(session, identity.user_id, datetime.now(UTC))
        entry = AuditEntry("auth.logout_everywhere", f"user:{identity.user_id}", actor_of(request, identity))
        await append_account_entry(session, entry)
    services.standings.forget(identity.user_id)


def _slug_of(identity: Identity) -> str:
    return identity.tenant_slug or PLATFORM_SLUG


sessions_router = Router(
    "/auth", route_handlers=[list_sessions, end_session, logout_everywhere], tags=["Accounts"]
)
