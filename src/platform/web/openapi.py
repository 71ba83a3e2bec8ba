"""The OpenAPI document."""

from importlib.metadata import version
from typing import Any, cast

import msgspec
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Tag

from core.usage import CloudEvent, UsageEvent

DESCRIPTION = """
Usage recording, daily aggregation, costs, anomalies and invoices, for tenants in the EU.

Log in with `POST /api/v1/auth/login` and send the access token as `Authorization: Bearer …`. Every error is
`application/problem+json` (RFC 9457). Amounts and quantities are decimal strings. Lists continue with
`?cursor=`, as long as `next_cursor` is not null.
"""

TAGS = [
    Tag("Accounts", "Register, log in, renew tokens."),
    Tag("Tenants", "The registry of tenants and their lifecycle."),
    Tag("Usage", "What a tenant's machines report."),
    Tag("Costs", "What usage costs, so far and at the month's end."),
    Tag("Anomalies", "Days that lie far from the week before them."),
    Tag("Invoices", "Issued monthly, never changed afterwards."),
    Tag("Prices", "Versions with an effective date, default and per tenant."),
    Tag("Jobs", "Work in the background."),
    Tag("Operations", "Health, metrics and keys."),
]


def openapi_config() -> OpenAPIConfig:
    """The document's head, its security scheme, and the schemas of what handlers decode themselves."""
    _, schemas = msgspec.json.schema_components(
        (UsageEvent, CloudEvent), ref_template="#/components/schemas/{name}"
    )
    return OpenAPIConfig(
        title="EU Platform",
        version=version("eu-platform"),
        description=DESCRIPTION.strip(),
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        tags=TAGS,
        components=Components(
            schemas=cast("Any", schemas),
            security_schemes={
                "accessToken": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
            },
        ),
        security=[{"accessToken": []}],
        use_handler_docstrings=True,
        path="/openapi.json",
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
    )
