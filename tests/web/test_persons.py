"""The rights of one person: erasure, access, rectification, restriction."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from core.classification import CLASSIFICATION, Erasure, Scope, Subject
from core.job import JobState
from core.permission import Role
from core.tenant import Tenant
from shell.session import tenant_session
from tests.installation import Installation, is_done, job_of, rows
from tests.waiting import until
from tests.web.client import PASSWORD, Api, Caller, problem_of

ROWS = (
    """INSERT INTO refresh_tokens (token_hash, family_id, user_id, created_at, expires_at)
       VALUES (convert_to($2, 'utf8'), $1, $1, now(), now())""",
    "INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, convert_to($2, 'utf8'))",
    """INSERT INTO password_resets (token_hash, user_id, created_at, expires_at)
       VALUES (convert_to($2, 'utf8'), $1, now(), now())""",
    """INSERT INTO invitations (id, email, role, token_hash, invited_by, created_at, expires_at)
       VALUES (gen_random_uuid(), $2, 'MEMBER', convert_to($1::uuid::text, 'utf8'), gen_random_uuid(), now(),
               now())""",
    """INSERT INTO anomalies
       VALUES (gen_random_uuid(), '2026-11-01', 'cpu', 1, 1, 1, 1, 3, 'high', now(), now(), $1,
               'seen by ' || $2)""",
)
"""A row about a person with this id and e-mail address in each table that can have one."""


async def filled(api: Api, tenant: Tenant, person: Caller) -> None:
    """A row about the person in every table that can have one."""
    user_id, email = person.account.id, person.account.email
    async with tenant_session(api.installation.pool, tenant_id=tenant.id) as session:
        for statement in ROWS:
            await session.connection.execute(statement, user_id, email)


async def dump(installation: Installation, tenant: Tenant) -> dict[str, list[Mapping[str, Any]]]:
    """Every row of the tenant's schema."""
    return {
        table.name: [
            dict(row) for row in await rows(installation, f"SELECT * FROM {tenant.schema}.{table.name}")
        ]
        for table in CLASSIFICATION
        if table.scope is Scope.TENANT
    }


async def test_erasing_a_person_leaves_what_the_classification_says(api: Api, tenant: Tenant) -> None:
    owner, ada = await api.as_(Role.OWNER, tenant), await api.as_(Role.MEMBER, tenant)
    await filled(api, tenant, ada)
    path = f"./users/{ada.account.id}/gdpr/erase"
    problem_of(await owner.post(path, json={"confirm": "somebody@example.com"}), 422, "confirmation-missing")
    answer = await owner.post(path, json={"confirm": ada.account.email})
    assert answer.status_code == 202, answer.text
    found = await dump(api.installation, tenant)
    assert ada.account.email not in repr(found)
    gone, kept = found, {"acknowledged_by"}
    for table, columns in CLASSIFICATION.items():
        if table.scope is not Scope.TENANT:
            continue
        for name, column in columns.items():
            with_id = [row for row in gone[table.name] if row.get(name) == ada.account.id]
            is_named = column.subject is Subject.PERSON and column.erasure is Erasure.PSEUDONYMISE
            assert not with_id or (is_named and name in kept), f"{table}.{name}"
    problem_of(await ada.get("./usage"), 401)
    await until(lambda: is_done(api.installation, UUID(answer.json()["id"])))
    query = """
        SELECT address, details FROM public.audit_log WHERE chain = $1 AND (actor_id = $2 OR subject = $3)
    """
    entries = await rows(api.installation, query, tenant.chain, ada.account.id, f"user:{ada.account.id}")
    assert entries
    assert all(entry["address"] is None and entry["details"] in {None, "{}"} for entry in entries)


async def test_a_person_erases_itself_and_the_last_owner_cannot(api: Api, tenant: Tenant) -> None:
    owner, ada = await api.as_(Role.OWNER, tenant), await api.as_(Role.VIEWER, tenant)
    of_ada, of_owner = (f"./users/{each.account.id}/gdpr/erase" for each in (ada, owner))
    confirmed = {"confirm": owner.account.email}
    problem_of(await ada.post(of_owner, json=confirmed), 403, "not-permitted")
    problem_of(await owner.post(of_owner, json=confirmed), 409, "last-owner")
    assert (await ada.post(of_ada, json={"confirm": ada.account.email.upper()})).status_code == 202
    [ledger] = await rows(
        api.installation, "SELECT count(*) FROM public.deletion_ledger WHERE kind = 'person'"
    )
    assert int(str(ledger["count"])) >= 1


async def test_a_legal_hold_keeps_a_person(api: Api, tenant: Tenant) -> None:
    owner, operator = await api.as_(Role.OWNER, tenant), await api.operator()
    ada, bob = await api.as_(Role.MEMBER, tenant), await api.as_(Role.MEMBER, tenant)
    body = {"reason": "Case 4 O 123/26", "user_id": str(ada.account.id)}
    await operator.post(f"/tenants/{tenant.id}/legal-holds", json=body)
    refused = await owner.post(f"./users/{ada.account.id}/gdpr/erase", json={"confirm": ada.account.email})
    assert "Case 4 O 123/26" in problem_of(refused, 409, "legal-hold")["detail"]
    assert (await ada.get("./usage")).status_code == 200
    answer = await owner.post(f"./users/{bob.account.id}/gdpr/erase", json={"confirm": bob.account.email})
    assert answer.status_code == 202


