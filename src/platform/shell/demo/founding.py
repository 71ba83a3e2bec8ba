"""The demo tenant."""

from uuid import UUID

import msgspec

from shell.api_client import ApiClient
from shell.commands.connect import Connected
from shell.settings import Secret


class DemoTenant(msgspec.Struct, frozen=True):
    """Who to log in as."""

    id: UUID
    slug: str
    email: str
    password: Secret


async def found_demo_tenant(platform: Connected, client: ApiClient) -> DemoTenant:
    raise NotImplementedError
