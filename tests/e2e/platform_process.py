"""The platform as real processes, for tests that kill, stop and freeze them, and look at what they leave."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import httpx
import msgspec
import psutil

from core.job import Job, JobKind, JobState
from core.usage import UsageEvent
from shell import jobs, usage
from shell.announce import announce, announcer
from shell.audit_key import ensure_audit_key
from shell.commands.connect import Connected, pools
from shell.database import UNAVAILABLE
from shell.embedded.postgres import start_postgres, stop_postgres
from shell.embedded.redis import start_redis, stop_redis
from shell.keys import ensure_key
from shell.migrations import migrate_public
from shell.processes import Program, Supervisor
from shell.servers import prepare_roles
from shell.session import platform_session, recording_session
from shell.settings import Secret, Settings

PATIENCE = 30.0
LOOK_AGAIN = 0.02
PASSWORD = "correct horse battery staple"
FULL_NAME = "Ada Owner"

Found = TypeVar("Found")


async def until(look: Callable[[], Awaitable[Found]], *, seconds: float = PATIENCE) -> Found:
    """What `look` gives as soon as that is true; fails after a while."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        await asyncio.sleep(LOOK_AGAIN)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_gone(pid: int) -> bool:
    """Whether no process with this pid runs any more."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- locks ------------------------------------------------------------------------------------------


class Hold:
    """An open transaction of the test, whose locks keep the worker at a statement that the test knows."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """What the connection has locked until now."""
        self._connection = connection

    async def halts_the_worker(self) -> None:
        """Return as soon as a statement of the worker waits for this transaction."""
        await until(self._has_a_waiter)

    async def release(self) -> None:
        """Give the locks back, and undo what the transaction did."""
        await self._connection.close()

    async def _has_a_waiter(self) -> bool:
        await self._connection.execute("SELECT pg_stat_clear_snapshot()")
        waiting = await self._connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'platform worker%'"
            " AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return bool(waiting)


# --- the platform ------------------------------------------------------------------------------------


class Account(msgspec.Struct, frozen=True):
    """The owner of an open tenant, logged in."""

    tenant_id: UUID
    slug: str
    token: str

    @property
    def schema(self) -> str:
        """The tenant's schema and role."""
        return "tenant_" + self.slug.replace("-", "_")

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs to speak for the account."""
        return {"Authorization": f"Bearer {self.token}"}


class Platform:
    """Servers of its own, and whichever of the platform's processes a test starts."""

    def __init__(self, data: Path, **settings: Any) -> None:
        """Start PostgreSQL and Redis."""
        self._data = data
        self._processes: dict[str, Supervisor] = {}
        self.postgres = start_postgres(data)
        self.redis = start_redis(data)
        self.settings = Settings(
            data=data,
            port=free_port(),
            database_url=Secret(self.postgres.admin_url),
            redis_url=Secret(self.redis.url),
            argon2_time=1,
            argon2_memory_kib=1024,
            **settings,
        )

    @property
    def url(self) -> str:
        """Where the API listens."""
        return f"http://{self.settings.host}:{self.settings.port}"

    # servers

    def start_redis(self) -> None:
        """Start Redis again on what the last one left."""
        self.redis = start_redis(self._data)

    def start_postgres(self) -> None:
        """Start PostgreSQL again."""
        self.postgres = start_postgres(self._data)

    def stop_servers(self) -> None:
        """Stop both."""
        stop_redis(self.redis)
        stop_postgres(self.postgres)

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A new connection as the server's administrator."""
        return await asyncpg.connect(self.postgres.admin_url)

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Rows, as the administrator sees them."""
        connection = await self.connect()
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def fetchval(self, query: str, *values: object) -> Any:
        """A single value, as the administrator sees it."""
        return (await self.fetch(query, *values))[0][0]

    async def hold(self, statement: str, *values: object) -> Hold:
        """Run a statement in a transaction that stays open."""
        connection = await self.connect()
        await connection.execute(f"SET lock_timeout = '{PATIENCE:.0f}s'; BEGIN")
        await connection.execute(statement, *values)
        return Hold(connection)

    async def lead_worker(self, hold: Hold, *statements: str) -> Hold:
        """Lead the worker from lock to lock: each is held before the one before it is released."""
        await hold.halts_the_worker()
        for statement in statements:
            following = await self.hold(statement)
            await hold.release()
            hold = following
            await hold.halts_the_worker()
        return hold

    # processes

    def start(self, *programs: Program) -> None:
        """Start processes."""
        for program in programs:
            supervisor = Supervisor(self.settings, [program])
            supervisor.start()
            self._processes[program.name] = supervisor

    def pid_of(self, program: Program) -> int:
        """The process's id."""
        return self._processes[program.name].pid_of(program)

    def signal(self, program: Program, number: signal.Signals) -> None:
        """Send a signal to a process."""
        os.kill(self.pid_of(program), number)

    def stop(self, *programs: Program) -> None:
        """Stop processes in good order; a dead one is fine."""
        for program in programs:
            supervisor = self._processes.pop(program.name, None)
            if supervisor is not None:
                supervisor.stop()

    def stop_all(self) -> None:
        """Stop every process."""
        for supervisor in self._processes.values():
            supervisor.stop()

    def log(self, program: Program) -> list[dict[str, Any]]:
        """What a process has logged, without a line that it is just writing."""
        *lines, _ = (self._data / "logs" / f"{program.name}.log").read_text().split("\n")
        return [json.loads(line) for line in lines]


