"""The OpenAPI document: whole, consistent, and what the API really does; clients are generated from it."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin
from uuid import UUID

import msgspec
import pytest

import core.certificate
import core.costing
import core.erasure
import core.erasure_scan
import core.identity
import core.invoicing
import core.job
import core.legal_hold
import core.money
import core.pricing
import core.processing_register
import core.register_case
import core.registration
import core.retention
import core.tenant
import core.usage
import shell.accounts
import shell.anomalies
import shell.api_keys
import shell.audit_log
import shell.certificates
import shell.exports
import shell.invitations
import shell.invoices
import shell.retention
import shell.second_factor
import shell.usage
import shell.users
import web.anomalies
import web.api_keys
import web.audit_log
import web.auth
import web.erasure
import web.exports
import web.founding
import web.invitations
import web.legal_holds
import web.operations
import web.passwords
import web.persons
import web.prices
import web.problems
import web.register
import web.registers
import web.retention
import web.second_factor
import web.sessions
import web.sign_in
import web.tenants
import web.usage
import web.users
from shell.settings import Settings
from tests.web.client import Api
from web.app import application
from web.examples import EXAMPLES
from web.openapi import openapi_document

DOCUMENT = openapi_document(application(Settings()))
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
MODULES = [
    core.costing, core.identity, core.invoicing, core.job, core.money, core.pricing, core.registration,
    core.tenant, core.usage, shell.anomalies, shell.audit_log, shell.invoices, shell.usage, web.anomalies,
    web.audit_log, web.auth,
    web.founding, web.operations, web.prices, web.problems, web.tenants, web.usage, web.api_keys,
    web.invitations, web.passwords, web.register, web.second_factor, web.sessions, web.sign_in, web.users,
    core.certificate, core.erasure, core.erasure_scan, shell.certificates, web.erasure, web.exports,
    shell.users, shell.invitations, shell.api_keys, shell.accounts, shell.second_factor, shell.exports,
    core.legal_hold, web.legal_holds, web.persons,
    core.retention, shell.retention, web.retention,
    core.register_case, core.processing_register, web.registers,
]  # fmt: skip
STRUCTS = {
    value.__name__: value
    for module in MODULES
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct)
}
"""The types that the schemas describe, by name."""

operations = pytest.mark.parametrize("name", sorted(OPERATIONS))


def nodes(node: object) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


async def test_the_document_is_served_to_anybody(api: Api) -> None:
    answer = await api.http.get("/openapi.json")
    assert answer.status_code == 200
    assert "json" in answer.headers["content-type"]
    assert answer.json() == json.loads(msgspec.json.encode(DOCUMENT))


def test_the_document_that_is_kept_in_the_repository_is_this_one() -> None:
    kept = Path(__file__).parents[2] / "openapi.json"
    encoded = msgspec.json.format(msgspec.json.encode(DOCUMENT), indent=2) + b"\n"
    assert kept.read_bytes() == encoded, "run `just openapi`"


def test_it_is_openapi_three_one_with_a_head() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    info = DOCUMENT["info"]
    assert all(info[key] for key in ("title", "version", "description", "license"))
    assert DOCUMENT["security"] == [{"accessToken": []}]
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert set(schemes) == {"accessToken", "apiKey"}
    assert all(scheme["scheme"] == "bearer" and scheme["description"] for scheme in schemes.values())


@pytest.mark.parametrize(
    ("name", "schemes"),
    [
        ("login", []),
        ("getMe", ["accessToken"]),
        ("createApiKey", ["accessToken"]),
        ("recordUsage", ["accessToken", "apiKey"]),
        ("getCurrentCosts", ["accessToken", "apiKey"]),
    ],
)
def test_an_operation_names_the_credentials_that_it_takes(name: str, schemes: list[str]) -> None:
    assert OPERATIONS[name][2]["security"] == [{scheme: []} for scheme in schemes]


def test_every_operation_has_an_id_of_its_own() -> None:
    every = [operation for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(OPERATIONS) == len(every)
    assert all(re.fullmatch(r"[a-z][a-zA-Z]+", name) for name in OPERATIONS)


@operations
def test_an_operation_is_described(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    declared = {tag["name"] for tag in DOCUMENT["tags"]}
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert set(operation["tags"]) <= declared


@operations
def test_an_operation_has_a_success_and_every_error_that_it_may_answer(name: str) -> None:
    method, path, operation = OPERATIONS[name]
    responses = operation["responses"]
    assert [status for status in responses if status.startswith("2")]
    expected = {"500", "503"}
    if operation.get("security") != []:
        expected |= {"400", "401", "429"}
    if "{tenant_id}" in path:
        expected |= {"403", "404", "410"}
    if method in {"post", "patch"} and "requestBody" in operation:
        expected |= {"400", "413", "422"}
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        expected |= {"422"}
    assert expected - responses.keys() == set()


@operations
def test_an_answer_has_a_description_and_an_error_is_a_problem(name: str) -> None:
    for status, response in OPERATIONS[name][2]["responses"].items():
        assert response["description"]
        if int(status) >= 400 and name not in {"getHealth", "getReadiness"}:
            (content,) = response["content"].items()
            assert content == (
                "application/problem+json",
                {"schema": {"$ref": "#/components/schemas/Problem"}},
            )


@operations
def test_a_parameter_of_the_path_is_declared_and_no_parameter_is_null(name: str) -> None:
    _, path, operation = OPERATIONS[name]
    parameters = operation.get("parameters", [])
    in_path = {each["name"] for each in parameters if each["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", path))
    assert len({(each["in"], each["name"]) for each in parameters}) == len(parameters)
    assert not [each for each in nodes(parameters) if each.get("type") == "null"]


def test_every_reference_resolves() -> None:
    references = {node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node}
    assert references
    for reference in references:
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_every_schema_is_used_and_plainly_named() -> None:
    references = {node["$ref"].rpartition("/")[2] for node in nodes(DOCUMENT) if "$ref" in node}
    assert set(SCHEMAS) - references == set()
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in SCHEMAS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_pattern_means_the_same_to_every_reader(name: str) -> None:
    for node in nodes(SCHEMAS[name]):
        if "pattern" in node:
            assert not re.search(r"\\A|\\Z|\(\?[^:]", node["pattern"])
            re.compile(node["pattern"])


# --- types ------------------------------------------------------------------------------------------


def described(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = SCHEMAS[name]["properties"]
    return properties


@pytest.mark.parametrize("name", sorted(name for name in SCHEMAS if name in STRUCTS))
def test_decimals_are_strings_and_times_have_a_format(name: str) -> None:
    for field in msgspec.structs.fields(STRUCTS[name]):
        schema = described(name)[field.encode_name]
        for plain in plain_types(field.type):
            expected = {
                Decimal: {"type": "string"},
                datetime: {"type": "string", "format": "date-time"},
                date: {"type": "string", "format": "date"},
                UUID: {"type": "string", "format": "uuid"},
                bool: {"type": "boolean"},
                int: {"type": "integer"},
                str: {"type": "string"},
            }.get(plain)
            if expected is not None:
                assert [each for each in nodes(schema) if expected.items() <= each.items()], field.name


def plain_types(annotation: Any) -> set[type]:
    """The types in an annotation of a field: one that may be null has two."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return {annotation}
    arguments = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return plain_types(arguments[0])
    if get_origin(annotation) in {list, dict, tuple}:
        return set()
    return {found for argument in arguments for found in plain_types(argument)}


