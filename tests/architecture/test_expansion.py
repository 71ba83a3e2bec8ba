"""Migrations expand; one that contracts says why the code of the release before it can live with that.

During a rollout the old code runs on the new schema, for minutes, or until somebody rolls back.
"""

import re
from pathlib import Path

import pytest

from tests.architecture.sources import SQL, without_comments

BEFORE_THE_FIRST_RELEASE = {"public": 17, "tenant": 10}
"""The last migrations that no released code has ever run beside."""

CONTRACTING = {
    "drops": r"\bdrop\s+(?:table|column|schema|materialized|view|function|type|sequence|role|policy)\b",
    "drops a default": r"\bdrop\s+default\b",
    "renames": r"\brename\b",
    "changes a type": r"\balter\s+(?:column\s+)?\w+\s+(?:set\s+data\s+)?type\b",
    "forbids null": r"\bset\s+not\s+null\b",
    "adds a column that old code leaves empty": (
        r"\badd\s+(?:column\s+)?(?:if\s+not\s+exists\s+)?(?!constraint\b)\w+\s+(?![^,;]*\bdefault\b)[^,;]*\bnot\s+null\b"
    ),
    "adds a constraint": r"\badd\s+(?:constraint|check|unique|primary|foreign|exclude)\b",
    "demands uniqueness": r"\bcreate\s+unique\s+index\b",
    "takes a right": r"\brevoke\b",
    "removes rows": r"\b(?:truncate|delete\s+from)\b",
}
REASON = re.compile(r"^-- contract: \S.{20,}$", re.MULTILINE)


def contractions(sql: str) -> list[str]:
    """What a migration takes from code that does not know it, unless it gives a reason."""
    if REASON.search(sql):
        return []
    text = without_comments(sql)
    created = {name.lower() for name in re.findall(r"\bcreate\s+table\s+([\w.]+)", text, re.IGNORECASE)}
    statements = [
        statement
        for statement in text.split(";")
        if (about := _table_of(statement)) is None or about.lower() not in created
    ]
    return [
        name
        for name, pattern in CONTRACTING.items()
        if any(re.search(pattern, statement, re.IGNORECASE) for statement in statements)
    ]


def _table_of(statement: str) -> str | None:
    """The table that a statement is about: what a new table demands, it takes from nobody."""
    found = re.search(
        r"\b(?:alter\s+table(?:\s+only)?|create\s+unique\s+index\s+\w+\s+on|revoke\s+[\w\s,]+?\s+on)\s+([\w.]+)",
        statement,
        re.IGNORECASE,
    )
    return found[1] if found else None


@pytest.mark.parametrize("kind", BEFORE_THE_FIRST_RELEASE)
def test_migrations_expand_or_say_why_they_contract(kind: str) -> None:
    found = {
        file.name: contractions(file.read_text("utf-8"))
        for file in sorted((SQL / kind).glob("*.sql"))
        if _number(file) > BEFORE_THE_FIRST_RELEASE[kind]
    }
    assert {name: objections for name, objections in found.items() if objections} == {}


def _number(file: Path) -> int:
    return int(file.stem.partition("_")[0])


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("DROP TABLE public.prices", ["drops"]),
        ("ALTER TABLE users DROP COLUMN state", ["drops"]),
        ("ALTER TABLE users RENAME COLUMN state TO status", ["renames"]),
        ("ALTER TABLE users ALTER COLUMN state TYPE integer", ["changes a type"]),
        ("ALTER TABLE users ALTER state SET NOT NULL", ["forbids null"]),
        ("ALTER TABLE users ADD COLUMN a text NOT NULL", ["adds a column that old code leaves empty"]),
        ("ALTER TABLE users ADD CONSTRAINT a CHECK (b > 0)", ["adds a constraint"]),
        ("CREATE UNIQUE INDEX a ON users (b)", ["demands uniqueness"]),
        ("REVOKE INSERT ON users FROM platform_app", ["takes a right"]),
        ("DELETE FROM users WHERE true", ["removes rows"]),
    ],
)
def test_what_old_code_cannot_live_with_is_found(sql: str, found: list[str]) -> None:
    assert contractions(f"{sql};\n") == found
    reason = "-- contract: no code of the last release names it any more\n"
    assert contractions(f"{reason}{sql};\n") == []


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE a (id uuid PRIMARY KEY, b text NOT NULL CHECK (b <> ''))",
        "ALTER TABLE users ADD COLUMN a text NOT NULL DEFAULT 'x'",
        "ALTER TABLE users ADD COLUMN a text",
        "ALTER TABLE users ALTER COLUMN a DROP NOT NULL",
        "CREATE INDEX a ON users (b)",
        "DROP INDEX a",
        "CREATE TABLE a (id uuid PRIMARY KEY); CREATE UNIQUE INDEX b ON a (id)",
        "GRANT SELECT ON a TO platform_app",
        "CREATE TABLE a (id uuid REFERENCES b ON DELETE CASCADE)",
    ],
)
def test_what_only_adds_is_left_alone(sql: str) -> None:
    assert contractions(f"{sql};\n") == []
