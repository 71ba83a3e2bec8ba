"""`login`: what logins do to everybody else, and what authentication adds to a request.

Others read `costs/current` at a modest, steady rate, alone and beside logins that arrive by twenty and by two
hundred a second, each kind from a client process of its own; rounds take turns. Logins are of a hundred
accounts with good passwords at the default cost. They may be refused with 429, which is counted, and must be
answered all the same. Requests are due at fixed times, and latencies count from then. Beside them stands what
any other process does to the same readers by keeping half of a core busy.

Authentication is the guard alone, run in this process on the application's own services: finding the token,
its signature and claims, the account's standing, and the throttle, without the route behind it. A process
remembers tokens whose signature it has verified, so a token's first use costs more than those that follow;
both are measured.
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection

from bench.client import Result, Round, write_requests
from bench.figures import Figure, alone, compared, take_turns
from bench.load import LoadClient, load_client
from bench.read import requests_of, with_costs
from bench.stage import Stage, provisioned, stage
from core.identity import Account
from core.permission import Role
from core.tenant import Tenant
from shell import accounts
from shell.passwords import Passwords
from shell.session import tenant_session
from web.app import application
from web.guards import authenticate

TENANTS = 10
ACCOUNTS = 100
PASSWORD = "correct horse battery staple"
READS_PER_SECOND = 50
STEADY, STORM = 20, 200
CONNECTIONS, LOGIN_CONNECTIONS = 16, 128
P99_RATIO_AT_MOST = 2.0
STRANGER = """
import os, time
os.nice(19)
while True:
    begun = time.process_time()
    while time.process_time() < begun + 0.02:
        pass
    time.sleep(0.02)
"""
MILLISECONDS_AT_MOST = 0.3


async def login(*, quick: bool) -> list[Figure]:
    """The figures of others' 99th percentile beside logins and beside a storm, and of authentication."""
    seconds, rounds, calls = (5, 3, 1_000) if quick else (20, 5, 10_000)
    async with stage(api_processes=1) as here:
        tenants = await provisioned(here, [f"login-{index}" for index in range(TENANTS)])
        await with_costs(here, tenants)
        files = requests_of(here, tenants), await _logins(here, tenants[0])
        with load_client() as reading, load_client() as logging_in:
            load = _Load(here, reading, logging_in, *files, seconds=seconds)
            figures = [
                await _beside(load, "login, p99 of others beside 20/s", STEADY, rounds),
                await _beside(load, "login, p99 of others in a storm of 200/s", STORM, rounds),
                await _beside_a_stranger(load, rounds),
            ]
        return figures + await _authentication(here, tenants[0], calls, rounds)


class _Load:
    """Who reads and who logs in, for how long at a time."""

    def __init__(
        self,
        here: Stage,
        reading: LoadClient,
        logging_in: LoadClient,
        reads: Path,
        logins: Path,
        *,
        seconds: int,
    ) -> None:
        self.here, self.reading, self.logging_in = here, reading, logging_in
        self.reads, self.logins, self.seconds = reads, logins, seconds
        self.results: list[Result] = []

    def round(self, file: Path, rate: int, connections: int, *, may_be_refused: bool = False) -> Round:
        """So many seconds of requests of a file."""
        settings = self.here.settings
        return Round(
            host=settings.host,
            port=settings.port,
            connections=connections,
            requests=str(file),
            draws=rate * self.seconds,
            per_second=rate,
            may_be_refused=may_be_refused,
        )

    async def read(self) -> float:
        """The 99th percentile of reading."""
        return (await self.reading.play(self.round(self.reads, READS_PER_SECOND, CONNECTIONS))).p99

    async def log_in(self, rate: int) -> None:
        """Log in at a rate; what is refused is counted."""
        plan = self.round(self.logins, rate, LOGIN_CONNECTIONS, may_be_refused=True)
        self.results.append(await self.logging_in.play(plan))


async def _beside(load: _Load, name: str, rate: int, rounds: int) -> Figure:
    async def product() -> float:
        p99, _ = await asyncio.gather(load.read(), load.log_in(rate))
        await asyncio.sleep(1)  # what the storm has left in the queue is not the next round's
        return p99

    load.results.clear()
    found = await take_turns(product, load.read, rounds)
    notes = {
        "logins that succeeded, per round": median(result.answered for result in load.results),
        "logins refused with 429, per round": median(result.refused for result in load.results),
        "p50 of a login, ms": median(result.p50 for result in load.results),
        "p99 of a login, ms": median(result.p99 for result in load.results),
    }
    return compared(name, "ms", found, ratio_at_most=P99_RATIO_AT_MOST, notes=notes)


async def _beside_a_stranger(load: _Load, rounds: int) -> Figure:
    """What a process that has nothing to do with ours does to others when it takes half of a core."""

    async def product() -> float:
        stranger = subprocess.Popen([sys.executable, "-c", STRANGER])  # noqa: ASYNC220 -- nothing else runs yet
        try:
            return await load.read()
        finally:
            stranger.kill()
            stranger.wait()

    found = await take_turns(product, load.read, rounds)
    return compared("login, p99 of others beside half a busy core", "ms", found)


async def _authentication(here: Stage, tenant: Tenant, calls: int, rounds: int) -> list[Figure]:
    endless = {"tenant_requests_per_second": 1e6, "tenant_burst": 10**6}
    app = application(msgspec.structs.replace(here.settings, **endless))
    async with app.lifespan():
        name = "login, authentication, p50"
        again, first = [], []
        for _ in range(rounds):
            again.append(await _guarded(app, [_token(here, tenant)] * calls))
            first.append(await _guarded(app, [_token(here, tenant) for _ in range(calls // 10)]))
    return [
        alone(f"{name}, token used before", "ms", again, value_at_most=MILLISECONDS_AT_MOST),
        alone(f"{name}, token's first use", "ms", first, value_at_most=MILLISECONDS_AT_MOST),
    ]


def _token(here: Stage, tenant: Tenant) -> bytes:
    """A new token of the tenant's owner, as the header has it."""
    return here.authorization(tenant).partition(": ")[2].strip().encode()


async def _guarded(app: Litestar, headers: list[bytes]) -> float:
    """The median of what the guard takes for requests with these headers, in milliseconds."""
    scope: Any = {"type": "http", "method": "GET", "litestar_app": app, "client": ("127.0.0.1", 1)}
    took: list[float] = []
    for header in headers:
        asked: Any = scope | {"headers": [(b"authorization", header)], "state": {}}
        connection = ASGIConnection[Any, Any, Any, Any](asked)
        started = time.perf_counter()
        await authenticate(connection)
        took.append(time.perf_counter() - started)
    return 1_000 * median(took)


async def _logins(here: Stage, tenant: Tenant) -> Path:
    """A file with a login of each of the accounts, which this makes."""
    phc = await Passwords(here.settings).hash(PASSWORD)
    made = [Account(uuid4(), f"user-{index}@example.com", "User", Role.MEMBER) for index in range(ACCOUNTS)]
    async with tenant_session(here.pool, tenant_id=tenant.id) as session:
        for account in made:
            assert await accounts.insert(session, account, phc)
    file = here.settings.data / "logins"
    write_requests(file, [_request(tenant, account) for account in made])
    return file


def _request(tenant: Tenant, account: Account) -> bytes:
    body = msgspec.json.encode({"tenant": tenant.slug, "email": account.email, "password": PASSWORD})
    head = (
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
