"""A worker is killed, stopped or put to sleep in the middle of a job: the job is completed exactly once."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
import pytest_asyncio

from core.job import JobKind, JobState
from core.period import Month, month_of_day
from core.resource import Resource
from core.usage import UsageEvent
from shell.migrations import TENANT
from shell.processes import WORKER, supervised
from shell.retention import BATCH
from tests.e2e.killing import JOB, OF_TENANT, crash, killable_platform
from tests.e2e.platform_process import Account, Client, until

NEVER = 3_600
PRICES = {Resource.CPU: Decimal("0.02"), Resource.STORAGE: Decimal("0.01")}
TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=age) for age in range(10, 0, -1)]
SPIKE = DAYS[-2]
LAST_MONTH = month_of_day(TODAY).preceding
MONTH_BEFORE = LAST_MONTH.preceding

SCHEMA = "CREATE SCHEMA {schema}"
USAGE_TABLE = "CREATE TABLE {schema}.usage_events ()"
FOUNDER = f"SELECT FROM public.founders WHERE {OF_TENANT} FOR UPDATE"

# Where the worker dies, as the locks that it meets on the way there; the first is held before the job begins.
PROVISIONING = {
    "before-its-schema": [SCHEMA],
    "amid-its-tables": [SCHEMA, JOB, USAGE_TABLE],
    "before-its-founder": [SCHEMA, FOUNDER],
    "before-its-job-is-done": [SCHEMA, FOUNDER, JOB],
}
CLOSING = {
    "before-its-costs": ["LOCK {schema}.cost_records IN SHARE MODE"],
    "before-its-batches-are-forgotten": ["LOCK {schema}.usage_batches IN SHARE MODE"],
    "before-its-anomalies": ["LOCK {schema}.anomalies IN SHARE MODE"],
    "before-its-job-is-done": ["LOCK {schema}.anomalies IN SHARE MODE", JOB],
}
INVOICING = {
    "before-its-draft": ["LOCK {schema}.invoices IN SHARE MODE"],
    "between-draft-and-issue": ["LOCK {schema}.invoices IN SHARE MODE", JOB],
    "between-number-and-bill": ["LOCK {schema}.cost_records IN SHARE MODE"],
    "before-its-job-is-done": ["LOCK {schema}.cost_records IN SHARE MODE", JOB],
}


@pytest_asyncio.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """API, worker and scheduler with short leases; nothing is closed or invoiced unless a test asks."""
    async with killable_platform(
        tmp_path_factory.mktemp("platform"), close_days_seconds=NEVER, invoice_scan_seconds=NEVER
    ) as client:
        yield client


# --- provisioning ---------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module")
async def provisioned(client: Client) -> dict[str, Account]:
    """Tenants whose provisioning was cut off, each at another place."""
    chains = {f"tenant-{place}": chain for place, chain in PROVISIONING.items()}
    answers = await crash(client, chains, [client.register(slug) for slug in chains])
    for answer in answers:  # 201 where all this takes less than the two seconds that an answer waits
        assert answer.status_code in {201, 202}, answer.text
        job = await client.done(answer.json()["job"]["id"])
        assert job.attempts == 2
    return {place: await client.log_in(f"tenant-{place}") for place in PROVISIONING}


@pytest.mark.parametrize("place", PROVISIONING)
async def test_a_tenant_whose_provisioning_was_cut_off_is_complete(
    client: Client, provisioned: dict[str, Account], place: str
) -> None:
    schema, fetchval = provisioned[place].schema, client.platform.fetchval
    assert await fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", schema) == 1
    versions = await fetchval(f"SELECT array_agg(version ORDER BY version) FROM {schema}.schema_migrations")
    assert versions == [migration.version for migration in TENANT]


@pytest.mark.parametrize("place", PROVISIONING)
async def test_a_tenant_whose_provisioning_was_cut_off_has_one_owner(
    client: Client, provisioned: dict[str, Account], place: str
) -> None:
    account, fetch = provisioned[place], client.platform.fetch
    owners = await fetch(f"SELECT email, role FROM {account.schema}.users")
    assert [tuple(owner) for owner in owners] == [(f"owner@{account.slug}.example", "OWNER")]
    assert not await fetch("SELECT FROM public.founders WHERE tenant_id = $1", account.tenant_id)


@pytest.mark.parametrize("place", PROVISIONING)
async def test_each_step_of_a_life_that_was_cut_off_is_audited_once(
    client: Client, provisioned: dict[str, Account], place: str
) -> None:
    tenant_id = provisioned[place].tenant_id
    state = await client.platform.fetchval("SELECT state FROM public.tenants WHERE id = $1", tenant_id)
    entries = await client.platform.fetch(
        "SELECT action FROM public.audit_log WHERE subject = $1 AND action LIKE 'tenant.%'"
        " ORDER BY occurred_at",
        f"tenant:{tenant_id}",
    )
    assert state == "ACTIVE"
    assert [entry["action"] for entry in entries] == ["tenant.founded", "tenant.provision", "tenant.complete"]


# --- aggregation ----------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module")
async def closed(client: Client) -> dict[str, Account]:
    """Tenants whose days were being closed when the worker died, each at another place."""
    accounts = await founded(client, [f"closing-{place}" for place in CLOSING])
    for account in accounts.values():
        for day in DAYS:
            answer = await client.record(account, usage_on(day))
            assert answer.status_code == 200, answer.text
    chains = {f"closing-{place}": chain for place, chain in CLOSING.items()}
    begin = [client.enqueue(JobKind.CLOSE_DAYS, account) for account in accounts.values()]
    for job_id in await crash(client, chains, begin):
        assert (await client.done(job_id)).attempts == 2
    return {place: accounts[f"closing-{place}"] for place in CLOSING}


@pytest.mark.parametrize("place", CLOSING)
async def test_days_whose_closing_was_cut_off_cost_what_their_events_cost(
    client: Client, closed: dict[str, Account], place: str
) -> None:
    schema = closed[place].schema
    assert await costs_in(client, schema) == costs_of([found for day in DAYS for found in usage_on(day)])
    assert not await client.platform.fetch(f"SELECT FROM {schema}.usage_batches")


@pytest.mark.parametrize("place", CLOSING)
async def test_days_whose_closing_was_cut_off_are_judged_once(
    client: Client, closed: dict[str, Account], place: str
) -> None:
    schema = closed[place].schema
    anomalies = await client.platform.fetch(f"SELECT day, resource FROM {schema}.anomalies")
    assert [tuple(anomaly) for anomaly in anomalies] == [(SPIKE, Resource.CPU)]
    assert await client.platform.fetchval(f"SELECT bool_and(judged) FROM {schema}.daily_usage")


async def test_usage_that_arrives_while_its_day_is_being_closed_is_closed_by_the_next_run(
    client: Client,
) -> None:
    account = await client.founded("late-usage")
    await client.record(account, usage_on(DAYS[0]))
    hold = await client.platform.hold(f"LOCK {account.schema}.cost_records IN SHARE MODE")
    first = await client.enqueue(JobKind.CLOSE_DAYS, account)
    await hold.halts_the_worker()
    late = [event(DAYS[0], Resource.CPU, "0.75", name="late")]
    assert (await client.record(account, late)).json()["accepted"] == 1
    await hold.release()
    await client.done(first)
    assert await costs_in(client, account.schema) == costs_of(usage_on(DAYS[0]))
    await client.done(await client.enqueue(JobKind.CLOSE_DAYS, account))
    assert await costs_in(client, account.schema) == costs_of([*usage_on(DAYS[0]), *late])


# --- invoicing ------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module")
async def invoiced(client: Client) -> dict[str, Account]:
    """Tenants whose first invoice was cut off, each at another place, and who have got a second one since."""
    accounts = await founded(client, [f"invoicing-{place}" for place in INVOICING])
    for account in accounts.values():
        await client.store(account, [*usage_in(MONTH_BEFORE), *usage_in(LAST_MONTH)])
    await done(client, JobKind.CLOSE_DAYS, accounts)
    chains = {f"invoicing-{place}": chain for place, chain in INVOICING.items()}
    begin = [
        client.enqueue(JobKind.INVOICE_MONTH, account, month=str(MONTH_BEFORE))
        for account in accounts.values()
    ]
    for job_id in await crash(client, chains, begin):
        assert (await client.done(job_id)).attempts == 2
    await done(client, JobKind.INVOICE_MONTH, accounts, month=str(LAST_MONTH))
    return {place: accounts[f"invoicing-{place}"] for place in INVOICING}


@pytest.mark.parametrize("place", INVOICING)
async def test_a_month_whose_invoicing_was_cut_off_has_one_invoice_and_no_number_is_skipped(
    client: Client, invoiced: dict[str, Account], place: str
) -> None:
    account = invoiced[place]
    rows = await client.platform.fetch(
        f"SELECT month, state, number FROM {account.schema}.invoices ORDER BY number"
    )
    prefix = f"{account.slug.upper()}-{datetime.now(UTC).year}"
    assert [tuple(row) for row in rows] == [
        (str(MONTH_BEFORE), "ISSUED", f"{prefix}-00001"),
        (str(LAST_MONTH), "ISSUED", f"{prefix}-00002"),
    ]


@pytest.mark.parametrize("place", INVOICING)
async def test_a_month_whose_invoicing_was_cut_off_is_billed_once(
    client: Client, invoiced: dict[str, Account], place: str
) -> None:
    schema, fetch = invoiced[place].schema, client.platform.fetch
    nets = await fetch(f"SELECT net FROM {schema}.invoices ORDER BY number")
    lines = await fetch(
        f"SELECT sum(amount) FROM {schema}.invoice_lines JOIN {schema}.invoices ON id = invoice_id"
        " GROUP BY number ORDER BY number"
    )
    expected = [net_of(usage_in(MONTH_BEFORE)), net_of(usage_in(LAST_MONTH))]
    assert [row["net"] for row in nets] == expected
    assert [row["sum"] for row in lines] == expected
    assert not await fetch(f"SELECT FROM {schema}.cost_records WHERE amount <> invoiced_amount")


@pytest.mark.parametrize("place", INVOICING)
async def test_an_invoice_that_was_cut_off_is_audited_once(
    client: Client, invoiced: dict[str, Account], place: str
) -> None:
    entries = await client.platform.fetch(
        "SELECT subject FROM public.audit_log WHERE chain = $1 AND action = 'invoice.issued'"
        " ORDER BY occurred_at",
        str(invoiced[place].tenant_id),
    )
    issued = await client.platform.fetch(
        f"SELECT 'invoice:' || id AS subject FROM {invoiced[place].schema}.invoices ORDER BY number"
    )
    assert entries == issued


# --- retention ------------------------------------------------------------------------------------


async def test_a_run_of_retention_that_was_cut_off_between_two_batches_deletes_the_rest(
    client: Client,
) -> None:
    account = await client.founded("retaining")
    schema, fetchval = account.schema, client.platform.fetchval
    now = datetime.now(UTC)
    horizon = now - timedelta(days=100)
    await client.platform.fetch(
        f"INSERT INTO {schema}.usage_events (source, id, resource, quantity, occurred_at, received_at)"
        " SELECT 'vm-1', n::text, 'cpu', 1, $1::timestamptz + make_interval(secs => n), $2"
        f" FROM generate_series(1, {2 * BATCH}) AS n",
        horizon - timedelta(days=100),
        now,
    )
    await client.platform.fetch(
        f"INSERT INTO {schema}.retention_marks (target, before, marked_at) VALUES ('usage_events', $1, $2)",
        horizon,
        now - timedelta(days=31),
    )
    last = f"SELECT FROM {schema}.usage_events WHERE id = '{2 * BATCH}' FOR UPDATE"
    begin = [client.enqueue(JobKind.RETAIN, account)]
    [job_id] = await crash(client, {account.slug: [last]}, begin)
    assert (await client.done(job_id)).attempts == 2
    assert await fetchval(f"SELECT count(*) FROM {schema}.usage_events") == 0
    assert await fetchval(f"SELECT count(*) FROM {schema}.spent_keys") == 2 * BATCH
    deleted = await client.platform.fetch(
        "SELECT details::jsonb ->> 'usage_events_deleted' AS count FROM public.audit_log"
        " WHERE chain = $1 AND action = 'retention.run' AND details LIKE '%usage_events_deleted%'",
        str(account.tenant_id),
    )
    assert [row["count"] for row in deleted] == [str(BATCH)], "the first batch was committed before the crash"


async def test_a_run_that_was_cut_off_between_two_batches_of_audit_details_erases_the_rest(
    client: Client,
) -> None:
    account = await client.founded("forgetting")
    chain, now = str(account.tenant_id), datetime.now(UTC)
    await client.platform.fetch(
        "INSERT INTO public.audit_log (id, chain, occurred_at, actor_kind, action, subject, outcome, details)"
        " SELECT gen_random_uuid(), $1, $2::timestamptz + make_interval(secs => n), 'system', 'thing.done',"
        f""" 'thing:' || n, 'success', '{{"a":"b"}}' FROM generate_series(1, {2 * BATCH}) AS n""",
        chain,
        now - timedelta(days=300),
    )
    await client.platform.fetch(
        "INSERT INTO public.retention_policies (tenant_id, transactional_days, user_activity_days,"
        " files_days, grace_days, audit_details_days, changed_at) VALUES ($1, 90, 180, 365, 30, 180, $2)",
        account.tenant_id,
        now,
    )

    async def counted(condition: str) -> int:
        query = "SELECT count(*) FROM public.audit_log WHERE chain = $1 AND action = 'thing.done' AND "
        return int(await client.platform.fetchval(query + condition, chain))

    async def all_have_their_place() -> bool:
        return await counted("sequence IS NULL") == 0

    await until(all_have_their_place)
    last = (
        f"SELECT FROM public.audit_log WHERE chain = '{chain}' AND subject = 'thing:{2 * BATCH}' FOR UPDATE"
    )
    begin = [client.enqueue(JobKind.RETAIN, account)]
    [job_id] = await crash(client, {account.slug: [last]}, begin)
    assert (await client.done(job_id)).attempts == 2
    assert await counted("details IS NULL AND salt IS NULL") == 2 * BATCH
    query = (
        "SELECT details::jsonb ->> 'audit_details_erased' FROM public.audit_log"
        " WHERE chain = $1 AND action = 'retention.run' AND details LIKE '%audit_details_erased%'"
    )
    told = await client.platform.fetchval(query, chain)
    assert told == str(BATCH), "the first batch was committed before the crash"


# --- other ends -----------------------------------------------------------------------------------


async def test_a_worker_that_is_asked_to_stop_gives_its_job_back_and_the_next_takes_it_up_at_once(
    client: Client,
) -> None:
    account = await client.founded("given-back")
    await client.record(account, usage_on(DAYS[0]))
    hold = await client.platform.hold(f"LOCK {account.schema}.cost_records IN SHARE MODE")
    job_id = await client.enqueue(JobKind.CLOSE_DAYS, account)
    await hold.halts_the_worker()
    client.platform.stop(WORKER)
    given_back = await client.job(job_id)
    assert (given_back.state, given_back.attempts) == (JobState.QUEUED, 0)
    assert client.platform.log(WORKER)[-1]["event"] == "worker.stopped"
    await hold.release()
    client.platform.start(WORKER)
    assert (await client.done(job_id)).attempts == 1
    assert await costs_in(client, account.schema) == costs_of(usage_on(DAYS[0]))


async def test_a_worker_that_slept_through_its_lease_does_no_harm_when_it_wakes_up(client: Client) -> None:
    account = await client.founded("slept")
    await client.record(account, usage_on(DAYS[0]))
    hold = await client.platform.hold(f"LOCK {account.schema}.cost_records IN SHARE MODE")
    job_id = await client.enqueue(JobKind.CLOSE_DAYS, account)
    await hold.halts_the_worker()
    client.platform.signal(WORKER, signal.SIGSTOP)
    with supervised(client.platform.settings, WORKER):
        await hold.release()

        async def is_taken_up() -> bool:
            return (await client.job(job_id)).attempts == 2

        await until(is_taken_up)
        client.platform.signal(WORKER, signal.SIGCONT)
        await client.done(job_id)
    assert await costs_in(client, account.schema) == costs_of(usage_on(DAYS[0]))


# --- what the tests do ----------------------------------------------------------------------------


async def founded(client: Client, slugs: Sequence[str]) -> dict[str, Account]:
    """Several tenants at once."""
    accounts = await asyncio.gather(*(client.founded(slug) for slug in slugs))
    return dict(zip(slugs, accounts, strict=True))


async def done(client: Client, kind: JobKind, accounts: Mapping[str, Account], **args: str) -> None:
    """Run a job for each tenant, undisturbed."""
    queued = [await client.enqueue(kind, account, **args) for account in accounts.values()]
    for job_id in queued:
        await client.done(job_id)


def event(day: date, resource: Resource, quantity: str, *, name: str = "1") -> UsageEvent:
    """Usage at noon, which is on the same day everywhere in the EU."""
    at = datetime.combine(day, time(12), UTC)
    return UsageEvent(f"{day}-{resource}-{name}", "vm-1", resource, Decimal(quantity), at)


def usage_on(day: date) -> list[UsageEvent]:
    """A day's usage: two resources, one of them in two events; one day stands out."""
    quantity = "100.25" if day == SPIKE else f"{10 + day.toordinal() % 2}.25"
    return [
        event(day, Resource.CPU, quantity),
        event(day, Resource.CPU, "0.0001", name="2"),
        event(day, Resource.STORAGE, f"{3 + day.toordinal() % 2}.3333"),
    ]


