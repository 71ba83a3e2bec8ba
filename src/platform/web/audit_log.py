"""The audit log: a tenant's chain for its owners and admins, the platform's own for the platform's people."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from core.audit import PLATFORM_CHAIN, Outcome
from core.canonical import SAFE_INTEGER
from core.cursor import decode_cursor
from core.identity import Identity
from core.permission import Permission
from core.tenant import require_readable
from shell import audit_log, tenants
from shell.audit_export import begin_export, export_lines
from shell.audit_log import AuditRecord, Consistency, Filter, Inclusion
from shell.session import Session, platform_session
from web.guards import may
from web.instants import require_offsets
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import REGISTRY_PROBLEMS, problems
from web.services import Services

JSON_LINES = "application/jsonl"
PLATFORM_PROBLEMS = (401, 403, 404)
KEYS_MAX_AGE = 300

Place = Annotated[int, QueryParameter(ge=0, le=SAFE_INTEGER, description="The entry's place in the chain.")]
Size = Annotated[
    int | None,
    QueryParameter(
        ge=0, le=SAFE_INTEGER, description="The size of the tree; the latest checkpoint's by default."
    ),
]
OldSize = Annotated[
    int, QueryParameter(name="from", ge=0, le=SAFE_INTEGER, description="The size of the smaller tree.")
]
NewSize = Annotated[
    int | None,
    QueryParameter(
        name="to",
        ge=0,
        le=SAFE_INTEGER,
        description="The size of the larger tree; the latest checkpoint's by default.",
    ),
]
Action = Annotated[str | None, QueryParameter(max_length=100, description="Only this action.")]
Subject = Annotated[
    str | None, QueryParameter(max_length=200, description="Only this subject, such as `user:<id>`.")
]
ActorId = Annotated[UUID | None, QueryParameter(description="Only what this account or API key did.")]
WithOutcome = Annotated[Outcome | None, QueryParameter(description="Only with this outcome.")]
Start = Annotated[datetime | None, QueryParameter(name="from", description="Not before this instant.")]
End = Annotated[datetime | None, QueryParameter(name="to", description="Before this instant.")]


class AuditKeys(msgspec.Struct, frozen=True):
    """Keys that checkpoints were signed with, the latest first: base64 of `0x01` and the Ed25519 key."""

    keys: list[str]


@get(
    "/tenants/{tenant_id:uuid}/audit-log",
    operation_id="listAuditLog",
    summary="List a tenant's audit log",
    guards=[may(Permission.AUDIT_READ)],
    responses=problems(*REGISTRY_PROBLEMS, 422),
)
async def list_audit_log(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    identity: NamedDependency[Identity],
    action: Action = None,
    subject: Subject = None,
    actor_id: ActorId = None,
    outcome: WithOutcome = None,
    start: Start = None,
    end: End = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[AuditRecord]:
    """Entries from the newest; one is there about a second after it happened."""
    wanted = _filter(action, subject, actor_id, outcome, start, end)
    async with platform_session(services.pool, readonly=True) as session:
        chain = await _chain(session, tenant_id, identity)
        return await _page(session, chain, wanted, limit, cursor)


@get(
    "/tenants/{tenant_id:uuid}/audit-log/checkpoint",
    operation_id="getAuditCheckpoint",
    summary="Read a tenant's latest checkpoint",
    guards=[may(Permission.AUDIT_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
    media_type=MediaType.TEXT,
)
async def audit_checkpoint(
    tenant_id: FromPath[UUID], services: NamedDependency[Services], identity: NamedDependency[Identity]
) -> str:
    """The signed head of the chain's Merkle tree: keep it, and nobody can change unseen what is below it."""
    async with platform_session(services.pool, readonly=True) as session:
        return await audit_log.checkpoint(session, await _chain(session, tenant_id, identity))


@get(
    "/tenants/{tenant_id:uuid}/audit-log/inclusion",
    operation_id="proveAuditInclusion",
    summary="Prove that an entry is in a tenant's log",
    guards=[may(Permission.AUDIT_READ)],
    responses=problems(*REGISTRY_PROBLEMS, 422),
)
async def audit_inclusion(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    identity: NamedDependency[Identity],
    sequence: Place,
    size: Size = None,
) -> Inclusion:
    """The hashes that lead from an entry to the root of a checkpoint."""
    async with platform_session(services.pool, readonly=True) as session:
        return await audit_log.inclusion(session, await _chain(session, tenant_id, identity), sequence, size)


@get(
    "/tenants/{tenant_id:uuid}/audit-log/consistency",
    operation_id="proveAuditConsistency",
    summary="Prove that a tenant's log has only grown",
    guards=[may(Permission.AUDIT_READ)],
    responses=problems(*REGISTRY_PROBLEMS, 422),
)
async def audit_consistency(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    identity: NamedDependency[Identity],
    old: OldSize,
    new: NewSize = None,
) -> Consistency:
    """The hashes that show one checkpoint's tree to be the beginning of another's."""
    async with platform_session(services.pool, readonly=True) as session:
        return await audit_log.consistency(session, await _chain(session, tenant_id, identity), old, new)


