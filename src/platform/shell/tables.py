"""Piccolo's description of the tables, for CRUD and filtered lists; `Session.run` runs the queries."""

from typing import Any

from piccolo.columns import JSONB, UUID, Boolean, Date, DoublePrecision, Numeric, Text, Timestamptz
from piccolo.engine.postgres import PostgresEngine
from piccolo.querystring import QueryString
from piccolo.table import Table


class NoConnection(PostgresEngine):
    """Tells Piccolo which SQL to write, and connects to nothing: queries run in sessions."""

    def __init__(self) -> None:
        """A name is all that Piccolo asks for."""
        super().__init__(config={"database": "session"}, extensions=())

    async def check_version(self) -> None:
        """Not asked: PostgreSQL 16 is required when the roles are made."""

    async def prep_database(self) -> None:
        """No extension is needed."""

    async def run_querystring(self, querystring: QueryString, in_pool: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002 -- Piccolo's signature
        """Refuse a query that was awaited rather than given to `Session.run`."""
        raise RuntimeError("queries run in sessions: use Session.run")


ENGINE = NoConnection()


class Tenants(Table, tablename="tenants", schema="public", db=ENGINE):
    """The registry."""

    id = UUID(primary_key=True)
    slug = Text()
    name = Text()
    state = Text()
    country = Text()
    vat_id = Text(null=True)
    time_zone = Text()
    currency = Text()
    created_at = Timestamptz()
    tier = Text()
    require_second_factor = Boolean()


class Prices(Table, tablename="prices", schema="public", db=ENGINE):
    """Price versions, default (no tenant) and per tenant."""

    id = UUID(primary_key=True)
    tenant_id = UUID(null=True)
    resource = Text()
    unit_price = Numeric()
    currency = Text()
    effective_from = Date()
    created_at = Timestamptz()


class Users(Table, tablename="users", db=ENGINE):
    """A tenant's people; in a platform session, the platform's own accounts."""

    id = UUID(primary_key=True)
    email = Text()
    full_name = Text()
    password_hash = Text(secret=True)
    role = Text()
    created_at = Timestamptz()


class UsageEvents(Table, tablename="usage_events", db=ENGINE):
    """What was measured; the key is (source, id)."""

    id = Text(primary_key=True)
    source = Text()
    resource = Text()
    quantity = Numeric()
    occurred_at = Timestamptz()
    received_at = Timestamptz()
    attributes = JSONB(null=True)


class CostRecords(Table, tablename="cost_records", db=ENGINE):
    """What each day costs."""

    day = Date(primary_key=True)
    resource = Text()
    quantity = Numeric()
    unit_price = Numeric()
    price_id = UUID()
    currency = Text()
    amount = Numeric()


class Anomalies(Table, tablename="anomalies", db=ENGINE):
    """Days that lie far from the week before them."""

    id = UUID(primary_key=True)
    day = Date()
    resource = Text()
    observed = Numeric()
    expected = DoublePrecision()
    expected_low = DoublePrecision()
    expected_high = DoublePrecision()
    z_score = DoublePrecision()
    severity = Text()
    detected_at = Timestamptz()
    acknowledged_at = Timestamptz(null=True)
    acknowledged_by = UUID(null=True)
    note = Text(null=True)


class Invoices(Table, tablename="invoices", db=ENGINE):
    """Invoices, drafts included."""

    id = UUID(primary_key=True)
    month = Text()
    state = Text()
    number = Text(null=True)
    currency = Text()
    seller = JSONB()
    buyer = JSONB()
    net = Numeric()
    vat_rule = Text()
    vat_rate = Numeric()
    vat = Numeric()
    total = Numeric()
    note = Text()
    created_at = Timestamptz()
    issued_at = Timestamptz(null=True)
    due_on = Date(null=True)
