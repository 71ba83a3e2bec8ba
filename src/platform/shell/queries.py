"""Named SQL: every `-- name: x` in sql/queries/*.sql, loaded once."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

SQL_FOLDER = Path(__file__).parent / "sql"

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(folder: Path) -> Mapping[str, str]:
    """The queries of a folder's files by name; raises ValueError where a name stands twice."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.sql")):
        _, *parts = _NAME.split(file.read_text())
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(f"two queries are named {name}")
            found[name] = text.strip().removesuffix(";")
    return MappingProxyType(found)


SQL = load_queries(SQL_FOLDER / "queries")
