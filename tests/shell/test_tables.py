"""The tables as Piccolo describes them are the tables that there are."""

import pytest
from piccolo.table import Table

from core.tenant import Tenant
from shell import tables
from tests.installation import Installation, rows

DESCRIBED = [
    value
    for value in vars(tables).values()
    if isinstance(value, type) and issubclass(value, Table) and value is not Table
]

TYPES = {
    "UUID": "uuid",
    "TEXT": "text",
    "NUMERIC": "numeric",
    "DATE": "date",
    "TIMESTAMPTZ": "timestamp with time zone",
    "JSONB": "jsonb",
    "BOOLEAN": "boolean",
    "DOUBLE PRECISION": "double precision",
}


@pytest.mark.parametrize("table", DESCRIBED, ids=lambda table: table.__name__)
async def test_a_described_column_has_its_type_and_nullability(
    installation: Installation, tenant: Tenant, table: type[Table]
) -> None:
    query = """
        SELECT column_name, data_type, is_nullable = 'YES' AS is_nullable
        FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2
    """
    schema = table._meta.schema or tenant.schema  # noqa: SLF001 -- Piccolo's own way to ask
    live = {
        row["column_name"]: (row["data_type"], row["is_nullable"])
        for row in await rows(installation, query, schema, table._meta.tablename)  # noqa: SLF001
    }
    described = {
        column._meta.name: (TYPES[column.column_type], column._meta.null)  # noqa: SLF001
        for column in table._meta.columns  # noqa: SLF001
    }
    assert described.items() <= live.items()
    assert described
