"""A span around every request, where traces are on; without them this is no part of the application."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.trace import SpanKind, Status, StatusCode

from shell.spans import Tracing
from web.telemetry import METHODS, UNMATCHED

SERVER_ERROR = 500


class Traced:
    """Around the telemetry, so that the request's log line has its trace.

    A caller's own `traceparent` is not followed: strangers would decide what is sampled, and join traces.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        """Wrap the application."""
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; its span is named by the route, which is known when it was answered."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        status = SERVER_ERROR

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        with self._tracing.span(method, kind=SpanKind.SERVER) as span:
            try:
                await self._app(scope, receive, noting_send)
            finally:
                endpoint = scope.get("path_template") or UNMATCHED
                span.update_name(f"{method} {endpoint}")
                span.set_attributes(
                    {
                        "http.request.method": method,
                        "http.route": endpoint,
                        "http.response.status_code": status,
                        "request.id": scope["state"]["request_id"],
                    }
                )
                if status >= SERVER_ERROR:
                    span.set_status(Status(StatusCode.ERROR))
