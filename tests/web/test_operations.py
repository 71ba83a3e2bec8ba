"""Health, metrics, keys, request lines: what machines ask the process itself, and what it says of others."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from core.job import JobKind, JobState
from core.period import local_day
from core.permission import Role
from core.tenant import Tenant, TenantState
from jobs.runner import run_job
from shell.settings import Secret
from tests.events import on, sent, store
from tests.fixtures import answering
from tests.installation import Installation, job_of, new_slug, queued, rows
from tests.web.client import PASSWORD, Api, problem_of
from web.services import Services

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def measured(api: Api) -> Samples:
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def sample(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


# --- health -----------------------------------------------------------------------------------------


async def test_everything_is_well(api: Api) -> None:
    for path in ("/health", "/health/ready"):
        answer = await api.http.get(path)
        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"
        assert answer.json()["checks"] == {"database": "ok", "redis": "ok"}
        assert answer.json()["duration_ms"] > 0
    assert (await api.http.get("/health/live")).json() == {"status": "ok"}


async def test_a_process_that_is_to_stop_says_so_and_still_answers(installation: Installation) -> None:
    async with answering(installation.settings) as (services, http):
        before = await http.get("/health/ready")
        assert "connection" not in before.headers
        services.draining.has_begun = True
        answer, ready = await http.get("/health"), await http.get("/health/ready")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert (ready.status_code, ready.json()["status"]) == (503, "draining")


@pytest_asyncio.fixture
async def without_redis(
    installation: Installation, tmp_path: Path
) -> AsyncIterator[tuple[Services, httpx.AsyncClient]]:
    """The API while Redis is away."""
    away = Secret(f"unix://{tmp_path}/redis.sock")
    settings = msgspec.structs.replace(installation.settings, redis_url=away)
    async with answering(settings) as pair:
        yield pair


async def test_without_redis_the_platform_is_degraded_but_ready(
    without_redis: tuple[Services, httpx.AsyncClient],
) -> None:
    _, http = without_redis
    for path in ("/health", "/health/ready"):
        answer = await http.get(path)
        assert answer.status_code == 200
        assert answer.json()["status"] == "degraded"
        assert answer.json()["checks"] == {"database": "ok", "redis": "unavailable"}


async def test_without_redis_registering_is_accepted_and_done_when_the_job_is_found(
    installation: Installation, without_redis: tuple[Services, httpx.AsyncClient]
) -> None:
    _, http = without_redis
    slug = new_slug("away")
    body = {
        "organisation": {"name": "Acme", "slug": slug, "country": "DE"},
        "email": "ada@example.com",
        "password": PASSWORD,
        "full_name": "Ada",
    }
    headers = {"Idempotency-Key": slug}
    answer = await http.post("/api/v1/auth/register", json=body, headers=headers)
    assert answer.status_code == 202
    founded = answer.json()
    job = UUID(founded["job"]["id"])
    assert answer.headers["location"] == f"/api/v1/tenants/{founded['tenant']['id']}/jobs/{job}"
    assert (founded["job"]["state"], founded["tenant"]["state"]) == ("QUEUED", "PENDING")
    login = {"tenant": founded["tenant"]["slug"], "email": "ada@example.com", "password": PASSWORD}
    problem_of(await http.post("/api/v1/auth/login", json=login), 409, "tenant-not-ready")
    await run_job(installation.context, job)
    assert (await job_of(installation, job)).state is JobState.DONE
    assert (await http.post("/api/v1/auth/login", json=login)).status_code == 200
    again = await http.post("/api/v1/auth/register", json=body, headers=headers)
    assert (again.status_code, again.json()["tenant"]["state"]) == (201, "ACTIVE")


# --- keys -------------------------------------------------------------------------------------------


async def test_anybody_can_verify_a_token_with_the_published_keys(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    answer = await api.http.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json()
    assert [set(key) for key in keys["keys"]] == [{"kty", "n", "e", "use", "alg", "kid"}]
    token = jwt.decode(owner.token, KeySet.import_key_set(keys), ["RS256"])
    assert token.claims["sub"] == str(owner.account.id)


# --- metrics ----------------------------------------------------------------------------------------


async def test_requests_are_counted_and_timed_by_the_template_of_their_route(
    api: Api, tenant: Tenant
) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    endpoint = "/api/v1/tenants/{tenant_id}/usage"
    before = await measured(api)
    await owner.post("./usage", json=[sent("one")])
    await owner.post("./usage", json=[])
    await owner.get("./usage")
    after = await measured(api)

    def counted(method: str, status: str) -> float:
        labels = {"method": method, "endpoint": endpoint, "status": status, "tenant_id": str(tenant.id)}
        return sample(after, "api_requests_total", **labels) - sample(before, "api_requests_total", **labels)

    assert (counted("POST", "200"), counted("POST", "422"), counted("GET", "200")) == (1, 1, 1)
    timed = {"method": "POST", "endpoint": endpoint}
    name = "api_request_duration_seconds"
    assert sample(after, f"{name}_count", **timed) - sample(before, f"{name}_count", **timed) == 2
    assert sample(after, f"{name}_sum", **timed) > sample(before, f"{name}_sum", **timed)
    buckets = {dict(labels)["le"] for each, labels in after if each == f"{name}_bucket"}
    assert {"0.001", "0.0025", "0.05", "10.0", "+Inf"} <= buckets


async def test_whatever_does_not_exist_is_one_endpoint_and_one_method(api: Api) -> None:
    before = await measured(api)
    for path in ("/nowhere/1", "/nowhere/2", "/api/v1/tenants/no-id"):
        await api.http.get(path)
    await api.http.request("BREW", "/nowhere/3")
    after = await measured(api)
    endpoints = {dict(labels).get("endpoint") for _, labels in after}
    assert not [each for each in endpoints if each and "nowhere" in each]
    nobody = {"endpoint": "(unmatched)", "status": "404", "tenant_id": ""}

    def counted(method: str) -> float:
        return sample(after, "api_requests_total", method=method, **nobody) - sample(
            before, "api_requests_total", method=method, **nobody
        )

    assert (counted("GET"), counted("OTHER")) == (3, 1)
    assert "BREW" not in {dict(labels).get("method") for _, labels in after}


async def test_tenants_are_counted_by_state(api: Api) -> None:
    samples = await measured(api)
    counts = await rows(api.installation, "SELECT state, count(*) AS count FROM tenants GROUP BY state")
    by_state = {row["state"]: row["count"] for row in counts}
    for state in TenantState:
        assert sample(samples, "tenant_count", status=state) == by_state.get(state, 0)
    assert {dict(labels)["status"] for name, labels in samples if name == "tenant_count"} == set(TenantState)


async def test_usage_and_anomalies_that_jobs_found_are_among_the_metrics(api: Api, tenant: Tenant) -> None:
    today = local_day(datetime.now(UTC), tenant.time_zone)
    quantities = ("10", "11", "9", "10", "12", "8", "10", "99")
    days = [today - timedelta(days=offset) for offset in range(len(quantities), 0, -1)]
    events = [on(day, each) for day, each in zip(days, quantities, strict=True)]
    await store(api.installation, tenant, *events, on(today, "1.5"))
    job = await queued(api.installation, JobKind.CLOSE_DAYS, tenant)
    await run_job(api.installation.context, job.id)
    samples = await measured(api)
    labels = {"tenant_id": str(tenant.id), "resource": "cpu"}
    assert sample(samples, "cost_anomalies_total", **labels) == 1
    assert sample(samples, "tenant_resource_usage", **labels) >= 1.5


# --- the request's line -------------------------------------------------------------------------------


async def logged(api: Api, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The one line that a request leaves."""
    with capture_logs() as logs:
        await api.http.request(method, path, **request)
    (line,) = [dict(entry) for entry in logs if entry["event"] == "request"]
    return line