def test_what_handlers_decode_themselves_is_described() -> None:
    content = OPERATIONS["recordUsage"][2]["requestBody"]["content"]
    items = {media_type: body["schema"]["items"]["$ref"] for media_type, body in content.items()}
    assert items == {
        "application/json": "#/components/schemas/UsageEvent",
        "application/cloudevents-batch+json": "#/components/schemas/CloudEvent",
    }
    assert set(described("UsageEvent")) == set(core.usage.UsageEvent.__struct_fields__)
    assert {"specversion", "id", "source", "type", "time", "data"} <= set(described("CloudEvent"))


# --- examples ---------------------------------------------------------------------------------------


def test_every_body_that_is_sent_or_answered_has_an_example() -> None:
    bodies = {
        node["$ref"].rpartition("/")[2]
        for _, _, operation in OPERATIONS.values()
        for content in (operation.get("requestBody", {}), *operation["responses"].values())
        for body in content.get("content", {}).values()
        for node in nodes(body)
        if "$ref" in node
    }
    without = {name for name in bodies if not SCHEMAS[name].get("examples")}
    assert without == set()


def test_every_kind_of_error_is_listed() -> None:
    kinds = {kind.name for kind in web.problems.KINDS.values()}
    listed = SCHEMAS["Problem"]["properties"]["type"]["x-extensible-enum"]
    assert {web.problems.TYPE_PREFIX + kind for kind in kinds} <= set(listed)


def test_every_object_that_is_sent_or_answered_has_a_name() -> None:
    """Generators would make up names of their own for the others."""
    assert [node for node in nodes(DOCUMENT["paths"]) if "properties" in node] == []


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_is_what_it_is_an_example_of(name: str) -> None:
    for example in EXAMPLES[name]:
        body = msgspec.json.encode(example)
        decoded = msgspec.json.decode(body, type=STRUCTS[name])
        assert set(example) <= set(described(name)), "and says nothing that would be ignored"
        if not STRUCTS[name].__struct_config__.omit_defaults and msgspec.UNSET not in vars_of(decoded):
            assert set(msgspec.to_builtins(decoded)) >= set(example)


def vars_of(value: msgspec.Struct) -> list[object]:
    return [getattr(value, name) for name in value.__struct_fields__]
