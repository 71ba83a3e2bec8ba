"""`eu-platform gdpr`, as an operator runs it."""

import asyncio

import click.testing

from shell.commands.gdpr import gdpr
from tests.installation import Installation


async def run(installation: Installation, *arguments: object) -> click.testing.Result:
    """What a command says, on the database of the installation."""
    settings = installation.settings
    urls = {
        "PLATFORM_DATABASE_URL": settings.database_url,
        "PLATFORM_OWNER_DATABASE_URL": settings.owner_database_url,
        "PLATFORM_REDIS_URL": settings.redis_url,
    }
    environment = {name: url.value for name, url in urls.items() if url is not None}
    return await asyncio.to_thread(
        click.testing.CliRunner().invoke,
        gdpr,
        [str(argument) for argument in arguments],
        env=environment | {"PLATFORM_DATA": str(settings.data)},
    )
