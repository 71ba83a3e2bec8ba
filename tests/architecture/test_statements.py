"""One module takes on roles, and what the database is told is text that stands in the source."""

import ast
import re

import pytest

from tests.architecture.sources import SQL, modules, name, without_comments

EVERY_MODULE = modules("core", "shell", "web", "jobs")
# A setting that is named, and is neither a role nor the search path, may be changed anywhere.
ROLE_CHANGE = re.compile(
    r"\bset_config\s*\(\s*(?!'(?!role'|session_authorization'|search_path')\w+')"
    r"|\bset\s+(local\s+|session\s+)?(role|session authorization)\b",
    re.IGNORECASE,
)
# Identifiers are no parameters: what names schemas and roles builds its statements, from checked slugs.
BUILDS_STATEMENTS = frozenset(
    [
        "shell/erasing.py",
        "shell/erasure_scan.py",
        "shell/migrations.py",
        "shell/provisioning.py",
        "shell/roles.py",
        "shell/session.py",
    ]
)
STATEMENT_METHODS = frozenset(
    ["execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "cursor", "prepare"]
)


def literals(source: str) -> str:
    """Every text in a Python source that is no docstring, comment or code."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr | ast.Constant)]
    prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in prose)
    return "\n".join(text for text in texts if isinstance(text, str))


def built_statements(source: str) -> list[int]:
    """The lines that hand the database a statement put together from pieces."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args)
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in STATEMENT_METHODS
        and _is_built(call.args[0])
    ]


def _is_built(text: ast.expr) -> bool:
    match text:
        case ast.JoinedStr(values=parts):
            return any(isinstance(part, ast.FormattedValue) for part in parts)
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
            return any(_is_text(side) or _is_built(side) for side in (left, right))
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "join" | "replace")):
            return _is_text(value) or _is_built(value)
        case _:
            return False


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_only_the_session_module_takes_on_a_role() -> None:
    texts = {name(path): literals(path.read_text("utf-8")) for path in EVERY_MODULE}
    texts |= {name(path): without_comments(path.read_text("utf-8")) for path in SQL.rglob("*.sql")}
    offenders = {source for source, text in texts.items() if ROLE_CHANGE.search(text)}
    assert offenders <= {"shell/session.py", "shell/sql/queries/session.sql"}


def test_only_the_session_module_uses_the_queries_that_take_on_a_role() -> None:
    text = (SQL / "queries" / "session.sql").read_text("utf-8")
    entering = set(re.findall(r"^-- name: (\w+)$", text, re.MULTILINE))
    users = {
        name(path) for path in EVERY_MODULE if entering & set(literals(path.read_text("utf-8")).split("\n"))
    }
    assert users == {"shell/session.py"}


@pytest.mark.parametrize(
    "source",
    [
        "connection.execute(\"SELECT set_config('role', $1, true)\", role)",
        'connection.execute(f"SET LOCAL ROLE {role}")',
        'statement = "set role x"',
        'statement = "SELECT set_config(name, value, true)"',
        "statement = \"SELECT set_config('search_path', 'x', true)\"",
    ],
)
def test_the_role_check_catches(source: str) -> None:
    assert ROLE_CHANGE.search(literals(source))


def test_the_role_check_lets_prose_and_grants_pass() -> None:
    prose = '"""Only the session may SET ROLE."""\n# SET ROLE\n'
    source = prose + 'grant = "GRANT a TO b WITH INHERIT FALSE, SET TRUE"'
    assert not ROLE_CHANGE.search(literals(source))


def test_statements_are_built_only_where_schemas_and_roles_are_named() -> None:
    built = {
        f"{name(path)}:{line}"
        for path in EVERY_MODULE
        if name(path) not in BUILDS_STATEMENTS
        for line in built_statements(path.read_text("utf-8"))
    }
    assert built == set()


@pytest.mark.parametrize(
    "source",
    [
        'await connection.execute(f"DROP TABLE {name}")',
        'await connection.fetch("SELECT * FROM " + table)',
        'await connection.fetchval("SELECT %s" % column)',
        'await connection.fetchrow("SELECT {}".format(column))',
        'await connection.execute("SELECT " + ", ".join(columns) + " FROM t")',
    ],
)
def test_the_statement_check_catches(source: str) -> None:
    assert built_statements(source) == [1]


@pytest.mark.parametrize(
    "source",
    [
        'await connection.fetch("SELECT 1", f"{slug}")',
        'await connection.fetch(sql["usage_page"], limit + 1)',
        "await cursor.fetch(limit + 1)",
        'await connection.execute("SELECT 1" " + 1")',
    ],
)
def test_the_statement_check_lets_pass(source: str) -> None:
    assert built_statements(source) == []
