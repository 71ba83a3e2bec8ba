"""No tenant reaches another's things, no text becomes SQL, no cancelled request leaves a right behind.

The requests are made from the OpenAPI document, so that a new operation is tried without anybody's doing.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
import pytest_asyncio

from core.permission import Role, is_permitted
from core.tenant import Tenant
from shell.settings import load_settings
from tests.events import sent, store, usage
from tests.installation import Installation, administrator, found, rows
from tests.web.client import Api, Caller, problem_of
from tests.web.test_permission_matrix import NEEDED, OF_ONES_OWN_ACCOUNT, PUBLIC
from web.app import application
from web.openapi import openapi_document

DOCUMENT: dict[str, Any] = openapi_document(application(load_settings({})))
METHODS = {"get", "post", "put", "patch", "delete"}
JSON = "application/json"

INJECTIONS = [
    "'; DROP TABLE users; --",
    "' OR '1'='1",
    "1); DELETE FROM usage_events; COMMIT; --",
    "x\\'; RESET ROLE; SET search_path = public; --",
    "$1 %s {0} \x00",
]
SEED = 20261123
REQUESTS = 500
CLEAN = ("platform_app", "platform_app", '"$user", public')


class Operation(msgspec.Struct, frozen=True):
    """An operation of the document."""

    name: str
    method: str
    path: str
    parameters: list[dict[str, Any]]
    body: dict[str, Any] | None

    def address(self, ids: dict[str, UUID]) -> str:
        """The path with these ids in it; one that nobody thought of is a KeyError."""
        return re.sub(r"\{(\w+)\}", lambda found: str(ids[found[1]]), self.path)

    def bodies(self) -> list[tuple[dict[str, Any], Any]]:
        """The kinds of body that there are, each with its example; a list's with that of its item."""
        if self.body is None:
            return []
        schema = resolved(self.body)
        kinds = [resolved(kind) for kind in schema.get("oneOf", [schema]) if kind.get("type") != "null"]
        return [(resolved(kind.get("items", kind)), example_of(kind)) for kind in kinds]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema, or the one that it refers to."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def example_of(schema: dict[str, Any]) -> Any:
    """A body of this kind, from the document's examples."""
    if "items" in schema:
        return [resolved(schema["items"])["examples"][0]]
    return schema["examples"][0]


