"""A worker is killed between and inside any two steps of an erasure, or loses a server: one end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from core.audit import SYSTEM
from core.erasure import STEPS, Step
from core.job import JobState
from shell import certificates, legal_archive
from shell.embedded.postgres import stop_postgres
from shell.embedded.redis import stop_redis
from shell.keys import secret_keys
from shell.object_store import ObjectStore
from shell.session import platform_session
from tests.e2e.killing import JOB, crash, killable_platform, named
from tests.e2e.platform_process import Account, Client, until
from tests.erasure import INVOICE, LINE

AT_ONCE = 4
"""Jobs that a worker runs at a time, and so the places to which it can be led at once."""

# The record of a step, made by the test: the worker waits for it at the end of the step's transaction.
RECORD = """
SET LOCAL session_replication_role = replica;
INSERT INTO public.erasure_steps (tenant_id, step, finished_at, facts)
SELECT id, '{step}', now(), '' FROM public.tenants WHERE slug = '{{slug}}'
"""
PLACES = {f"inside-{step.replace('_', '-')}": [RECORD.format(step=step)] for step in STEPS}
PLACES |= {f"after-{step.replace('_', '-')}": [RECORD.format(step=step), JOB] for step in STEPS[:-1]}


@pytest_asyncio.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """API, worker and scheduler with short leases, and no time to change one's mind."""
    async with killable_platform(tmp_path_factory.mktemp("platform"), erasure_waiting_days=0) as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def erased(client: Client) -> dict[str, Account]:
    """Tenants whose erasure was cut off, each at another place."""
    founded = await asyncio.gather(*(filled(client, place) for place in PLACES))
    accounts = dict(zip(PLACES, founded, strict=True))
    names = list(PLACES)
    for places in [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]:
        chains = {place: PLACES[place] for place in places}
        begin = [ask_for_erasure(client, accounts[place]) for place in places]
        for job_id in await crash(client, chains, begin):
            assert (await client.done(job_id)).attempts == 2
    return accounts


@pytest.mark.parametrize("place", PLACES)
async def test_an_erasure_that_was_cut_off_comes_to_the_same_end(
    client: Client, erased: dict[str, Account], place: str
) -> None:
    await require_erased(client, erased[place])


async def test_an_erasure_that_postgres_leaves_in_the_lurch_comes_to_the_same_end(client: Client) -> None:
    account = await filled(client, "without-postgres")
    hold = await client.platform.hold(named(RECORD.format(step=Step.DELETE_DATA), account.slug))
    job_id = await ask_for_erasure(client, account)
    await hold.halts_the_worker()
    stop_postgres(client.platform.postgres)
    client.platform.start_postgres()
    await client.done(job_id)
    await require_erased(client, account)


async def test_an_erasure_that_redis_leaves_in_the_lurch_comes_to_the_same_end(client: Client) -> None:
    account = await filled(client, "without-redis")
    hold = await client.platform.hold(named(RECORD.format(step=Step.DROP_SCHEMA), account.slug))
    job_id = await ask_for_erasure(client, account)
    await hold.halts_the_worker()
    stop_redis(client.platform.redis)

    async def has_failed() -> bool:
        return (await client.job(job_id)).state is JobState.QUEUED

    await hold.release()
    await until(has_failed)
    client.platform.start_redis()
    assert (await client.done(job_id)).attempts >= 2
    await require_erased(client, account)


# --- what the tests do ------------------------------------------------------------------------------


async def filled(client: Client, slug: str) -> Account:
    """A tenant that has been invoiced once."""
    account = await client.founded(slug)
    for statement in (INVOICE, LINE):
        await client.platform.fetch(statement.format(schema=account.schema))
    return account


async def ask_for_erasure(client: Client, account: Account) -> UUID:
    """The job of an erasure that was asked for over HTTP."""
    answer = await client.http.post(
        f"/api/v1/tenants/{account.tenant_id}/gdpr/erase",
        json={"confirm": account.slug},
        headers=account.headers,
    )
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def require_erased(client: Client, account: Account) -> None:
    """The end: nothing of the tenant but its archive, its certificate, and one entry for each event."""
    tenant_id, fetch, fetchval = account.tenant_id, client.platform.fetch, client.platform.fetchval
    row = (await fetch("SELECT state, slug, name FROM public.tenants WHERE id = $1", tenant_id))[0]
    assert tuple(row) == ("DELETED", f"erased-{tenant_id.hex}", "erased")
    for catalogue, column in (("pg_namespace", "nspname"), ("pg_roles", "rolname")):
        assert not await fetch(f"SELECT FROM {catalogue} WHERE {column} = $1", account.schema)
    erasure = await fetch("SELECT state, identifiers FROM public.erasures WHERE tenant_id = $1", tenant_id)
    assert [tuple(each) for each in erasure] == [("DONE", None)]
    steps = await fetch("SELECT step FROM public.erasure_steps WHERE tenant_id = $1 ORDER BY 1", tenant_id)
    assert [each["step"] for each in steps] == sorted(STEPS)
    assert await audited(client, account) == ["tenant.erasure_requested", "tenant.delete", "tenant.erase"]
    assert (
        await fetchval("SELECT count(*) FROM public.erasure_certificates WHERE tenant_id = $1", tenant_id)
        == 1
    )
    await require_proof(client, tenant_id)


async def audited(client: Client, account: Account) -> Sequence[str]:
    """What the audit log says of the end of a tenant."""
    entries = await client.platform.fetch(
        "SELECT action FROM public.audit_log WHERE subject = $1 AND action LIKE 'tenant.%' AND action NOT IN"
        " ('tenant.founded', 'tenant.provision', 'tenant.complete') ORDER BY occurred_at",
        f"tenant:{account.tenant_id}",
    )
    return [entry["action"] for entry in entries]


async def require_proof(client: Client, tenant_id: UUID) -> None:
    """The certificate is clean and genuine, and the archive can be read."""
    settings = client.platform.settings
    secret = secret_keys(settings)
    async with platform_session(client.pool) as session:
        certificate = await certificates.get(session, tenant_id, secret)
        content = await legal_archive.read(
            session, tenant_id, ObjectStore(settings), secret, actor=SYSTEM, reason="a tax audit"
        )
    assert certificate.statement.is_clean, certificate.statement.scan.findings
    assert certificates.is_genuine(certificate.statement, certificate.signature, certificate.public_key)
    assert [each["number"] for each in msgspec.json.decode(content)["invoices"]] == ["ACME-2026-00001"]