@get(
    "/tenants/{tenant_id:uuid}/audit-log/export",
    operation_id="exportAuditLog",
    summary="Export a tenant's audit log",
    guards=[may(Permission.AUDIT_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
    media_type=JSON_LINES,
)
async def export_audit_log(
    tenant_id: FromPath[UUID], services: NamedDependency[Services], identity: NamedDependency[Identity]
) -> Stream:
    """All entries up to the latest checkpoint, as JSON lines that `eu-platform audit verify` checks."""
    async with platform_session(services.pool, readonly=True) as session:
        chain = await _chain(session, tenant_id, identity)
    return await _export(services, chain)


@get(
    "/audit-log",
    operation_id="listPlatformAuditLog",
    summary="List the platform's audit log",
    guards=[may(Permission.PLATFORM_AUDIT_READ)],
    responses=problems(401, 403, 422),
)
async def list_platform_audit_log(
    services: NamedDependency[Services],
    action: Action = None,
    subject: Subject = None,
    actor_id: ActorId = None,
    outcome: WithOutcome = None,
    start: Start = None,
    end: End = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[AuditRecord]:
    """Entries of the platform's own chain, from the newest."""
    wanted = _filter(action, subject, actor_id, outcome, start, end)
    async with platform_session(services.pool, readonly=True) as session:
        return await _page(session, PLATFORM_CHAIN, wanted, limit, cursor)


@get(
    "/audit-log/checkpoint",
    operation_id="getPlatformAuditCheckpoint",
    summary="Read the platform's latest checkpoint",
    guards=[may(Permission.PLATFORM_AUDIT_READ)],
    responses=problems(*PLATFORM_PROBLEMS),
    media_type=MediaType.TEXT,
)
async def platform_audit_checkpoint(services: NamedDependency[Services]) -> str:
    """The signed head of the Merkle tree over the platform's own chain."""
    async with platform_session(services.pool, readonly=True) as session:
        return await audit_log.checkpoint(session, PLATFORM_CHAIN)


@get(
    "/audit-log/inclusion",
    operation_id="provePlatformAuditInclusion",
    summary="Prove that an entry is in the platform's log",
    guards=[may(Permission.PLATFORM_AUDIT_READ)],
    responses=problems(*PLATFORM_PROBLEMS, 422),
)
async def platform_audit_inclusion(
    services: NamedDependency[Services], sequence: Place, size: Size = None
) -> Inclusion:
    """The hashes that lead from an entry to the root of a checkpoint."""
    async with platform_session(services.pool, readonly=True) as session:
        return await audit_log.inclusion(session, PLATFORM_CHAIN, sequence, size)


@get(
    "/audit-log/consistency",
    operation_id="provePlatformAuditConsistency",
    summary="Prove that the platform's log has only grown",
    guards=[may(Permission.PLATFORM_AUDIT_READ)],
    responses=problems(*PLATFORM_PROBLEMS, 422),
)
async def platform_audit_consistency(
    services: NamedDependency[Services], old: OldSize, new: NewSize = None
) -> Consistency:
    """The hashes that show one checkpoint's tree to be the beginning of another's."""
    async with platform_session(services.pool, readonly=True) as session:
        return await audit_log.consistency(session, PLATFORM_CHAIN, old, new)


@get(
    "/audit-log/export",
    operation_id="exportPlatformAuditLog",
    summary="Export the platform's audit log",
    guards=[may(Permission.PLATFORM_AUDIT_READ)],
    responses=problems(*PLATFORM_PROBLEMS),
    media_type=JSON_LINES,
)
async def export_platform_audit_log(services: NamedDependency[Services]) -> Stream:
    """All entries of the platform's own chain up to its latest checkpoint, as JSON lines."""
    return await _export(services, PLATFORM_CHAIN)


@get(
    "/.well-known/audit-keys.json",
    operation_id="getAuditKeys",
    summary="Keys that verify checkpoints",
    tags=["Audit log"],
)
async def audit_keys(services: NamedDependency[Services]) -> Response[AuditKeys]:
    """The public keys; who does not trust the platform gets them from elsewhere, or keeps the first."""
    async with platform_session(services.pool, readonly=True) as session:
        found = AuditKeys(await audit_log.public_keys(session))
    return Response(found, headers={"Cache-Control": f"public, max-age={KEYS_MAX_AGE}"})


async def _chain(session: Session, tenant_id: UUID, identity: Identity) -> str:
    """The tenant's chain, which the platform's people may read when the tenant is gone; raises NotFound."""
    tenant = await tenants.get(session, tenant_id)
    if not identity.is_platform:
        require_readable(tenant.state)
    return tenant.chain


def _filter(
    action: str | None,
    subject: str | None,
    actor_id: UUID | None,
    outcome: Outcome | None,
    start: datetime | None,
    end: datetime | None,
) -> Filter:
    require_offsets({"from": start, "to": end})
    return Filter(action=action, subject=subject, actor_id=actor_id, outcome=outcome, start=start, end=end)


async def _page(
    session: Session, chain: str, wanted: Filter, limit: int, cursor: str | None
) -> Page[AuditRecord]:
    (before,) = decode_cursor(cursor, tuple[int]) if cursor else (None,)
    found = await audit_log.page(session, chain, wanted, before=before, limit=limit)
    return page_of(found, limit, lambda entry: (entry.sequence,))


async def _export(services: Services, chain: str) -> Stream:
    export = await begin_export(services.pool, chain)
    return Stream(
        export_lines(services.pool, export),
        media_type=JSON_LINES,
        headers={"Content-Disposition": f'attachment; filename="audit-{chain}.jsonl"'},
    )


audit_router = Router(
    "/",
    route_handlers=[
        list_audit_log,
        audit_checkpoint,
        audit_inclusion,
        audit_consistency,
        export_audit_log,
        list_platform_audit_log,
        platform_audit_checkpoint,
        platform_audit_inclusion,
        platform_audit_consistency,
        export_platform_audit_log,
    ],
    tags=["Audit log"],
)
