"""Invoices: one a month, numbered without a gap, never changed once they are issued."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from core.errors import NotFound
from core.invoicing import Invoice, InvoiceState, Party
from core.money import to_cents
from core.period import Month
from core.resource import Resource
from core.tenant import Tenant, TenantState
from shell import invoices, tenants
from shell.session import TenantSession, platform_session, tenant_session
from tests.events import close, on, store, used
from tests.installation import Installation, administrator, found, put_into, rows
from tests.waiting import until

SELLER = Party("EU Platform GmbH", "DE", "DE999999999")
MAY, JUNE, JULY = Month(2026, 5), Month(2026, 6), Month(2026, 7)
NOW = datetime(2026, 8, 2, 12, tzinfo=UTC)


def first_of(month: Month) -> date:
    return month.first_day


async def issue(installation: Installation, tenant: Tenant, month: Month, now: datetime = NOW) -> str | None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        issued = await invoices.issue_month(session, month, SELLER, now)
        return None if issued is None else (await invoices.get(session, issued)).number


async def draft(installation: Installation, tenant: Tenant, month: Month) -> UUID | None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        return await invoices.draft_month(session, month, SELLER, NOW)


async def all_of(installation: Installation, tenant: Tenant) -> list[Invoice]:
    """Every invoice with its lines, the earliest month first."""
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        summaries = await invoices.page(session, after=None, limit=1_000)
        return [await invoices.get(session, summary.id) for summary in reversed(summaries)]


async def issued(installation: Installation, tenant: Tenant) -> UUID:
    """An issued invoice of two lines."""
    usage = [on(first_of(JUNE), "100"), on(first_of(JUNE), "30", resource=Resource.STORAGE)]
    await used(installation, tenant, usage)
    await issue(installation, tenant, JUNE)
    (invoice,) = await all_of(installation, tenant)
    return invoice.id


# --- content --------------------------------------------------------------------------------------


async def test_an_invoice_says_what_was_used_at_which_price(
    installation: Installation, tenant: Tenant
) -> None:
    days = [on(date(2026, 6, number), "10.5") for number in range(1, 31)]
    await used(installation, tenant, [*days, on(date(2026, 6, 9), "4", resource=Resource.API_CALLS)])
    number = await issue(installation, tenant, JUNE)
    (invoice,) = await all_of(installation, tenant)
    assert (invoice.number, invoice.state, invoice.month) == (number, InvoiceState.ISSUED, "2026-06")
    assert number == f"{tenant.slug.upper()}-2026-00001"
    assert [
        (line.position, line.description, line.quantity, line.unit_price, line.amount.amount)
        for line in invoice.lines
    ] == [
        (1, "api_calls (call)", Decimal(4), Decimal("0.0001"), Decimal("0.00")),
        (2, "cpu (vCPU-hour)", Decimal(315), Decimal("0.02"), Decimal("6.30")),
    ]
    assert (invoice.net.amount, invoice.vat.amount, invoice.total.amount) == (
        Decimal("6.30"), Decimal("1.20"), Decimal("7.50"),
    )  # fmt: skip
    assert (invoice.vat_rule, invoice.vat_rate, invoice.currency) == ("domestic", Decimal(19), "EUR")
    assert (invoice.seller, invoice.buyer) == (SELLER, Party("Acme GmbH", "DE"))
    assert (invoice.issued_at, invoice.due_on) == (NOW, date(2026, 8, 16))


@pytest.mark.parametrize(
    ("country", "vat_id", "rule", "vat"),
    [
        ("DE", "DE123456789", "domestic", "3.80"),
        ("AT", "ATU12345678", "reverse_charge", "0.00"),
        ("AT", None, "eu_consumer", "4.00"),
        ("US", None, "outside_eu", "0.00"),
    ],
)
async def test_the_tax_follows_from_where_the_tenant_is(
    installation: Installation, country: str, vat_id: str | None, rule: str, vat: str
) -> None:
    tenant = await found(installation, country=country, vat_id=vat_id)
    await used(installation, tenant, [on(first_of(JUNE), "1000")])
    await issue(installation, tenant, JUNE)
    (invoice,) = await all_of(installation, tenant)
    assert (invoice.vat_rule, invoice.vat.amount) == (rule, Decimal(vat))
    assert invoice.total.amount == Decimal(20) + Decimal(vat)
    assert bool(invoice.note) is (rule != "domestic")


async def test_the_preview_is_the_invoice_that_would_be_issued(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(date(2026, 6, number), "1.234567") for number in range(1, 20)])
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        preview = await invoices.preview(session, JUNE, SELLER)
    await issue(installation, tenant, JUNE)
    (invoice,) = await all_of(installation, tenant)
    assert preview == type(preview)(
        **{name: getattr(invoice, name) for name in type(preview).__struct_fields__}
    )


async def test_an_issued_invoice_keeps_the_billing_data_of_its_day(
    installation: Installation, tenant: Tenant
) -> None:
    await issued(installation, tenant)
    async with platform_session(installation.pool) as session:
        await tenants.update(session, tenant.id, {"name": "Renamed", "country": "AT"})
    (invoice,) = await all_of(installation, tenant)
    assert invoice.buyer == Party("Acme GmbH", "DE")


async def test_a_month_without_usage_has_no_invoice_and_uses_no_number(
    installation: Installation, tenant: Tenant
) -> None:
    assert await issue(installation, tenant, JUNE) is None
    assert await all_of(installation, tenant) == []
    await used(installation, tenant, [on(first_of(JULY), "100")])
    assert await issue(installation, tenant, JULY) == f"{tenant.slug.upper()}-2026-00001"


async def test_what_is_used_later_is_not_on_the_invoice(installation: Installation, tenant: Tenant) -> None:
    await used(installation, tenant, [on(JUNE.last_day, "100"), on(first_of(JULY), "900")])
    await issue(installation, tenant, JUNE)
    (invoice,) = await all_of(installation, tenant)
    assert invoice.net.amount == Decimal(2)


# --- late usage ---------------------------------------------------------------------------------


async def test_late_usage_is_on_the_next_invoice_and_says_so(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100"), on(first_of(JULY), "50")])
    await issue(installation, tenant, JUNE)
    late = [on(first_of(JUNE), "7", source="late"), on(first_of(MAY), "9", source="late")]
    await used(installation, tenant, late)
    assert await issue(installation, tenant, JUNE) is None, "a month is invoiced once"
    await issue(installation, tenant, JULY)
    _, july = await all_of(installation, tenant)
    assert [(line.description, line.quantity, line.amount.amount) for line in july.lines] == [
        ("cpu (vCPU-hour), late usage of 2026-05", Decimal(9), Decimal("0.18")),
        ("cpu (vCPU-hour), late usage of 2026-06", Decimal(7), Decimal("0.14")),
        ("cpu (vCPU-hour)", Decimal(50), Decimal("1.00")),
    ]


async def test_over_all_invoices_everything_is_billed_once(
    installation: Installation, tenant: Tenant
) -> None:
    months = [Month(2026, number) for number in range(1, 8)]
    for index, month in enumerate(months):
        usage = [
            on(date(month.year, month.month, day), f"{day}.{index}37", resource=resource)
            for day in (1, 11, 28)
            for resource in (Resource.CPU, Resource.NETWORK)
        ]
        late = [on(each.first_day, "0.123457", source=f"late-{month}") for each in months[:index]]
        await used(installation, tenant, usage + late)
        assert await issue(installation, tenant, month) is not None
    found_invoices = await all_of(installation, tenant)
    lines = [line for invoice in found_invoices for line in invoice.lines]
    for resource in (Resource.CPU, Resource.NETWORK):
        records = f"{tenant.schema}.cost_records WHERE resource = $1"
        (cost,) = await rows(
            installation, f"SELECT sum(quantity) AS q, sum(amount) AS a FROM {records}", resource.value
        )
        of_resource = [line for line in lines if line.resource is resource]
        assert sum(line.quantity for line in of_resource) == cost["q"]
        billed = sum(line.amount.amount for line in of_resource)
        assert abs(billed - Decimal(str(cost["a"]))) <= Decimal("0.005") * len(of_resource)
    for invoice in found_invoices:
        assert invoice.net.amount == sum(line.amount.amount for line in invoice.lines)
        assert all(line.amount.amount == to_cents(line.amount.amount) for line in invoice.lines)
        assert invoice.total.amount == invoice.net.amount + invoice.vat.amount
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        assert not await invoices.has_unbilled(session, months[-1])


# --- once, whatever happens -------------------------------------------------------------------------


async def test_ten_who_issue_a_month_at_once_make_one_invoice_and_use_one_number(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    numbers = await asyncio.gather(*(issue(installation, tenant, JUNE) for _ in range(10)))
    assert [number for number in numbers if number] == [f"{tenant.slug.upper()}-2026-00001"]
    assert len(await all_of(installation, tenant)) == 1
    assert await rows(installation, f"SELECT * FROM {tenant.schema}.invoice_numbers") == [
        {"year": 2026, "last": 1}
    ]


async def test_many_months_of_many_tenants_at_once_are_numbered_without_a_gap(
    installation: Installation,
) -> None:
    all_tenants = [await found(installation) for _ in range(4)]
    months = [Month(2026, number) for number in range(1, 8)]
    for tenant in all_tenants:
        await used(installation, tenant, [on(month.first_day, "100") for month in months])
    await asyncio.gather(
        *(issue(installation, tenant, month) for month in months for tenant in all_tenants for _ in range(3))
    )
    for tenant in all_tenants:
        numbers = sorted(invoice.number or "" for invoice in await all_of(installation, tenant))
        stem = tenant.slug.upper()
        assert numbers == [f"{stem}-2026-{number:05d}" for number in range(1, len(numbers) + 1)]
        query = f"SELECT sum(amount - invoiced_amount) AS open FROM {tenant.schema}.cost_records"
        assert await rows(installation, query) == [{"open": Decimal(0)}]
        billed = sum(invoice.net.amount for invoice in await all_of(installation, tenant))
        assert billed == Decimal(2 * len(months)), "nothing is billed twice"


async def test_usage_that_is_closed_while_a_month_is_issued_is_billed_once(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    await store(installation, tenant, on(JUNE.last_day, "50"), on(first_of(JULY), "1"))
    async with administrator(installation.admin_url) as admin, admin.transaction():
        # Issuing waits for this row, after it has read what is unbilled.
        await admin.execute(f"INSERT INTO {tenant.schema}.invoice_numbers VALUES (2026, 0)")
        issuing = asyncio.create_task(issue(installation, tenant, JUNE))
        await waits_for_a_lock(installation, tenant, issuing, waiters=1)
        closing = asyncio.create_task(close(installation, tenant))
        await waits_for_a_lock(installation, tenant, closing, waiters=2)
    await asyncio.gather(issuing, closing)
    assert await issue(installation, tenant, JULY) is not None
    billed = [invoice.net.amount for invoice in await all_of(installation, tenant)]
    assert sum(billed) == Decimal("3.02")


async def waits_for_a_lock(
    installation: Installation, tenant: Tenant, task: "asyncio.Task[Any]", *, waiters: int
) -> None:
    """Return when so many sessions that use the tenant's costs wait for a lock, or the task is done."""
    query = """
        SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid IN
            (SELECT pid FROM pg_locks WHERE relation = ($1 || '.cost_records')::regclass)
    """

    async def is_so() -> bool:
        return task.done() or len(await rows(installation, query, tenant.schema)) >= waiters

    await until(is_so)


