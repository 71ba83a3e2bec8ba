"""Usage: machines report it, people look at it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)
from litestar.params import FromPath, HeaderParameter, QueryParameter, RawBody

from core.audit import Actor, AuditEntry
from core.cursor import decode_cursor
from core.errors import BeforeHorizon, InvalidInput, UnsupportedMediaType
from core.identity import Identity
from core.permission import Permission
from core.resource import Resource
from core.tenant import require_writable
from core.usage import MAX_BODY_BYTES, MAX_EVENTS, Admission, Rejection, Window, admit, since, window
from shell import usage
from shell.audit import append_entry
from shell.database import retried
from shell.measures import USAGE_EVENTS
from shell.session import reading, recording_session
from shell.usage import StoredEvent
from web.examples import EXAMPLES
from web.guards import actor_of, may
from web.instants import require_offsets
from web.pages import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from web.problems import TENANT_PROBLEMS, problems
from web.services import Services

JSON = "application/json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
LENIENT = "handling=lenient"

Prefer = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        max_length=200,
        description="`handling=lenient` stores the good events and reports the bad ones (RFC 7240).",
    ),
]


class UsageAccepted(msgspec.Struct, frozen=True):
    """What became of a batch; `accepted` and `duplicates` are stored for good when this is answered."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]


def _batch_of(schema: str) -> OpenAPIMediaType:
    items = Reference(ref=f"#/components/schemas/{schema}")
    array = Schema(type=OpenAPIType.ARRAY, items=items, min_items=1, max_items=MAX_EVENTS)
    return OpenAPIMediaType(schema=array, examples={"batch": Example(value=EXAMPLES[schema])})


@dataclass
class RecordUsage(Operation):
    """The operation with its body, which the handler decodes itself to name each bad event."""

    def __post_init__(self) -> None:
        """Set what the framework, which finds no decoded body, says is None."""
        content = {JSON: _batch_of("UsageEvent"), CLOUD_EVENTS: _batch_of("CloudEvent")}
        self.request_body = RequestBody(required=True, content=content)


@post(
    "/usage",
    operation_id="recordUsage",
    summary="Record usage",
    status_code=200,
    guards=[may(Permission.USAGE_WRITE)],
    request_max_body_size=MAX_BODY_BYTES,
    operation_class=RecordUsage,
    responses=problems(400, *TENANT_PROBLEMS, 413, 415, 422),
)
async def record_usage(
    tenant_id: FromPath[UUID],
    body: RawBody,
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
    prefer: Prefer = None,
) -> UsageAccepted:
    """Record up to 10,000 events; one whose `(source, id)` is known is a duplicate and changes nothing.

    All or nothing, unless the batch is sent with `Prefer: handling=lenient`.
    """
    cloud_events, lenient = _is_cloud_events(request), _is_lenient(prefer)
    allowed = window(datetime.now(UTC), backfill=identity.may(Permission.USAGE_BACKFILL))
    foreign = actor_of(request, identity) if identity.is_platform else None
    admission = _admitted(body, allowed, cloud_events=cloud_events, lenient=lenient)
    try:
        accepted = await _stored(services, tenant_id, admission, foreign)
    except BeforeHorizon as refused:  # only what is back-filled; so only then is the batch read twice
        admission = _admitted(body, since(allowed, refused), cloud_events=cloud_events, lenient=lenient)
        accepted = await _stored(services, tenant_id, admission, foreign)
    _count(str(tenant_id), admission, accepted)
    return UsageAccepted(accepted, len(admission.events) - accepted, admission.rejected)


@get(
    "/usage",
    operation_id="listUsage",
    summary="List usage events",
    guards=[may(Permission.USAGE_READ)],
    responses=problems(*TENANT_PROBLEMS, 422),
)
async def list_usage(
    tenant_id: FromPath[UUID],
    services: NamedDependency[Services],
    resource: Annotated[Resource | None, QueryParameter(description="Only this resource.")] = None,
    source: Annotated[str | None, QueryParameter(max_length=200, description="Only this source.")] = None,
    start: Annotated[
        datetime | None, QueryParameter(name="from", description="Not before this instant.")
    ] = None,
    end: Annotated[datetime | None, QueryParameter(name="to", description="Before this instant.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[StoredEvent]:
    """Usage events, the newest first."""
    require_offsets({"from": start, "to": end})
    after = decode_cursor(cursor, tuple[datetime, str, str]) if cursor else None
    found = await reading(
        services.pool,
        tenant_id,
        lambda session: usage.page(
            session, resource=resource, source=source, start=start, end=end, after=after, limit=limit
        ),
    )
    return page_of(found, limit, lambda event: (event.occurred_at, event.source, event.id))


def _admitted(body: bytes, allowed: Window, *, cloud_events: bool, lenient: bool) -> Admission:
    """The batch, divided; raises InvalidInput with each bad event unless lenient."""
    admission = admit(body, allowed, cloud_events=cloud_events)
    if admission.rejected and not lenient:
        raise InvalidInput(errors=msgspec.to_builtins(admission.rejected))
    return admission


async def _stored(services: Services, tenant_id: UUID, admission: Admission, foreign: Actor | None) -> int:
    """How many events were new, however often a deadlock made one try."""
    return await retried(lambda: _stored_once(services, tenant_id, admission, foreign))


async def _stored_once(
    services: Services, tenant_id: UUID, admission: Admission, foreign: Actor | None
) -> int:
    """How many events were new; what somebody stores for a tenant that is not his own is audited."""
    async with recording_session(services.pool, tenant_id=tenant_id) as session:
        require_writable(session.tenant.state)
        accepted = await usage.store(session, admission.events) if admission.events else 0
        if foreign is not None:
            details = {"accepted": str(accepted)}
            session.commit_with_next()
            await append_entry(
                session, AuditEntry("usage.recorded", f"tenant:{tenant_id}", foreign, details=details)
            )
        return accepted


def _count(tenant_id: str, admission: Admission, accepted: int) -> None:
    outcomes = {
        "accepted": accepted,
        "duplicate": len(admission.events) - accepted,
        "rejected": len(admission.rejected),
    }
    for outcome, count in outcomes.items():
        USAGE_EVENTS.labels(tenant_id, outcome).inc(count)


def _is_cloud_events(request: Request[Any, Any, Any]) -> bool:
    media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if media_type not in {JSON, CLOUD_EVENTS}:
        raise UnsupportedMediaType(media_type=media_type[:100])
    return media_type == CLOUD_EVENTS


def _is_lenient(prefer: str | None) -> bool:
    return prefer is not None and LENIENT in {part.strip().lower() for part in prefer.split(",")}


usage_router = Router("/", route_handlers=[record_usage, list_usage], tags=["Usage"])
