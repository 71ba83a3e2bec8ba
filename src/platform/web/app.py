"""The web application."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.types import ASGIApp

from core.errors import SettingInvalid
from shell.announce import announcer
from shell.database import open_pool
from shell.keys import load_keys
from shell.logs import configure_logs
from shell.passwords import Passwords
from shell.settings import Settings, load_settings
from shell.tokens import AccessTokens
from web.anomalies import anomalies_router
from web.auth import auth_router
from web.bodies import ApiRequest
from web.costs import costs_router
from web.documentation import documentation_router
from web.invoices import invoices_router
from web.jobs import jobs_router
from web.openapi import openapi_config
from web.operations import operations_router
from web.prices import prices_router
from web.problems import EXCEPTION_HANDLERS
from web.services import Services, provide_identity, provide_services
from web.telemetry import Telemetry
from web.tenants import tenants_router
from web.usage import usage_router

MAX_BODY_BYTES = 64 * 1024

log = structlog.get_logger()


def application(settings: Settings) -> Litestar:
    """The application with all its routes; its pool opens when it starts."""
    of_one_tenant = Router(
        "/tenants/{tenant_id:uuid}",
        route_handlers=[usage_router, costs_router, anomalies_router, invoices_router, jobs_router],
    )
    api = Router("/api/v1", route_handlers=[auth_router, tenants_router, of_one_tenant, prices_router])
    return Litestar(
        route_handlers=[api, operations_router, documentation_router()],
        dependencies={
            "services": Provide(provide_services, sync_to_thread=False),
            "identity": Provide(provide_identity, sync_to_thread=False),
        },
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=[_services(settings)],
        openapi_config=openapi_config(),
        request_class=ApiRequest,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )


def create() -> ASGIApp:
    """What the server runs: the application with settings from the environment, inside its telemetry."""
    settings = load_settings(os.environ)
    configure_logs(service="api", level=settings.log_level)
    return Telemetry(application(settings))


def _services(settings: Settings) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        """Open what handlers need, and close it when the process is told to stop."""
        try:
            services = await _opened(settings)
        except Exception:
            log.exception("api.not_started")  # the server that runs us says nothing of it
            raise
        app.state["services"] = services
        try:
            yield
        finally:
            services.passwords.close()
            await services.announcer.shutdown()
            await services.pool.close()

    return lifespan


async def _opened(settings: Settings) -> Services:
    if settings.database_url is None or settings.redis_url is None:
        raise SettingInvalid(name="PLATFORM_DATABASE_URL or PLATFORM_REDIS_URL", reason="is not set")
    keys = load_keys(settings)
    pool = await open_pool(
        settings.database_url.value,
        size=settings.pool_size,
        name="platform api",
        statement_timeout_seconds=settings.statement_timeout_seconds,
    )
    return Services(
        settings=settings,
        pool=pool,
        announcer=announcer(settings.redis_url),
        keys=keys,
        tokens=AccessTokens(keys, settings),
        passwords=Passwords(settings),
    )
