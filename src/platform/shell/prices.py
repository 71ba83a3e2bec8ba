"""Price versions."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import msgspec

from core.errors import PriceExists
from core.pricing import Price
from core.resource import Resource
from shell.queries import SQL
from shell.session import Session
from shell.tables import Prices


async def versions(session: Session, tenant_id: UUID | None) -> list[Price]:
    """A tenant's own prices, or the default ones, the newest first."""
    wanted = Prices.tenant_id.is_null() if tenant_id is None else Prices.tenant_id == tenant_id
    query = (
        Prices.select(*Prices.all_columns(exclude=[Prices.created_at]))
        .where(wanted)
        .order_by(Prices.resource)
        .order_by(Prices.effective_from, ascending=False)
    )
    return [msgspec.convert(row, Price) for row in await session.run(query)]


async def insert(
    session: Session, *, tenant_id: UUID | None, resource: Resource, unit_price: Decimal, effective_from: date
) -> Price:
    """Add a version; raises PriceExists where one takes effect on that day already."""
    price = Price(uuid4(), tenant_id, resource, unit_price, "EUR", effective_from)
    inserted = await session.connection.fetchval(
        SQL["insert_price"],
        price.id, tenant_id, resource, unit_price, price.currency, effective_from, datetime.now(UTC),
    )  # fmt: skip
    if inserted is None:
        raise PriceExists(resource=resource, day=effective_from)
    return price
