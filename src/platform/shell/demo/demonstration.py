"""The whole pipeline once, for three customers: usage, days, costs, anomalies, invoices."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from core.evaluation import Evaluation, LabelledWindow, evaluate_series
from core.period import INSTANT, Month, day_start, month_of
from core.resource import Resource
from core.tenant import Tenant
from shell.api_client import ApiClient
from shell.commands.connect import Connected
from shell.demo.accounts import founded, log_in_as_operator
from shell.demo.customers import CUSTOMERS, Customer
from shell.demo.generator import DAY, GeneratedUsage, generate_usage
from shell.demo.pipeline import close_days, invoice_months
from shell.demo.reading import Findings, read_findings
from shell.demo.report import Evaluated, Report, Reported
from shell.demo.sending import send_usage
from shell.demo.series import RecordedSeries, evaluate, import_series
from shell.demo.steps import Steps
from shell.keys import kept_secret

RECORDED: Final = (
    "{events:,} measurements of AWS machines, five minutes apart, recorded in 2014 (Numenta Anomaly "
    "Benchmark) and moved by whole days to end with {month}. Three tenants have imported them, each in a "
    "database schema of its own. What follows, each has read over HTTP with its own login."
)
RECORDED_HEADING: Final = "The rule for anomalies, compared with windows of time that people labelled"
RECORDED_LABELS: Final = (
    "each series alone, at its original dates, by its sums over days of UTC, as soon as three complete days "
    "came before. A first or last day that the series covers in part does not count. The windows are hours "
    "long: what is odd for some hours can drown in a day's sum, and it widens the range of the next week."
)
LAST_DAY: Final = "The series end in the course of {day}, so that little use on that day means nothing."
GENERATED: Final = (
    "{events:,} generated measurements of machines, an hour apart, until now: no recorded series were found "
    "(--series names their folder). Three tenants have them, each in a database schema of its own. What "
    "follows, each has read over HTTP with its own login."
)
GENERATED_HEADING: Final = "The rule for anomalies, compared with the days on which one was planted"
GENERATED_LABELS: Final = (
    "each resource alone. The usage was made so that the rule finds what was planted: this shows that it "
    "works, not how good it is."
)


class Guest(msgspec.Struct, frozen=True):
    """A customer with its tenant, the client that it is logged in with, and the month to invoice."""

    customer: Customer
    tenant: Tenant
    client: ApiClient
    month: Month


Recordings = Mapping[str, RecordedSeries]


async def demonstrate(platform: Connected, url: str, recordings: Recordings | None, steps: Steps) -> Report:
    """Run the pipeline on recorded series, by their names, or on generated usage where there are none.

    Each step may run twice: on the data of an earlier demonstration, nothing is added.
    """
    guests = await _founded(platform, url, steps)
    if recordings is None:
        report = await _generated(platform, url, guests, steps)
    else:
        report = await _recorded(platform, recordings, guests, steps)
    await _close_and_invoice(platform, guests, steps)
    with steps.step("Reading costs, anomalies and invoices", len(guests)) as progress:
        for number, guest in enumerate(guests, start=1):
            findings = await asyncio.to_thread(read_findings, guest.client, guest.tenant, guest.month)
            remark = None if recordings is None else _remark(findings)
            report.tenants.append(Reported(guest.customer.place, findings, remark))
            progress(number)
    return report


async def _founded(platform: Connected, url: str, steps: Steps) -> list[Guest]:
    guests: list[Guest] = []
    with steps.step("Founding tenants", len(CUSTOMERS)) as progress:
        for customer in CUSTOMERS:
            client = ApiClient(url)
            password = kept_secret(platform.settings.data, f"demo-{customer.slug}-password")
            tenant = await founded(client, customer.founder, password)
            # The month before the founding, also when this runs on the same data again, months later.
            month = month_of(tenant.created_at, tenant.time_zone).preceding
            guests.append(Guest(customer, tenant, client, month))
            progress(len(guests))
    return guests


async def _close_and_invoice(platform: Connected, guests: Sequence[Guest], steps: Steps) -> None:
    with steps.step("Closing days, issuing invoices", len(guests)) as progress:
        for number, guest in enumerate(guests, start=1):
            await close_days(platform, guest.tenant.id)
            # Generated usage is older than a month; a month without usage is not invoiced.
            before = guest.month.preceding
            await invoice_months(platform, guest.tenant.id, [before.preceding, before, guest.month])
            progress(number)


# --- recorded usage -------------------------------------------------------------------------------


async def _recorded(
    platform: Connected, recordings: Recordings, guests: Sequence[Guest], steps: Steps
) -> Report:
    series = [(guest, recordings[name]) for guest in guests for name in guest.customer.series]
    rows = sum(item.file.rows for _, item in series)
    with steps.step("Importing usage", rows) as progress:
        done = 0
        for guest, item in series:
            await import_series(
                platform.pool,
                guest.tenant.slug,
                item,
                last_day=guest.month.last_day,
                progress=partial(_advance, progress, done),
            )
            done += item.file.rows
    evaluated: list[Evaluated] = []
    with steps.step("Comparing anomalies with labels", len(series)) as progress:
        for _, item in series:
            evaluated.append(Evaluated(item.name, await asyncio.to_thread(evaluate, item)))
            progress(len(evaluated))
    origin = RECORDED.format(events=rows, month=f"{guests[0].month.first_day:%B %Y}")
    return Report(origin, [], evaluated, RECORDED_HEADING, RECORDED_LABELS)


def _remark(findings: Findings) -> str | None:
    last_day = findings.month.last_day
    return LAST_DAY.format(day=last_day) if any(item.day == last_day for item in findings.anomalies) else None


def _advance(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)


# --- generated usage ------------------------------------------------------------------------------


async def _generated(platform: Connected, url: str, guests: Sequence[Guest], steps: Steps) -> Report:
    operator = ApiClient(url)
    await log_in_as_operator(platform, operator)
    evaluated: list[Evaluated] = []
    events = 0
    with steps.step("Sending usage", len(guests)) as progress:
        for number, guest in enumerate(guests, start=1):
            usage = await asyncio.to_thread(_usage_of, guest.tenant, number)
            await send_usage(operator, guest.tenant, usage.events)
            evaluated += await asyncio.to_thread(_evaluated, guest.tenant, usage)
            events += len(usage.events)
            progress(number)
    return Report(GENERATED.format(events=events), [], evaluated, GENERATED_HEADING, GENERATED_LABELS)


def _usage_of(tenant: Tenant, seed: int) -> GeneratedUsage:
    return generate_usage(tenant.created_at, time_zone=tenant.time_zone, seed=seed)


def _evaluated(tenant: Tenant, usage: GeneratedUsage) -> list[Evaluated]:
    return [
        Evaluated(f"{tenant.slug} {resource}", _compared(tenant.time_zone, usage, resource))
        for resource in Resource
    ]


def _compared(time_zone: str, usage: GeneratedUsage, resource: Resource) -> Evaluation:
    events = [event for event in usage.events if event.resource is resource]
    windows = [
        LabelledWindow(day_start(planted.day, time_zone), day_start(planted.day + DAY, time_zone) - INSTANT)
        for planted in usage.planted
        if planted.resource is resource
    ]
    return evaluate_series(events, windows, time_zone=time_zone)
