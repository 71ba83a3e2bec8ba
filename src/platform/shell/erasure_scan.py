"""The scan after an erasure: all of the shared schema, all of Redis, and the logs of this machine."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from core.erasure_scan import Finding, Trace, Wanted, found_in
from shell.queries import SQL
from shell.session import Session
from shell.settings import Settings

AT_A_TIME = 2_000
Found = Counter[tuple[str, Trace]]
Entries = list[tuple[bytes, dict[bytes, bytes]]]


async def scan(session: Session, settings: Settings, whom: Wanted) -> list[Finding]:
    """Where any of these people is still found; the owner's session sees every row."""
    found = await _in_database(session, whom)
    found += await _in_redis(settings, whom)
    found += await asyncio.to_thread(_in_logs, settings.data / "logs", whom)
    return sorted(Finding(place, kind, count) for (place, kind), count in found.items())


async def _in_database(session: Session, whom: Wanted) -> Found:
    found: Found = Counter()
    for table in await session.connection.fetch(SQL["columns_to_scan"]):
        name, columns = table["name"], table["columns"]
        statement = f"SELECT {', '.join(columns)} FROM {name}"  # noqa: S608 -- quoted names of the catalogue
        rows = session.connection.cursor(statement, prefetch=AT_A_TIME)
        async for row in rows:
            for column, value in zip(columns, row, strict=True):
                _add(found, f"{name}.{column}", _text(value), whom)
    return found


async def _in_redis(settings: Settings, whom: Wanted) -> Found:
    found: Found = Counter()
    if settings.redis_url is None:
        return found
    async with Redis.from_url(settings.redis_url.value, socket_timeout=10, socket_connect_timeout=2) as redis:
        async for key in redis.scan_iter(count=AT_A_TIME):
            place = "redis:" + _text(key).partition(":")[0]
            _add(found, place, _text(key), whom)
            for value in await _values(redis, key):
                _add(found, place, _text(value), whom)
    return found


async def _values(redis: "Redis", key: bytes) -> list[Any]:
    """All that a key holds; nothing where it has gone meanwhile."""
    found: list[Any] = []
    match await redis.type(key):
        case b"string":
            found = [await redis.get(key)]
        case b"hash":
            found = [part for pair in (await redis.hgetall(key)).items() for part in pair]
        case b"list":
            found = await redis.lrange(key, 0, -1)
        case b"set":
            found = list(await redis.smembers(key))
        case b"zset":
            found = await redis.zrange(key, 0, -1)
        case b"stream":
            entries = cast("Entries", await redis.xrange(key))
            found = [part for _, fields in entries for pair in fields.items() for part in pair]
    return found


def _in_logs(folder: Path, whom: Wanted) -> Found:
    found: Found = Counter()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                _add(found, f"logs/{file.relative_to(folder)}", line, whom)
    return found


def _add(found: Found, place: str, text: str, whom: Wanted) -> None:
    for kind, count in found_in(text, whom).items():
        found[place, kind] += count


def _text(value: Any) -> str:
    """A value as text: bytes as the text that they may be, and in hexadecimal, as an id may stand in them."""
    if isinstance(value, bytes):
        return f"{value.decode(errors='replace')} {value.hex()}"
    if isinstance(value, list):
        return " ".join(_text(item) for item in value)
    return "" if value is None else str(value)
