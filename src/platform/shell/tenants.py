"""The registry of tenants."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from piccolo.columns import Column

from core.deletion_ledger import erased_schema
from core.errors import NotFound, SlugTaken
from core.identity import Account
from core.tenant import STANDARD_TIER, Tenant, schema_name
from shell import deletion_ledger
from shell.queries import SQL
from shell.session import Session, tenant_of
from shell.tables import Tenants


class NewTenant(msgspec.Struct, frozen=True):
    """A tenant to be: its schema does not exist yet."""

    slug: str
    name: str
    country: str
    vat_id: str | None
    time_zone: str
    tier: str = STANDARD_TIER


class Founder(msgspec.Struct, frozen=True):
    """The first OWNER of a tenant to be."""

    account: Account
    password_hash: str


async def insert(session: Session, new: NewTenant, founder: Founder | None) -> Tenant:
    """Register a PENDING tenant, with the account that will own it; raises SlugTaken.

    The slug of an erased tenant stays taken: it begins the numbers of invoices that the law makes one keep.
    """
    if await deletion_ledger.knows(session, erased_schema(schema_name(new.slug))):
        raise SlugTaken(slug=new.slug)
    row = await session.connection.fetchrow(
        SQL["insert_tenant"],
        uuid4(), new.slug, new.name, new.country, new.vat_id, new.time_zone, "EUR", datetime.now(UTC),
        new.tier,
    )  # fmt: skip
    if row is None:
        raise SlugTaken(slug=new.slug)
    tenant = tenant_of(row)
    if founder is not None:
        owner = founder.account
        await session.connection.execute(
            SQL["insert_pending_founder"],
            tenant.id, owner.id, owner.email, owner.full_name, founder.password_hash,
        )  # fmt: skip
    return tenant


async def get(session: Session, tenant_id: UUID) -> Tenant:
    """The tenant with this id, in whatever state; raises NotFound."""
    return _found(await session.run(Tenants.select().where(Tenants.id == tenant_id)))


async def lock(session: Session, tenant_id: UUID) -> Tenant:
    """The tenant, locked until the transaction ends; raises NotFound."""
    row = await session.connection.fetchrow(SQL["lock_tenant"], tenant_id)
    if row is None:
        raise NotFound(what="tenant")
    return tenant_of(row)


async def page(
    session: Session, *, after: tuple[datetime, UUID] | None, state: str | None, limit: int
) -> list[Tenant]:
    """Tenants by age, from the one after `after`; one more than `limit`, where there are more."""
    query = Tenants.select().order_by(Tenants.created_at, Tenants.id).limit(limit + 1)
    if state is not None:
        query = query.where(Tenants.state == state)
    if after is not None:
        created_at, tenant_id = after
        query = query.where(
            (Tenants.created_at > created_at)
            | ((Tenants.created_at == created_at) & (Tenants.id > tenant_id))
        )
    return [msgspec.convert(row, Tenant) for row in await session.run(query)]


async def update(session: Session, tenant_id: UUID, values: dict[str, Any]) -> Tenant:
    """Change columns of a tenant; raises NotFound."""
    if values:
        by_name = Tenants._meta.get_column_by_name  # noqa: SLF001 -- Piccolo has no other way to a column by name
        columns: dict[Column | str, Any] = {by_name(name): value for name, value in values.items()}
        await session.run(Tenants.update(columns).where(Tenants.id == tenant_id))
    return await get(session, tenant_id)


async def set_state(session: Session, tenant: Tenant, state: str) -> Tenant:
    """Write the state that the lifecycle has decided."""
    await session.connection.execute(SQL["set_tenant_state"], tenant.id, state)
    return msgspec.structs.replace(tenant, state=state)


def _found(rows: list[dict[str, Any]]) -> Tenant:
    if not rows:
        raise NotFound(what="tenant")
    return msgspec.convert(rows[0], Tenant)
