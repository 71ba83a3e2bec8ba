"""A `/metrics` for a process that serves nothing else: worker and scheduler."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as NotInTime
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

from shell.database import UNAVAILABLE, Pool
from shell.exposition import Exposed, TenantIds
from shell.measures import PROCESS_STARTED
from shell.table_state import known_tenants

SECONDS = 5.0


def measure_process(service: str) -> None:
    """Have the figures of this process among the metrics."""
    PROCESS_STARTED.labels(service).set(time.time())


@contextmanager
def metrics_served(host: str, port: int | None, pool: Pool | None = None) -> Iterator[None]:
    """Serve metrics from a thread while the body runs, where a port is set.

    With a pool, without series of tenants that are gone; while the database is away, with all of them.
    """
    if port is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def tenants() -> TenantIds | None:
        if pool is None:
            return None
        asked = asyncio.run_coroutine_threadsafe(known_tenants(pool), loop)
        try:
            return asked.result(SECONDS)
        except (NotInTime, *UNAVAILABLE):
            asked.cancel()
            return None

    registry = CollectorRegistry()
    registry.register(Exposed(tenants))
    server, thread = start_http_server(port, host, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