async def test_an_invoice_that_fails_after_its_number_was_taken_leaves_no_gap(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    with pytest.raises(KeyError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            assert await invoices.issue_month(session, JUNE, SELLER, NOW) is not None
            raise KeyError
    assert await all_of(installation, tenant) == []
    assert await issue(installation, tenant, JUNE) == f"{tenant.slug.upper()}-2026-00001"


async def test_a_draft_that_a_crash_left_behind_is_made_anew(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    first = await draft(installation, tenant, JUNE)
    await used(installation, tenant, [on(first_of(JUNE), "50", source="vm-2")])
    second = await draft(installation, tenant, JUNE)
    assert first != second
    (kept,) = await all_of(installation, tenant)
    assert (kept.id, kept.state, kept.number) == (second, InvoiceState.DRAFT, None)
    assert kept.net.amount == Decimal(3)
    await issue(installation, tenant, JUNE)
    (invoice,) = await all_of(installation, tenant)
    assert (invoice.state, invoice.net.amount) == (InvoiceState.ISSUED, Decimal(3))


async def test_ten_who_draft_a_month_at_once_make_one_draft(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    await asyncio.gather(*(draft(installation, tenant, JUNE) for _ in range(10)))
    assert [invoice.state for invoice in await all_of(installation, tenant)] == [InvoiceState.DRAFT]


async def test_a_draft_bills_nothing(installation: Installation, tenant: Tenant) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    await draft(installation, tenant, JUNE)
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        assert await invoices.has_unbilled(session, JUNE)
        assert not await invoices.is_invoiced(session, JUNE)


async def test_numbers_begin_anew_in_the_tenants_new_year(installation: Installation) -> None:
    tenant = await found(installation, time_zone="Pacific/Auckland")
    months = [Month(2026, 11), Month(2026, 12)]
    await used(
        installation, tenant, [on(month.first_day, "100", time_zone="Pacific/Auckland") for month in months]
    )
    still_old = datetime(2026, 12, 31, 10, 59, 59, tzinfo=UTC)  # 23:59:59 in Auckland
    stem = tenant.slug.upper()
    assert await issue(installation, tenant, months[0], still_old) == f"{stem}-2026-00001"
    new = still_old + timedelta(seconds=1)
    assert await issue(installation, tenant, months[1], new) == f"{stem}-2027-00001"


# --- what the database refuses ----------------------------------------------------------------------


async def changed_rows(session: TenantSession, statement: str, *arguments: object) -> int:
    return int((await session.connection.execute(statement, *arguments)).rpartition(" ")[2])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE invoices SET total = 0 WHERE id = $1",
        "UPDATE invoices SET state = 'DRAFT', number = NULL WHERE id = $1",
        "UPDATE invoices SET state = 'VOID' WHERE id = $1",
        "DELETE FROM invoices WHERE id = $1",
        "UPDATE invoice_lines SET amount = 0 WHERE invoice_id = $1",
        "DELETE FROM invoice_lines WHERE invoice_id = $1",
    ],
)
async def test_an_issued_invoice_cannot_be_changed_by_its_tenant(
    installation: Installation, tenant: Tenant, statement: str
) -> None:
    invoice_id = await issued(installation, tenant)
    before = await all_of(installation, tenant)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await changed_rows(session, statement, invoice_id) == 0
    assert await all_of(installation, tenant) == before


ADD_A_LINE = """
    INSERT INTO invoice_lines SELECT $1, 99, resource, description, quantity, unit, unit_price, amount
    FROM invoice_lines LIMIT 1
"""
MAKE_ONE_ISSUED = """
    INSERT INTO invoices SELECT gen_random_uuid(), '2020-01', 'ISSUED', 'X-1', currency, seller, buyer, net,
        vat_rule, vat_rate, vat, total, note, created_at FROM invoices WHERE id = $1
"""
REPLACE_IT = (
    "INSERT INTO invoices SELECT * FROM invoices WHERE id = $1 ON CONFLICT (id) DO UPDATE SET total = 0"
)


@pytest.mark.parametrize(
    "statement",
    [
        ADD_A_LINE,
        MAKE_ONE_ISSUED,
        REPLACE_IT,
        "TRUNCATE invoices CASCADE",
        "ALTER TABLE invoices DISABLE ROW LEVEL SECURITY",
        "DROP POLICY changes_as_draft ON invoices",
    ],
)
async def test_nothing_is_added_to_an_issued_invoice_and_none_is_made_issued(
    installation: Installation, tenant: Tenant, statement: str
) -> None:
    invoice_id = await issued(installation, tenant)
    before = await all_of(installation, tenant)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            arguments = [invoice_id] if "$1" in statement else []
            await session.connection.execute(statement, *arguments)
    assert await all_of(installation, tenant) == before


async def test_a_draft_can_be_changed_and_dropped_with_its_lines(
    installation: Installation, tenant: Tenant
) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    invoice_id = await draft(installation, tenant, JUNE)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await changed_rows(session, "UPDATE invoices SET note = 'x' WHERE id = $1", invoice_id) == 1
        assert await changed_rows(session, "DELETE FROM invoice_lines WHERE invoice_id = $1", invoice_id) == 1
        assert await changed_rows(session, "DELETE FROM invoices WHERE id = $1", invoice_id) == 1


@pytest.mark.parametrize("state", ["PAID", "VOID"])
async def test_a_draft_can_only_become_an_issued_invoice(
    installation: Installation, tenant: Tenant, state: str
) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    await draft(installation, tenant, JUNE)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.execute("UPDATE invoices SET state = $1, number = 'X'", state)


async def test_a_month_cannot_have_two_invoices(installation: Installation, tenant: Tenant) -> None:
    await issued(installation, tenant)
    copy = """
        INSERT INTO invoices SELECT gen_random_uuid(), month, 'DRAFT', NULL, currency, seller, buyer, net,
            vat_rule, vat_rate, vat, total, note, created_at, NULL, NULL FROM invoices
    """
    with pytest.raises(asyncpg.UniqueViolationError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.execute(copy)


# --- reading ----------------------------------------------------------------------------------------


async def test_an_unknown_invoice_is_not_found(installation: Installation, tenant: Tenant) -> None:
    with pytest.raises(NotFound):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await invoices.get(session, uuid4())


async def test_another_tenants_invoice_is_not_found(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    invoice_id = await issued(installation, other_tenant)
    with pytest.raises(NotFound):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await invoices.get(session, invoice_id)


async def test_a_suspended_tenant_is_still_invoiced(installation: Installation, tenant: Tenant) -> None:
    await used(installation, tenant, [on(first_of(JUNE), "100")])
    await put_into(installation, tenant, TenantState.SUSPENDED)
    assert await issue(installation, tenant, JUNE) is not None


async def test_pages_hold_every_invoice_once_from_the_latest_month(
    installation: Installation, tenant: Tenant
) -> None:
    months = [Month(2026, number) for number in range(1, 8)]
    await store(installation, tenant, *(on(month.first_day, "100") for month in months))
    await close(installation, tenant)
    for month in months:
        await issue(installation, tenant, month)
    seen: list[str] = []
    after = None
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        while True:
            found_page = await invoices.page(session, after=after, limit=3)
            seen += [summary.month for summary in found_page[:3]]
            if len(found_page) <= 3:
                break
            after = (found_page[2].month, found_page[2].id)
    assert seen == [str(month) for month in reversed(months)]
