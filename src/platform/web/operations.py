"""What machines ask the process itself: is it well, what has it measured, which keys verify its tokens."""

import time

import msgspec
from litestar import MediaType, Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client.core import GaugeMetricFamily
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shell.database import UNAVAILABLE
from shell.exposition import exposition
from shell.session import platform_session
from shell.table_state import TableState, table_state
from web.services import Services

METRICS_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KEYS_MAX_AGE = 300


class Health(msgspec.Struct, frozen=True):
    """How the process is, and each part.

    `ok`, `degraded` (Redis is away: jobs wait, all else goes on), `draining` (it is about to stop: send it no
    more requests) or `unavailable`.
    """

    status: str
    checks: dict[str, str]
    duration_ms: float


class Liveness(msgspec.Struct, frozen=True):
    """Always `ok`: a process that is not alive does not answer."""

    status: str


class PublicKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A public RSA key (RFC 7517, RFC 7518 section 6.3)."""

    kty: str
    kid: str
    n: str
    e: str
    alg: str | None = None
    use: str | None = None


class KeySet(msgspec.Struct, frozen=True):
    """The keys that access tokens may be verified with; `kid` in a token's header names one."""

    keys: list[PublicKey]


@get("/health/live", operation_id="getLiveness", summary="Is the process alive")
async def live() -> Liveness:
    """Answers as long as the event loop turns."""
    return Liveness("ok")


UNWELL = {503: ResponseSpec(Health, description="The database does not answer.", generate_examples=False)}
UNREADY = {
    503: ResponseSpec(
        Health,
        description="The database does not answer, or the process is about to stop.",
        generate_examples=False,
    )
}


@get(
    "/health/ready",
    operation_id="getReadiness",
    summary="Can the process serve requests",
    responses=UNREADY,
)
async def ready(services: NamedDependency[Services]) -> Response[Health]:
    """200 where the database answers and the process is not about to stop, else 503."""
    if services.draining.has_begun:
        return Response(Health("draining", {}, 0.0), status_code=503)
    return await _health(services)


@get("/health", operation_id="getHealth", summary="How is everything", responses=UNWELL)
async def health(services: NamedDependency[Services]) -> Response[Health]:
    """The state of each part."""
    return await _health(services)


@get("/metrics", operation_id="getMetrics", summary="Prometheus metrics", media_type=MediaType.TEXT)
async def metrics(services: NamedDependency[Services]) -> Response[bytes]:
    """All processes' metrics, added up; without the state of the tables while the database is away."""
    state, redis = await _table_state(services), await _redis(services)
    up = GaugeMetricFamily("platform_part_up", "Whether a part answers.", labels=["part"])
    up.add_metric(["database"], 0 if state is None else 1)
    up.add_metric(["redis"], 1 if redis == "ok" else 0)
    content = exposition(
        tenants=None if state is None else state.tenants,
        state=[up] if state is None else [up, *state.families],
    )
    return Response(content, headers={"Content-Type": METRICS_MEDIA_TYPE})


@get("/.well-known/jwks.json", operation_id="getKeys", summary="Keys that verify access tokens")
async def jwks(services: NamedDependency[Services]) -> Response[KeySet]:
    """The public keys as a JWK set (RFC 7517)."""
    headers = {"Cache-Control": f"public, max-age={KEYS_MAX_AGE}"}
    return Response(msgspec.convert(services.ring.keys.public(), KeySet), headers=headers)


async def _table_state(services: Services) -> TableState | None:
    try:
        return await table_state(services.pool)
    except UNAVAILABLE:
        return None


async def _health(services: Services) -> Response[Health]:
    started = time.perf_counter()
    checks = {"database": await _database(services), "redis": await _redis(services)}
    status = "ok" if checks["redis"] == "ok" else "degraded"
    if checks["database"] != "ok":
        status = "unavailable"
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    return Response(Health(status, checks, milliseconds), status_code=503 if status == "unavailable" else 200)


async def _database(services: Services) -> str:
    try:
        async with platform_session(services.pool, readonly=True) as session:
            await session.connection.fetchval("SELECT 1")
    except UNAVAILABLE:
        return "unavailable"
    return "ok"


async def _redis(services: Services) -> str:
    redis_url = services.settings.redis_url
    if redis_url is None:
        return "unavailable"
    try:
        async with Redis.from_url(redis_url.value, socket_timeout=1, socket_connect_timeout=1) as redis:
            await redis.ping()
    except (RedisError, OSError):
        return "unavailable"
    return "ok"


operations_router = Router("/", route_handlers=[live, ready, health, metrics, jwks], tags=["Operations"])
