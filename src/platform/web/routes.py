"""Route decorators for what is asked most; the framework's own copy the handler for every guard."""

from typing import Any

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, ExceptionHandlersMap

from web.answers import encoded


class Route(HTTPRouteHandler):
    """A route whose handler gives a value, never a Response, and whose guards do not change the handler.

    The framework would copy the handler for each guard, and make a Response: a tenth of a short request.
    """

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Let all guards have their say."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # as the framework has it: a guard may be sync

    _handlers_of_exceptions: "ExceptionHandlersMap | None" = None

    def resolve_exception_handlers(self) -> ExceptionHandlersMap:
        """Those of the route and of what it is in; the framework puts them together for each request."""
        if self._handlers_of_exceptions is None:
            self._handlers_of_exceptions = super().resolve_exception_handlers()
        return self._handlers_of_exceptions

    async def to_response(self, app: Litestar, data: Any, request: Request[Any, Any, Any]) -> ASGIApp:  # noqa: ARG002 -- the framework's signature
        """The value as JSON."""
        return encoded(self.status_code, data)


def get(path: str, **options: Any) -> Route:
    """A route for GET."""
    return Route(path, http_method=HttpMethod.GET, **options)