async def test_a_request_leaves_one_line_that_says_who_asked_for_what(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    headers = {"Authorization": f"Bearer {owner.token}"}
    line = await logged(api, "GET", f"/api/v1/tenants/{tenant.id}/usage?source=x", headers=headers)
    assert line.pop("duration_ms") > 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "endpoint": "/api/v1/tenants/{tenant_id}/usage",
        "status": 200,
        "tenant_id": str(tenant.id),
        "user_id": str(owner.account.id),
    }


@pytest.mark.parametrize("path", ["/nowhere/ada@example.com", "/api/v1/auth/login", "/health?token=secret"])
async def test_a_request_of_nobody_leaves_a_line_without_its_path_query_and_body(api: Api, path: str) -> None:
    body = {"tenant": "platform", "email": "ada@example.com", "password": PASSWORD}
    method = "POST" if path.endswith("login") else "GET"
    line = await logged(api, method, path, json=body if method == "POST" else None)
    assert (line["tenant_id"], line["user_id"]) == (None, None)
    for word in ("ada@example.com", PASSWORD, "secret"):
        assert word not in str(line)


async def test_a_refused_token_is_in_no_line(api: Api) -> None:
    with capture_logs() as logs:
        await api.get("/auth/me", headers={"Authorization": "Bearer not-a-token-of-ours"})
    assert "not-a-token-of-ours" not in str(logs)
