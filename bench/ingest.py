"""`ingest`: usage events a second through `POST /usage`, beside a bare COPY of the same rows.

Both sides store the same rows in the same tables with the same indexes, a thousand rows a transaction, over
as many connections; each round begins with empty tables. Rows and requests are made before the clock
starts. The baseline is asyncpg's binary COPY on uvloop, as the owner of the tables, who passes no checks.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from bench.client import Round, write_requests
from bench.events import BATCH, COLUMNS, Record, batches, body
from bench.figures import Figure, compared, take_turns
from bench.load import LoadClient, load_client
from bench.stage import Stage, administrator, provisioned, stage
from core.tenant import Tenant

CONNECTIONS = 4
RATIO_AT_LEAST = 0.5
EVENTS_AT_LEAST = 50_000


async def ingest(*, quick: bool) -> list[Figure]:
    """The figures of one tenant and of fifty."""
    number, rounds = (40, 3) if quick else (200, 7)
    async with stage(api_processes=1) as here:
        tenants = await provisioned(here, [f"ingest-{index}" for index in range(50)])
        with load_client() as client:
            return [
                await _measured(here, client, tenants[:1], number=number, rounds=rounds),
                await _measured(here, client, tenants, number=number, rounds=rounds),
            ]


async def _measured(
    here: Stage, client: LoadClient, tenants: list[Tenant], *, number: int, rounds: int
) -> Figure:
    rows = list(batches(number, seed=len(tenants)))
    owners = [tenants[index % len(tenants)] for index in range(number)]
    file = here.settings.data / "requests"
    write_requests(file, _requests(here, owners, rows))

    async def product() -> float:
        await _empty(here, tenants)
        result = await client.play(_plan(here, file))
        assert await _stored(here, tenants) == number * BATCH
        return number * BATCH / result.seconds

    async def baseline() -> float:
        await _empty(here, tenants)
        seconds = await _copied(here, list(zip(owners, rows, strict=True)))
        assert await _stored(here, tenants) == number * BATCH
        return number * BATCH / seconds

    found = await take_turns(product, baseline, rounds)
    name = f"ingest, {len(tenants)} tenant{'s' if len(tenants) > 1 else ''}"
    return compared(name, "events/s", found, ratio_at_least=RATIO_AT_LEAST, value_at_least=EVENTS_AT_LEAST)


def _requests(here: Stage, owners: list[Tenant], rows: list[list[Record]]) -> list[bytes]:
    authorizations = {tenant.id: here.authorization(tenant) for tenant in owners}
    return [
        usage_request(tenant, authorizations[tenant.id], body(part))
        for tenant, part in zip(owners, rows, strict=True)
    ]


def usage_request(tenant: Tenant, authorization: str, content: bytes) -> bytes:
    """A request that reports usage of a tenant."""
    head = (
        f"POST /api/v1/tenants/{tenant.id}/usage HTTP/1.1\r\n"
        f"Host: bench\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _plan(here: Stage, file: Path) -> Round:
    settings = here.settings
    return Round(host=settings.host, port=settings.port, connections=CONNECTIONS, requests=str(file))


async def _empty(here: Stage, tenants: list[Tenant]) -> None:
    """Forget all events, and have the disk caught up, so that each round begins alike."""
    async with administrator(here) as connection:
        for tenant in tenants:
            await connection.execute(f"TRUNCATE {tenant.schema}.usage_events, {tenant.schema}.usage_batches")
        await connection.execute("CHECKPOINT")


async def _stored(here: Stage, tenants: list[Tenant]) -> int:
    async with administrator(here) as connection:
        counts = [
            await connection.fetchval(f"SELECT count(*) FROM {tenant.schema}.usage_events")
            for tenant in tenants
        ]
    return sum(counts)


async def _copied(here: Stage, work: list[tuple[Tenant, list[Record]]]) -> float:
    """How long bare COPY takes for the same batches, in seconds."""
    assert here.settings.owner_database_url is not None
    url, supply = here.settings.owner_database_url.value, iter(work)
    connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    started = time.perf_counter()
    await asyncio.gather(*(_copy(connection, supply) for connection in connections))
    seconds = time.perf_counter() - started
    for connection in connections:
        await connection.close()
    return seconds


async def _copy(connection: asyncpg.Connection, supply: Iterator[tuple[Tenant, list[Record]]]) -> None:
    for tenant, records in supply:
        await connection.copy_records_to_table(
            "usage_events", schema_name=tenant.schema, records=records, columns=COLUMNS
        )