def usage_in(month: Month) -> list[UsageEvent]:
    """Usage on three days of a month."""
    return [found for age in range(3) for found in usage_on(month.last_day - timedelta(days=age))]


def costs_of(events: Sequence[UsageEvent]) -> dict[tuple[date, str], tuple[Decimal, Decimal]]:
    """Quantity and cost of each day and resource, computed with nothing but sums and products."""
    quantities: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
    for item in events:
        quantities[item.occurred_at.date(), item.resource] += item.quantity
    return {
        (day, resource): (quantity, quantity * PRICES[Resource(resource)])
        for (day, resource), quantity in quantities.items()
    }


async def costs_in(client: Client, schema: str) -> dict[tuple[date, str], tuple[Decimal, Decimal]]:
    """Quantity and cost of each day and resource, as the platform has recorded them."""
    rows = await client.platform.fetch(f"SELECT day, resource, quantity, amount FROM {schema}.cost_records")
    return {(row["day"], row["resource"]): (row["quantity"], row["amount"]) for row in rows}


def net_of(events: Sequence[UsageEvent]) -> Decimal:
    """What an invoice over these events asks for before VAT: one line a resource, each rounded to cents."""
    lines: dict[str, Decimal] = defaultdict(Decimal)
    for (_, resource), (_, amount) in costs_of(events).items():
        lines[resource] += amount
    return sum((line.quantize(Decimal("0.01"), ROUND_HALF_UP) for line in lines.values()), Decimal(0))
