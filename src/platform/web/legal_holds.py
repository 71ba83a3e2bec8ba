"""Legal holds on a tenant or one of its people: place, list, lift."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from core.audit import AuditEntry
from core.cursor import decode_cursor
from core.identity import Identity
from core.legal_hold import LegalHold
from core.permission import Permission
from shell import legal_holds, tenants, users
from shell.audit import append_tenants_entry
from shell.session import platform_session, reading
from web.guards import actor_of, may, stepped_up
from web.idempotency import IdempotencyKey, earlier_result, keep_result
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import REGISTRY_PROBLEMS, TENANT_PROBLEMS, problems
from web.services import Services

Reason = Annotated[
    str,
    msgspec.Meta(
        min_length=3,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$(?!\n)",
        description="Why, for instance a file number; it is shown to whoever is refused, so name nobody.",
        examples=["Case 4 O 123/26, Landgericht Berlin"],
    ),
]


class HoldWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hold on the whole tenant, or on one of its people."""

    reason: Reason
    user_id: UUID | None = None


class HoldLift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a hold ends."""

    reason: Reason


@post(
    "/legal-holds",
    operation_id="placeLegalHold",
    summary="Place a legal hold",
    guards=[may(Permission.LEGAL_HOLDS_WRITE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def place_legal_hold(
    tenant_id: FromPath[UUID],
    data: JSONBody[HoldWanted],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    idempotency_key: IdempotencyKey = None,
) -> Response[LegalHold]:
    """Refuse from now on to erase a tenant or a person, or to delete their data for good.

    Also where an erasure waits already; one that has begun to delete goes on.
    """
    user_id = data.user_id
    if user_id is not None:
        await reading(services.pool, tenant_id, lambda session: users.get(session, user_id))
    caller = f"legal-holds:{tenant_id}:{identity.user_id}"
    async with platform_session(services.pool) as session:
        tenant = await tenants.lock(session, tenant_id)
        asked = msgspec.json.encode(data)
        earlier = await earlier_result(session, caller=caller, key=idempotency_key, request=asked)
        if earlier is not None:
            return _placed(await legal_holds.get(session, tenant_id, UUID(earlier)))
        hold = await legal_holds.place(
            session, tenant_id, user_id=data.user_id, reason=data.reason, by=identity.user_id
        )
        subject = f"tenant:{tenant_id}" if data.user_id is None else f"user:{data.user_id}"
        entry = AuditEntry(
            "legal_hold.placed",
            subject,
            actor_of(request, identity),
            details={"hold": str(hold.id), "reason": hold.reason},
        )
        await append_tenants_entry(session, tenant, entry)
        await keep_result(session, caller=caller, key=idempotency_key, result=str(hold.id))
    return _placed(hold)


@get(
    "/legal-holds",
    operation_id="listLegalHolds",
    summary="List legal holds",
    guards=[may(Permission.LEGAL_HOLDS_READ)],
    responses=problems(*REGISTRY_PROBLEMS, 422),
)
async def list_legal_holds(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[LegalHold]:
    """A tenant's holds by age, lifted ones included."""
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    async with platform_session(services.pool, readonly=True) as session:
        await tenants.get(session, tenant_id)
        found = await legal_holds.page(session, tenant_id, after=after, limit=limit)
    return page_of(found, limit, lambda hold: (hold.placed_at, hold.id))


@post(
    "/legal-holds/{hold_id:uuid}/lift",
    operation_id="liftLegalHold",
    summary="Lift a legal hold",
    status_code=200,
    guards=[may(Permission.LEGAL_HOLDS_WRITE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def lift_legal_hold(
    tenant_id: FromPath[UUID],
    hold_id: FromPath[UUID],
    data: JSONBody[HoldLift],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> LegalHold:
    """End a hold; what waited for it goes on at its next attempt."""
    async with platform_session(services.pool) as session:
        tenant = await tenants.lock(session, tenant_id)
        hold = await legal_holds.lift(session, tenant_id, hold_id, reason=data.reason, by=identity.user_id)
        subject = f"tenant:{tenant_id}" if hold.user_id is None else f"user:{hold.user_id}"
        entry = AuditEntry(
            "legal_hold.lifted",
            subject,
            actor_of(request, identity),
            details={"hold": str(hold.id), "reason": data.reason},
        )
        await append_tenants_entry(session, tenant, entry)
    return hold


def _placed(hold: LegalHold) -> Response[LegalHold]:
    return Response(hold, status_code=201)


legal_holds_router = Router(
    "/", route_handlers=[place_legal_hold, list_legal_holds, lift_legal_hold], tags=["Data protection"]
)
