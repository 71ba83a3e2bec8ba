"""Piccolo's description of the tables, for CRUD and filtered lists, on the session's own connection."""

from typing import Any

from piccolo.columns import JSONB, UUID, Date, DoublePrecision, Numeric, Text, Timestamptz
from piccolo.engine.postgres import PostgresEngine
from piccolo.table import Table

from shell.database import Connection


class SessionEngine(PostgresEngine):
    """An engine without connections: queries run on the open session's, or not at all."""

    def __init__(self) -> None:
        """Connect to nothing: there is no session yet."""
        super().__init__(config={"database": "session"}, extensions=())

    async def check_version(self) -> None:
        """Not asked: PostgreSQL 16 is required when the roles are made."""

    async def prep_database(self) -> None:
        """No extension is needed."""

    async def _run_in_new_connection(self, query: str, args: Any = None) -> Any:  # noqa: ARG002, ANN401 -- Piccolo's signature
        raise RuntimeError("no session is open")


class SessionTransaction:
    """What Piccolo takes for its transaction: the connection of the open session."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        """Lend the session's connection."""
        self.connection = connection


ENGINE = SessionEngine()


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
