"""Prices: the default ones, and those agreed with a tenant."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from core.audit import AuditEntry
from core.identity import Identity
from core.permission import Permission
from core.pricing import Price, UnitPrice, require_future, unit_price_objection
from core.registration import refuse
from core.resource import Resource
from shell import prices, tenants
from shell.audit import append_platform_entry
from shell.session import platform_session
from web.guards import actor_of, may
from web.problems import REGISTRY_PROBLEMS, TENANT_PROBLEMS, problems
from web.services import Services


class NewPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price version to come; days before it keep the price they had."""

    resource: Resource
    unit_price: UnitPrice
    effective_from: date


class Prices(msgspec.Struct, frozen=True):
    """Versions by resource, the newest first; a tenant's own win over the default ones."""

    items: list[Price]
    default: list[Price] = []


@get("/prices", operation_id="listPrices", summary="List default prices", responses=problems(401, 403),
     guards=[may(Permission.PRICES_READ)])  # fmt: skip
async def list_prices(services: NamedDependency[Services]) -> Prices:
    """The prices of tenants without prices of their own."""
    async with platform_session(services.pool, readonly=True) as session:
        return Prices(await prices.versions(session, None))


@post(
    "/prices",
    operation_id="setPrice",
    summary="Set a default price",
    guards=[may(Permission.PRICES_WRITE)],
    responses=problems(400, 401, 403, 409, 422),
)
async def set_price(
    data: JSONBody[NewPrice],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Price:
    """Add a version of a default price, from a day to come."""
    return await _set(services, None, data, request, identity)


@get("/tenants/{tenant_id:uuid}/prices", operation_id="listTenantPrices", summary="List a tenant's prices",
     guards=[may(Permission.PRICES_READ)], responses=problems(*REGISTRY_PROBLEMS))  # fmt: skip
async def list_tenant_prices(tenant_id: FromPath[UUID], services: NamedDependency[Services]) -> Prices:
    """The prices that were agreed with a tenant, and the default ones that apply where none was."""
    async with platform_session(services.pool, readonly=True) as session:
        await tenants.get(session, tenant_id)
        return Prices(await prices.versions(session, tenant_id), await prices.versions(session, None))


@post(
    "/tenants/{tenant_id:uuid}/prices",
    operation_id="setTenantPrice",
    summary="Agree a price with a tenant",
    guards=[may(Permission.PRICES_WRITE)],
    responses=problems(400, *TENANT_PROBLEMS, 422),
)
async def set_tenant_price(
    tenant_id: FromPath[UUID],
    data: JSONBody[NewPrice],
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    services: NamedDependency[Services],
) -> Price:
    """Add a version of a tenant's own price, from a day to come."""
    return await _set(services, tenant_id, data, request, identity)


async def _set(
    services: Services,
    tenant_id: UUID | None,
    data: NewPrice,
    request: Request[Any, Any, Any],
    identity: Identity,
) -> Price:
    objection = unit_price_objection(data.unit_price)
    refuse([("unit_price", objection)] if objection else [])
    require_future(data.effective_from, datetime.now(UTC).date())
    async with platform_session(services.pool) as session:
        if tenant_id is not None:
            await tenants.get(session, tenant_id)
        price = await prices.insert(
            session,
            tenant_id=tenant_id,
            resource=data.resource,
            unit_price=data.unit_price,
            effective_from=data.effective_from,
        )
        subject = "prices" if tenant_id is None else f"tenant:{tenant_id}"
        details = {
            "resource": data.resource,
            "unit_price": str(data.unit_price),
            "from": str(data.effective_from),
        }
        entry = AuditEntry("price.set", subject, actor_of(request, identity), details=details)
        await append_platform_entry(session, entry)
    return price


prices_router = Router(
    "/", route_handlers=[list_prices, set_price, list_tenant_prices, set_tenant_price], tags=["Prices"]
)
