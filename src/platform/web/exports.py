"""Exports of a tenant's data (Art. 20 GDPR): ask for one, see how far it is, fetch it by a link."""

import base64
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from core.audit import Actor, AuditEntry
from core.cursor import decode_cursor
from core.download import LATEST, Grant
from core.errors import DownloadRefused, NotFound
from core.identity import Identity
from core.job import JobKind
from core.permission import Permission
from core.portability import Format
from core.tenant import require_readable
from shell import exports, jobs, tenants
from shell.announce import announce
from shell.audit import append_tenants_entry
from shell.exports import Export
from shell.session import Session, platform_session
from web.guards import actor_of, may, stepped_up
from web.idempotency import IdempotencyKey, earlier_result, keep_result
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import REGISTRY_PROBLEMS, TENANT_PROBLEMS, problems
from web.services import Services

GZIP = "application/gzip"


class ExportWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to export: every table of the tenant, in this format."""

    format: Format


class Download(msgspec.Struct, frozen=True):
    """Where a package can be fetched without a token, by whoever has the link."""

    url: Annotated[str, msgspec.Meta(description="Relative to the API's address.")]
    expires_at: datetime


class ExportState(Export, frozen=True, kw_only=True):
    """How far an export is; `download` is there as soon as the package is, and until it is deleted."""

    download: Download | None


@post(
    "/gdpr/export",
    operation_id="createExport",
    summary="Ask for an export",
    status_code=202,
    guards=[may(Permission.DATA_EXPORT), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def create_export(
    tenant_id: FromPath[UUID],
    data: JSONBody[ExportWanted],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    idempotency_key: IdempotencyKey = None,
) -> Response[Export]:
    """Queue a package of all tables as they are at one moment; one that is being made is given again.

    A tenant has at most ten packages at a time: 409 (`exports-full`) until one expires.
    """
    actor, caller = actor_of(request, identity), f"exports:{tenant_id}:{identity.user_id}"
    async with platform_session(services.pool) as session:
        asked = msgspec.json.encode(data)
        earlier = await earlier_result(session, caller=caller, key=idempotency_key, request=asked)
        if earlier is not None:
            export = await exports.get(session, UUID(earlier))
        else:
            export = await _queued(session, tenant_id, data.format, actor)
            hours = services.settings.export_hours
            await exports.require_room(session, tenant_id, but=export.id, hours=hours)
            await keep_result(session, caller=caller, key=idempotency_key, result=str(export.id))
    await announce(services.announcer, [export.id])
    return Response(export, headers={"Location": f"/api/v1/tenants/{tenant_id}/gdpr/export/{export.id}"})


@get(
    "/gdpr/export",
    operation_id="listExports",
    summary="List exports",
    guards=[may(Permission.DATA_EXPORT)],
    responses=problems(*REGISTRY_PROBLEMS, 422),
)
async def list_exports(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Export]:
    """A tenant's exports by age, expired ones included, without links."""
    after = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else None
    async with platform_session(services.pool, readonly=True) as session:
        require_readable((await tenants.get(session, tenant_id)).state)
        found = await exports.page(session, tenant_id, after=after, limit=limit)
    return page_of(found, limit, lambda export: (export.created_at, export.id))


@get(
    "/gdpr/export/{job_id:uuid}",
    operation_id="getExport",
    summary="Read an export",
    guards=[may(Permission.DATA_EXPORT), stepped_up()],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def get_export(
    tenant_id: FromPath[UUID],
    job_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> ExportState:
    """How far an export is and, once it is done, a link that is good until the package is deleted.

    The link is all that its holder needs, so giving it is audited.
    """
    async with platform_session(services.pool) as session:
        tenant = await tenants.get(session, tenant_id)
        require_readable(tenant.state)
        export = await exports.get(session, job_id)
        if export.tenant_id != tenant_id:
            raise NotFound(what="export")
        download = _download(services, export, datetime.now(UTC))
        if download is not None:
            entry = AuditEntry("export.link_given", f"export:{job_id}", actor_of(request, identity))
            await append_tenants_entry(session, tenant, entry)
    return ExportState(**msgspec.structs.asdict(export), download=download)


@get(
    "/downloads/{export_id:uuid}",
    operation_id="downloadExport",
    summary="Fetch an export",
    media_type=GZIP,
    responses={
        200: ResponseSpec(bytes, description="The package.", media_type=GZIP, generate_examples=False),
        **problems(403, 404, 422),
    },
)
async def download_export(
    export_id: FromPath[UUID],
    expires: Annotated[int, QueryParameter(ge=0, le=LATEST, description="As in the link.")],
    signature: Annotated[str, QueryParameter(max_length=100, description="As in the link.")],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> Stream:
    """The package that a link was made for. The link is the permission; each use of it is audited."""
    async with platform_session(services.pool) as session:
        kept = await _permitted(session, services, export_id, expires=expires, signature=signature)
        parts = await services.objects.open(kept.object_name)
        tenant = await tenants.get(session, kept.export.tenant_id)
        entry = AuditEntry("export.downloaded", f"export:{export_id}", actor_of(request))
        await append_tenants_entry(session, tenant, entry)
    digest = base64.b64encode(bytes.fromhex(kept.export.sha256 or "")).decode()
    headers = {
        "Content-Length": str(kept.export.size),
        "Content-Disposition": f'attachment; filename="{tenant.slug}-{kept.export.format}.tar.gz"',
        "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530
    }
    return Stream(parts, headers=headers, media_type=GZIP)


async def _queued(session: Session, tenant_id: UUID, format_: Format, actor: Actor) -> Export:
    tenant = await tenants.get(session, tenant_id)
    require_readable(tenant.state)
    job = await jobs.enqueue(
        session,
        JobKind.EXPORT_TENANT,
        dedupe_key=f"{tenant_id}:{format_}",
        tenant_id=tenant_id,
        args={"format": format_},
        request_id=actor.request_id,
    )
    await exports.insert(session, job.id, tenant_id, format_, by=actor.id)
    entry = AuditEntry("export.asked", f"export:{job.id}", actor, details={"format": format_})
    await append_tenants_entry(session, tenant, entry)
    return await exports.get(session, job.id)


def _download(services: Services, export: Export, now: datetime) -> Download | None:
    if export.expires_at is None or export.deleted_at is not None or export.expires_at <= now:
        return None
    grant = Grant(export.tenant_id, export.id, export.expires_at)
    return Download(services.downloads.link(grant), export.expires_at)


async def _permitted(
    session: Session, services: Services, export_id: UUID, *, expires: int, signature: str
) -> exports.Kept:
    """The package of a link; one to nothing is refused like a forged one, so nobody learns what there is."""
    try:
        export = await exports.get(session, export_id)
    except NotFound as error:
        raise DownloadRefused from error
    services.downloads.require_good(
        tenant_id=export.tenant_id,
        export_id=export_id,
        expires=expires,
        signature=signature,
        now=datetime.now(UTC),
    )
    return await exports.kept(session, export_id)


exports_router = Router(
    "/", route_handlers=[create_export, list_exports, get_export], tags=["Data protection"]
)
downloads_router = Router("/", route_handlers=[download_export], tags=["Data protection"])
