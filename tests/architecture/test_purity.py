"""Core reads no clock, draws nothing by lot, waits for nothing and touches nothing outside."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import modules, name

# What is missing here is not pure, or nobody has needed it yet; uuid and datetime are here for their values.
PURE = frozenset(
    """
    abc base64 binascii bisect calendar collections copy dataclasses datetime decimal enum fractions functools
    graphlib hashlib heapq hmac html ipaddress itertools json math numbers operator re statistics string
    struct textwrap types typing unicodedata urllib.parse uuid xml.parsers.expat zlib zoneinfo
    core msgspec polars
    """.split()  # noqa: SIM905 - forty quoted names are harder to read
)
CLOCK_AND_CHANCE = frozenset(
    [
        *(
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        *("uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7", "uuid.uuid8", "uuid.getnode"),
    ]
)
# `hash` of a text differs from process to process.
IMPURE_BUILTINS = frozenset(["open", "print", "input", "hash", "exec", "eval", "__import__", "breakpoint"])
ASYNC = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


def impurities(source: str) -> list[str]:
    """Everything in a module of core that reads a clock, draws by lot, waits, or touches the world."""
    tree = ast.parse(source)
    origins = _origins(tree)
    return [f"line {node.lineno}: {what}" for node, what in _impure(tree, origins)]


def _origins(tree: ast.AST) -> dict[str, str]:
    """Which dotted name each imported local name stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                found[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _impure(tree: ast.AST, origins: dict[str, str]) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names if not _pure(alias.name))
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((node, name) for name in names if not _pure(name) or _forbidden(name))
        elif isinstance(node, ASYNC):
            yield node, "async"
        elif isinstance(node, ast.Name) and node.id in IMPURE_BUILTINS - origins.keys():
            yield node, node.id
        elif isinstance(node, ast.Attribute) and _forbidden(_dotted(node, origins)):
            yield node, _dotted(node, origins)


def _pure(module: str) -> bool:
    """Whether the module, or one of the packages around it, is listed."""
    parts = module.split(".")
    return any(".".join(parts[:length]) in PURE for length in range(1, len(parts) + 1))


def _dotted(node: ast.expr, origins: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, origins)}.{node.attr}"
    return origins.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _forbidden(name: str) -> bool:
    """Whether a dotted name is a clock, chance, or one of Polars' ways to files and databases."""
    last = name.rpartition(".")[2]
    if name.startswith("polars.") and last.startswith(("read_", "scan_")):
        return True
    return name in CLOCK_AND_CHANCE or last in {"utcnow", "uuid4"} or last.startswith(("write_", "sink_"))


@pytest.mark.parametrize("path", modules("core"), ids=name)
def test_core_is_pure(path: Path) -> None:
    assert impurities(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio",
        "import time",
        "import random",
        "import os",
        "import os.path as paths",
        "import secrets",
        "import socket",
        "import subprocess",
        "import threading",
        "import logging",
        "import asyncpg",
        "from pathlib import Path",
        "from urllib import request",
        "from shell import database",
        "from datetime import datetime\nstart = datetime.now",
        "from datetime import datetime as moment, UTC\nmoment.now(UTC)",
        "import datetime\ndatetime.datetime.utcnow()",
        "import datetime as dt\ndt.date.today()",
        "from datetime import date\nfirst = date.today().replace(day=1)",
        "import uuid\nuuid.uuid1()",
        "from uuid import uuid4",
        "import uuid\nmsgspec.field(default_factory=uuid.uuid7)",
        "open('prices.csv')",
        "print('total')",
        "input()",
        "key = hash('slug')",
        "async def price(): ...",
        "import polars as pl\npl.read_csv('usage.csv')",
        "import polars as pl\npl.scan_parquet('usage.parquet')",
        "frame.write_csv('out.csv')",
    ],
)
def test_the_purity_check_catches(source: str) -> None:
    assert impurities(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime, timedelta\ndef age(now: datetime, then: datetime): return now - then",
        "from uuid import UUID, uuid5\nuuid5(UUID(int=0), 'a')",
        "import polars as pl\npl.DataFrame().filter(pl.col('day') > window.now)",
        "from urllib.parse import quote",
        "from collections.abc import Iterable\nimport core.money",
        "from core import pricing",
    ],
)
def test_the_purity_check_lets_pass(source: str) -> None:
    assert impurities(source) == []
