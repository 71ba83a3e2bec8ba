"""Around every request: its id, one log line, and its metrics."""

import os
import re
import time
from functools import lru_cache
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram
from structlog.contextvars import bind_contextvars, reset_contextvars

from core.identity import Identity
from shell.measures import REQUEST_SECONDS, REQUESTS

ID_BYTES = 16
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNMATCHED = "(unmatched)"
SERIES = 10_000
"""So many time series are found without asking the metric, which makes each label a text again."""

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

log = structlog.get_logger()


class Telemetry:
    """The outermost ASGI application: whatever happens inside, a request is counted and logged once."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and remember how it was answered."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 500

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        unbound = bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, noting_send)
        finally:
            _record(scope, status, time.perf_counter() - started)
            reset_contextvars(**unbound)


def _request_id(scope: Any) -> str:
    """The caller's id for the request where it is a plain one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return os.urandom(ID_BYTES).hex()


@lru_cache(maxsize=SERIES)
def _answered(method: str, endpoint: str, status: int, tenant_id: str) -> Counter:
    return REQUESTS.labels(method, endpoint, str(status), tenant_id)


@lru_cache(maxsize=SERIES)
def _seconds(method: str, endpoint: str) -> Histogram:
    return REQUEST_SECONDS.labels(method, endpoint)


def _record(scope: Any, status: int, seconds: float) -> None:
    endpoint = scope.get("path_template") or UNMATCHED
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    user = scope.get("user")
    identity = user if isinstance(user, Identity) else None
    tenant_id = str(identity.tenant_id) if identity and identity.tenant_id else ""
    _answered(method, endpoint, status, tenant_id).inc()
    _seconds(method, endpoint).observe(seconds)
    log.info(
        "request",
        method=method,
        endpoint=endpoint,
        status=status,
        tenant_id=tenant_id or None,
        user_id=str(identity.user_id) if identity else None,
        duration_ms=round(seconds * 1000, 3),
    )
