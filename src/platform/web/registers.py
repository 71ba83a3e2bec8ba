"""Registers of the platform: processing (Art. 30), breaches (Art. 33), requests of people (Art. 12)."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from core.audit import AuditEntry
from core.cursor import decode_cursor
from core.identity import Identity
from core.permission import Permission
from core.processing_register import ProcessingRegister, processing_register
from core.register_case import CaseKind, CaseStep, RegisterCase
from core.registration import refuse
from shell import registers, tenants
from shell.audit import append_platform_entry
from shell.session import platform_session
from web.guards import actor_of, may
from web.idempotency import IdempotencyKey, earlier_result, keep_result
from web.legal_holds import Reason
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import problems
from web.services import Services


class CaseWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A breach that became known, or a request that was received, at `began_at`."""

    kind: CaseKind
    summary: Reason
    began_at: Annotated[datetime, msgspec.Meta(tz=True)]
    tenant_id: UUID | None = None


class CaseMove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was done, and why; a late report gives the reason for the delay."""

    step: CaseStep
    reason: Reason


@get("/processing", operation_id="getProcessingRegister", summary="Read the register of processing",
     guards=[may(Permission.REGISTERS_READ)], responses=problems(401, 403))  # fmt: skip
async def get_processing_register(services: NamedDependency[Services]) -> ProcessingRegister:
    """What is processed, why, on which ground, for how long and for whom, made from the classification."""
    return processing_register(services.settings.seller_name)


@post(
    "/cases",
    operation_id="addRegisterCase",
    summary="Enter a breach or a request",
    guards=[may(Permission.REGISTERS_WRITE)],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def add_register_case(
    data: JSONBody[CaseWanted],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    idempotency_key: IdempotencyKey = None,
) -> Response[RegisterCase]:
    """Enter a case: a breach is due in 72 hours, a request in a month; the answer says when."""
    refuse([("began_at", "lies in the future")] if data.began_at > datetime.now(UTC) else [])
    caller, asked = f"registers:{identity.user_id}", msgspec.json.encode(data)
    async with platform_session(services.pool) as session:
        earlier = await earlier_result(session, caller=caller, key=idempotency_key, request=asked)
        if earlier is not None:
            return Response(await registers.get(session, UUID(earlier)), status_code=201)
        if data.tenant_id is not None:
            await tenants.get(session, data.tenant_id)
        case = await registers.add(
            session, data.kind, tenant_id=data.tenant_id, summary=data.summary, began_at=data.began_at
        )
        entry = AuditEntry("register.case_added", f"case:{case.id}", actor_of(request, identity))
        await append_platform_entry(session, entry)
        await keep_result(session, caller=caller, key=idempotency_key, result=str(case.id))
    return Response(case, status_code=201)


@get(
    "/cases",
    operation_id="listRegisterCases",
    summary="List breaches and requests",
    guards=[may(Permission.REGISTERS_READ)],
    responses=problems(401, 403, 422),
)
async def list_register_cases(
    services: NamedDependency[Services],
    kind: Annotated[CaseKind | None, QueryParameter(description="Only this register.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RegisterCase]:
    """Cases by age, with their states and when they are due."""
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    async with platform_session(services.pool, readonly=True) as session:
        found = await registers.page(session, kind, after=after, limit=limit)
    return page_of(found, limit, lambda case: (case.created_at, case.id))


@post(
    "/cases/{case_id:uuid}/steps",
    operation_id="moveRegisterCase",
    summary="Move a breach or a request on",
    status_code=200,
    guards=[may(Permission.REGISTERS_WRITE)],
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def move_register_case(
    case_id: FromPath[UUID],
    data: JSONBody[CaseMove],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> RegisterCase:
    """Report, dismiss and close a breach; extend, answer and refuse a request."""
    async with platform_session(services.pool) as session:
        case = await registers.take_step(session, case_id, data.step, reason=data.reason)
        details = {"step": data.step.value, "state": case.state.value}
        entry = AuditEntry(
            "register.case_moved", f"case:{case_id}", actor_of(request, identity), details=details
        )
        await append_platform_entry(session, entry)
    return case


registers_router = Router(
    "/registers",
    route_handlers=[get_processing_register, add_register_case, list_register_cases, move_register_case],
    tags=["Data protection"],
)
