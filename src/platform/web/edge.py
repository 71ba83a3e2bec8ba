"""The edge: what every request and answer meets before and after the application itself.

Security headers, a limit of time, and, behind trusted proxies only, the address and scheme that they forward.
"""

import asyncio
from typing import Any

import msgspec
from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from core.network import client_address, is_within, parsed_networks
from shell.settings import Settings
from web.draining import Draining
from web.problems import MEDIA_TYPE, TYPE_PREFIX, Kind, Problem
from web.rate_limit_fields import rate_limit_fields

Headers = tuple[tuple[bytes, bytes], ...]

ALWAYS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
"""On every answer that does not say otherwise itself, as the pages of the documentation do."""

HSTS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
CLOSE = (b"connection", b"close")
LATE = Kind(503, "timed-out", "Timed out")
SLOW_BODY = Kind(408, "body-too-slow", "Body too slow")

CORS_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "Prefer", "X-Request-Id", "X-Tenant"]
CORS_EXPOSED = ["Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"]
CORS_SECONDS = 600


class Edge:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, settings: Settings, draining: Draining) -> None:
        """Wrap the application."""
        self._app = app
        self._draining = draining
        self._seconds = settings.request_seconds
        self._tls = settings.tls
        self._trusted = parsed_networks(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, as whom the proxies say that it is from, and complete the answer's headers."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        if self._trusted:
            self._believe_proxies(scope)
        is_secure = self._tls and self._is_secure(scope)
        answer = _Answer(scope, receive, send, self._draining, is_secure=is_secure)
        limit = answer.limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                await self._app(scope, answer.receive, answer.send)
        except TimeoutError:
            if not limit.expired():
                raise
            await answer.time_out()

    def _believe_proxies(self, scope: Any) -> None:
        """Put the client that trusted proxies forwarded in the place of the last one of them."""
        peer, headers = scope.get("client"), scope["headers"]
        if peer is None or not is_within(peer[0], self._trusted):
            return
        entries = [entry for value in _values(headers, b"x-forwarded-for") for entry in value.split(",")]
        scope["client"] = (client_address(peer[0], entries, self._trusted), peer[1])
        schemes = _values(headers, b"x-forwarded-proto")
        if schemes:
            scope["scheme"] = "https" if schemes[-1].rpartition(",")[2].strip() == "https" else "http"

    def _is_secure(self, scope: Any) -> bool:
        """Whether a request came over TLS: behind no trusted proxy, the setting says that all do."""
        return not self._trusted or scope.get("scheme") == "https"


class _Answer:
    """The answer to one request, while it is being given."""

    def __init__(
        self, scope: Any, receive: Receive, send: Send, draining: Draining, *, is_secure: bool
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._draining = draining
        self._is_secure = is_secure
        self.limit: asyncio.Timeout | None = None
        self._has_started = False
        self._awaits_body = False

    async def receive(self) -> Any:
        """The next part of the request."""
        self._awaits_body = True
        message = await self._receive()
        self._awaits_body = False
        return message

    async def send(self, message: Message) -> None:
        """The next part of the answer, its head with all headers."""
        if message["type"] == "http.response.start":
            self._has_started = True
            if self.limit is not None:
                self.limit.reschedule(None)  # who reads a long answer slowly is no slow request
            message["headers"] = [*message["headers"], *self._missing(message["headers"])]
        await self._send(message)

    async def time_out(self) -> None:
        """Answer that it took too long, unless an answer has begun, which can only be cut off."""
        if self._has_started:
            raise TimeoutError
        self.limit = None
        kind, detail = (
            (SLOW_BODY, "The body did not arrive in time.")
            if self._awaits_body
            else (LATE, "The answer took too long; try again.")
        )
        problem = Problem(
            type=TYPE_PREFIX + kind.name,
            title=kind.title,
            status=kind.status,
            detail=detail,
            request_id=self._scope.get("state", {}).get("request_id"),
        )
        body = msgspec.json.encode(problem)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        if kind is LATE:
            headers.append((b"retry-after", b"2"))
        start: Any = {"type": "http.response.start", "status": kind.status, "headers": headers}
        await self.send(start)
        end: Any = {"type": "http.response.body", "body": body, "more_body": False}
        await self.send(end)

    def _missing(self, headers: Any) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in headers}
        missing = [header for header in ALWAYS if header[0] not in present]
        if self._is_secure:
            missing.append(HSTS)
        if self._draining.has_begun and self._scope.get("http_version", "").startswith("1"):
            missing.append(CLOSE)  # HTTP/2 says it in a frame of its own
        verdicts = self._scope.get("state", {}).get("rate_limits")
        if verdicts and b"ratelimit" not in present:
            fields = rate_limit_fields(verdicts).items()
            missing += [(name.lower().encode(), value.encode()) for name, value in fields]
        return missing


def cors(settings: Settings) -> CORSConfig | None:
    """Which foreign origins' pages may call the API, exactly as they are written; none by default."""
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=CORS_HEADERS,
        expose_headers=CORS_EXPOSED,
        max_age=CORS_SECONDS,
    )


def _values(headers: Any, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]
