"""What a full run leaves in the logs: JSON lines that explain it, and nobody's secret or address."""

import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from core.resource import Resource
from core.usage import UsageEvent
from shell.embedded.postgres import stop_postgres
from shell.embedded.redis import stop_redis
from shell.processes import PROGRAMS, WORKER
from tests.e2e.platform_process import FULL_NAME, PASSWORD, Account, Client, running_platform, until

SLUG = "logged"
WRONG_PASSWORD = "wrong horse battery staple"
ADDRESS = "grace.hopper@example.org"
REQUEST_ID = "a-request-of-mine"
ANY_ADDRESS = re.compile(r"[\w.+-]+(@|%40)[\w-]+\.[\w.-]+")


class Story:
    """A full run of the platform: what happened, what was secret in it, and what it has left in the logs."""

    def __init__(self, client: Client, logs: Path) -> None:
        """Before anything has happened."""
        self._client = client
        self._logs = logs
        self._account: Account | None = None
        self.registered: dict[str, Any] = {}
        self.statuses: list[int] = []
        self.secrets = {PASSWORD, WRONG_PASSWORD, "$argon2", FULL_NAME, *_secrets_of(client)}
        self.lines: dict[str, list[dict[str, Any]]] = {}

    @property
    def account(self) -> Account:
        """Who has logged in."""
        assert self._account is not None
        return self._account

    @property
    def texts(self) -> dict[str, str]:
        """Every log file."""
        return {file.name: file.read_text() for file in self._logs.iterdir()}

    async def happens(self) -> None:
        """Good requests and bad ones; then things break; at last everything is stopped."""
        await self._accounts()
        await self._usage()
        await self._wrong_ways()
        await self._failures()
        await self._outages()
        self._client.platform.stop(*PROGRAMS)
        self.lines = {program.name: self._client.platform.log(program) for program in PROGRAMS}

    async def _accounts(self) -> None:
        """Register, log in and out, with right and with wrong credentials."""
        self._client.http.headers["X-Request-ID"] = REQUEST_ID
        self.registered = (await self._client.register(SLUG)).json()
        del self._client.http.headers["X-Request-ID"]
        await self._client.done(self.registered["job"]["id"])
        self._account = await self._client.log_in(SLUG)
        self.secrets.add(self.account.token)
        right = {"tenant": SLUG, "email": f"owner@{SLUG}.example", "password": PASSWORD}
        for wrong in (
            {"password": WRONG_PASSWORD},
            {"email": ADDRESS},
            {"tenant": "nobody"},
            {"email": [ADDRESS]},
        ):
            await self._post("auth/login", {**right, **wrong})
        token = {"refresh_token": (await self._post("auth/login", right)).json()["refresh_token"]}
        for path in ("auth/refresh", "auth/refresh", "auth/logout"):
            await self._post(path, token)
        await self._post("auth/register", {"email": ADDRESS, "password": PASSWORD, "organisation": ADDRESS})

    async def _usage(self) -> None:
        """Record good and bad usage, and wait until its day has been closed."""
        now = datetime.now(UTC)
        good = UsageEvent("1", ADDRESS, Resource.CPU, Decimal("0.25"), now, {"who": ADDRESS})
        late = UsageEvent("2", ADDRESS, Resource.CPU, Decimal("0.25"), now - timedelta(days=100))
        self._note(await self._client.record(self.account, [good]))
        self._note(await self._client.record(self.account, [late]))
        path = f"/api/v1/tenants/{self.account.tenant_id}/usage"
        for body in (f"[{ADDRESS}", f'[{{"id": "{ADDRESS}", "quantity": "{ADDRESS}"}}]'):
            self._note(await self._client.http.post(path, content=body, headers=self.account.headers))

        async def is_closed() -> bool:
            return bool(await self._client.platform.fetch(f"SELECT FROM {self.account.schema}.cost_records"))

        await until(is_closed)

    async def _wrong_ways(self) -> None:
        """Send addresses and secrets where nobody expects them."""
        odd = {"X-Request-ID": ADDRESS, "User-Agent": ADDRESS, "X-Tenant": ADDRESS, "Referer": ADDRESS}
        for path in (f"/{ADDRESS}", f"/api/v1/tenants/{ADDRESS}", "/api/v1/auth/me"):
            self._note(
                await self._client.http.get(
                    path,
                    params={"token": self.account.token, "email": ADDRESS},
                    headers={**self.account.headers, **odd},
                )
            )
        secret = {"Authorization": f"Bearer {PASSWORD}"}
        self._note(await self._client.http.get("/api/v1/auth/me", headers=secret))

    async def _failures(self) -> None:
        """Break tables under a request and under a job: both then fail on rows with personal data in them."""
        fetch = self._client.platform.fetch
        await fetch("ALTER TABLE public.founders ADD CHECK (email = '') NOT VALID")
        self._note(await self._client.register("never-founded"))
        await fetch(f"ALTER TABLE {self.account.schema}.cost_records ADD CHECK (quantity < 0) NOT VALID")
        event = UsageEvent("3", "vm-1", Resource.CPU, Decimal("0.25"), datetime.now(UTC))
        self._note(await self._client.record(self.account, [event]))

        async def has_failed() -> bool:
            return any(line["event"] == "job.failed" for line in self._client.platform.log(WORKER))

        await until(has_failed)

    async def _outages(self) -> None:
        """Take the servers away for a moment, kill the worker, and start one that finds no database."""
        platform = self._client.platform
        stop_redis(platform.redis)
        platform.start_redis()
        stop_postgres(platform.postgres)
        self._note(await self._client.http.get("/health"))
        platform.signal(WORKER, signal.SIGKILL)
        platform.stop(WORKER)
        platform.start(WORKER)

        async def has_given_up() -> bool:
            return any(line["event"] == "worker.failed" for line in platform.log(WORKER))

        await until(has_given_up)
        platform.start_postgres()
        await self._client.ready()

    async def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Send a request, and remember the tokens in its answer."""
        answer = self._note(await self._client.http.post(f"/api/v1/{path}", json=body))
        if answer.status_code == httpx.codes.OK:
            self.secrets |= {answer.json()["access_token"], answer.json()["refresh_token"]}
        return answer

    def _note(self, answer: httpx.Response) -> httpx.Response:
        """Remember how a request was answered."""
        self.statuses.append(answer.status_code)
        return answer


def _secrets_of(client: Client) -> set[str]:
    """The installation's own: the passwords of its database roles, and its signing key."""
    settings = client.platform.settings
    urls = [url.value for url in (settings.database_url, settings.owner_database_url) if url is not None]
    passwords = {urlsplit(url).password for url in urls}
    keys = {line for file in settings.keys_folder.iterdir() for line in file.read_text().splitlines()[1:-1]}
    return {*(password for password in passwords if password), *keys}


