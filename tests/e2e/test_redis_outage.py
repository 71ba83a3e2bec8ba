"""Redis or PostgreSQL goes away for a while: what can go on does, and what had to wait is done afterwards."""

import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from core.job import JobKind
from core.resource import Resource
from core.usage import UsageEvent
from shell.embedded.postgres import stop_postgres
from shell.embedded.redis import stop_redis
from shell.processes import API, SCHEDULER, WORKER
from tests.e2e.platform_process import Account, Client, Platform, is_gone, running_platform

LONGEST_ANSWER = 8.0
"""Two seconds for the worker, one for Redis, and patience with a slow machine."""


@pytest_asyncio.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with running_platform(
        tmp_path_factory.mktemp("platform"), API, WORKER, SCHEDULER, job_lease_seconds=2, job_sweep_seconds=1
    ) as client:
        await client.ready()
        yield client


@pytest_asyncio.fixture(scope="module")
async def account(client: Client) -> Account:
    """The owner of a tenant that was founded while all was well."""
    return await client.founded("founded-before")


# --- Redis -----------------------------------------------------------------------------------------


def stopped(platform: Platform) -> None:
    stop_redis(platform.redis)


def killed(platform: Platform) -> None:
    os.kill(platform.redis.pid, signal.SIGKILL)
    os.waitpid(platform.redis.pid, 0)


def frozen(platform: Platform) -> None:
    os.kill(platform.redis.pid, signal.SIGSTOP)


def thawed(platform: Platform) -> None:
    os.kill(platform.redis.pid, signal.SIGCONT)


OUTAGES = {
    "stopped": (stopped, Platform.start_redis),
    "killed": (killed, Platform.start_redis),
    "frozen": (frozen, thawed),
}


@pytest.mark.parametrize("outage", OUTAGES)
async def test_without_redis_usage_is_stored_and_jobs_run_when_it_is_back(
    client: Client, account: Account, outage: str
) -> None:
    goes, comes_back = OUTAGES[outage]
    goes(client.platform)
    try:
        recorded = await client.record(account, [an_event(outage)])
        started = time.monotonic()
        registered = await client.register(f"founded-while-{outage}")
        seconds = time.monotonic() - started
        health = await client.http.get("/health")
        listed = await client.http.get(
            f"/api/v1/tenants/{account.tenant_id}/usage", params={"source": outage}, headers=account.headers
        )
    finally:
        comes_back(client.platform)
    assert (recorded.status_code, recorded.json()["accepted"]) == (200, 1)
    assert [item["source"] for item in listed.json()["items"]] == [outage]
    assert (registered.status_code, health.json()["status"]) == (202, "degraded")
    assert seconds < LONGEST_ANSWER
    await client.done(UUID(registered.json()["job"]["id"]))
    await client.founded(f"founded-after-{outage}")


async def test_jobs_run_although_redis_has_forgotten_everything(client: Client) -> None:
    assert client.platform.settings.redis_url is not None
    client.platform.signal(WORKER, signal.SIGSTOP)  # so that it can't take up what is announced next
    registered = await client.register("forgotten")
    async with Redis.from_url(client.platform.settings.redis_url.value) as redis:
        assert await redis.flushall()
    client.platform.signal(WORKER, signal.SIGCONT)
    assert registered.status_code == 202
    assert (await client.done(UUID(registered.json()["job"]["id"]))).attempts == 1


async def test_worker_and_scheduler_outlive_every_outage_of_redis(client: Client) -> None:
    pids = [client.platform.pid_of(program) for program in (API, WORKER, SCHEDULER)]
    assert not any(is_gone(pid) for pid in pids)
    assert await client.is_ready()
    assert (await client.http.get("/health")).json()["status"] == "ok"


# --- PostgreSQL ------------------------------------------------------------------------------------


async def test_without_postgres_the_api_answers_503_and_all_goes_on_when_it_is_back(
    client: Client, account: Account
) -> None:
    stop_postgres(client.platform.postgres)
    try:
        recorded = await client.record(account, [an_event("postgres")])
        registered = await client.register("founded-without-postgres")
        ready, live = [await client.http.get(f"/health/{question}") for question in ("ready", "live")]
    finally:
        client.platform.start_postgres()
    assert [answer.status_code for answer in (recorded, registered, ready)] == [503, 503, 503]
    assert recorded.headers["content-type"] == "application/problem+json"
    assert live.status_code == 200
    await client.ready()
    assert (await client.record(account, [an_event("postgres")])).json()["accepted"] == 1
    await client.founded("founded-without-postgres")


async def test_a_job_that_postgres_leaves_in_the_lurch_is_run_again(client: Client, account: Account) -> None:
    await client.record(account, [an_event("lurch")])
    hold = await client.platform.hold(f"LOCK {account.schema}.cost_records IN SHARE MODE")
    job_id = await client.enqueue(JobKind.CLOSE_DAYS, account)
    await hold.halts_the_worker()
    stop_postgres(client.platform.postgres)
    client.platform.start_postgres()
    await client.done(job_id)
    assert await client.platform.fetchval(f"SELECT count(*) FROM {account.schema}.cost_records") == 1


def an_event(source: str) -> UsageEvent:
    """Some usage, now."""
    return UsageEvent("1", source, Resource.CPU, Decimal("0.25"), datetime.now(UTC))
