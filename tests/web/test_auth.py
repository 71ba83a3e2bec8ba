"""Accounts over HTTP: register, log in, who am I, renew, log out; and every token that is refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from joserfc import jwt

from core.permission import Role
from core.tenant import RESERVED_SLUGS, Tenant, TenantState
from shell.passwords import Passwords
from tests.fixtures import answering
from tests.forged_tokens import foreign_claims, foreign_forms, foreign_headers, foreign_signatures
from tests.installation import Installation, add_account, job_of, new_slug, put_into, rows
from tests.web.client import PASSWORD, Api, Caller, problem_of


def registration(**organisation: object) -> dict[str, Any]:
    defaults = {"name": "Acme GmbH", "slug": new_slug("reg"), "country": "DE"}
    return {
        "organisation": defaults | organisation,
        "email": "Ada@Example.com",
        "password": PASSWORD,
        "full_name": "Ada Lovelace",
    }


async def registered(api: Api, **organisation: object) -> dict[str, Any]:
    """What a successful registration answers."""
    answer = await api.post("/auth/register", json=registration(**organisation))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def logged_in(api: Api, slug: str, *, password: str = PASSWORD) -> httpx.Response:
    login = {"tenant": slug, "email": "ada@example.com", "password": password}
    return await api.post("/auth/login", json=login)


async def refreshed(api: Api, token: str) -> httpx.Response:
    return await api.post("/auth/refresh", json={"refresh_token": token})


async def me_of(api: Api, token: str) -> httpx.Response:
    return await api.get("/auth/me", headers={"Authorization": f"Bearer {token}"})


async def registered_rows(installation: Installation, slug: str) -> int:
    return len(await rows(installation, "SELECT FROM tenants WHERE slug = $1", slug))


# --- register -------------------------------------------------------------------------------------


async def test_registering_founds_a_tenant_that_its_owner_can_use_at_once(api: Api) -> None:
    body = registration()
    answer = await api.post("/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    founded = answer.json()
    tenant, user, job = founded["tenant"], founded["user"], founded["job"]
    assert answer.headers["location"] == f"/api/v1/tenants/{tenant['id']}"
    assert (tenant["slug"], tenant["state"]) == (body["organisation"]["slug"], "ACTIVE")
    assert (tenant["time_zone"], tenant["currency"]) == ("Europe/Berlin", "EUR")
    assert (user["email"], user["role"], user["full_name"]) == ("ada@example.com", "OWNER", "Ada Lovelace")
    assert (job["state"], job["kind"]) == ("DONE", "provision_tenant")
    tokens = (await logged_in(api, tenant["slug"])).json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    me = await me_of(api, tokens["access_token"])
    assert me.json() == {"user": user, "tenant": tenant}


async def test_the_request_that_registers_is_named_in_the_job_and_the_audit_log(api: Api) -> None:
    answer = await api.post("/auth/register", json=registration(), headers={"X-Request-Id": "my-request.1"})
    founded = answer.json()
    assert (await job_of(api.installation, UUID(founded["job"]["id"]))).request_id == "my-request.1"
    query = "SELECT action, request_id, chain FROM audit_log WHERE subject = $1 ORDER BY occurred_at LIMIT 1"
    entries = await rows(api.installation, query, f"tenant:{founded['tenant']['id']}")
    assert entries == [{"action": "tenant.founded", "request_id": "my-request.1", "chain": "platform"}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": "x" * 11}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": None}, "password"),
        ({"email": "ada"}, "email"),
        ({"email": "ada@localhost"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": "a" * 250 + "@example.com"}, "email"),
        ({"full_name": ""}, "full_name"),
        ({"full_name": "   "}, "full_name"),
        ({"full_name": "a\nb"}, "full_name"),
        ({"full_name": "x" * 201}, "full_name"),
        ({"role": "OPERATOR"}, "role"),
        ({"organisation": None}, "organisation"),
    ],
)
async def test_a_bad_registration_is_refused_with_its_place(
    api: Api, change: dict[str, object], field: str
) -> None:
    body = registration()
    answer = await api.post("/auth/register", json=body | change)
    (error,) = problem_of(answer, 422, "invalid-input")["errors"]
    assert field in f"{error['field']}: {error['detail']}"
    assert await registered_rows(api.installation, body["organisation"]["slug"]) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("slug", slug) for slug in sorted(RESERVED_SLUGS)),
        *(
            ("slug", slug)
            for slug in (
                "ab",
                "x" * 41,
                "Acme",
                "1acme",
                "-acme",
                "acme-",
                "a--b",
                "a_b",
                "äcme",
                "acme\n",
                "a b",
                "",
            )
        ),
        *(("country", country) for country in ("XX", "de", "DEU", "D", "", 49)),
        *(("vat_id", vat_id) for vat_id in ("123", "ATU12345678", "DE12 34", "de123456789", "x" * 21, "")),
        *(("time_zone", zone) for zone in ("Mars/Olympus", "../../etc/passwd", "localtime", "x" * 65, "")),
        *(("name", name) for name in ("", " ", "x" * 201, "a\x00b", None)),
    ],
)
async def test_a_bad_organisation_is_refused_with_the_name_of_the_field(
    api: Api, field: str, value: object
) -> None:
    before = await rows(api.installation, "SELECT count(*) FROM tenants")
    answer = await api.post("/auth/register", json=registration(**{field: value}))
    errors = problem_of(answer, 422, "invalid-input")["errors"]
    assert [error["field"] for error in errors] == [f"organisation.{field}"]
    assert await rows(api.installation, "SELECT count(*) FROM tenants") == before


async def test_everything_that_is_wrong_with_an_organisation_is_said_at_once(api: Api) -> None:
    bad = registration(slug="platform", country="XX", vat_id="1", time_zone="Mars")
    errors = problem_of(await api.post("/auth/register", json=bad), 422)["errors"]
    assert [error["field"].removeprefix("organisation.") for error in errors] == [
        "slug",
        "country",
        "vat_id",
        "time_zone",
    ]


async def test_a_slug_that_is_taken_is_refused(api: Api, tenant: Tenant) -> None:
    answer = await api.post("/auth/register", json=registration(slug=tenant.slug))
    problem_of(answer, 409, "slug-taken")


async def test_of_ten_who_register_a_slug_at_once_one_gets_it(api: Api) -> None:
    slug = new_slug("reg")
    bodies = [registration(slug=slug) | {"full_name": f"Ada {number}"} for number in range(10)]
    answers = await asyncio.gather(*(api.post("/auth/register", json=body) for body in bodies))
    first, *others = sorted(answer.status_code for answer in answers)
    assert first == 201
    assert set(others) <= {409, 429}, "refused, or asked to wait"
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    me = await me_of(api, (await logged_in(api, slug)).json()["access_token"])
    assert me.json()["user"] == winner["user"]


# --- idempotency ----------------------------------------------------------------------------------


async def test_a_repeated_registration_is_answered_like_the_first(api: Api) -> None:
    body, headers = registration(), {"Idempotency-Key": str(uuid4())}
    first = await api.post("/auth/register", json=body, headers=headers)
    second = await api.post("/auth/register", json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["location"] == first.headers["location"]
    assert await registered_rows(api.installation, body["organisation"]["slug"]) == 1


async def test_ten_equal_registrations_at_once_make_one_tenant(api: Api) -> None:
    body, headers = registration(), {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(
        *(api.post("/auth/register", json=body, headers=headers) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["tenant"]["id"] for answer in answers}) == 1
    assert len({answer.json()["user"]["id"] for answer in answers}) == 1


async def test_another_registration_under_the_same_key_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    assert (await api.post("/auth/register", json=registration(), headers=headers)).status_code == 201
    other = registration()
    problem_of(await api.post("/auth/register", json=other, headers=headers), 409, "idempotency-conflict")
    assert await registered_rows(api.installation, other["organisation"]["slug"]) == 0


async def test_a_registration_that_was_refused_uses_up_no_key(api: Api, tenant: Tenant) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    taken = registration(slug=tenant.slug)
    problem_of(await api.post("/auth/register", json=taken, headers=headers), 409, "slug-taken")
    assert (await api.post("/auth/register", json=registration(), headers=headers)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_of_no_or_great_length_is_refused(api: Api, key: str) -> None:
    answer = await api.post("/auth/register", json=registration(), headers={"Idempotency-Key": key})
    assert problem_of(answer, 422)["errors"][0]["field"] == "Idempotency-Key"


async def test_no_password_is_kept_for_idempotency(api: Api) -> None:
    key = str(uuid4())
    body = registration() | {"password": "a very secret passphrase"}
    await api.post("/auth/register", json=body, headers={"Idempotency-Key": key})
    query = "SELECT idempotency_keys::text AS row FROM idempotency_keys WHERE key = $1"
    (row,) = await rows(api.installation, query, key)
    assert "secret" not in str(row["row"])


# --- log in ---------------------------------------------------------------------------------------


async def test_the_address_is_read_without_case_and_space(api: Api) -> None:
    slug = (await registered(api))["tenant"]["slug"]
    login = {"tenant": slug, "email": "  ADA@example.COM ", "password": PASSWORD}
    assert (await api.post("/auth/login", json=login)).status_code == 200


async def test_the_tenant_may_stand_in_the_header(api: Api) -> None:
    slug = (await registered(api))["tenant"]["slug"]
    login = {"email": "ada@example.com", "password": PASSWORD}
    assert (await api.post("/auth/login", json=login, headers={"X-Tenant": slug})).status_code == 200
    both = login | {"tenant": slug}
    assert (await api.post("/auth/login", json=both, headers={"X-Tenant": slug})).status_code == 200
    answer = await api.post("/auth/login", json=both, headers={"X-Tenant": "another"})
    problem_of(answer, 400, "tenant-header-disagrees")
    (error,) = problem_of(await api.post("/auth/login", json=login), 422)["errors"]
    assert error["field"] == "tenant"


async def test_whatever_is_wrong_with_a_login_the_answer_is_the_same(api: Api, tenant: Tenant) -> None:
    slug = (await registered(api))["tenant"]["slug"]
    gone = (await registered(api))["tenant"]
    await put_into(api.installation, msgspec.convert(gone, Tenant), TenantState.DEPROVISIONING)
    email, password = "ada@example.com", PASSWORD
    attempts = [
        (slug, email, "wrong password"),
        (slug, email, PASSWORD.upper()),
        (slug, email, ""),
        (slug, "nobody@example.com", password),
        (slug, "", password),
        (tenant.slug, email, password),
        ("no-such-tenant", email, password),
        ("", email, password),
        (gone["slug"], email, password),
        ("platform", email, password),
    ]
    bodies = set()
    for name, address, word in attempts:
        login = {"tenant": name, "email": address, "password": word}
        problem = problem_of(await api.post("/auth/login", json=login), 401, "wrong-credentials")
        bodies.add(tuple(sorted((key, str(value)) for key, value in problem.items() if key != "request_id")))
    assert len(bodies) == 1


async def test_an_unknown_account_costs_a_check_of_a_password_too(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str | None] = []
    verify = Passwords._verify  # noqa: SLF001 -- time cannot be compared reliably

    def counted(passwords: Passwords, password: str, kept: str | None) -> bool:
        checked.append(kept)
        return verify(passwords, password, kept)

    monkeypatch.setattr(Passwords, "_verify", counted)
    for slug in ("no-such-tenant", "platform"):
        problem_of(await logged_in(api, slug), 401)
    assert checked == [None, None]


async def test_an_old_password_hash_is_renewed_at_login(api: Api) -> None:
    founded = await registered(api)
    schema = f"tenant_{founded['tenant']['slug'].replace('-', '_')}"
    older = Passwords(msgspec.structs.replace(api.services.settings, argon2_time=2))
    old = await older.hash(PASSWORD)
    older.close()
    await api.installation.owner_pool.execute(f"UPDATE {schema}.users SET password_hash = $1", old)
    for _ in range(2):
        assert (await logged_in(api, founded["tenant"]["slug"])).status_code == 200
    (user,) = await rows(api.installation, f"SELECT password_hash FROM {schema}.users")
    assert user["password_hash"] != old
    assert not api.services.passwords.is_outdated(str(user["password_hash"]))


async def test_an_operator_logs_in_to_the_platform(api: Api) -> None:
    phc = await api.services.passwords.hash(PASSWORD)
    account = await add_account(api.installation, None, Role.OPERATOR, phc=phc)
    login = {"tenant": "platform", "email": account.email, "password": PASSWORD}
    tokens = (await api.post("/auth/login", json=login)).json()
    me = (await me_of(api, tokens["access_token"])).json()
    assert (me["tenant"], me["user"]["role"], me["user"]["id"]) == (None, "OPERATOR", str(account.id))
    assert (await refreshed(api, tokens["refresh_token"])).status_code == 200


async def test_the_users_of_a_suspended_tenant_can_still_log_in(api: Api) -> None:
    tenant = msgspec.convert((await registered(api))["tenant"], Tenant)
    await put_into(api.installation, tenant, TenantState.SUSPENDED)
    assert (await logged_in(api, tenant.slug)).status_code == 200


async def test_too_many_logins_at_once_are_told_to_come_again(api: Api) -> None:
    login = {"tenant": "no-such-tenant", "email": "ada@example.com", "password": PASSWORD}
    async with answering(msgspec.structs.replace(api.services.settings, password_queue=1)) as (_, http):
        attempts = [http.post("/api/v1/auth/login", json=login) for _ in range(20)]
        answers = await asyncio.gather(*attempts)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {401, 429}
    problem_of(refused[0], 429, "too-busy")
    assert int(refused[0].headers["retry-after"]) > 0


async def test_a_login_that_finds_the_queue_full_is_refused_before_its_body_is_read(api: Api) -> None:
    async with answering(msgspec.structs.replace(api.services.settings, password_queue=1)) as (
        services,
        http,
    ):
        gate = Event()
        held = asyncio.create_task(services.passwords._run(gate.wait))  # noqa: SLF001 -- to hold it up
        await asyncio.sleep(0)
        busy = await http.post("/api/v1/auth/login", content=b"no JSON")
        gate.set()
        await held
        read = await http.post("/api/v1/auth/login", content=b"no JSON")
    problem_of(busy, 429, "too-busy")
    assert int(busy.headers["retry-after"]) > 0
    assert read.status_code == 400


# --- renew and log out ------------------------------------------------------------------------------


async def test_a_refresh_token_gives_new_tokens_and_is_used_up(api: Api) -> None:
    slug = (await registered(api))["tenant"]["slug"]
    first = (await logged_in(api, slug)).json()
    answer = await refreshed(api, first["refresh_token"])
    assert answer.status_code == 200
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await me_of(api, second["access_token"])).status_code == 200
    assert (await refreshed(api, second["refresh_token"])).status_code == 200


async def test_a_refresh_token_that_is_used_twice_ends_the_whole_family_and_is_audited(api: Api) -> None:
    tenant = (await registered(api))["tenant"]
    first = (await logged_in(api, tenant["slug"])).json()["refresh_token"]
    other_login = (await logged_in(api, tenant["slug"])).json()["refresh_token"]
    second = (await refreshed(api, first)).json()["refresh_token"]
    third = (await refreshed(api, second)).json()["refresh_token"]
    stolen = await refreshed(api, first)
    problem_of(stolen, 401, "refresh-token-refused")
    problem_of(await refreshed(api, third), 401, "refresh-token-refused")
    assert (await refreshed(api, other_login)).status_code == 200, "another login goes on"
    query = """
        SELECT outcome FROM audit_log WHERE chain = $1 AND action = 'auth.refresh_reused' AND request_id = $2
    """
    entries = await rows(api.installation, query, tenant["id"], stolen.headers["x-request-id"])
    assert entries == [{"outcome": "denied"}]


async def test_of_fifty_simultaneous_uses_of_a_refresh_token_one_wins(api: Api) -> None:
    slug = (await registered(api))["tenant"]["slug"]
    token = (await logged_in(api, slug)).json()["refresh_token"]
    answers = await asyncio.gather(*(refreshed(api, token) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 49
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    problem_of(await refreshed(api, winner["refresh_token"]), 401, "refresh-token-refused")


async def test_logging_out_ends_the_session_and_no_other(api: Api) -> None:
    slug = (await registered(api))["tenant"]["slug"]
    first = (await logged_in(api, slug)).json()["refresh_token"]
    second = (await logged_in(api, slug)).json()["refresh_token"]
    answer = await api.post("/auth/logout", json={"refresh_token": first})
    assert (answer.status_code, answer.content) == (204, b"")
    problem_of(await refreshed(api, first), 401, "refresh-token-refused")
    assert (await refreshed(api, second)).status_code == 200


async def test_logging_out_twice_or_with_an_unknown_token_is_no_error(api: Api) -> None:
    slug = (await registered(api))["tenant"]["slug"]
    token = (await logged_in(api, slug)).json()["refresh_token"]
    for text in (token, token, f"eur_{slug}_unknown"):
        assert (await api.post("/auth/logout", json={"refresh_token": text})).status_code == 204


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "eur_",
        "eur_no-such-tenant_abc",
        "eur_platform_abc",
        "eur_x'; DROP TABLE users; --_abc",
        "é",
    ],
)
async def test_a_refresh_token_that_was_never_issued_is_refused(api: Api, token: str) -> None:
    problem_of(await refreshed(api, token), 401, "refresh-token-refused")


@pytest.mark.parametrize(
    "body", [{}, {"refresh_token": ""}, {"refresh_token": "x" * 201}, {"refresh_token": 1}]
)
async def test_a_bad_body_is_refused_with_its_place(api: Api, body: dict[str, object]) -> None:
    for path in ("/auth/refresh", "/auth/logout"):
        (error,) = problem_of(await api.post(path, json=body), 422)["errors"]
        assert "refresh_token" in f"{error['field']}: {error['detail']}"


async def test_an_expired_refresh_token_is_refused(api: Api) -> None:
    slug = (await registered(api))["tenant"]["slug"]
    token = (await logged_in(api, slug)).json()["refresh_token"]
    schema = f"tenant_{slug.replace('-', '_')}"
    await api.installation.owner_pool.execute(
        f"UPDATE {schema}.refresh_tokens SET expires_at = now() - interval '1 s'"
    )
    problem_of(await refreshed(api, token), 401, "refresh-token-refused")
    query = "SELECT FROM public.audit_log WHERE action = 'auth.refresh_reused' AND subject = $1"
    [user] = await api.installation.owner_pool.fetch(f"SELECT id FROM {schema}.users")
    assert await rows(api.installation, query, f"user:{user['id']}") == [], "nobody used it twice"


# --- access tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YWRhOnB3",
        "Token {token}",
        "{token}",
        "Bearer {token} x",
        "Bearer\t{token}",
    ],
)
async def test_without_a_bearer_token_nobody_is_authenticated(
    api: Api, tenant: Tenant, header: str | None
) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    headers = {} if header is None else {"Authorization": header.format(token=owner.token)}
    for path in ("/auth/me", f"/tenants/{tenant.id}", "/tenants", f"/tenants/{tenant.id}/costs/current"):
        problem_of(await api.get(path, headers=headers), 401, "not-authenticated")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
async def test_the_scheme_is_read_without_case(api: Api, tenant: Tenant, scheme: str) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    answer = await api.get("/auth/me", headers={"Authorization": scheme + owner.token})
    assert answer.status_code == 200


async def test_an_expired_token_and_one_of_tomorrow_are_refused(api: Api, tenant: Tenant) -> None:
    account = await add_account(api.installation, tenant, Role.OWNER)
    now = datetime.now(UTC)
    for issued in (now - timedelta(seconds=1_000), now + timedelta(hours=1)):
        token = api.services.tokens.issue(account, tenant, issued, session_id=account.id)
        problem_of(await me_of(api, token), 401, "not-authenticated")


async def test_every_forged_token_is_refused(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    keys = api.services.ring.keys
    claims = jwt.decode(owner.token, keys.verifying, ["RS256"]).claims
    forged = {
        **foreign_signatures(keys, claims),
        **foreign_headers(keys, claims),
        **foreign_claims(keys, claims),
        **foreign_forms(keys, owner.token, claims),
    }
    assert (await me_of(api, owner.token)).status_code == 200
    for name, token in forged.items():
        headers = {b"Authorization": f"Bearer {token}".encode()}
        answer = await api.http.get(f"/api/v1/tenants/{tenant.id}/usage", headers=headers)
        assert answer.status_code == 401, name
        problem_of(answer, 401, "not-authenticated")


async def test_a_token_outlives_neither_its_account_nor_its_tenant(api: Api, tenant: Tenant) -> None:
    owner, other = await api.as_(Role.OWNER, tenant), await api.as_(Role.OWNER, tenant)
    for table in ("sessions", "users"):
        await api.installation.owner_pool.execute(f"DELETE FROM {tenant.schema}.{table}")
    problem_of(await owner.get("/auth/me"), 401, "not-authenticated")
    await put_into(api.installation, tenant, TenantState.DEPROVISIONING)
    problem_of(await other.get("/auth/me"), 410, "tenant-gone")


async def test_beside_a_token_the_tenant_header_may_only_repeat_it(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    for name in (tenant.slug, str(tenant.id)):
        assert (await owner.get("/auth/me", headers={"X-Tenant": name})).status_code == 200
    for name in ("another", str(uuid4()), ""):
        problem_of(await owner.get("/auth/me", headers={"X-Tenant": name}), 400, "tenant-header-disagrees")


async def test_whoever_is_logged_in_learns_who_it_is(api: Api, tenant: Tenant) -> None:
    caller: Caller = await api.as_(Role.VIEWER, tenant)
    me = (await caller.get("/auth/me")).json()
    assert me["user"] == msgspec.to_builtins(caller.account)
    assert me["tenant"] == msgspec.to_builtins(tenant)
