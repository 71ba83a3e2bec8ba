"""`read`: what this month has cost so far, over HTTP with a token, beside the same transaction without HTTP.

The baseline is a bare asyncpg loop on a pool like the API's: as many tasks as the client has connections
begin, enter the tenant, run the same query, commit, and give the connection back. It runs on uvloop.

The API runs with two processes, as `up` and a deployment run it, and then with one, which keeps a core of
its own busy long before the database is: that figure has no target.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.client import Result, Round, write_requests
from bench.figures import Figure, Rounds, compared, take_turns
from bench.load import LoadClient, load_client
from bench.stage import Stage, administrator, provisioned, stage
from core.period import month_of
from core.tenant import Tenant
from shell.database import Pool, open_pool
from shell.queries import SQL

CONNECTIONS = 32
TENANTS = 10
RATIO_AT_LEAST = 0.6

COSTS = """
INSERT INTO {schema}.cost_records (day, resource, quantity, unit_price, price_id, currency, amount)
SELECT day, resource, 24.5, 0.02, '019a0000-0000-7000-8000-000000000001', 'EUR', 0.49
FROM generate_series(date_trunc('month', now()) - interval '1 day', now() + interval '1 day', '1 day') AS day,
     unnest('{{cpu,memory,storage,network,api_calls}}'::text[]) AS resource
"""


async def read(*, quick: bool) -> list[Figure]:
    """The figures with two API processes, and with one."""
    return [figure for processes in (2, 1) for figure in await _read_by(processes, quick=quick)]


async def _read_by(processes: int, *, quick: bool) -> list[Figure]:
    number, rounds = (1_000, 3) if quick else (5_000, 7)
    async with stage(api_processes=processes) as here:
        tenants = await provisioned(here, [f"read-{index}" for index in range(TENANTS)])
        await with_costs(here, tenants)
        file = requests_of(here, tenants)
        with load_client() as client:
            found = await _measured(here, client, tenants, file, number=number, rounds=rounds)
    name = f"read, {processes} API process{'' if processes == 1 else 'es'}"
    figure = compared(name, "requests/s", found)
    return [figure if processes == 1 else msgspec.structs.replace(figure, ratio_at_least=RATIO_AT_LEAST)]


async def _measured(
    here: Stage, client: LoadClient, tenants: list[Tenant], file: Path, *, number: int, rounds: int
) -> Rounds:
    assert here.settings.database_url is not None
    async with await open_pool(
        here.settings.database_url.value, size=here.settings.pool_size, name="bench"
    ) as pool:

        async def product() -> float:
            result = await sent(here, client, file, draws=number)
            return result.answered / result.seconds

        async def baseline() -> float:
            return number / await _looped(pool, tenants, number)

        return await take_turns(product, baseline, rounds)


async def sent(here: Stage, client: LoadClient, file: Path, *, draws: int, seed: int = 0) -> Result:
    """Have the client send so many of the requests, drawn at random."""
    return await client.play(
        Round(
            host=here.settings.host,
            port=here.settings.port,
            connections=CONNECTIONS,
            requests=str(file),
            draws=draws,
            seed=seed,
        )
    )


async def with_costs(here: Stage, tenants: Sequence[Tenant]) -> None:
    """Give each tenant the cost records of a month."""
    async with administrator(here) as connection:
        for tenant in tenants:
            await connection.execute(COSTS.format(schema=tenant.schema))
        await connection.execute("ANALYZE")


def requests_of(here: Stage, tenants: Sequence[Tenant]) -> Path:
    """A file with one request for each tenant."""
    file = here.settings.data / f"requests-{len(tenants)}"
    write_requests(file, [_request(tenant, here.authorization(tenant)) for tenant in tenants])
    return file


def _request(tenant: Tenant, authorization: str) -> bytes:
    return (
        f"GET /api/v1/tenants/{tenant.id}/costs/current HTTP/1.1\r\nHost: bench\r\n{authorization}\r\n"
    ).encode()


async def _looped(pool: Pool, tenants: list[Tenant], number: int) -> float:
    """How long the same transactions take without HTTP, in seconds."""
    supply = iter(random.Random(0).choices(tenants, k=number))
    started = time.perf_counter()

    async def loop() -> None:
        for tenant in supply:
            month = month_of(datetime.now(UTC), tenant.time_zone)
            async with pool.acquire() as connection, connection.transaction(readonly=True):
                await connection.fetchrow(SQL["enter_tenant"], tenant.id)
                assert await connection.fetch(SQL["month_costs"], month.first_day, month.last_day)

    await asyncio.gather(*(loop() for _ in range(CONNECTIONS)))
    return time.perf_counter() - started