async def test_an_access_package_has_all_that_is_held_and_no_secret(api: Api, tenant: Tenant) -> None:
    owner, ada = await api.as_(Role.OWNER, tenant), await api.as_(Role.MEMBER, tenant)
    await filled(api, tenant, ada)
    answer = await ada.get(f"./users/{ada.account.id}/gdpr/access")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as package:
        data, page = msgspec.json.decode(package.read("data.json")), package.read("index.html").decode()
    held = {holding["table"]: holding for holding in data["holdings"]}
    assert held.keys() == {
        "users", "sessions", "refresh_tokens", "recovery_codes", "password_resets", "invitations",
        "anomalies", "audit_log",
    }  # fmt: skip
    assert held["users"]["rows"][0]["email"] == ada.account.email
    assert held["users"]["processing"]["legal_basis"].startswith("Art. 6(1)(b)")
    assert ada.account.email in page
    assert "://" not in page
    assert not [word for word in ("password_hash", "token_hash", "totp_secret") if word in page + str(data)]
    assert (await owner.get(f"./users/{ada.account.id}/gdpr/access")).status_code == 200
    problem_of(await ada.get(f"./users/{owner.account.id}/gdpr/access"), 403, "not-permitted")


async def test_data_is_corrected_and_the_correction_audited_without_it(api: Api, tenant: Tenant) -> None:
    owner, ada = await api.as_(Role.OWNER, tenant), await api.as_(Role.MEMBER, tenant)
    path = f"./users/{ada.account.id}/gdpr/rectify"
    new = f"{uuid4()}@example.com"
    answer = await owner.post(path, json={"full_name": "Ada King", "email": new.upper()})
    assert (answer.json()["full_name"], answer.json()["email"]) == ("Ada King", new)
    problem_of(await owner.post(path, json={"email": owner.account.email}), 409, "email-in-use")
    problem_of(await ada.post(path, json={"email": "x@example.com"}), 422, "invalid-input")
    problem_of(await ada.post(path, json={"email": "x@example.com", "password": PASSWORD}), 401)
    query = """
        SELECT details FROM public.audit_log
        WHERE chain = $1 AND action = 'user.rectified' AND outcome = 'success'
    """
    [entry] = await rows(api.installation, query, tenant.chain)
    assert entry["details"] == '{"fields":"full_name,email"}'


async def test_restricted_data_is_kept_and_not_processed(api: Api, tenant: Tenant) -> None:
    owner, ada = await api.as_(Role.OWNER, tenant), await api.as_(Role.MEMBER, tenant)
    of_ada = f"./users/{ada.account.id}"
    restricted = await ada.post(f"{of_ada}/gdpr/restrict", json={"reason": "disputed, ticket 4711"})
    assert restricted.json()["state"] == "RESTRICTED"
    problem_of(await ada.get("./usage"), 401)
    refused = [
        await owner.send("PATCH", of_ada, json={"state": "ACTIVE"}),
        await owner.send("DELETE", of_ada),
        await owner.post(f"{of_ada}/gdpr/erase", json={"confirm": ada.account.email}),
        await owner.post(f"{of_ada}/gdpr/rectify", json={"full_name": "Ada King"}),
        await owner.post(f"{of_ada}/gdpr/restrict", json={"reason": "once more"}),
    ]
    for answer in refused:
        problem_of(answer, 409, "processing-restricted")
    body = {"tenant": tenant.slug, "email": ada.account.email, "password": PASSWORD}
    problem_of(await api.post("/auth/login", json=body), 401, "wrong-credentials")
    lifted = await owner.post(f"{of_ada}/gdpr/lift-restriction")
    assert lifted.json()["state"] == "ACTIVE"
    problem_of(await owner.post(f"{of_ada}/gdpr/lift-restriction"), 409, "not-restricted")
    problem_of(await owner.send("PATCH", of_ada, json={"state": "RESTRICTED"}), 422, "invalid-input")


@pytest.mark.parametrize("right", ["erase", "restrict"])
async def test_nobody_acts_on_a_role_above(api: Api, tenant: Tenant, right: str) -> None:
    owner, admin = await api.as_(Role.OWNER, tenant), await api.as_(Role.ADMIN, tenant)
    await api.as_(Role.OWNER, tenant)
    body = {"confirm": owner.account.email} if right == "erase" else {"reason": "no reason"}
    answer = await admin.post(f"./users/{owner.account.id}/gdpr/{right}", json=body)
    problem_of(answer, 403, "role-too-high")


async def test_the_erasing_job_may_run_twice(api: Api, tenant: Tenant) -> None:
    owner, ada = await api.as_(Role.OWNER, tenant), await api.as_(Role.MEMBER, tenant)
    path, body = f"./users/{ada.account.id}/gdpr/erase", {"confirm": ada.account.email}
    job_id = UUID((await owner.post(path, json=body)).json()["id"])
    problem_of(await owner.post(path, json=body), 404, "not-found")
    await until(lambda: is_done(api.installation, job_id))
    assert (await job_of(api.installation, job_id)).state is JobState.DONE
