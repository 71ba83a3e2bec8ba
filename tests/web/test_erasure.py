"""Erasure over HTTP: asked for, waited for, taken back; then the tenant is gone for good."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from core.permission import Role
from core.tenant import Tenant, TenantState
from jobs.erasure import find_due_erasures
from tests.events import sent
from tests.installation import administrator, current, is_done, put_into, rows
from tests.waiting import until
from tests.web.client import Api, Caller, problem_of


async def asked(caller: Caller, tenant: Tenant) -> dict[str, str]:
    answer = await caller.post(f"/tenants/{tenant.id}/gdpr/erase", json={"confirm": tenant.slug})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v1/tenants/{tenant.id}/gdpr/erase"
    job: dict[str, str] = answer.json()
    return job


async def test_an_owner_asks_for_the_erasure_and_a_second_request_gets_the_same_job(
    api: Api, tenant: Tenant
) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    job = await asked(owner, tenant)
    assert (job["kind"], job["state"]) == ("erase_tenant", "QUEUED")
    assert await asked(await api.operator(), tenant) == job
    deleted = await owner.send("DELETE", f"/tenants/{tenant.id}", params={"confirm": tenant.slug})
    assert (deleted.status_code, deleted.json()) == (202, job)
    erasure = (await owner.get("./gdpr/erase")).json()
    assert (erasure["state"], erasure["job_id"], erasure["steps"]) == ("REQUESTED", job["id"], [])
    waits = datetime.fromisoformat(erasure["due_at"]) - datetime.fromisoformat(erasure["requested_at"])
    assert timedelta(days=30) - waits < timedelta(minutes=1)
    entries = await rows(
        api.installation,
        "SELECT action, actor_id FROM audit_log WHERE subject = $1 AND actor_kind <> 'system'",
        f"tenant:{tenant.id}",
    )
    assert [tuple(entry.values()) for entry in entries] == [("tenant.erasure_requested", owner.account.id)]


@pytest.mark.parametrize("confirm", ["", "other", "ACME"])
async def test_an_erasure_without_the_slug_is_refused(api: Api, tenant: Tenant, confirm: str) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    answer = await owner.post("./gdpr/erase", json={"confirm": confirm})
    problem_of(answer, 422, "confirmation-missing")
    assert await current(api.installation, tenant) == tenant
    problem_of(await owner.get("./gdpr/erase"), 404)


async def test_while_it_waits_a_tenant_is_read_and_takes_no_changes(api: Api, tenant: Tenant) -> None:
    owner, operator = await api.as_(Role.OWNER, tenant), await api.operator()
    await asked(owner, tenant)
    assert (await owner.get(f"/tenants/{tenant.id}")).json()["state"] == "SUSPENDED"
    assert (await owner.get("./costs/current")).status_code == 200
    problem_of(await owner.post("./usage", json=[sent("one")]), 403, "tenant-not-writable")
    problem_of(await operator.post(f"/tenants/{tenant.id}/activate"), 409, "erasure-refused")


@pytest.mark.parametrize("state", [TenantState.ACTIVE, TenantState.SUSPENDED])
async def test_an_erasure_that_waits_is_taken_back_and_can_be_asked_for_again(
    api: Api, tenant: Tenant, state: TenantState
) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    await put_into(api.installation, tenant, state)
    job = await asked(owner, tenant)
    cancelled = await owner.send("DELETE", "./gdpr/erase")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "CANCELLED")
    assert (await current(api.installation, tenant)).state is state
    again = await asked(owner, tenant)
    assert again["id"] != job["id"]

    async def has_ended() -> bool:
        found = (await owner.get(f"./jobs/{job['id']}")).json()
        return bool(found["state"] == "FAILED" and found["error"] == "The erasure was cancelled.")

    await until(has_ended)
    assert (await owner.get("./gdpr/erase")).json()["state"] == "REQUESTED"


async def test_an_erasure_that_nobody_asked_for_cannot_be_taken_back(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    problem_of(await owner.send("DELETE", "./gdpr/erase"), 404)


async def test_when_the_waiting_is_over_the_tenant_is_gone_and_its_certificate_is_there(
    api: Api, tenant: Tenant
) -> None:
    owner, operator, auditor = (
        await api.as_(Role.OWNER, tenant),
        await api.operator(),
        await api.as_(Role.AUDITOR),
    )
    job = await asked(owner, tenant)
    problem_of(await operator.get(f"/tenants/{tenant.id}/gdpr/erase/certificate"), 404)
    link = (await owner.get("./gdpr/erase")).json()["certificate_url"]
    problem_of(await api.http.get(link), 404)
    async with administrator(api.installation.admin_url) as admin:  # time passes, and a finder comes by
        await admin.execute("UPDATE erasures SET due_at = now() WHERE tenant_id = $1", tenant.id)
        await admin.execute("UPDATE jobs SET state = 'FAILED' WHERE id::text = $1", job["id"])
    await find_due_erasures(api.installation.context)
    erasure = (await operator.get(f"/tenants/{tenant.id}/gdpr/erase")).json()
    assert erasure["job_id"] != job["id"]

    async def has_ended() -> bool:
        return await is_done(api.installation, erasure["job_id"])

    await until(has_ended)
    for answer in (await owner.get(f"/tenants/{tenant.id}"), await owner.get("./gdpr/erase")):
        problem_of(answer, 410, "tenant-gone")
    problem_of(await operator.send("DELETE", f"/tenants/{tenant.id}/gdpr/erase"), 409, "erasure-refused")
    certificate = (await auditor.get(f"/tenants/{tenant.id}/gdpr/erase/certificate")).json()
    fetched = await api.http.get(link)
    assert (fetched.status_code, fetched.json()) == (200, certificate)
    pdf_link = link.replace("/certificate?", "/certificate.pdf?")
    assert (await api.http.get(pdf_link)).content[:5] == b"%PDF-"
    for forged in (link[:-1] + "é", link.replace(str(tenant.id), str(UUID(int=0))), pdf_link[:-1]):
        problem_of(await api.http.get(forged), 403, "download-refused")
    assert certificate["statement"]["tenant_id"] == str(tenant.id)
    pdf = await auditor.get(f"/tenants/{tenant.id}/gdpr/erase/certificate.pdf")
    assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    unread = await operator.post(
        f"/tenants/{tenant.id}/gdpr/archive/read", json={"reason": "A look for the tax office"}
    )
    problem_of(unread, 404)  # nothing was ever invoiced
    now = await current(api.installation, tenant)
    assert msgspec.structs.replace(now, created_at=tenant.created_at).state is TenantState.DELETED
