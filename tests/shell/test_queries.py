"""Named SQL: each query is used, each used one exists, and PostgreSQL understands all of them."""

import ast
import re
from pathlib import Path

import pytest

from core.tenant import Tenant
from shell.queries import SQL, load_queries
from shell.session import owner_session
from tests.architecture.sources import modules
from tests.installation import Installation, found

MODULES = modules("core", "shell", "web", "jobs")
PARAMETER = re.compile(r"\$(\d+)")


def named(source: str) -> set[str]:
    """The names in `SQL["name"]`, what fits `SQL[f"a_{kind}"]`, and for `SQL[name]` a module's literals."""
    nodes = list(ast.walk(ast.parse(source)))
    found: set[str] = set()
    for node in nodes:
        match node:
            case ast.Subscript(value=ast.Name(id="SQL"), slice=ast.Constant(value=str(name))):
                found.add(name)
            case ast.Subscript(value=ast.Name(id="SQL"), slice=ast.JoinedStr(values=parts)):
                form = "".join(str(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in parts)
                found |= {name for name in SQL if re.fullmatch(form, name)}
            case ast.Subscript(value=ast.Name(id="SQL")):
                found |= {
                    each.value
                    for each in nodes
                    if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value in SQL
                }
    return found


USED = {name for path in MODULES for name in named(path.read_text("utf-8"))}


def test_every_query_that_the_code_names_exists() -> None:
    assert USED - SQL.keys() == set()


def test_every_query_is_used() -> None:
    assert SQL.keys() - USED == set()


@pytest.mark.parametrize("name", sorted(SQL))
async def test_postgresql_understands(name: str, installation: Installation, tenant_for_all: Tenant) -> None:
    text = SQL[name]
    if name == "copy_events":  # read by COPY, with literals in the places of parameters
        text = text.format(starts="{2026-11-23T00:00Z}", start="2026-11-23T00:00Z", end="2026-11-24T00:00Z")
    async with owner_session(installation.owner_pool, schema=tenant_for_all.schema) as session:
        statement = await session.connection.prepare(text)
        numbers = {int(number) for number in PARAMETER.findall(text)}
        assert numbers == set(range(1, len(statement.get_parameters()) + 1)), "no parameter is left out"


@pytest.fixture(scope="module")
async def tenant_for_all(installation: Installation) -> Tenant:
    return await found(installation)


@pytest.mark.parametrize("name", sorted(SQL))
def test_a_query_is_one_statement(name: str) -> None:
    assert ";" not in "\n".join(line.partition("--")[0] for line in SQL[name].splitlines())


def test_two_queries_with_one_name_are_refused(tmp_path: Path) -> None:
    for file in ("a.sql", "b.sql"):
        (tmp_path / file).write_text("-- name: same\nSELECT 1;\n")
    with pytest.raises(ValueError, match="same"):
        load_queries(tmp_path)


def test_queries_are_told_apart_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(
        "-- A head.\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT\n  2;\n"
    )
    assert load_queries(tmp_path) == {"one": "SELECT 1", "two": "-- why\nSELECT\n  2"}
