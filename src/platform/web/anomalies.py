"""Anomalies: list and acknowledge."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from core.audit import AuditEntry
from core.cursor import decode_cursor
from core.identity import Identity
from core.permission import Permission
from core.tenant import require_writable
from shell import anomalies
from shell.anomalies import Anomaly
from shell.audit import append_entry
from shell.session import tenant_session
from web.guards import actor_of, may
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import TENANT_PROBLEMS, problems
from web.services import Services


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was found out about an anomaly."""

    note: Annotated[str, msgspec.Meta(max_length=1_000, pattern=r"^[^\x00]*$")] | None = None


@get(
    "/anomalies",
    operation_id="listAnomalies",
    summary="List anomalies",
    guards=[may(Permission.ANOMALIES_READ)],
    responses=problems(*TENANT_PROBLEMS, 422),
)
async def list_anomalies(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    acknowledged: Annotated[
        bool | None, QueryParameter(description="Only with or without a verdict.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Anomaly]:
    """Days whose usage lay far from the week before them, the latest first."""
    after = decode_cursor(cursor, tuple[date, UUID]) if cursor else None
    async with tenant_session(services.pool, tenant_id=tenant_id, readonly=True) as session:
        found = await anomalies.page(session, acknowledged=acknowledged, after=after, limit=limit)
    return page_of(found, limit, lambda anomaly: (anomaly.day, anomaly.id))


@post(
    "/anomalies/{anomaly_id:uuid}/acknowledge",
    operation_id="acknowledgeAnomaly",
    summary="Acknowledge an anomaly",
    status_code=200,
    guards=[may(Permission.ANOMALIES_ACKNOWLEDGE)],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def acknowledge_anomaly(
    tenant_id: FromPath[UUID],
    anomaly_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    data: JSONBody[Acknowledgement | None] = None,
) -> Anomaly:
    """Note that somebody has looked; only the first acknowledgement counts."""
    note = None if data is None else data.note
    async with tenant_session(services.pool, tenant_id=tenant_id) as session:
        require_writable(session.tenant.state)
        anomaly = await anomalies.acknowledge(session, anomaly_id, by=identity.user_id, note=note)
        entry = AuditEntry("anomaly.acknowledged", f"anomaly:{anomaly_id}", actor_of(request, identity))
        await append_entry(session, entry)
    return anomaly


anomalies_router = Router("/", route_handlers=[list_anomalies, acknowledge_anomaly], tags=["Anomalies"])
