"""Token buckets in a real Redis, shared by several processes' throttles, and without Redis."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from core.errors import TooManyRequests
from core.identity import Identity
from core.permission import Role
from core.throttling import Limit
from shell.embedded.redis import start_redis, stop_redis
from shell.quick_redis import QuickRedis
from shell.settings import Secret, Settings
from shell.throttle import Allowance, Throttle

NOW = 1_790_000_000.0
NOWHERE = Secret("unix:///nowhere/redis.socket")


@pytest_asyncio.fixture
async def redis(servers: Settings) -> AsyncIterator[QuickRedis]:
    assert servers.redis_url is not None
    quick = QuickRedis(servers.redis_url)
    yield quick
    await quick.close()


def allowance(*, per_second: float, burst: int) -> Allowance:
    return Allowance("tenant", f"throttle:api:tenant:{uuid4()}", Limit(per_second, burst))


async def admitted(throttle: Throttle, allowed: Allowance, now: float, *, of: int) -> int:
    """How many of some requests go through."""
    number = 0
    for _ in range(of):
        try:
            await throttle.spend([allowed], now)
        except TooManyRequests:
            continue
        number += 1
    return number


async def test_a_burst_goes_through_and_no_more(redis: QuickRedis) -> None:
    throttle, allowed = Throttle(redis, Settings()), allowance(per_second=1, burst=100)
    assert await admitted(throttle, allowed, NOW, of=150) == 100
    assert await admitted(throttle, allowed, NOW + 10, of=50) == 10


async def test_several_processes_share_a_bucket_within_their_portions(redis: QuickRedis) -> None:
    processes = [Throttle(redis, Settings()) for _ in range(4)]
    allowed = allowance(per_second=10, burst=1_000)
    through = 0
    for second in range(30):
        for process in processes:
            through += await admitted(process, allowed, NOW + second, of=100)
    permitted = 1_000 + 29 * 10
    assert permitted - len(processes) * allowed.limit.portion <= through <= permitted


async def test_most_requests_ask_redis_nothing(redis: QuickRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    run = redis.run

    async def counting(name: str, keys: list[str], arguments: list[str | float]) -> list[str] | None:
        asked.append(name)
        return await run(name, keys, arguments)

    monkeypatch.setattr(redis, "run", counting)
    throttle, allowed = Throttle(redis, Settings()), allowance(per_second=100, burst=1_000)
    assert await admitted(throttle, allowed, NOW, of=200) == 200
    assert len(asked) == 4


async def test_a_refused_caller_is_told_when_to_come_back(redis: QuickRedis) -> None:
    throttle, allowed = Throttle(redis, Settings()), allowance(per_second=0.1, burst=1)
    await throttle.spend([allowed], NOW)
    with pytest.raises(TooManyRequests) as refused:
        await throttle.spend([allowed], NOW)
    assert refused.value.data["retry_after"] == 10


async def test_a_key_draws_on_its_own_bucket_and_its_tenants(redis: QuickRedis) -> None:
    settings = Settings(key_requests_per_second=1, key_burst=5, tenant_requests_per_second=1, tenant_burst=50)
    throttle, tenant_id = Throttle(redis, settings), uuid4()
    key = Identity(uuid4(), tenant_id, "acme", None, jti="k", permissions=frozenset())
    user = Identity(uuid4(), tenant_id, "acme", Role.OWNER, jti="u")
    for _ in range(4):
        await throttle.spend(throttle.allowances(key), NOW)
    verdicts = await throttle.spend(throttle.allowances(key), NOW)
    assert [verdict.policy for verdict in verdicts] == ["key", "tenant"]
    with pytest.raises(TooManyRequests):
        await throttle.spend(throttle.allowances(key), NOW)
    [verdict] = await throttle.spend(throttle.allowances(user), NOW)
    assert verdict.remaining == 50 - 5 - 1


async def test_without_redis_each_process_keeps_to_the_limit_by_itself() -> None:
    throttle, allowed = Throttle(QuickRedis(NOWHERE), Settings()), allowance(per_second=1, burst=100)
    assert await admitted(throttle, allowed, NOW, of=150) == 100
    assert await admitted(throttle, allowed, NOW + 10, of=50) == 10


async def test_a_redis_that_went_away_is_asked_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = start_redis(tmp_path)
    quick = QuickRedis(Secret(own.url))
    monkeypatch.setattr("shell.quick_redis.AWAY_SECONDS", 0.0)
    wanted = (["bucket"], [NOW, 1.0, 10, 1])
    assert await quick.run("withdraw", *wanted) == ["1", "9.000000"]
    stop_redis(own)
    assert await quick.run("withdraw", *wanted) is None
    own = start_redis(tmp_path)
    try:
        assert await quick.run("withdraw", *wanted) is not None
    finally:
        await quick.close()
        stop_redis(own)


async def test_nobody_waits_for_a_redis_that_is_away() -> None:
    quick = QuickRedis(NOWHERE)
    assert await quick.run("withdraw", ["bucket"], [NOW, 1.0, 10, 1]) is None

    def not_asked(name: str) -> None:
        raise AssertionError(name)

    quick._script = not_asked  # type: ignore[method-assign,assignment]  # noqa: SLF001 -- nothing may ask
    assert await quick.run("withdraw", ["bucket"], [NOW, 1.0, 10, 1]) is None
    await quick.close()


def test_limits_are_settings() -> None:
    settings = msgspec.structs.replace(Settings(), tenant_burst=7, tenant_requests_per_second=3)
    throttle = Throttle(QuickRedis(NOWHERE), settings)
    identity = Identity(uuid4(), uuid4(), "acme", Role.OWNER, jti="u")
    assert [item.limit for item in throttle.allowances(identity)] == [Limit(3, 7)]


def test_a_tier_has_limits_of_its_own_for_a_tenant_and_for_its_keys() -> None:
    throttle = Throttle(QuickRedis(NOWHERE), Settings(tiers=("gold=7/30",)))
    gold = Identity(uuid4(), uuid4(), "acme", Role.OWNER, jti="u", tier="gold")
    key = msgspec.structs.replace(gold, role=None, permissions=frozenset())
    assert [item.limit for item in throttle.allowances(gold)] == [Limit(7, 30)]
    assert [item.limit for item in throttle.allowances(key)] == [Limit(7, 30)] * 2
    forgotten = msgspec.structs.replace(gold, tier="silver")
    assert [item.limit for item in throttle.allowances(forgotten)] == [Limit(500, 2_000)]
    assert throttle.tiers == {"standard", "gold"}
