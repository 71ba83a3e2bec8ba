"""Erasing a tenant: ask for it, look at it, take it back; its certificate, and its legal archive."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from core.audit import Actor
from core.erasure import Erasure, due_at
from core.errors import ConfirmationMissing
from core.identity import Identity
from core.job import Job
from core.permission import Permission
from core.tenant import require_readable
from shell import certificates, erasures, legal_archive, tenants
from shell.announce import announce
from shell.certificates import Certificate
from shell.session import platform_session
from web.guards import actor_of, may, stepped_up
from web.problems import REGISTRY_PROBLEMS, TENANT_PROBLEMS, problems
from web.services import Services

PDF = "application/pdf"


class ErasureWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tenant's slug, to confirm that it is the right one."""

    confirm: Annotated[str, msgspec.Meta(max_length=40)]


class ArchiveWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the archive is read; the audit log keeps it."""

    reason: Annotated[str, msgspec.Meta(min_length=10, max_length=500)]


class ErasureProgress(Erasure, frozen=True, kw_only=True):
    """How far an erasure is; `certificate_url` answers when it is done, without a token: keep it."""

    certificate_url: str


Signature = Annotated[str, QueryParameter(max_length=100, description="As in the link.")]


@post(
    "/erase",
    operation_id="eraseTenant",
    summary="Ask for the erasure of a tenant",
    status_code=202,
    guards=[may(Permission.TENANT_DELETE), stepped_up()],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def erase_tenant(
    tenant_id: FromPath[UUID],
    data: JSONBody[ErasureWanted],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Response[Job]:
    """Erase a tenant for good after the waiting period, in which it is read-only and may take this back.

    Asked twice, the answer is the same job.
    """
    return await ask_for_erasure(services, tenant_id, data.confirm, actor_of(request, identity))


async def ask_for_erasure(
    services: Services, tenant_id: UUID, confirmed_slug: str | None, actor: Actor
) -> Response[Job]:
    """Queue the erasure of a tenant that was named by its slug; raises ConfirmationMissing."""
    waiting = timedelta(days=services.settings.erasure_waiting_days)
    async with platform_session(services.pool) as session:
        tenant = await tenants.lock(session, tenant_id)
        if confirmed_slug != tenant.slug:
            raise ConfirmationMissing
        job = await erasures.request(session, tenant, actor, due=due_at(datetime.now(UTC), waiting))
    await announce(services.announcer, [job.id])
    return Response(job, status_code=202, headers={"Location": f"/api/v1/tenants/{tenant_id}/gdpr/erase"})


@get(
    "/erase",
    operation_id="getErasure",
    summary="Look at the erasure of a tenant",
    guards=[may(Permission.TENANT_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def get_erasure(
    tenant_id: FromPath[UUID], identity: NamedDependency[Identity], services: NamedDependency[Services]
) -> ErasureProgress:
    """When it is due, and which steps are done; the tenant's own accounts see it until it begins.

    They find the certificate at `certificate_url`, which needs no account: 404 until the tenant is gone.
    """
    async with platform_session(services.pool, readonly=True) as session:
        tenant = await tenants.get(session, tenant_id)
        if not identity.is_platform:
            require_readable(tenant.state)
        erasure = await erasures.get(session, tenant_id)
    url = services.certificate_links.link(tenant_id)
    return ErasureProgress(**msgspec.structs.asdict(erasure), certificate_url=url)


@delete(
    "/erase",
    operation_id="cancelErasure",
    summary="Take the erasure of a tenant back",
    status_code=200,
    guards=[may(Permission.TENANT_DELETE), stepped_up()],
    responses=problems(*TENANT_PROBLEMS),
)
async def cancel_erasure(
    tenant_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Erasure:
    """Take it back while it waits; the tenant is again what it was before."""
    async with platform_session(services.pool) as session:
        tenant = await tenants.lock(session, tenant_id)
        if not identity.is_platform:
            require_readable(tenant.state)
        erasure = await erasures.cancel(session, tenant, actor_of(request, identity))
    if erasure.job_id is not None:
        await announce(services.announcer, [erasure.job_id])
    return erasure


@get(
    "/erase/certificate",
    operation_id="getErasureCertificate",
    summary="Read the certificate of an erasure",
    guards=[may(Permission.CERTIFICATES_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def get_certificate(tenant_id: FromPath[UUID], services: NamedDependency[Services]) -> Certificate:
    """The signed statement about a tenant that is gone."""
    return await _certificate(services, tenant_id)


@get(
    "/erase/certificate.pdf",
    operation_id="getErasureCertificatePdf",
    summary="Read the certificate of an erasure as PDF",
    media_type=PDF,
    guards=[may(Permission.CERTIFICATES_READ)],
    responses=problems(*REGISTRY_PROBLEMS),
)
async def get_certificate_pdf(
    tenant_id: FromPath[UUID], services: NamedDependency[Services]
) -> Response[bytes]:
    """The same for people; the signature in it is that of the JSON."""
    return await _answered_as_pdf(services, tenant_id)


@get(
    "/{erased_id:uuid}/certificate",
    operation_id="fetchErasureCertificate",
    summary="Fetch the certificate of an erasure by its link",
    responses=problems(403, 404, 422),
)
async def fetch_certificate(
    erased_id: FromPath[UUID], signature: Signature, services: NamedDependency[Services]
) -> Certificate:
    """The signed statement for those who had asked for the erasure. The link is the permission."""
    services.certificate_links.require_good(erased_id, signature)
    return await _certificate(services, erased_id)


@get(
    "/{erased_id:uuid}/certificate.pdf",
    operation_id="fetchErasureCertificatePdf",
    summary="Fetch the certificate of an erasure as PDF by its link",
    media_type=PDF,
    responses=problems(403, 404, 422),
)
async def fetch_certificate_pdf(
    erased_id: FromPath[UUID], signature: Signature, services: NamedDependency[Services]
) -> Response[bytes]:
    """The same for people, with the signature of the same link."""
    services.certificate_links.require_good(erased_id, signature)
    return await _answered_as_pdf(services, erased_id)


async def _certificate(services: Services, tenant_id: UUID) -> Certificate:
    async with platform_session(services.pool, readonly=True) as session:
        return await certificates.get(session, tenant_id, services.secret)


async def _answered_as_pdf(services: Services, tenant_id: UUID) -> Response[bytes]:
    certificate = await _certificate(services, tenant_id)
    headers = {"Content-Disposition": f'attachment; filename="erasure-{tenant_id}.pdf"'}
    return Response(await asyncio.to_thread(_pdf_of, certificate), media_type=PDF, headers=headers)


def _pdf_of(certificate: Certificate) -> bytes:
    from shell.certificate_pdf import pdf_of  # noqa: PLC0415 -- slow to import, and few ever need it

    return pdf_of(certificate)


@post(
    "/archive/read",
    operation_id="readLegalArchive",
    summary="Read the legal archive of an erased tenant",
    status_code=200,
    guards=[may(Permission.ARCHIVES_READ), stepped_up()],
    responses=problems(400, *REGISTRY_PROBLEMS, 422),
)
async def read_legal_archive(
    tenant_id: FromPath[UUID],
    data: JSONBody[ArchiveWanted],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Response[bytes]:
    """The invoices that the law makes one keep, and what supports them; reader and reason are audited."""
    actor = actor_of(request, identity)
    async with platform_session(services.pool) as session:
        content = await legal_archive.read(
            session, tenant_id, services.objects, services.secret, actor=actor, reason=data.reason
        )
    return Response(content, media_type="application/json")


erasure_router = Router(
    "/gdpr",
    route_handlers=[
        erase_tenant,
        get_erasure,
        cancel_erasure,
        get_certificate,
        get_certificate_pdf,
        read_legal_archive,
    ],
    tags=["Data protection"],
)
certificates_router = Router(
    "/erasures", route_handlers=[fetch_certificate, fetch_certificate_pdf], tags=["Data protection"]
)