class Client:
    """What a test does with a running platform: over HTTP like any user, or in the database."""

    def __init__(self, platform: Platform, connected: Connected, http: httpx.AsyncClient) -> None:
        """Use these connections."""
        self.platform = platform
        self.connected = connected
        self.pool = connected.pool
        self.http = http

    async def ready(self) -> None:
        """Return as soon as the API serves requests."""
        await until(self.is_ready)

    async def is_ready(self) -> bool:
        """Whether the API serves requests."""
        try:
            return (await self.http.get("/health/ready")).is_success
        except httpx.TransportError:
            return False

    async def register(self, slug: str) -> httpx.Response:
        """Found an organisation."""
        organisation = {"name": f"The {slug} company", "slug": slug, "country": "DE"}
        return await self.http.post(
            "/api/v1/auth/register",
            json={
                "organisation": organisation,
                "email": f"owner@{slug}.example",
                "password": PASSWORD,
                "full_name": FULL_NAME,
            },
        )

    async def log_in(self, slug: str) -> Account:
        """Log the owner of an organisation in."""
        answer = await self.http.post(
            "/api/v1/auth/login",
            json={"tenant": slug, "email": f"owner@{slug}.example", "password": PASSWORD},
        )
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        me = await self.http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
        return Account(UUID(me.json()["tenant"]["id"]), slug, token)

    async def founded(self, slug: str) -> Account:
        """Found an organisation, wait until it is open, and log its owner in."""
        answer = await self.register(slug)
        assert answer.status_code in {201, 202}, answer.text
        await self.done(UUID(answer.json()["job"]["id"]))
        return await self.log_in(slug)

    async def record(self, account: Account, events: Sequence[UsageEvent]) -> httpx.Response:
        """Send usage over HTTP."""
        return await self.http.post(
            f"/api/v1/tenants/{account.tenant_id}/usage",
            content=msgspec.json.encode(events),
            headers={**account.headers, "Content-Type": "application/json"},
        )

    async def store(self, account: Account, events: Sequence[UsageEvent]) -> None:
        """Store usage of any age."""
        async with recording_session(self.pool, tenant_id=account.tenant_id) as session:
            await usage.store(session, events)

    async def enqueue(self, kind: JobKind, account: Account, **args: str) -> UUID:
        """Queue a job for a tenant and announce it; gives its id."""
        key = ":".join([str(account.tenant_id), *args.values()])
        async with platform_session(self.pool) as session:
            job = await jobs.enqueue(session, kind, dedupe_key=key, tenant_id=account.tenant_id, args=args)
        redis_url = self.platform.settings.redis_url
        assert redis_url is not None
        broker = announcer(redis_url)
        await announce(broker, [job.id])
        await broker.shutdown()
        return job.id

    async def job(self, job_id: UUID) -> Job:
        """How a job is doing."""
        async with platform_session(self.pool, readonly=True) as session:
            return await jobs.get(session, job_id)

    async def done(self, job_id: UUID, *, seconds: float = PATIENCE) -> Job:
        """The job as soon as it is done, also where the database has just been away."""

        async def look() -> Job | None:
            with suppress(*UNAVAILABLE):
                job = await self.job(job_id)
                assert job.state is not JobState.FAILED, job.error
                return job if job.state is JobState.DONE else None
            return None

        job = await until(look, seconds=seconds)
        assert job is not None
        return job


@asynccontextmanager
async def running_platform(data: Path, *programs: Program, **settings: Any) -> AsyncIterator[Client]:
    """A migrated platform with these processes, for as long as the body runs."""
    # All requests come from one address; what an address may do is tested elsewhere.
    unlimited = {"address_free_registrations": 100_000, "address_free_failures": 100_000}
    platform = Platform(data, **(unlimited | settings))
    try:
        platform.settings = await prepare_roles(platform.settings)
        ensure_key(platform.settings)
        ensure_audit_key(platform.settings)
        async with (
            pools(platform.settings) as connected,
            httpx.AsyncClient(base_url=platform.url, timeout=PATIENCE) as http,
        ):
            await migrate_public(connected.owner_pool)
            platform.start(*programs)
            yield Client(platform, connected, http)
    finally:
        platform.stop_all()
        platform.stop_servers()
