"""Limits of requests and attempts, as requests meet them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.errors import SecondFactorWrong, WrongCredentials
from shell.attempts import Rule
from web.guards import Connection, address_of
from web.services import Services

GUESSED_WRONG = (WrongCredentials, SecondFactorWrong)


@asynccontextmanager
async def attempted(
    services: Services, connection: Connection, rule: Rule, *, account: str
) -> AsyncIterator[None]:
    """An attempt at an account: a wrong guess in the body counts against it, a success clears the account.

    Raises TooManyRequests before the body where account or address has to wait. Whatever else ends the body
    with an error judged no guess, and does not count.
    """
    attempts, address = services.attempts, address_of(connection)
    attempt = await attempts.begin(rule, account=account, address=address, now=time.time())
    try:
        yield
    except GUESSED_WRONG:
        raise
    except Exception:
        await attempts.take_back(attempt)
        raise
    await attempts.succeeded(attempt, time.time())


async def counted(services: Services, connection: Connection, rule: Rule, *, account: str) -> None:
    """Count something that may be done now and then only, however it ends; raises TooManyRequests."""
    address = address_of(connection)
    await services.attempts.begin(rule, account=account, address=address, now=time.time())
