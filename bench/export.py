"""`export`: all rows of a tenant as a package, beside one bare COPY … TO PROGRAM 'gzip' of the same rows.

The product is the command `eu-platform gdpr export` in a process of its own, from its start to its end: one
snapshot, JSON with digests and schemas, compressed, in a file. Its memory is what the kernel says that the
process held at most. The baseline is run by the server itself, as its administrator: PostgreSQL writes its
text form into gzip at its default level, which is what `pg_dump` or a script would do.
"""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.figures import Figure, alone, compared, take_turns
from bench.stage import Stage, administrator, provisioned, stage
from core.portability import Format
from core.tenant import Tenant
from shell.metrics import FOLDER_VARIABLE
from shell.processes import WORKER, environment

RATIO_AT_LEAST = 0.5
MEGABYTES_AT_MOST = 300
KIB_IN_MEGABYTE = 1e6 / 1024
PROGRAM = Path(sys.executable).with_name("eu-platform")

EVENTS = """
INSERT INTO {schema}.usage_events (source, id, resource, quantity, occurred_at, received_at)
SELECT 'vm-' || n % 20, gen_random_uuid()::text,
       ('{{cpu,memory,storage,network,api_calls}}'::text[])[1 + n % 5],
       (1 + (n * 7919::bigint) % 999983) * 0.0001, now() - n * interval '1 s', now()
FROM generate_series(1, {rows}) AS n
"""
BARE = "COPY {schema}.usage_events TO PROGRAM 'gzip > bare.gz'"
"""Into the server's own folder, which it may write in whoever it runs as."""


class Exported(msgspec.Struct, frozen=True):
    """How long one export took, and how much memory it held at most."""

    seconds: float
    megabytes: float


async def export(*, quick: bool) -> list[Figure]:
    """The figures of a tenant with many rows: speed in JSON, and memory in each format."""
    rows, rounds = (200_000, 2) if quick else (5_000_000, 3)
    async with stage() as here:
        (tenant,) = await provisioned(here, ["export"])
        await _fill(here, tenant, rows)
        folder, memory = here.settings.data, dict[str, float]()

        async def product() -> float:
            done = await _export(here, tenant, Format.JSON, folder)
            memory[Format.JSON] = max(done.megabytes, memory.get(Format.JSON, 0))
            return rows / done.seconds

        async def baseline() -> float:
            started = time.perf_counter()
            async with administrator(here) as connection:
                await connection.execute(BARE.format(schema=tenant.schema))
            return rows / (time.perf_counter() - started)

        found = await take_turns(product, baseline, rounds)
        for format_ in (Format.CSV, Format.XML):
            memory[format_] = (await _export(here, tenant, format_, folder)).megabytes
    name = f"export, {rows:,} rows"
    return [
        compared(name, "rows/s", found, ratio_at_least=RATIO_AT_LEAST),
        alone(f"{name}, memory", "MB", list(memory.values()), value_at_most=MEGABYTES_AT_MOST, notes=memory),
    ]


async def _fill(here: Stage, tenant: Tenant, rows: int) -> None:
    async with administrator(here) as connection:
        await connection.execute(EVENTS.format(schema=tenant.schema, rows=rows))
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")


async def _export(here: Stage, tenant: Tenant, format_: Format, folder: Path) -> Exported:
    output = folder / f"{format_}.tar.gz"
    output.unlink(missing_ok=True)
    arguments = ["gdpr", "export", "--tenant", tenant.slug, "--format", format_, "--output", str(output)]
    environ = environment(WORKER, here.settings)
    del environ[FOLDER_VARIABLE]  # a command counts for itself
    started = time.perf_counter()
    megabytes = await asyncio.to_thread(_run, [str(PROGRAM), *arguments], environ)
    return Exported(time.perf_counter() - started, megabytes)


def _run(command: list[str], environ: dict[str, str]) -> float:
    """Run a command to its end; gives the memory that it held at most, in megabytes."""
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / KIB_IN_MEGABYTE
