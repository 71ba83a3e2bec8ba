"""Route decorators for what is asked most; the framework's own copy the handler for every guard."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler


class Route(HTTPRouteHandler):
    """A route whose guards are handed the handler itself; no guard of ours changes it.

    The framework copies it each time, which takes a twentieth of a short request.
    """

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Let all guards have their say."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # as the framework has it: a guard may be sync


def get(path: str, **options: Any) -> Route:
    """A route for GET."""
    return Route(path, http_method=HttpMethod.GET, **options)
