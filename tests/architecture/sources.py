"""The sources that the rules of the design are checked on."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "platform"
SQL = SOURCES / "shell" / "sql"


def modules(*packages: str) -> list[Path]:
    """The modules of these packages."""
    return sorted(path for package in packages for path in (SOURCES / package).rglob("*.py"))


def name(path: Path) -> str:
    """How the messages name a source."""
    return path.relative_to(SOURCES).as_posix()


def without_comments(sql: str) -> str:
    """The SQL text without `--` and `/* */` comments."""
    return re.sub(r"--[^\n]*|/\*.*?\*/", "", sql, flags=re.DOTALL)
