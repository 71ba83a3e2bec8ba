"""The security document shows the roles and scopes that the code has."""

from pathlib import Path

from core.api_key import SCOPES
from core.permission import Permission, Role, is_permitted

DOCUMENT = Path(__file__).parents[1] / "docs" / "security.md"
CHAPTERS_OF_ASVS = 17


def role_matrix() -> str:
    """Who may do what, as a table: a row for each permission, its roles, and the scopes that include it."""
    heads = ["permission", *Role, "scopes of API keys"]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for permission in Permission:
        roles = ["yes" if is_permitted(role, permission) else "" for role in Role]
        scopes = ", ".join(f"`{scope}`" for scope, included in SCOPES.items() if permission in included)
        lines.append(_row([f"`{permission}`", *roles, scopes]))
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def test_the_role_matrix_is_that_of_the_code() -> None:
    expected = role_matrix()
    assert expected in DOCUMENT.read_text("utf-8"), f"the table is to read:\n{expected}"


def test_every_chapter_of_the_asvs_is_answered_once_and_in_order() -> None:
    text = DOCUMENT.read_text("utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| V")]
    assert [row[1].split()[0] for row in rows] == [f"V{number}" for number in range(1, CHAPTERS_OF_ASVS + 1)]
    assert all(row[2].strip() for row in rows)
