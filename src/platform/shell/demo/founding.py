"""The demo tenant of `eu-platform up`: founded at the first start, only looked up at later ones."""

import asyncio
from typing import Final
from uuid import UUID

import msgspec

from core.errors import NotFound
from core.period import month_of
from core.registration import Organisation
from core.tenant import Tenant, TenantState
from shell import tenants
from shell.api_client import ApiClient
from shell.commands.connect import Connected
from shell.demo.accounts import Founder, founded, log_in_as_operator
from shell.demo.generator import generate_usage
from shell.demo.pipeline import close_days, invoice_months
from shell.demo.sending import months_of, send_usage
from shell.keys import kept_secret, write_private
from shell.session import platform_session
from shell.settings import Secret

FOUNDER: Final = Founder(
    Organisation(name="Demo GmbH", slug="demo", country="DE", time_zone="Europe/Berlin"),
    email="owner@demo.example",
    full_name="Ada Demo",
)
PASSWORD: Final = "demo-password"  # noqa: S105 -- the name of a file
MARKER: Final = "demo-tenant"
"""This file in the data folder names the demo tenant once everything in it has been made."""


class DemoTenant(msgspec.Struct, frozen=True):
    """Who to log in as."""

    id: UUID
    slug: str
    email: str
    password: Secret


async def found_demo_tenant(platform: Connected, client: ApiClient) -> DemoTenant:
    """Found the demo tenant with 60 days of usage, its days closed, the months that are over invoiced.

    Each step may run twice: what a killed start has left undone, the next one does. Raises SlugNotOurs where
    the slug is somebody else's, or the demo tenant has been deleted.
    """
    password = kept_secret(platform.settings.data, PASSWORD)
    tenant = await _founded_before(platform)
    if tenant is None:
        tenant = await founded(client, FOUNDER, password)
        await _fill(platform, client, tenant)
        write_private(platform.settings.data / MARKER, str(tenant.id).encode())
    return DemoTenant(tenant.id, tenant.slug, FOUNDER.email, password)


async def _founded_before(platform: Connected) -> Tenant | None:
    """The demo tenant as an earlier start has completed it."""
    try:
        tenant_id = UUID((platform.settings.data / MARKER).read_text())
        async with platform_session(platform.pool, readonly=True) as session:
            tenant = await tenants.get(session, tenant_id)
    except (FileNotFoundError, ValueError, NotFound):
        return None
    return tenant if tenant.state in {TenantState.ACTIVE, TenantState.SUSPENDED} else None


async def _fill(platform: Connected, client: ApiClient, tenant: Tenant) -> None:
    # Up to the instant of the registration, so that a start that goes on where another was killed generates
    # the same usage.
    now, zone = tenant.created_at, tenant.time_zone
    usage = await asyncio.to_thread(generate_usage, now, time_zone=zone)
    await log_in_as_operator(platform, client)
    await send_usage(client, tenant, usage.events)
    await close_days(platform, tenant.id)
    current = month_of(now, zone)
    over = [month for month in months_of(usage.events, zone) if month < current]
    await invoice_months(platform, tenant.id, over)
