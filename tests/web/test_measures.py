"""What an operator is woken by is among the metrics, and leaves them with its tenant."""

import asyncio
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.job import JobKind
from core.permission import Role
from core.tenant import Tenant
from jobs.runner import run_job
from shell.database import open_pool
from shell.measures import LOGINS, MAILS, USAGE_EVENTS
from shell.metrics_server import measure_process, metrics_served
from shell.settings import Settings
from tests.e2e.platform_process import free_port
from tests.events import sent
from tests.fixtures import answering
from tests.installation import Installation, new_slug, queued
from tests.web.client import PASSWORD, Api

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def measured(api: Api) -> Samples:
    return samples_of((await api.http.get("/metrics")).text)


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


async def test_events_are_counted_by_what_became_of_them(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    await owner.post("./usage", json=[sent("one"), sent("two")])
    await owner.post("./usage", json=[sent("two"), {}], headers={"Prefer": "handling=lenient"})
    samples = await measured(api)
    counted = {
        outcome: value(samples, "usage_events_total", tenant_id=str(tenant.id), outcome=outcome)
        for outcome in ("accepted", "duplicate", "rejected")
    }
    assert counted == {"accepted": 2, "duplicate": 1, "rejected": 1}


async def test_series_of_a_tenant_that_is_gone_are_gone(api: Api, tenant: Tenant) -> None:
    gone = str(uuid4())
    for tenant_id in (gone, str(tenant.id)):
        USAGE_EVENTS.labels(tenant_id, "accepted").inc()
    samples = await measured(api)
    tenants = {dict(labels).get("tenant_id") for _, labels in samples}
    assert str(tenant.id) in tenants
    assert gone not in tenants


async def test_logins_are_counted_by_how_they_end(api: Api) -> None:
    slug = new_slug()
    email = f"owner@{slug}.example"
    founding = {
        "organisation": {"name": "Counted", "slug": slug, "country": "DE"},
        "email": email,
        "password": PASSWORD,
        "full_name": "Ada Owner",
    }
    assert (await api.post("/auth/register", json=founding)).status_code == 201
    before = await measured(api)
    for password in (PASSWORD, "not the password"):
        body = {"tenant": slug, "email": email, "password": password}
        await api.post("/auth/login", json=body)
    after = await measured(api)
    for outcome in ("succeeded", "failed"):
        name = "logins_total"
        assert value(after, name, outcome=outcome) - value(before, name, outcome=outcome) == 1


async def test_jobs_are_timed_and_the_open_ones_counted(api: Api, tenant: Tenant) -> None:
    before = await measured(api)
    job = await queued(api.installation, JobKind.CLOSE_DAYS, tenant)
    waiting = await measured(api)
    await run_job(api.installation.context, job.id)
    after = await measured(api)
    kind = {"kind": "close_days"}
    assert value(waiting, "jobs_open", **kind, state="QUEUED") >= 1
    assert value(waiting, "job_overdue_seconds", **kind) > 0
    done = {**kind, "outcome": "done"}
    name = "job_duration_seconds_count"
    assert value(after, name, **done) - value(before, name, **done) >= 1
    assert value(after, "tenant_last_aggregation_timestamp_seconds", tenant_id=str(tenant.id)) > 0


async def test_connections_and_parts_are_measured(api: Api) -> None:
    before, after = await measured(api), await measured(api)
    name = "database_pool_wait_seconds_count"
    assert value(after, name) > value(before, name)
    assert value(after, "database_pool_size") >= api.services.settings.pool_size
    assert value(after, "database_pool_used") >= 0
    assert value(after, "platform_part_up", part="database") == 1
    assert value(after, "platform_part_up", part="redis") == 1
    assert "audit_unsequenced_entries" in {name for name, _ in after}


async def test_a_process_without_an_api_serves_its_metrics(api: Api, tenant: Tenant) -> None:
    port, gone = free_port(), str(uuid4())
    USAGE_EVENTS.labels(gone, "accepted").inc()
    measure_process("worker")
    with metrics_served("127.0.0.1", port, api.services.pool):
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"http://127.0.0.1:{port}/metrics")
    samples = samples_of(answer.text)
    assert value(samples, "platform_processes", service="worker") == 1
    assert value(samples, "platform_process_resident_memory_bytes", service="worker") > 1_000_000
    assert gone not in answer.text


async def test_the_api_shows_what_it_has_counted_while_the_database_is_away(
    installation: Installation,
) -> None:
    async with answering(installation.settings) as (services, http):
        await services.pool.close()
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    samples = samples_of(answer.text)
    assert value(samples, "platform_part_up", part="redis") == 1
    assert ("platform_part_up", frozenset({("part", "database")})) in samples
    assert value(samples, "platform_part_up", part="database") == 0
    assert "api_requests_total" in answer.text
    assert "tenant_count" not in answer.text


async def test_a_worker_shows_what_it_has_counted_while_the_database_is_away(api: Api) -> None:
    MAILS.labels("failed").inc()
    LOGINS.labels("failed").inc()
    settings: Settings = api.services.settings
    assert settings.database_url is not None
    closed = await open_pool(settings.database_url.value, size=1, name="closed")
    await closed.close()
    port = free_port()
    with metrics_served("127.0.0.1", port, closed):
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"http://127.0.0.1:{port}/metrics")
    assert 'mails_total{outcome="failed"}' in answer.text
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", port)
