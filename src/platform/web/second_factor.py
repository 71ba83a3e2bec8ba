"""Second factors: enrol, confirm, disable, and step up."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from core.audit import Actor, AuditEntry, Outcome
from core.errors import SecondFactorWrong
from core.identity import Identity
from core.second_factor import MAX_CODE_LENGTH, Showing, refusal_of
from core.tenant import PLATFORM_SLUG
from shell import accounts, second_factor
from shell.account_session import account_session, append_account_entry, tenant_in
from shell.second_factor import Enrolment
from shell.session import Session
from web.guards import actor_of, signed_in
from web.own_password import require_own_password
from web.problems import problems
from web.rate_limit import Target, attempted
from web.services import Services

Code = Annotated[
    str,
    msgspec.Meta(
        min_length=6,
        max_length=MAX_CODE_LENGTH,
        description="Six digits of the authenticator app, or a recovery code, which is thereby used up.",
        examples=["287082"],
    ),
]


class OwnPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account's password, once more."""

    password: Annotated[str, msgspec.Meta(max_length=1_024, examples=["correct horse battery staple"])]


class ShownCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code of a second factor."""

    code: Code


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Ten codes, each of which stands in for the authenticator app once; they are shown this once."""

    recovery_codes: list[str]


class AccessToken(msgspec.Struct, frozen=True):
    """An access token that says when a second factor was shown; the session's refresh token stays."""

    access_token: str
    token_type: str
    expires_in: Annotated[int, msgspec.Meta(description="Seconds until the access token ends.")]


@post(
    "/totp",
    operation_id="enrolSecondFactor",
    summary="Enrol a second factor",
    status_code=201,
    guards=[signed_in(before_enrolment=True)],
    responses=problems(400, 401, 403, 409, 422, 429),
)
async def enrol(
    data: JSONBody[OwnPassword],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Enrolment:
    """Make a secret for an authenticator app (RFC 6238); it takes effect when a code confirms it.

    The password is asked for again: with a stolen access token alone, nobody locks an account's owner out.
    """
    await require_own_password(services, request, identity, data.password, action="auth.totp_enrolled")
    async with account_session(services.pool, _slug_of(identity)) as session:
        account = await accounts.get(session, identity.user_id)
        enrolment = await services.second_factors.enrol(session, account)
        await _audit(session, "auth.totp_enrolled", identity.user_id, actor_of(request, identity))
    return enrolment


@post(
    "/totp/confirm",
    operation_id="confirmSecondFactor",
    summary="Confirm a second factor",
    status_code=200,
    guards=[signed_in(before_enrolment=True)],
    responses=problems(400, 401, 403, 409, 422, 429),
)
async def confirm(
    data: JSONBody[ShownCode],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> RecoveryCodes:
    """Put the enrolled factor in force; the account's other sessions end, since they began without it."""
    async with _attempt(services, request, identity):
        now, actor = datetime.now(UTC), actor_of(request, identity)
        async with account_session(services.pool, _slug_of(identity)) as session:
            codes = await services.second_factors.confirm(session, identity.user_id, data.code, now=now)
            if codes is None:
                await _audit(session, "auth.second_factor_failed", identity.user_id, actor, Outcome.DENIED)
            else:
                await _audit(session, "auth.totp_confirmed", identity.user_id, actor)
                await second_factor.mark_stepped_up(session, _session_of(identity), now)
                await second_factor.end_other_sessions(
                    session, identity.user_id, but=identity.session_id, now=now
                )
        services.standings.forget(identity.user_id)
        if codes is None:  # after the transaction, so that the audit entry is kept
            raise SecondFactorWrong
        return RecoveryCodes(codes)


@delete(
    "/totp",
    operation_id="disableSecondFactor",
    summary="Disable the second factor",
    status_code=204,
    guards=[signed_in()],
    responses=problems(400, 401, 403, 409, 422, 429),
)
async def disable(
    data: JSONBody[ShownCode],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> None:
    """Forget the second factor and its recovery codes, against a code of either kind."""
    async with _attempt(services, request, identity):
        async with account_session(services.pool, _slug_of(identity)) as session:
            showing = await shown(services, session, identity.user_id, data.code, actor_of(request, identity))
            if showing.is_good:
                await second_factor.disable(session, identity.user_id)
                await _audit(session, "auth.totp_disabled", identity.user_id, actor_of(request, identity))
        services.standings.forget(identity.user_id)
        if not showing.is_good:
            raise refusal_of(showing)


@post(
    "/step-up",
    operation_id="stepUp",
    summary="Show the second factor again",
    status_code=200,
    guards=[signed_in()],
    responses=problems(400, 401, 403, 409, 422, 429),
)
async def step_up(
    data: JSONBody[ShownCode],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> AccessToken:
    """A new access token, with which sensitive actions are open for some minutes."""
    async with _attempt(services, request, identity):
        now, session_id = datetime.now(UTC), _session_of(identity)
        async with account_session(services.pool, _slug_of(identity)) as session:
            showing = await shown(services, session, identity.user_id, data.code, actor_of(request, identity))
            account, tenant = await accounts.get(session, identity.user_id), tenant_in(session)
            if showing.is_good:
                await second_factor.mark_stepped_up(session, session_id, now)
                await _audit(session, "auth.stepped_up", identity.user_id, actor_of(request, identity))
        if not showing.is_good:
            raise refusal_of(showing)
        return AccessToken(
            access_token=services.tokens.issue(
                account, tenant, now, session_id=session_id, second_factor_at=now
            ),
            token_type="Bearer",  # noqa: S106 -- RFC 6750's name of the type
            expires_in=services.settings.access_token_seconds,
        )


async def shown(
    services: Services, session: Session, user_id: UUID, code: str | None, actor: Actor
) -> Showing:
    """What comes of asking an account for its second factor; wrong and used recovery codes are audited.

    The caller raises for what was not shown after the transaction, so that the audit entry is kept.
    """
    showing = await services.second_factors.show(session, user_id, code, now=datetime.now(UTC))
    if showing is Showing.WRONG:
        await _audit(session, "auth.second_factor_failed", user_id, actor, Outcome.DENIED)
    if showing is Showing.RECOVERY_CODE:
        await _audit(session, "auth.recovery_code_used", user_id, actor)
    return showing


def _attempt(
    services: Services, request: Request[Any, Any, Any], identity: Identity
) -> AbstractAsyncContextManager[None]:
    """Six digits are soon guessed by somebody who may try for ever, and a stolen token is enough to try."""
    target = Target(_slug_of(identity), str(identity.user_id))
    return attempted(services, request, services.attempts.login, target)


def _slug_of(identity: Identity) -> str:
    return identity.tenant_slug or PLATFORM_SLUG


def _session_of(identity: Identity) -> UUID:
    if identity.session_id is None:
        raise TypeError("only an account's token has a session, and the guard admits no other")
    return identity.session_id


async def _audit(
    session: Session, action: str, user_id: UUID, actor: Actor, outcome: Outcome = Outcome.SUCCESS
) -> None:
    await append_account_entry(session, AuditEntry(action, f"user:{user_id}", actor, outcome))


second_factor_router = Router("/auth", route_handlers=[enrol, confirm, disable, step_up], tags=["Accounts"])
