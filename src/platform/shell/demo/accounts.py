"""Who acts in a demonstration: tenants, founded over HTTP, and an operator."""

import asyncio
import time
from contextlib import suppress
from typing import Final

import msgspec

from core.errors import PlatformError
from core.permission import Role
from core.registration import Organisation
from core.tenant import PLATFORM_SLUG, Tenant
from shell.api_client import ApiClient, ApiRefused
from shell.commands.connect import Connected
from shell.commands.operator import EmailTaken, create_operator
from shell.keys import kept_secret
from shell.settings import Secret

OPERATOR: Final = "operator@demo.example"
OPERATOR_PASSWORD: Final = "demo-operator-password"  # noqa: S105 -- the name of a file
PATIENCE_SECONDS: Final = 60.0
"""Longer than the lease of a worker that was killed while it made the tenant's schema."""
LOOK_AGAIN_SECONDS: Final = 0.05
UNAUTHORISED: Final = 401
CONFLICT: Final = 409


class SlugNotOurs(PlatformError):
    """There is a tenant {slug} here that is not the demonstration's, or it has been deleted."""

    fields = ("slug",)


class Founder(msgspec.Struct, frozen=True):
    """An organisation that a demonstration founds, and who owns it."""

    organisation: Organisation
    email: str
    full_name: str


async def founded(client: ApiClient, founder: Founder, password: Secret) -> Tenant:
    """The founder's tenant, registered unless an earlier run has done that; the client is logged in there.

    Raises SlugNotOurs where somebody else has registered it.
    """
    organisation = founder.organisation
    body = {
        "organisation": msgspec.to_builtins(organisation),
        "email": founder.email,
        "full_name": founder.full_name,
        "password": password.value,
    }
    try:
        await asyncio.to_thread(client.post, "/api/v1/auth/register", body)
    except ApiRefused as refused:
        if refused.data["status"] != CONFLICT:
            raise
    await _log_in_when_ready(client, organisation.slug, founder.email, password)
    me = await asyncio.to_thread(client.get, "/api/v1/auth/me")
    return msgspec.convert(me["tenant"], Tenant)


async def log_in_as_operator(platform: Connected, client: ApiClient) -> None:
    """Log in as the demonstration's operator, whose account is made the first time."""
    password = kept_secret(platform.settings.data, OPERATOR_PASSWORD)
    with suppress(EmailTaken):
        await create_operator(
            platform,
            email=OPERATOR,
            full_name="Operator of the demonstration",
            role=Role.OPERATOR,
            password=password.value,
        )
    await _log_in(client, PLATFORM_SLUG, OPERATOR, password)


async def _log_in_when_ready(client: ApiClient, slug: str, email: str, password: Secret) -> None:
    """Log in, as soon as the tenant's schema has been made."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await _log_in(client, slug, email, password)
        except ApiRefused as refused:
            if refused.data["status"] == UNAUTHORISED:
                raise SlugNotOurs(slug=slug) from refused
            if refused.data["status"] != CONFLICT or time.monotonic() > deadline:
                raise
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _log_in(client: ApiClient, slug: str, email: str, password: Secret) -> None:
    await asyncio.to_thread(client.log_in, tenant=slug, email=email, password=password.value)
