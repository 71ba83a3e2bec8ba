"""The web application."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from core.errors import SettingInvalid
from shell.announce import announcer
from shell.api_keys import ApiKeys
from shell.attempts import Attempts
from shell.certificate_links import CertificateLinks
from shell.database import open_pool
from shell.downloads import Downloads
from shell.keys import KeyRing, secret_keys
from shell.logs import configure_logs
from shell.metrics_server import measure_process
from shell.object_store import ObjectStore
from shell.password_reset import PasswordResets
from shell.passwords import Passwords
from shell.quick_redis import QuickRedis
from shell.second_factor import SecondFactors
from shell.settings import Settings, load_settings
from shell.standing import Standings
from shell.throttle import Throttle
from shell.tokens import AccessTokens
from shell.tracing import tracing_of
from web.anomalies import anomalies_router
from web.answers import Answer
from web.api_keys import api_keys_router
from web.audit_log import audit_keys, audit_router
from web.auth import auth_router
from web.bodies import ApiRequest
from web.costs import costs_router
from web.documentation import documentation_router
from web.draining import Draining, draining_of
from web.edge import Edge, cors
from web.erasure import certificates_router, erasure_router
from web.exports import downloads_router, exports_router
from web.guards import audit_unknown_id
from web.invitations import invitations_router
from web.invoices import invoices_router
from web.jobs import jobs_router
from web.legal_holds import legal_holds_router
from web.openapi import openapi_config
from web.operations import operations_router
from web.passwords import passwords_router
from web.persons import persons_router
from web.prices import prices_router
from web.problems import EXCEPTION_HANDLERS
from web.register import register_router
from web.registers import registers_router
from web.retention import retention_router
from web.second_factor import second_factor_router
from web.services import Services, provide_identity, services_of
from web.sessions import sessions_router
from web.telemetry import Telemetry
from web.tenants import tenants_router
from web.usage import usage_router
from web.users import users_router

if TYPE_CHECKING:
    from shell.spans import Tracing

MAX_BODY_BYTES = 64 * 1024

log = structlog.get_logger()


def application(settings: Settings, tracing: "Tracing | None" = None) -> Litestar:
    """The application with all its routes; its pool opens when it starts."""

    def provide_services() -> Services:
        """Without parameters, which the framework would parse for each request."""
        return services_of(app.state)

    of_one_tenant = Router(
        "/tenants/{tenant_id:uuid}",
        route_handlers=[
            usage_router,
            costs_router,
            anomalies_router,
            invoices_router,
            jobs_router,
            api_keys_router,
            users_router,
            invitations_router,
            erasure_router,
            exports_router,
            legal_holds_router,
            persons_router,
            retention_router,
        ],
    )
    api = Router(
        "/api/v1",
        route_handlers=[
            register_router,
            auth_router,
            passwords_router,
            second_factor_router,
            sessions_router,
            tenants_router,
            of_one_tenant,
            downloads_router,
            certificates_router,
            prices_router,
            registers_router,
            audit_router,
        ],
    )
    app = Litestar(
        route_handlers=[api, operations_router, audit_keys, documentation_router()],
        dependencies={
            "services": Provide(provide_services, sync_to_thread=False),
            "identity": Provide(provide_identity, sync_to_thread=False),
        },
        after_exception=[audit_unknown_id],
        exception_handlers=EXCEPTION_HANDLERS,
        cors_config=cors(settings),
        lifespan=[_services(settings, tracing)],
        state=State({"draining": Draining()}),
        openapi_config=openapi_config(),
        request_class=ApiRequest,
        response_class=Answer,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    return app


def create() -> ASGIApp:
    """What the server runs: the application with settings from the environment, inside its edge."""
    settings = load_settings(os.environ)
    configure_logs(service="api", level=settings.log_level)
    tracing = tracing_of(settings, "api")
    app = application(settings, tracing)
    draining_of(app.state).listen()
    _spare_what_stays()
    return served(app, settings, tracing)


def _spare_what_stays() -> None:
    """Hide from the garbage collector what is there for good: to look through it stops requests for 0.1 s."""
    gc.collect()
    gc.freeze()


def served(app: Litestar, settings: Settings, tracing: "Tracing | None" = None) -> ASGIApp:
    """The application inside its edge and its telemetry, as the network meets it."""
    measured = Telemetry(Edge(app, settings, draining_of(app.state)))
    if tracing is None:
        return measured
    from web.traced import Traced  # noqa: PLC0415 -- it imports OpenTelemetry, which may not be there

    return Traced(measured, tracing)


def _services(
    settings: Settings, tracing: "Tracing | None"
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        """Open what handlers need, and close it when the process is told to stop."""
        try:
            services = await _opened(settings, tracing, draining_of(app.state))
        except Exception:
            log.exception("api.not_started")  # the server that runs us says nothing of it
            raise
        app.state["services"] = services
        measure_process("api")
        try:
            yield
        finally:
            services.passwords.close()
            await services.redis.close()
            await services.announcer.shutdown()
            await services.pool.close()
            if tracing is not None:
                await asyncio.to_thread(tracing.close)

    return lifespan


async def _opened(settings: Settings, tracing: "Tracing | None", draining: Draining) -> Services:
    if settings.database_url is None or settings.redis_url is None:
        raise SettingInvalid(name="PLATFORM_DATABASE_URL or PLATFORM_REDIS_URL", reason="is not set")
    ring = KeyRing(settings)
    pool = await open_pool(
        settings.database_url.value,
        size=settings.pool_size,
        name="platform api",
        statement_timeout_seconds=settings.statement_timeout_seconds,
        tracing=tracing,
    )
    redis, keys = QuickRedis(settings.redis_url), secret_keys(settings)
    return Services(
        settings=settings,
        pool=pool,
        redis=redis,
        announcer=announcer(settings.redis_url),
        ring=ring,
        tokens=AccessTokens(ring, settings),
        passwords=Passwords(settings),
        standings=Standings(pool),
        api_keys=ApiKeys(pool, keys),
        password_resets=PasswordResets(keys.current),
        objects=ObjectStore(settings),
        downloads=Downloads(keys),
        certificate_links=CertificateLinks(keys),
        second_factors=SecondFactors(keys, settings.token_issuer),
        throttle=Throttle(redis, settings),
        attempts=Attempts(redis, settings, keys.current),
        secret=keys,
        draining=draining,
    )
