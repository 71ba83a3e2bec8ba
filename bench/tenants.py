"""`tenants`: what a tenant costs to make, and what two thousand of them cost those who read.

Provisioning is a row of the registry, a job, and the job run by the worker's own function until the tenant is
ACTIVE. Its baseline is the DDL alone: the same statements for a schema of the same name, sent one by one by
the owner in one transaction. Both take one tenant after the other.

Reading is the benchmark `read` with its 32 connections, by two thousand tenants and by ten, drawn at random.
The API process and its connections are the same for both; each has been warmed by a round of its own kind.
"""

import time
from uuid import uuid4

import asyncpg

from bench.figures import Figure, compared, take_turns
from bench.load import LoadClient, load_client
from bench.read import requests_of, sent, with_costs
from bench.stage import Stage, provisioned, register, stage
from core.job import JobKind, JobState
from core.tenant import Tenant, TenantState
from jobs.context import WorkerContext
from jobs.runner import run_job
from shell import jobs
from shell import tenants as registry
from shell.announce import announcer
from shell.migrations import TENANT, ledger
from shell.session import platform_session
from shell.settings import Secret

RATIO_AT_MOST = 2.0
P99_RATIO_AT_MOST = 1.5
FEW = 10

GRANT_ON_TABLES = """
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {schema}
"""


async def tenants(*, quick: bool) -> list[Figure]:
    """The figures of provisioning and of the 99th percentile of reading."""
    many, made, draws, rounds = (100, 5, 1_000, 3) if quick else (2_000, 20, 5_000, 7)
    async with stage(api_processes=1) as here:
        provisioning = await _provisioning(here, made, rounds)
        everybody = await provisioned(here, [f"reader-{index}" for index in range(many)])
        await with_costs(here, everybody)
        with load_client() as client:
            return [provisioning, await _reading(here, client, everybody, draws, rounds)]


async def _provisioning(here: Stage, made: int, rounds: int) -> Figure:
    owner_url, redis_url = here.settings.owner_database_url, here.settings.redis_url
    assert owner_url is not None
    assert redis_url is not None
    broker = announcer(redis_url)
    context = WorkerContext(here.settings, here.pool, here.owner_pool, broker, "bench")

    async def product() -> float:
        started = time.perf_counter()
        for _ in range(made):
            await _provision(here, context)
        return 1_000 * (time.perf_counter() - started) / made

    async def baseline() -> float:
        return 1_000 * await _ddl(owner_url, made) / made

    found = await take_turns(product, baseline, rounds)
    await broker.shutdown()
    return compared("tenants, provisioning", "ms", found, ratio_at_most=RATIO_AT_MOST)


async def _provision(here: Stage, context: WorkerContext) -> None:
    tenant = await register(here, f"made-{uuid4().hex[:12]}")
    async with platform_session(here.pool) as session:
        job = await jobs.enqueue(
            session, JobKind.PROVISION_TENANT, dedupe_key=str(tenant.id), tenant_id=tenant.id
        )
    await run_job(context, job.id)
    async with platform_session(here.pool, readonly=True) as session:
        assert (await jobs.get(session, job.id)).state is JobState.DONE
        assert (await registry.get(session, tenant.id)).state is TenantState.ACTIVE


async def _ddl(owner_url: Secret, made: int) -> float:
    """How long the bare statements take, in seconds."""
    connection = await asyncpg.connect(owner_url.value)
    started = time.perf_counter()
    for _ in range(made):
        async with connection.transaction():
            for statement in _statements(f"tenant_bare_{uuid4().hex[:12]}"):
                await connection.execute(statement)
    seconds = time.perf_counter() - started
    await connection.close()
    return seconds


def _statements(schema: str) -> list[str]:
    """What provisioning runs that defines something."""
    return [
        f"CREATE ROLE {schema} NOLOGIN",
        f"GRANT platform_tenant TO {schema}",
        f"GRANT {schema} TO platform_app WITH INHERIT FALSE, SET TRUE",
        f"CREATE SCHEMA {schema}",
        f"GRANT USAGE ON SCHEMA {schema} TO {schema}",
        GRANT_ON_TABLES.format(schema=schema),
        f"SET LOCAL search_path TO {schema}",
        ledger(schema),
        *(statement for migration in TENANT for statement in migration.statements),
    ]


async def _reading(
    here: Stage, client: LoadClient, everybody: list[Tenant], draws: int, rounds: int
) -> Figure:
    of_all, of_few = requests_of(here, everybody), requests_of(here, everybody[:FEW])

    async def product() -> float:
        return (await sent(here, client, of_all, draws=draws)).p99

    async def baseline() -> float:
        return (await sent(here, client, of_few, draws=draws)).p99

    found = await take_turns(product, baseline, rounds)
    name = f"tenants, p99 of read with {len(everybody):,}"
    return compared(name, "ms", found, ratio_at_most=P99_RATIO_AT_MOST)
