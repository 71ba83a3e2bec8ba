"""Who may ask for what, as the OpenAPI document says it: anybody, accounts, or API keys as well."""

from typing import TypeAlias

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from core.api_key import SCOPES, permissions_of
from web.guards import PERMISSION_OF

Security: TypeAlias = list[dict[str, list[str]]]

ACCESS_TOKEN, API_KEY = "accessToken", "apiKey"
OF_ANY_KEY = permissions_of(SCOPES)


def security_of(app: Litestar) -> dict[str, Security]:
    """The security requirement of each operation, by its id; none where no guard stands before it."""
    return {
        handler.operation_id: _security(handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if isinstance(handler.operation_id, str)
    }


def _security(handler: HTTPRouteHandler) -> Security:
    guards = handler.guards or ()
    for_keys = any(PERMISSION_OF.get(guard) in OF_ANY_KEY for guard in guards)
    return [{scheme: []} for scheme in (*[ACCESS_TOKEN] * bool(guards), *[API_KEY] * for_keys)]
