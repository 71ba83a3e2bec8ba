import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from core.download import Grant
from core.permission import Role
from core.tenant import Tenant, TenantState
from shell.session import platform_session
from tests.installation import is_done, put_into, rows
from tests.waiting import until
from tests.web.client import Api, Caller, problem_of


async def exported(api: Api, caller: Caller, format_: str = "json") -> dict[str, Any]:
    """A finished export as its owner reads it."""
    answer = await caller.post("./gdpr/export", json={"format": format_})
    assert answer.status_code == 202, answer.text
    export = answer.json()
    await until(lambda: is_done(api.installation, UUID(export["id"])))
    found: dict[str, Any] = (await caller.get(f"./gdpr/export/{export['id']}")).json()
    return found


@pytest.fixture
async def owner(api: Api, tenant: Tenant) -> Caller:
    return await api.as_(Role.OWNER, tenant)


async def audited(api: Api, export_id: str) -> list[tuple[object, object]]:
    query = "SELECT action, actor_kind FROM public.audit_log WHERE subject = $1 ORDER BY occurred_at"
    found = await rows(api.installation, query, f"export:{export_id}")
    return [(entry["action"], entry["actor_kind"]) for entry in found]


async def test_an_export_is_fetched_by_its_link_without_a_token(api: Api, owner: Caller) -> None:
    export = await exported(api, owner)
    assert (export["state"], export["progress"], export["error"]) == ("DONE", 1.0, None)
    answer = await api.http.get(export["download"]["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/gzip"
    assert answer.headers["content-length"] == str(export["size"])
    assert answer.headers["content-disposition"].endswith('-json.tar.gz"')
    assert hashlib.sha256(answer.content).hexdigest() == export["sha256"]
    assert await audited(api, export["id"]) == [
        ("export.asked", "user"),
        ("export.finished", "system"),
        ("export.link_given", "user"),
        ("export.downloaded", "anonymous"),
    ]


async def test_a_link_is_good_for_72_hours(api: Api, owner: Caller) -> None:
    export = await exported(api, owner)
    finished, expires = (datetime.fromisoformat(export[key]) for key in ("finished_at", "expires_at"))
    assert expires - finished == timedelta(hours=72)
    assert export["download"]["expires_at"] == export["expires_at"]
    assert int(parse_qs(urlsplit(export["download"]["url"]).query)["expires"][0]) <= expires.timestamp()


async def test_the_answer_says_where_the_export_is(api: Api, owner: Caller) -> None:
    answer = await owner.post("./gdpr/export", json={"format": "csv"})
    assert answer.headers["location"].endswith(f"/gdpr/export/{answer.json()['id']}")
    found = await api.http.get(answer.headers["location"], headers={"Authorization": f"Bearer {owner.token}"})
    assert found.json()["id"] == answer.json()["id"]
    job = await owner.get(f"./jobs/{answer.json()['id']}")
    assert job.json()["kind"] == "export_tenant"


async def test_a_repeated_request_makes_one_export(api: Api, owner: Caller) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    first = await owner.post("./gdpr/export", json={"format": "xml"}, headers=headers)
    await until(lambda: is_done(api.installation, UUID(first.json()["id"])))
    again = await owner.post("./gdpr/export", json={"format": "xml"}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    problem_of(await owner.post("./gdpr/export", json={"format": "csv"}, headers=headers), 409)


async def test_exports_are_listed_without_links(api: Api, owner: Caller) -> None:
    made = [(await exported(api, owner, format_))["id"] for format_ in ("json", "csv")]
    page = (await owner.get("./gdpr/export?limit=1")).json()
    rest = (await owner.get(f"./gdpr/export?cursor={page['next_cursor']}")).json()
    assert [item["id"] for item in page["items"] + rest["items"]] == made
    assert "download" not in page["items"][0]


async def test_another_tenants_export_is_not_found(api: Api, owner: Caller, other_tenant: Tenant) -> None:
    export = await exported(api, owner)
    stranger = await api.as_(Role.OWNER, other_tenant)
    problem_of(await stranger.get(f"./gdpr/export/{export['id']}"), 404, "not-found")
    assert (await stranger.get("./gdpr/export")).json()["items"] == []


@pytest.mark.parametrize("body", [{}, {"format": "pdf"}, {"format": "json", "tables": ["users"]}])
async def test_what_is_no_format_is_refused(owner: Caller, body: dict[str, Any]) -> None:
    problem_of(await owner.post("./gdpr/export", json=body), 422, "invalid-input")


async def test_a_suspended_tenant_may_take_its_data_along(api: Api, owner: Caller, tenant: Tenant) -> None:
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    assert (await exported(api, owner))["download"] is not None


async def test_a_tenant_that_is_erased_asks_in_vain(api: Api, owner: Caller, tenant: Tenant) -> None:
    await put_into(api.installation, tenant, TenantState.DEPROVISIONING)
    operator = await api.operator()
    path = f"/tenants/{tenant.id}/gdpr/export"
    problem_of(await operator.post(path, json={"format": "json"}), 410, "tenant-gone")
    problem_of(await operator.get(path), 410, "tenant-gone")


async def forged(api: Api, export: dict[str, Any], case: str, other: Tenant) -> httpx.Response:
    """A request with a link that was not given out like this."""
    parts = urlsplit(export["download"]["url"])
    query = {key: value[0] for key, value in parse_qs(parts.query).items()}
    path, downloads = parts.path, api.services.downloads
    expires_at = datetime.fromisoformat(export["expires_at"])
    match case:
        case "a later end":
            query["expires"] = str(int(query["expires"]) + 1)
        case "another file":
            path = f"/api/v1/downloads/{uuid4()}"
        case "another tenant's signature":
            link = downloads.link(Grant(other.id, UUID(export["id"]), expires_at))
            query["signature"] = parse_qs(urlsplit(link).query)["signature"][0]
        case "an end that is past":
            past = datetime.now(UTC) - timedelta(seconds=2)
            link = downloads.link(Grant(UUID(export["tenant_id"]), UUID(export["id"]), past))
            query = {key: value[0] for key, value in parse_qs(urlsplit(link).query).items()}
        case "no signature at all":
            query["signature"] = ""
        case "another alphabet":
            query["signature"] = "é" * 64
    return await api.http.get(path, params=query)


@pytest.mark.parametrize(
    "case",
    [
        "a later end",
        "another file",
        "another tenant's signature",
        "an end that is past",
        "no signature at all",
        "another alphabet",
    ],
)
async def test_a_link_that_was_not_given_out_is_refused(
    api: Api, owner: Caller, other_tenant: Tenant, case: str
) -> None:
    export = await exported(api, owner)
    problem_of(await forged(api, export, case, other_tenant), 403, "download-refused")
    assert "export.downloaded" not in [action for action, _ in await audited(api, export["id"])]


@pytest.mark.parametrize(
    "query", ["", "?expires=1", "?expires=x&signature=y", f"?expires={10**15}&signature=y"]
)
async def test_half_a_link_is_refused(api: Api, query: str) -> None:
    problem_of(await api.http.get(f"/api/v1/downloads/{uuid4()}{query}"), 422)


async def test_a_deleted_package_has_no_link_and_is_not_found_by_an_old_one(api: Api, owner: Caller) -> None:
    export = await exported(api, owner)
    async with platform_session(api.installation.pool) as session:
        statement = "UPDATE public.exports SET deleted_at = now() WHERE id = $1"
        await session.connection.execute(statement, UUID(export["id"]))
    assert (await owner.get(f"./gdpr/export/{export['id']}")).json()["download"] is None
    problem_of(await api.http.get(export["download"]["url"]), 404, "not-found")


async def test_a_tenant_has_so_many_packages_and_no_more(api: Api, owner: Caller, tenant: Tenant) -> None:
    async with platform_session(api.installation.pool) as session:
        await session.connection.execute(
            "INSERT INTO public.exports "
            "SELECT gen_random_uuid(), $1, 'json', NULL, now(), 'x', 1, '', 1, now(), now() "
            "FROM generate_series(1, 10)",
            tenant.id,
        )
    problem_of(await owner.post("./gdpr/export", json={"format": "json"}), 409, "exports-full")
    assert len((await owner.get("./gdpr/export")).json()["items"]) == 10
    async with platform_session(api.installation.pool) as session:
        statement = "UPDATE public.exports SET deleted_at = now() WHERE tenant_id = $1"
        await session.connection.execute(statement, tenant.id)
    assert (await owner.post("./gdpr/export", json={"format": "json"})).status_code == 202
