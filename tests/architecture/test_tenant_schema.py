"""A tenant's schema keeps to what also runs on Citus, so that it can be moved unchanged."""

import re

import pytest

from tests.architecture.sources import SQL, without_comments

NOT_ON_CITUS = {
    "serial key": re.compile(r"\b(small|big)?serial\d?\b", re.IGNORECASE),
    "trigger": re.compile(r"\btrigger\b", re.IGNORECASE),
    "NOTIFY": re.compile(r"\b(pg_)?notify\b", re.IGNORECASE),
    "MERGE": re.compile(r"\bmerge\s+into\b", re.IGNORECASE),
}
CREATED = re.compile(r"\bcreate\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?([\w.\"]+)", re.IGNORECASE)
REFERENCED = re.compile(r"\breferences\s+([\w.\"]+)", re.IGNORECASE)
PRIMARY_KEY = re.compile(r"\bprimary\s+key\b", re.IGNORECASE)


def objections(sql: str) -> list[str]:
    """What keeps a tenant's schema, given as all its migrations together, from moving to Citus unchanged."""
    text = without_comments(sql)
    tables = CREATED.findall(text)
    keyless = [
        table
        for statement in text.split(";")
        for table in CREATED.findall(statement)
        if not PRIMARY_KEY.search(statement)
    ]
    return [
        *(name for name, pattern in NOT_ON_CITUS.items() if pattern.search(text)),
        *(f"{table} has no primary key" for table in keyless),
        *(f"reference out of the schema: {name}" for name in REFERENCED.findall(text) if name not in tables),
    ]


def test_a_tenants_schema_could_move_to_citus() -> None:
    migrations = sorted((SQL / "tenant").glob("*.sql"))
    assert objections("\n".join(path.read_text("utf-8") for path in migrations)) == []


def test_no_query_merges_or_notifies() -> None:
    queries = "\n".join(without_comments(path.read_text("utf-8")) for path in (SQL / "queries").glob("*.sql"))
    assert [name for name in ("MERGE", "NOTIFY") if NOT_ON_CITUS[name].search(queries)] == []


@pytest.mark.parametrize(
    ("sql", "objection"),
    [
        ("CREATE TABLE a (id bigserial PRIMARY KEY)", "serial key"),
        ("CREATE TABLE a (id uuid)", "a has no primary key"),
        (
            "CREATE TABLE IF NOT EXISTS a (id uuid); CREATE TABLE b (id uuid PRIMARY KEY)",
            "a has no primary key",
        ),
        (
            "CREATE TABLE a (id uuid PRIMARY KEY REFERENCES public.tenants (id))",
            "reference out of the schema: public.tenants",
        ),
        ("CREATE TABLE a (id uuid PRIMARY KEY REFERENCES tenants)", "reference out of the schema: tenants"),
        ("CREATE CONSTRAINT TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f()", "trigger"),
        ("NOTIFY usage", "NOTIFY"),
        ("SELECT pg_notify('usage', '')", "NOTIFY"),
        ("MERGE INTO a USING b ON true", "MERGE"),
    ],
)
def test_the_schema_check_catches(sql: str, objection: str) -> None:
    assert objections(sql) == [objection]


def test_the_schema_check_lets_a_fitting_schema_pass() -> None:
    sql = """
    -- no serial, no trigger; and no foreign key to public
    CREATE TABLE invoices (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    CREATE TABLE lines (
      invoice bigint REFERENCES invoices, position int, serial_number text, PRIMARY KEY (invoice, position)
    );
    """
    assert objections(sql) == []
