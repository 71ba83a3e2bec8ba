"""The real Prometheus on the running platform: every dashboard has data, every alert its metrics."""

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from core.resource import Resource
from core.usage import UsageEvent
from shell.processes import PROGRAMS
from tests.e2e.platform_process import Account, Client, free_port, running_platform, until

OPS = Path(__file__).parents[2] / "ops"
PROMETHEUS = shutil.which("prometheus")
SERVICE_DISCOVERY = re.compile(r"dns_sd_configs:.*?names: \[(\w+)\].*?refresh_interval: \w+", re.DOTALL)

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="needs prometheus (Debian package prometheus)")


def configuration(folder: Path, targets: dict[str, int]) -> Path:
    """The files of ops, with targets on this machine, in a hurry."""

    def static(match: re.Match[str]) -> str:
        return f'static_configs: [{{targets: ["127.0.0.1:{targets[match[1]]}"]}}]'

    text = (OPS / "prometheus" / "prometheus.yml").read_text("utf-8")
    text = SERVICE_DISCOVERY.sub(static, text).replace('"localhost:9090"', f'"127.0.0.1:{targets["self"]}"')
    rules = folder / "rules"
    rules.mkdir()
    for file in (OPS / "prometheus" / "rules").glob("*.yml"):
        (rules / file.name).write_text(file.read_text("utf-8").replace("interval: 15s", "interval: 1s"))
    path = folder / "prometheus.yml"
    path.write_text(re.sub(r"(scrape_interval|evaluation_interval|scrape_timeout): \w+", r"\1: 1s", text))
    return path


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[str]:
    """A running Prometheus; gives its address."""
    assert PROMETHEUS is not None
    arguments = [
        PROMETHEUS,
        f"--config.file={configuration(folder, targets)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{targets['self']}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{targets['self']}"
    finally:
        process.terminate()
        process.wait(10)


class Watched:
    """A platform and the Prometheus that watches it."""

    def __init__(self, client: Client, account: Account, http: httpx.AsyncClient) -> None:
        """Ask over this connection."""
        self.client = client
        self.account = account
        self._http = http

    async def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of Prometheus's API; None while it starts."""
        try:
            answer = await self._http.get(f"/api/v1/{path}", params=parameters)
        except httpx.TransportError:
            return None
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return None
        assert answer.status_code == 200, (parameters, answer.text)
        return answer.json()["data"]

    async def silent(self, queries: set[str]) -> set[str]:
        """The queries that give no series."""
        answers = {query: await self.get("query", query=query) for query in queries}
        return {query for query, answer in answers.items() if not answer or not answer["result"]}

    async def drive(self) -> None:
        """A little of everything that people and machines do."""
        now = datetime.now(UTC)
        events = [
            UsageEvent(
                id=now.isoformat(), source="s", resource=Resource.CPU, quantity=Decimal(1), occurred_at=now
            )
        ]
        for _ in range(2):
            assert (await self.client.record(self.account, events)).is_success
        await self.client.log_in(self.account.slug)
        wrong = {"tenant": self.account.slug, "email": "nobody@here.example", "password": "not the password"}
        await self.client.http.post("/api/v1/auth/login", json=wrong)
        await self.client.http.get("/api/v1/auth/me")
        await self.client.http.get(
            f"/api/v1/tenants/{self.account.tenant_id}/nothing", headers=self.account.headers
        )


@pytest_asyncio.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """Everything runs, and has been scraped."""
    folder = tmp_path_factory.mktemp("prometheus")
    worker, scheduler, own = free_port(), free_port(), free_port()
    ports = {"worker_metrics_port": worker, "scheduler_metrics_port": scheduler}
    async with running_platform(
        folder / "platform", *PROGRAMS, job_sweep_seconds=1, close_days_seconds=1, **ports
    ) as client:
        targets = {
            "api": client.platform.settings.port,
            "worker": worker,
            "scheduler": scheduler,
            "self": own,
        }
        with prometheus(folder, targets) as url:
            await client.ready()
            account = await client.founded("watched")
            async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                yield Watched(client, account, http)


def queries_of_dashboards(tenant: str) -> set[str]:
    return {
        target["expr"].replace("$tenant", tenant)
        for file in (OPS / "grafana" / "dashboards").glob("*.json")
        for panel in json.loads(file.read_text("utf-8"))["panels"]
        if panel.get("datasource", {}).get("type") == "prometheus"
        for target in panel["targets"]
    }


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression names."""
    bare = re.sub(r"by \([^)]*\)|\{[^}]*\}|\[[^\]]*\]", " ", expression)
    return {name for name in re.findall(r"[a-z][\w:]*(?!\w*\()\b(?!\()", bare) if "_" in name or name == "up"}


async def test_every_query_of_every_dashboard_has_data(watched: Watched) -> None:
    queries = queries_of_dashboards(str(watched.account.tenant_id))
    assert len(queries) > 40
    silent = queries

    async def all_speak() -> bool:
        nonlocal silent
        await watched.drive()
        silent = await watched.silent(silent)
        return not silent

    try:
        await until(all_speak)
    except AssertionError:
        pytest.fail(f"no data: {sorted(silent)}")


async def test_every_alert_is_evaluated_and_its_metrics_exist(watched: Watched) -> None:
    async def evaluated() -> list[dict[str, Any]] | None:
        groups = (await watched.get("rules") or {"groups": []})["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if rules and all(rule["health"] == "ok" for rule in rules) else None

    rules = await until(evaluated)
    assert rules is not None
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    names = {name for rule in alerts for name in metrics_of(rule["query"])}
    assert {"up", "job_duration_seconds_count", "kind:job_overdue_seconds:max"} <= names
    silent = names

    async def all_exist() -> bool:
        nonlocal silent
        silent = await watched.silent(silent)
        return not silent

    try:
        await until(all_exist)
    except AssertionError:
        pytest.fail(f"no such metric: {sorted(silent)}")
    firing = {rule["name"] for rule in alerts if rule["state"] == "firing"}
    assert firing <= {"ManyFailedLogins"}, "a platform that is well wakes nobody"