def operations() -> list[Operation]:
    """All operations of the document."""
    return [
        Operation(
            operation["operationId"],
            method.upper(),
            path,
            operation.get("parameters", []),
            operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema"),
        )
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def kinds_of(schema: dict[str, Any]) -> set[str]:
    """Which types of value a schema admits."""
    found = resolved(schema)
    named = found.get("type", [])
    own = {named} if isinstance(named, str) else set(named)
    return own.union(*(kinds_of(kind) for kind in found.get("oneOf", [])))


def injected(schema: dict[str, Any], example: Any, text: str) -> Iterator[Any]:
    """The example with a text in the place of each string, one at a time."""
    if isinstance(example, list):
        yield from ([body] for body in injected(schema, example[0], text))
        return
    for name, declared in schema["properties"].items():
        kinds = kinds_of(declared)
        if "string" in kinds:
            yield example | {name: text}
        if "array" in kinds:
            yield example | {name: [text]}
        if "object" in kinds and "properties" in resolved(declared):
            inner = resolved(declared)
            yield from (example | {name: body} for body in injected(inner, example.get(name, {}), text))
        if "object" in kinds and "properties" not in resolved(declared):
            yield example | {name: {text: text}}


OPERATIONS = operations()
OF_TENANTS = [pytest.param(each, id=each.name) for each in OPERATIONS if "{tenant_id}" in each.path]
WITH_IDS = [
    pytest.param(each, id=each.name)
    for each in OPERATIONS
    if set(re.findall(r"\{(\w+)\}", each.path)) - {"tenant_id"} and each.name not in PUBLIC
]
WITH_TEXTS = [pytest.param(each, id=each.name) for each in OPERATIONS if each.parameters or each.body]


async def _invitation(api: Api, owner: Caller) -> UUID:
    made = await owner.post("./invitations", json={"email": "new@example.com", "role": "VIEWER"})
    return UUID(made.json()["id"])


async def _api_key(api: Api, owner: Caller) -> UUID:
    made = await owner.post("./api-keys", json={"name": "meter", "scopes": ["usage:write"]})
    return UUID(made.json()["id"])


async def _anomaly(api: Api, owner: Caller) -> UUID:
    return await _inserted(
        api,
        f"""INSERT INTO {_schema(owner)}.anomalies
        (id, day, resource, observed, expected, expected_low, expected_high, z_score, severity, detected_at)
        VALUES ($1, '2026-11-01', 'cpu', 9, 1, 1, 1, 9, 'high', now())""",
    )


async def _invoice(api: Api, owner: Caller) -> UUID:
    return await _inserted(
        api,
        f"""INSERT INTO {_schema(owner)}.invoices (id, month, state, currency, seller, buyer, net, vat_rule,
        vat_rate, vat, total, note, created_at)
        VALUES ($1, '2026-10', 'DRAFT', 'EUR', '{{}}', '{{}}', 1, 'domestic', 0, 0, 1, '', now())""",
    )


async def _job(api: Api, owner: Caller) -> UUID:
    job_id = await _inserted(
        api,
        """INSERT INTO public.jobs
        (id, kind, tenant_id, dedupe_key, state, not_before, created_at, finished_at)
        VALUES ($1, 'close_days', $2, gen_random_uuid()::text, 'DONE', now(), now(), now())""",
        owner.tenant.id if owner.tenant else None,
    )
    async with administrator(api.installation.admin_url) as admin:  # an export has the id of its job
        made = "INSERT INTO public.exports (id, tenant_id, format, created_at) VALUES ($1, $2, 'json', now())"
        await admin.execute(made, job_id, owner.tenant.id if owner.tenant else None)
    return job_id


async def _hold(api: Api, owner: Caller) -> UUID:
    return await _inserted(
        api,
        """INSERT INTO public.legal_holds (id, tenant_id, user_id, reason, placed_by, placed_at)
        VALUES ($1, $2, gen_random_uuid(), 'a lawsuit', gen_random_uuid(), now())""",
        owner.tenant.id if owner.tenant else None,
    )


async def _case(api: Api, owner: Caller) -> UUID:
    return await _inserted(
        api,
        """INSERT INTO public.register_cases
            (id, kind, tenant_id, summary, began_at, due_at, state, created_at, changed_at)
        VALUES ($1, 'BREACH', $2, 'a lost laptop', now(), now(), 'OPEN', now(), now())""",
        owner.tenant.id if owner.tenant else None,
    )


async def _owner(api: Api, owner: Caller) -> UUID:
    return owner.account.id


async def _tenant(api: Api, owner: Caller) -> UUID:
    assert owner.tenant is not None
    return owner.tenant.id


THINGS: dict[str, Callable[[Api, Caller], Awaitable[UUID]]] = {
    "tenant_id": _tenant,
    "user_id": _owner,
    "session_id": _owner,
    "invitation_id": _invitation,
    "api_key_id": _api_key,
    "anomaly_id": _anomaly,
    "invoice_id": _invoice,
    "job_id": _job,
    "hold_id": _hold,
    "case_id": _case,
    "export_id": _job,
    "erased_id": _tenant,
}
"""How a tenant gets one thing of each kind that a path can name; a path that names another is a KeyError."""


async def furnished(api: Api, tenant: Tenant) -> dict[str, UUID]:
    """A tenant with one thing of each kind, and with usage; gives the ids of the things."""
    owner = await api.as_(Role.OWNER, tenant)
    await store(api.installation, tenant, usage("theirs"))
    return {name: await made(api, owner) for name, made in THINGS.items()}


async def _inserted(api: Api, statement: str, *arguments: object) -> UUID:
    thing_id = uuid4()
    async with administrator(api.installation.admin_url) as admin:
        await admin.execute(statement, thing_id, *arguments)
    return thing_id


def _schema(owner: Caller) -> str:
    assert owner.tenant is not None
    return owner.tenant.schema


def may_try(role: Role, operation: Operation) -> bool:
    """Whether a role gets past the guard of an operation."""
    return operation.name in OF_ONES_OWN_ACCOUNT or is_permitted(role, NEEDED[operation.name])


async def contents(installation: Installation, *tenants: Tenant) -> dict[str, tuple[int, str | None]]:
    """How many rows there are of tenants, and a digest of them, by table."""
    found: dict[str, tuple[int, str | None]] = {}
    digest = "SELECT count(*), md5(string_agg(each::text, '|' ORDER BY each::text)) FROM {} AS each"
    async with administrator(installation.admin_url) as admin:
        for tenant in tenants:
            names = await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", tenant.schema)
            tables = {f"{tenant.schema}.{row['tablename']}": "" for row in names}
            tables |= {
                f"public.{name}": f" WHERE tenant_id = '{tenant.id}'"
                for name in ("api_keys", "jobs", "prices")
            }
            tables |= {"public.tenants": f" WHERE id = '{tenant.id}'"}
            for table, condition in tables.items():
                row = await admin.fetchrow(digest.format(table) + condition)
                assert row is not None
                found[f"{tenant.slug} {table}"] = (row[0], row[1])
    return found


async def tables_of(installation: Installation) -> set[str]:
    """The tables that the platform has in its own schema."""
    found = await rows(installation, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {str(row["tablename"]) for row in found}


async def tried(caller: Caller, operation: Operation, ids: dict[str, UUID]) -> httpx.Response:
    """The answer to a request that is good but for its ids."""
    body = operation.bodies()[0][1] if operation.bodies() else None
    confirmed = {"confirm": "acme"} if operation.name == "deleteTenant" else {}
    return await sent_by(caller, operation, operation.address(ids), json=body, params=confirmed)


async def sent_by(caller: Caller, operation: Operation, path: str, **request: Any) -> httpx.Response:
    """The answer to a request with the caller's token."""
    headers = {"Authorization": f"Bearer {caller.token}"} | request.pop("headers", {})
    return await caller.http.request(operation.method, path, headers=headers, **request)


@pytest_asyncio.fixture(scope="module")
async def neighbour(installation: Installation) -> Tenant:
    """A tenant that all tests here try to reach, and none does: it stays as it is."""
    return await found(installation)


@pytest_asyncio.fixture(scope="module")
async def theirs(api: Api, neighbour: Tenant) -> dict[str, UUID]:
    """The ids of the neighbour's things."""
    return await furnished(api, neighbour)


@pytest_asyncio.fixture(scope="module")
async def strangers(installation: Installation) -> Tenant:
    """A tenant whose people do nothing but try."""
    return await found(installation)


@pytest.mark.parametrize("operation", OF_TENANTS)
async def test_another_tenants_path_is_not_found_changes_nothing_and_is_audited(
    api: Api, strangers: Tenant, neighbour: Tenant, theirs: dict[str, UUID], operation: Operation
) -> None:
    stranger = await api.as_(Role.OWNER, strangers)
    before = await contents(api.installation, strangers, neighbour)
    problem_of(await tried(stranger, operation, theirs), 404, "not-found")
    assert await contents(api.installation, strangers, neighbour) == before
    query = "SELECT outcome, address, subject FROM public.audit_log WHERE actor_id = $1"
    [entry] = await rows(api.installation, query, stranger.account.id)
    assert entry == {"outcome": "denied", "address": "127.0.0.1", "subject": f"tenant:{neighbour.id}"}


@pytest.mark.parametrize("operation", WITH_IDS)
async def test_another_tenants_things_are_not_found_in_the_own_one_and_stay_as_they_are(
    api: Api, tenant: Tenant, neighbour: Tenant, theirs: dict[str, UUID], operation: Operation
) -> None:
    mine = await furnished(api, tenant)
    owner = await api.as_(Role.OWNER, tenant)
    before = await contents(api.installation, tenant, neighbour)
    answer = await tried(owner, operation, theirs | {"tenant_id": tenant.id})
    if may_try(Role.OWNER, operation):
        problem_of(answer, 404, "not-found")
        query = "SELECT action, outcome, subject FROM public.audit_log WHERE actor_id = $1"
        [entry] = await rows(api.installation, query, owner.account.id)
        assert (entry["action"], entry["outcome"]) == ("id.unknown", "denied")
        assert UUID(str(entry["subject"]).partition(":")[2]) in theirs.values()
    else:
        problem_of(answer, 403, "not-permitted")
    assert await contents(api.installation, tenant, neighbour) == before
    # The request was a good one: with one's own things it finds them.
    if may_try(Role.OWNER, operation):
        assert (await tried(owner, operation, mine | {"session_id": owner.account.id})).status_code != 404


@pytest.mark.parametrize("operation", WITH_TEXTS)
async def test_no_text_becomes_sql(
    api: Api, tenant: Tenant, neighbour: Tenant, theirs: dict[str, UUID], operation: Operation
) -> None:
    mine = await furnished(api, tenant)
    tables, before = await tables_of(api.installation), await contents(api.installation, neighbour)
    own = await contents(api.installation, tenant)
    callers = [await api.as_(Role.OWNER, tenant), await api.operator()]
    path = operation.address(mine)
    answers = [
        await sent_by(caller, operation, **request)
        for text in INJECTIONS
        for request in requests_with(operation, path, text)
        for caller in callers
    ]
    assert answers
    assert [answer.text for answer in answers if answer.status_code >= 500] == []
    assert await tables_of(api.installation) == tables
    assert await contents(api.installation, neighbour) == before
    assert (await contents(api.installation, tenant)).keys() == own.keys()
    assert theirs.keys() == mine.keys()


def requests_with(operation: Operation, path: str, text: str) -> Iterator[dict[str, Any]]:
    """Requests with a text in the place of each string of path, query, headers and body, one at a time."""
    examples = operation.bodies()
    good = examples[0][1] if examples else None
    for parameter in operation.parameters:
        name, place = parameter["name"], parameter["in"]
        if place == "path":
            hole = f"{{{name}}}"
            broken = re.sub(r"\{\w+\}", str(uuid4()), operation.path.replace(hole, quote(text, safe="")))
            yield {"path": broken, "json": good}
        if place == "query":
            yield {"path": path, "params": {name: text}, "json": good}
        if place == "header" and "\x00" not in text:
            yield {"path": path, "headers": {name: text}, "json": good}
    for schema, example in examples:
        yield from ({"path": path, "json": body} for body in injected(schema, example, text))


async def test_requests_that_are_cancelled_anywhere_leave_every_connection_as_it_was(
    api: Api, tenant: Tenant, other_tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(SEED)
    callers = [await api.as_(Role.MEMBER, tenant), await api.as_(Role.MEMBER, other_tenant)]
    # The second time, since connections are opened and statements are prepared in the first.
    waits = [(await _walked(_request(callers[0], number)))[1] for number in (0, 1, 2, 3)][2:]
    before = await _rolled_back(api)
    ended: list[int | None] = []
    for first in range(0, REQUESTS, 20):
        walks = [
            _walked(_request(chance.choice(callers), number), cut_at=chance.randrange(waits[number % 2] + 1))
            for number in range(first, first + 20)
        ]
        ended += [status for status, _ in await asyncio.gather(*walks)]
    assert len(ended) == REQUESTS
    assert REQUESTS / 2 < ended.count(None) < REQUESTS, "most were cut off, and some were not"
    assert await _rolled_back(api) - before > REQUESTS / 10, "many of them in mid-transaction"
    assert "active transaction" not in caplog.text, "each session ended its own; the pool had none to end"
    pool = api.services.pool
    held = [await pool.acquire() for _ in range(pool.get_max_size())]
    try:
        for connection in held:
            assert not connection.is_in_transaction()
            query = "SELECT session_user, current_user, current_setting('search_path')"
            assert tuple(await connection.fetchrow(query) or ()) == CLEAN
    finally:
        for connection in held:
            await pool.release(connection)
    for caller in callers:
        seen = (await caller.get("./usage", params={"limit": 1000})).json()["items"]
        assert {event["source"] for event in seen} <= {str(caller.account.id)}


async def _request(caller: Caller, number: int) -> int:
    """A request that reads, or one that writes in its transaction."""
    if number % 2:
        return (await caller.get("./costs/current")).status_code
    event = sent(f"event-{number}", source=str(caller.account.id))
    return (await caller.post("./usage", json=[event])).status_code


async def _walked(request: Coroutine[Any, Any, int], *, cut_at: int | None = None) -> tuple[int | None, int]:
    """How a request ended, None where it was cut off before, and how often it had waited until then.

    It is cut off at a wait of this number, not after some time, which would be too late on a fast machine.
    """
    walk = _Walk(request, cut_at)
    try:
        return await walk, walk.waits
    except asyncio.CancelledError:
        return None, walk.waits


class _Walk:
    def __init__(self, request: Coroutine[Any, Any, int], cut_at: int | None) -> None:
        self._request = request
        self._cut_at = cut_at
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, int]:
        task = asyncio.current_task()
        assert task is not None
        resume: Callable[[], Any] = partial(self._request.send, None)
        while True:
            try:
                awaited = resume()
            except StopIteration as end:
                status: int = end.value
                return status
            self.waits += 1
            if self.waits == self._cut_at:
                task.cancel()
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 -- whatever is thrown in is the request's to handle
                resume = partial(self._request.throw, error)
            else:
                resume = partial(self._request.send, None)


async def _rolled_back(api: Api) -> int:
    """How many transactions of this database were rolled back, as its server counts them."""
    pool = api.services.pool
    held = [await pool.acquire() for _ in range(pool.get_max_size())]
    for connection in held:  # a backend reports now and then, or when it is told to
        await connection.execute("SELECT pg_stat_force_next_flush()")
    for connection in held:
        await pool.release(connection)
    query = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    [found] = await rows(api.installation, query)
    return int(str(found["xact_rollback"]))
