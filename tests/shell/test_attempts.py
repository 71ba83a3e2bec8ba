"""Logins counted by account and by address: in a real Redis and, by the same tests, without one."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from core.errors import AttemptThrottled
from shell.attempts import REMEMBERED_SECONDS, Attempt, Attempts
from shell.quick_redis import QuickRedis
from shell.settings import Secret, Settings

NOW = 1_790_000_000.0
QUARTER = 900
HOME, OFFICE, ATTACKER = "192.0.2.1", "198.51.100.7", "203.0.113.66"
NOWHERE = Secret("unix:///nowhere/redis.socket")


class Bench(msgspec.Struct, frozen=True):
    """Attempts at an account that only one test knows."""

    attempts: Attempts
    account: str

    async def begin(self, now: float, address: str | None, account: str | None = None) -> Attempt:
        return await self.attempts.begin(
            self.attempts.login, account=account or self.account, address=address, now=now
        )

    async def wait(self, now: float, address: str | None, account: str | None = None) -> int:
        """The seconds to wait; an attempt that goes on is one that fails."""
        try:
            await self.begin(now, address, account)
        except AttemptThrottled as refused:
            return int(refused.data["retry_after"])
        return 0


@pytest_asyncio.fixture(params=["redis", "local"])
async def bench(request: pytest.FixtureRequest, servers: Settings) -> AsyncIterator[Bench]:
    assert servers.redis_url is not None
    quick = QuickRedis(servers.redis_url if request.param == "redis" else NOWHERE)
    await asyncio.sleep(0)
    secret = Secret(uuid4().hex)  # names of its own in the shared Redis, for addresses too
    yield Bench(Attempts(quick, Settings(), secret), f"acme {uuid4()}@example.com")
    await quick.close()


async def test_five_wrong_guesses_are_free_and_then_waits_grow_to_a_quarter_of_an_hour(bench: Bench) -> None:
    now, waits = NOW, list[int]()
    for _ in range(20):
        assert await bench.wait(now, ATTACKER) == 0
        wait = await bench.wait(now, ATTACKER) if len(waits) >= 4 else 0
        waits.append(wait)
        now += wait
    assert waits[:9] == [0, 0, 0, 0, 1, 2, 4, 8, 16]
    assert max(waits) == QUARTER


async def test_a_free_attempt_delays_nobody_whose_clock_is_a_moment_behind(bench: Bench) -> None:
    await bench.begin(NOW, HOME)
    assert await bench.wait(NOW - 0.05, HOME) == 0


async def test_a_refused_attempt_makes_nobody_wait_longer(bench: Bench) -> None:
    for _ in range(5):
        await bench.begin(NOW, ATTACKER)
    assert [await bench.wait(NOW, ATTACKER) for _ in range(30)] == [1] * 30
    assert await bench.wait(NOW + 1, ATTACKER) == 0


async def test_many_guesses_at_once_are_no_better_than_one_after_the_other(bench: Bench) -> None:
    waits = await asyncio.gather(*(bench.wait(NOW, f"203.0.113.{index}") for index in range(100)))
    assert waits.count(0) == 5


async def test_a_success_clears_the_account(bench: Bench) -> None:
    for _ in range(4):
        await bench.begin(NOW, HOME)
    await bench.attempts.succeeded(await bench.begin(NOW, HOME), NOW)
    assert [await bench.wait(NOW, HOME) for _ in range(6)] == [0, 0, 0, 0, 0, 1]


async def test_an_address_waits_whichever_accounts_it_tries(bench: Bench) -> None:
    waits = [await bench.wait(NOW, ATTACKER, f"acme {index}@example.com") for index in range(60)]
    assert waits == [0] * 51 + [1] * 9
    assert await bench.wait(NOW, HOME) == 0


async def held(bench: Bench, now: float, address: str, account: str | None = None) -> str | None:
    """What a refusal tells that it is to be audited for."""
    with pytest.raises(AttemptThrottled) as refused:
        await bench.begin(now, address, account)
    found: str | None = refused.value.data["held"]
    return found


async def test_a_storm_of_refused_attempts_is_told_once(bench: Bench) -> None:
    for _ in range(5):
        await bench.begin(NOW, ATTACKER)
    assert [await held(bench, NOW, HOME) for _ in range(20)] == ["account"] + [None] * 19


async def test_an_address_that_tries_many_accounts_is_told_once(bench: Bench) -> None:
    for number in range(51):
        await bench.begin(NOW, ATTACKER, f"{bench.account} {number}")
    told = [await held(bench, NOW, ATTACKER, f"{bench.account} other {number}") for number in range(20)]
    assert told == ["address"] + [None] * 19


async def test_an_ipv6_network_counts_as_one_address(bench: Bench) -> None:
    waits = [
        await bench.wait(NOW, f"2001:db8::{index:x}", f"acme {index}@example.com") for index in range(52)
    ]
    assert waits == [0] * 51 + [1]


async def test_an_account_of_ones_own_buys_no_guesses_at_others(bench: Bench) -> None:
    for index in range(51):
        await bench.begin(NOW, ATTACKER, f"acme {index}@example.com")
    assert await bench.wait(NOW, ATTACKER, "acme mallory@example.com") == 1
    later = NOW + 1
    await bench.attempts.succeeded(await bench.begin(later, ATTACKER, "acme mallory@example.com"), later)
    await bench.begin(later, ATTACKER, "acme one@example.com")
    assert await bench.wait(later, ATTACKER, "acme two@example.com") == 2


async def test_who_was_logged_in_from_an_address_is_not_delayed_by_others(bench: Bench) -> None:
    await bench.attempts.succeeded(await bench.begin(NOW, HOME), NOW)
    for index in range(200):
        await bench.wait(NOW + index, ATTACKER)
    assert await bench.wait(NOW + 200, OFFICE) > 0
    assert await bench.wait(NOW + 200, HOME) == 0


async def test_a_known_address_has_no_more_guesses_than_any_other(bench: Bench) -> None:
    await bench.attempts.succeeded(await bench.begin(NOW, HOME), NOW)
    assert [await bench.wait(NOW, HOME) for _ in range(6)] == [0, 0, 0, 0, 0, 1]


async def test_an_attempt_that_came_to_nothing_does_not_count(bench: Bench) -> None:
    for _ in range(60):
        await bench.attempts.take_back(await bench.begin(NOW, HOME))
    assert await bench.wait(NOW, HOME) == 0


async def test_callers_without_an_address_count_as_one(bench: Bench) -> None:
    waits = [await bench.wait(NOW, None, f"acme {index}@example.com") for index in range(52)]
    assert waits[-1] == 1


async def test_redis_holds_no_email_and_forgets(servers: Settings) -> None:
    assert servers.redis_url is not None
    quick = QuickRedis(servers.redis_url)
    bench = Bench(Attempts(quick, Settings(), Secret(uuid4().hex)), f"acme {uuid4().hex}@example.com")
    attempt = await bench.begin(NOW, HOME)
    await bench.attempts.succeeded(attempt, NOW)
    await bench.begin(NOW, OFFICE)
    redis = quick._redis  # noqa: SLF001 -- to look at what is kept
    names = [name.decode() async for name in redis.scan_iter("throttle:*")]
    assert names
    assert not any("example.com" in name or HOME in name for name in names)
    for name in names:
        assert 0 <= await redis.ttl(name) <= REMEMBERED_SECONDS
    await quick.close()
