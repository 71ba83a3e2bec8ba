"""The API against the one that was released last: clients that were written for that one go on working."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shell.settings import Settings
from tests.web.compatibility import broken_promises
from web.app import application
from web.openapi import openapi_document

RELEASES = Path(__file__).parents[2] / "docs" / "released"

Node = dict[str, Any]


def version_of(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.stem.removeprefix("openapi-").split("."))


def last_release() -> Node:
    found: Node = json.loads(max(RELEASES.glob("openapi-*.json"), key=version_of).read_bytes())
    return found


RELEASED = last_release()


def test_nothing_that_was_released_is_broken() -> None:
    broken = broken_promises(RELEASED, openapi_document(application(Settings())))
    assert broken == [], "until its version is released, a document may be replaced: see CONTRIBUTING.md"


def operation(document: Node, method: str, path: str) -> Node:
    found: Node = document["paths"][f"/api/v1{path}"][method]
    return found


def schema(document: Node, name: str) -> Node:
    found: Node = document["components"]["schemas"][name]
    return found


Change = Callable[[Node], object]

BREAKING: dict[str, Change] = {
    "GET /api/v1/auth/me: is gone": lambda d: d["paths"]["/api/v1/auth/me"].pop("get"),
    "getMe: is called whoAmI": lambda d: operation(d, "get", "/auth/me").update(operationId="whoAmI"),
    "login: asks for other credentials": lambda d: operation(d, "post", "/auth/login").update(
        security=[{"accessToken": []}]
    ),
    "listTenants: parameter limit is required": lambda d: next(
        each for each in operation(d, "get", "/tenants")["parameters"] if each["name"] == "limit"
    ).update(required=True),
    "listTenants: parameter limit: maximum is 10": lambda d: next(
        each for each in operation(d, "get", "/tenants")["parameters"] if each["name"] == "limit"
    )["schema"].update(maximum=10),
    "listTenants: parameter limit is gone": lambda d: operation(d, "get", "/tenants").update(parameters=[]),
    "getMe: 200 is gone": lambda d: operation(d, "get", "/auth/me")["responses"].pop("200"),
    "login: body.totp: is required": lambda d: schema(d, "Login")["required"].append("totp"),
    "login: body.email: maxLength is 3": lambda d: schema(d, "Login")["properties"]["email"].update(
        maxLength=3
    ),
    "login: 200.expires_in: is gone": lambda d: schema(d, "Tokens")["properties"].pop("expires_in"),
    "login: 200.expires_in: may be missing": lambda d: schema(d, "Tokens")["required"].remove("expires_in"),
    "login: 200.expires_in: may be string": lambda d: schema(d, "Tokens")["properties"]["expires_in"].update(
        type="string"
    ),
    "listUsage: parameter resource: no longer takes cpu": lambda d: schema(d, "Resource")["enum"].remove(
        "cpu"
    ),
    "recordUsage: body: application/json is gone": lambda d: operation(
        d, "post", "/tenants/{tenant_id}/usage"
    )["requestBody"]["content"].pop("application/json"),
}


@pytest.mark.parametrize("promise", BREAKING)
def test_a_breaking_change_is_named(promise: str) -> None:
    changed = copy.deepcopy(RELEASED)
    BREAKING[promise](changed)
    assert promise in broken_promises(RELEASED, changed)


ALLOWED: dict[str, Change] = {
    "an operation": lambda d: d["paths"].update({"/new": {"get": {"operationId": "getNew"}}}),
    "an optional parameter": lambda d: operation(d, "get", "/tenants")["parameters"].append(
        {"in": "query", "name": "state", "schema": {"type": "string"}}
    ),
    "an optional field that is sent": lambda d: schema(d, "Login")["properties"].update(
        device={"type": "string"}
    ),
    "a field that is answered": lambda d: schema(d, "Tokens")["properties"].update(scope={"type": "string"}),
    "a value that is answered": lambda d: schema(d, "JobKind")["enum"].append("tidy"),
    "an error": lambda d: operation(d, "get", "/auth/me")["responses"].update({"418": {}}),
    "a higher limit": lambda d: schema(d, "Login")["properties"]["email"].update(maxLength=1_000),
}


@pytest.mark.parametrize("change", ALLOWED)
def test_what_is_added_breaks_nothing(change: str) -> None:
    changed = copy.deepcopy(RELEASED)
    ALLOWED[change](changed)
    assert broken_promises(RELEASED, changed) == []