@pytest_asyncio.fixture(scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """A full run with all that it has left."""
    data = tmp_path_factory.mktemp("platform")
    settings = {"job_lease_seconds": 2, "job_sweep_seconds": 1, "close_days_seconds": 1}
    async with running_platform(data, *PROGRAMS, **settings) as client:
        await client.ready()
        story = Story(client, data / "logs")
        await story.happens()
    yield story


def test_the_run_went_right_and_wrong_in_every_way(story: Story) -> None:
    assert {200, 204, 400, 401, 404, 422, 500, 503} <= set(story.statuses)


def test_every_file_of_the_run_is_looked_at(story: Story) -> None:
    assert set(story.texts) == {"api.log", "worker.log", "scheduler.log", "postgres.log", "redis.log"}
    assert all(story.texts.values())


def test_no_log_holds_a_secret(story: Story) -> None:
    assert len(story.secrets) > 10
    found = [
        (name, secret) for name, text in story.texts.items() for secret in story.secrets if secret in text
    ]
    assert found == []


def test_no_log_holds_an_address(story: Story) -> None:
    found = [
        (name, line)
        for name, text in story.texts.items()
        for line in text.splitlines()
        if ANY_ADDRESS.search(line)
    ]
    assert found == []


def test_every_line_of_our_processes_is_an_object_that_says_who_and_when(story: Story) -> None:
    for name, lines in story.lines.items():
        assert lines
        for line in lines:
            assert line.keys() >= {"event", "service", "level", "timestamp"}
            assert line["service"] == name


def test_a_request_is_one_line_with_its_id_tenant_user_and_duration(story: Story) -> None:
    requests = [line for line in story.lines["api"] if line["event"] == "request"]
    for line in requests:
        assert line.keys() >= {
            "request_id",
            "tenant_id",
            "user_id",
            "duration_ms",
            "method",
            "endpoint",
            "status",
        }
    recorded = [line for line in requests if line["endpoint"] == "/api/v1/tenants/{tenant_id}/usage"]
    assert {(line["tenant_id"], line["user_id"]) for line in recorded} == {
        (str(story.account.tenant_id), story.registered["user"]["id"])
    }
    assert len({line["request_id"] for line in requests}) == len(requests)


def test_the_id_of_a_request_travels_into_the_job_that_it_causes(story: Story) -> None:
    found = {
        (name, line["event"])
        for name, lines in story.lines.items()
        for line in lines
        if line.get("request_id") == REQUEST_ID
    }
    assert found == {("api", "request"), ("worker", "job.done")}


def test_what_failed_can_be_found_by_the_id_of_its_request_or_job(story: Story) -> None:
    failed = [line for line in story.lines["api"] if line["event"] == "request.failed"]
    assert failed
    for line in failed:
        assert line["request_id"]
        assert line["exception"][0]["exc_type"] == "CheckViolationError"
    assert {line["kind"] for line in story.lines["worker"] if line["event"] == "job.failed"} == {"close_days"}
