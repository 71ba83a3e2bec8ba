"""The OpenAPI document: what the framework finds out, made right where it cannot know better."""

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, cast

import msgspec
from litestar import Litestar, Request
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Contact, License, SecurityScheme, Tag

from core.usage import CloudEvent, UsageEvent
from shell.settings import load_settings
from web.examples import EXAMPLES
from web.problems import DESCRIPTIONS, MEDIA_TYPE, PROBLEM_TYPES
from web.register import Acceptance, Registration
from web.security import ACCESS_TOKEN, API_KEY, Security, security_of

Document = dict[str, Any]

DESCRIPTION = """
Usage recording, daily aggregation, costs, anomalies and invoices, for tenants in the EU.

Log in with `POST /api/v1/auth/login` and send the access token as `Authorization: Bearer …`. Every error is
`application/problem+json` (RFC 9457). Amounts and quantities are decimal strings. Lists continue with
`?cursor=`, as long as `next_cursor` is not null.
"""

TAGS = [
    Tag("Accounts", "Register, log in, renew tokens."),
    Tag("Tenants", "The registry of tenants and their lifecycle."),
    Tag("People", "A tenant's accounts and invitations."),
    Tag("API keys", "What a tenant's machines identify themselves with."),
    Tag("Usage", "What a tenant's machines report."),
    Tag("Costs", "What usage costs, so far and at the month's end."),
    Tag("Anomalies", "Days that lie far from the week before them."),
    Tag("Invoices", "Issued monthly, never changed afterwards."),
    Tag("Prices", "Versions with an effective date, default and per tenant."),
    Tag(
        "Data protection",
        "Rights of tenants and of people, legal holds, retention, and what the law makes one keep.",
    ),
    Tag("Jobs", "Work in the background."),
    Tag("Audit log", "What happened, signed so that anybody can check it."),
    Tag("Operations", "Health, metrics and keys."),
]

SUCCESS = {"200": "Done.", "201": "Made.", "202": "Accepted; the work goes on.", "204": "Done."}
UNFORESEEN = (500, 503)
"""What any operation may answer."""

_SECONDS = {
    "description": "After how many seconds to try again.",
    "schema": {"type": "integer", "minimum": 0},
}
_CHALLENGE = {"description": "The scheme that is expected.", "schema": {"type": "string"}}
RESPONSE_HEADERS = {
    "401": {"WWW-Authenticate": _CHALLENGE},
    "429": {"Retry-After": _SECONDS},
    "503": {"Retry-After": _SECONDS},
}

SENT_DECIMALS = (("UsageEvent", "quantity"), ("CloudEventData", "quantity"), ("NewPrice", "unit_price"))

PAGE = "Page_"
"""How the framework begins the names of pages."""


def openapi_config() -> OpenAPIConfig:
    """The document's head and its security scheme; served as /openapi.json."""
    return OpenAPIConfig(
        title="EU Platform",
        version=version("eu-platform"),
        description=DESCRIPTION.strip(),
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        contact=Contact(name="The operator of the platform"),
        tags=TAGS,
        components=Components(
            security_schemes={
                ACCESS_TOKEN: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="An account's token, from `POST /api/v1/auth/login`; it lasts 15 minutes.",
                ),
                API_KEY: SecurityScheme(
                    type="http", scheme="bearer", description="A machine's key, `eup_…`; it has scopes."
                ),
            },
        ),
        security=[{ACCESS_TOKEN: []}],
        use_handler_docstrings=True,
        path="/openapi.json",
        render_plugins=[DocumentPlugin(path=["/", "/openapi.json"])],
    )


