"""Every column of the live schemas is classified, and every classified column is there."""

from core.classification import CLASSIFICATION, Scope
from core.tenant import Tenant
from tests.installation import Installation, rows

COLUMNS = """
    SELECT c.relname AS name, a.attname AS column
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'm', 'f')
      AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
"""


async def columns_in(installation: Installation, scope: Scope, schema: str) -> set[str]:
    """All columns of a live schema, as `scope.table.column`."""
    found = await rows(installation, COLUMNS, schema)
    return {f"{scope}.{row['name']}.{row['column']}" for row in found}


async def test_every_column_is_classified_and_every_classified_column_exists(
    installation: Installation, tenant: Tenant
) -> None:
    classified = {f"{table}.{name}" for table, columns in CLASSIFICATION.items() for name in columns}
    live = await columns_in(installation, Scope.PUBLIC, "public")
    live |= await columns_in(installation, Scope.TENANT, tenant.schema)
    assert sorted(live - classified) == [], "add a line to core/classification.py"
    assert sorted(classified - live) == [], (
        "no such column any more: take the line out of core/classification.py"
    )


async def test_a_column_that_nobody_classified_is_found(own_installation: Installation) -> None:
    await rows(own_installation, "CREATE TABLE public.notes (shoe_size integer PRIMARY KEY)")
    assert "public.notes.shoe_size" in await columns_in(own_installation, Scope.PUBLIC, "public")
