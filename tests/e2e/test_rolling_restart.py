"""Two API processes behind a balancer are restarted in turn, under load: no request fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec

from core.resource import Resource
from core.usage import UsageEvent
from shell.processes import API, STOP_SECONDS, WORKER, Supervisor
from tests.e2e.platform_process import Account, free_port, running_platform, until

CLIENTS = 8
DRAIN_DELAY_SECONDS = 1
POLL_SECONDS = 0.1


class Balancer:
    """Sends requests in turn to the backends that are ready, and none of them twice."""

    def __init__(self, urls: list[str]) -> None:
        """Know of no backend yet that it is ready."""
        self._urls = urls
        self._ready = set[str]()
        self._turns = count()

    async def watch(self) -> None:
        """Ask the backends again and again."""
        async with httpx.AsyncClient() as http:
            while True:
                for url in self._urls:
                    answer = None
                    with suppress(httpx.TransportError):
                        answer = await http.get(f"{url}/health/ready")
                    if answer is not None and answer.is_success:
                        self._ready.add(url)
                    else:
                        self._ready.discard(url)
                await asyncio.sleep(POLL_SECONDS)

    def choose(self) -> str:
        """The next backend that is ready."""
        ready = [url for url in self._urls if url in self._ready]
        return ready[next(self._turns) % len(ready)]

    async def all_are_ready(self) -> bool:
        """Whether no backend is missing."""
        return len(self._ready) == len(self._urls)


class Load:
    """Clients that write and read without a pause."""

    def __init__(self, balancer: Balancer, account: Account) -> None:
        """Nothing is sent yet."""
        self._balancer, self._account = balancer, account
        self._is_over = False
        self.answered = 0
        self.failures: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send requests for as long as the body runs, and await the last answers."""
        clients = [asyncio.create_task(self._send()) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            self._is_over = True
            await asyncio.gather(*clients)

    async def _send(self) -> None:
        async with httpx.AsyncClient(headers=self._account.headers) as http:
            while not self._is_over:
                tenant = f"/api/v1/tenants/{self._account.tenant_id}"
                await self._answered(http, "POST", f"{tenant}/usage", msgspec.json.encode([an_event()]))
                await self._answered(http, "GET", f"{tenant}/costs/current")

    async def _answered(
        self, http: httpx.AsyncClient, method: str, path: str, content: bytes | None = None
    ) -> None:
        try:
            answer = await http.request(method, self._balancer.choose() + path, content=content)
        except httpx.TransportError as error:
            self.failures.append(repr(error))
        else:
            self.answered += 1
            if not answer.is_success:
                self.failures.append(answer.text)


def an_event() -> UsageEvent:
    """An hour of a processor, now."""
    return UsageEvent(str(uuid4()), "meter", Resource.CPU, Decimal(1), datetime.now(UTC))


async def test_no_request_fails_while_the_api_processes_are_restarted_in_turn(tmp_path: Path) -> None:
    endless = {"tenant_requests_per_second": 10_000.0, "tenant_burst": 100_000}
    async with running_platform(
        tmp_path, WORKER, drain_delay_seconds=DRAIN_DELAY_SECONDS, **endless
    ) as client:
        settings = client.platform.settings
        ports = [settings.port, free_port()]
        backends = [Supervisor(msgspec.structs.replace(settings, port=port), [API]) for port in ports]
        balancer = Balancer([f"http://{settings.host}:{port}" for port in ports])
        watching = asyncio.create_task(balancer.watch())
        try:
            for backend in backends:
                backend.start()
            await until(balancer.all_are_ready)
            load = Load(balancer, await client.founded("acme"))
            async with load.running():
                for backend in backends:
                    started = time.monotonic()
                    await asyncio.to_thread(backend.stop)
                    assert DRAIN_DELAY_SECONDS < time.monotonic() - started < STOP_SECONDS, (
                        "it ended by itself"
                    )
                    backend.start()
                    await until(balancer.all_are_ready)
        finally:
            watching.cancel()
            for backend in backends:
                backend.stop()
        assert load.failures == []
        assert load.answered > 100