class DocumentPlugin(JsonRenderPlugin):
    """Serves the finished document."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Document) -> bytes:
        """The document as JSON."""
        return msgspec.json.encode(_finished(openapi_schema, security_of(request.app)))


def openapi_document(app: Litestar) -> Document:
    """The finished document of an application."""
    return _finished(app.openapi_schema.to_schema(), security_of(app))


def _finished(document: Document, security: Mapping[str, Security]) -> Document:
    """The document with what only we know: bodies decoded by hand, who may ask, examples, names."""
    _, decoded = msgspec.json.schema_components(
        (UsageEvent, CloudEvent, Registration, Acceptance), ref_template="#/components/schemas/{name}"
    )
    schemas = {name: dict(schema) for name, schema in (decoded | document["components"]["schemas"]).items()}
    for name, examples in EXAMPLES.items():
        schemas[name]["examples"] = examples
    for name, schema in schemas.items():
        if name.startswith(PAGE):
            schema["examples"] = [{"items": _examples_of_items(schema), "next_cursor": None}]
    for name, field in SENT_DECIMALS:
        properties = schemas[name]["properties"]
        schemas[name] |= {"properties": properties | {field: _string_or_number(properties[field])}}
    schemas["Problem"]["properties"]["type"]["x-extensible-enum"] = PROBLEM_TYPES
    document = document | {"components": document["components"] | {"schemas": schemas}}
    for operation in _operations(document):
        _finish_operation(operation, security)
    return cast("Document", _renamed(document))


def _operations(document: Document) -> Iterator[Document]:
    for item in document["paths"].values():
        yield from (operation for operation in item.values() if "operationId" in operation)


def _string_or_number(schema: Document) -> Document:
    """A decimal as it may be sent; in answers it is always a string."""
    rest = {key: value for key, value in schema.items() if key not in {"type", "format"}}
    return {"oneOf": [{"type": "string", "format": "decimal"}, {"type": "number"}]} | rest


def _examples_of_items(page: Document) -> list[Document]:
    (name,) = (form["$ref"].rpartition("/")[2] for form in [page["properties"]["items"]["items"]])
    return EXAMPLES[name][:1]


def _finish_operation(operation: Document, security: Mapping[str, Security]) -> None:
    operation["security"] = security[operation["operationId"]]
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
    responses = operation["responses"]
    if MEDIA_TYPE not in responses.get("400", {}).get("content", {}):
        responses.pop("400", None)  # the framework's own form of error, which is never answered
    for status, response in responses.items():
        response["description"] = SUCCESS.get(status, response["description"])
        for body in response.get("content", {}).values():
            body["schema"] = _any_of(body["schema"])
    for status in _always_possible(operation):
        responses.setdefault(str(status), _problem(status))
    for status in responses.keys() & RESPONSE_HEADERS.keys():
        responses[status]["headers"] = responses[status].get("headers", {}) | RESPONSE_HEADERS[status]


def _always_possible(operation: Document) -> list[int]:
    """What an operation may answer whatever its handler does."""
    is_public, takes_body = operation["security"] == [], "requestBody" in operation
    of_token = [] if is_public else [400, 429]  # an X-Tenant header that disagrees; a quota that is spent
    return [*of_token, *([413] if takes_body else []), *UNFORESEEN]


def _problem(status: int) -> Document:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": DESCRIPTIONS[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def _any_of(schema: Document) -> Document:
    """One of several objects may have all that another has: `oneOf` would not let it be both."""
    return {"anyOf": schema["oneOf"]} if "oneOf" in schema else schema


def _without_null(schema: Document) -> Document:
    """A parameter that is left out is not null: only its other form is described."""
    forms = [form for form in schema.get("oneOf", []) if form != {"type": "null"}]
    if len(forms) != 1:
        return schema
    form: Document = forms[0]
    return form | {key: value for key, value in schema.items() if key != "oneOf"}


def _renamed(node: Any) -> Any:
    """Plain component names (`Page_core.tenant.Tenant_` is TenantPage), and patterns for any language."""
    if isinstance(node, dict):
        if node.get("type") == "object" and not node.keys() & {"properties", "additionalProperties"}:
            node = node | {
                "additionalProperties": {}
            }  # generators take an object of nothing for an empty one
        return {_plain_name(key): _plain_value(key, _renamed(value)) for key, value in node.items()}
    return [_renamed(item) for item in node] if isinstance(node, list) else node


def _plain_name(name: str) -> str:
    if name.startswith(PAGE):
        return name.strip("_").rpartition(".")[2] + "Page"
    return name


def _plain_value(key: str, value: Any) -> Any:
    if key == "$ref":
        head, _, name = value.rpartition("/")
        return f"{head}/{_plain_name(name)}"
    if key == "title" and isinstance(value, str) and value.startswith("Page["):
        return value.removeprefix("Page[").removesuffix("]") + "Page"
    if key == "pattern" and isinstance(value, str):
        return value.replace(r"\A", "^").replace(r"\Z", "$").replace(r"(?!\n)", "")
    return value


def main() -> None:
    """Write the document to standard output: `python -m web.openapi`, for `just openapi`."""
    from web.app import application  # noqa: PLC0415 -- the application's module needs this one

    document = openapi_document(application(load_settings({})))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


if __name__ == "__main__":
    main()
