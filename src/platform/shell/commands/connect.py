"""What commands have in common: settings, pools on a migrated database, and errors as one sentence."""

import asyncio
import functools
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import ParamSpec

import asyncpg
import click
import msgspec
from asyncpg.exceptions import ClientConfigurationError

from core.audit import Actor, ActorKind
from core.errors import InvalidInput, PlatformError
from shell.audit_key import ensure_audit_key
from shell.database import Pool, open_pool
from shell.keys import ensure_key
from shell.migrations import migrate_public
from shell.processes import WORKER, supervised
from shell.servers import any_servers, prepare_roles
from shell.settings import Settings, load_settings

Parameters = ParamSpec("Parameters")

POOL_SIZE = 4
HOUR = 3_600

AT_THE_MACHINE = Actor(ActorKind.SYSTEM, address="local")
"""Who runs a command, as audit entries name him: no account, and on the machine itself."""

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the embedded servers' data; PLATFORM_DATA, or .platform, by default.",
)


class Connected(msgspec.Struct, frozen=True):
    """Settings that name running servers, and pools to the database there."""

    settings: Settings
    pool: Pool
    owner_pool: Pool


@asynccontextmanager
async def connected(data: Path | None, *, with_worker: bool = False) -> AsyncIterator[Connected]:
    """The database that settings name or that `eu-platform up` runs, else an embedded one for the body.

    With `with_worker`, an embedded one that runs for the body alone has a worker, too.
    """
    with any_servers(load_settings(os.environ, data=data)) as located:
        settings = await prepare_roles(located.settings)
        ensure_key(settings)
        ensure_audit_key(settings)
        async with pools(settings) as both:
            await migrate_public(both.owner_pool)
            with supervised(settings, WORKER) if with_worker and located.is_held else nullcontext():
                yield both


@asynccontextmanager
async def pools(settings: Settings) -> AsyncIterator[Connected]:
    """Pools as the application and as the owner, for as long as the body runs."""
    if settings.database_url is None or settings.owner_database_url is None:
        raise TypeError("settings without servers")
    async with (
        await open_pool(
            settings.database_url.value, size=POOL_SIZE, name="platform cli", statement_timeout_seconds=HOUR
        ) as pool,
        await open_pool(
            settings.owner_database_url.value,
            size=POOL_SIZE,
            name="platform cli (owner)",
            statement_timeout_seconds=HOUR,
        ) as owner_pool,
    ):
        yield Connected(settings, pool, owner_pool)


def command(work: Callable[Parameters, Awaitable[None]]) -> Callable[Parameters, None]:
    """Run an asynchronous command; what a user can mend is said in one sentence, with exit code 1."""

    @functools.wraps(work)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        with said_in_a_sentence():
            asyncio.run(_awaited(work(*args, **kwargs)))

    return run


async def _awaited(work: Awaitable[None]) -> None:
    await work


@contextmanager
def said_in_a_sentence() -> Iterator[None]:
    """Turn errors that a user can mend into a sentence and exit code 1; a bug keeps its trace."""
    try:
        yield
    except InvalidInput as error:
        for problem in error.data["errors"]:
            click.echo(f"Error: {problem.get('field', '')} {problem['detail']}", err=True)
        sys.exit(1)
    except (PlatformError, asyncpg.PostgresError, ClientConfigurationError, OSError) as error:
        click.echo(f"Error: {str(error) or type(error).__name__}", err=True)
        sys.exit(1)
