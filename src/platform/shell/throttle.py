"""The throttle of the API: token buckets in Redis, by tenant and by API key, of a size that the
tenant's tier says.

A process takes tokens in small portions and spends them from memory, so that most requests cost no round
trip. What all processes let through exceeds the limit by no more than the portions that they hold. Without
Redis, each process keeps buckets of its own.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from core.errors import TooManyRequests
from core.identity import Identity
from core.tenant import STANDARD_TIER
from core.throttling import Bucket, Limit, TierLimits, Verdict, judged, parsed_tiers, withdrawn
from shell.quick_redis import QuickRedis
from shell.settings import Settings

HELD = 50_000
LONGEST_REFUSAL_SECONDS = 1.0
"""For how long at most a process refuses without asking again whether there are tokens."""


class Allowance(msgspec.Struct, frozen=True):
    """Whose bucket a request draws on: the policy's name, as the header fields show it, and the bucket's."""

    policy: str
    name: str
    limit: Limit


class _Holding:
    """The tokens of one bucket that this process holds, and what it knows of the others."""

    def __init__(self, limit: Limit) -> None:
        self.tokens = 0
        self.left = 0.0
        self.refused_until = 0.0
        self.own = Bucket(limit.burst, 0.0)
        self.lock = asyncio.Lock()


class Throttle:
    """Lets requests through as long as their buckets have tokens."""

    def __init__(self, redis: QuickRedis, settings: Settings) -> None:
        """Hold no tokens yet."""
        self._redis = redis
        self._standard = TierLimits(
            tenant=Limit(settings.tenant_requests_per_second, settings.tenant_burst),
            key=Limit(settings.key_requests_per_second, settings.key_burst),
        )
        self._tiers = {STANDARD_TIER: self._standard, **parsed_tiers(settings.tiers)}
        self._holdings: OrderedDict[str, _Holding] = OrderedDict()

    @property
    def tiers(self) -> frozenset[str]:
        """The tiers that there are."""
        return frozenset(self._tiers)

    def allowances(self, identity: Identity) -> list[Allowance]:
        """What a caller draws on: its tenant's bucket, and its key's; an account of the platform its own.

        A tenant of a tier that settings name no more has the standard's limits.
        """
        limits = self._tiers.get(identity.tier, self._standard)
        if identity.tenant_id is None:
            return [Allowance("account", f"throttle:api:account:{identity.user_id}", limits.tenant)]
        tenant = Allowance("tenant", f"throttle:api:tenant:{identity.tenant_id}", limits.tenant)
        if identity.permissions is None:
            return [tenant]
        return [Allowance("key", f"throttle:api:key:{identity.user_id}", limits.key), tenant]

    async def spend(self, allowances: Sequence[Allowance], now: float) -> tuple[Verdict, ...]:
        """Spend a token of each bucket; raises TooManyRequests where one is empty."""
        verdicts: list[Verdict] = []
        for allowance in allowances:
            holding = self._holding(allowance)
            if holding.tokens < 1 and now >= holding.refused_until:
                await self._fetch(allowance, holding, now)
            verdicts.append(_spent(allowance, holding))
            if not verdicts[-1].is_allowed:
                raise TooManyRequests(retry_after=verdicts[-1].reset, verdicts=tuple(verdicts))
        return tuple(verdicts)

    def _holding(self, allowance: Allowance) -> _Holding:
        found = self._holdings.get(allowance.name)
        if found is None:
            found = self._holdings[allowance.name] = _Holding(allowance.limit)
            if len(self._holdings) > HELD:
                self._holdings.popitem(last=False)
        return found

    async def _fetch(self, allowance: Allowance, holding: _Holding, now: float) -> None:
        """Take a portion out of the common bucket, once for all requests that wait for it."""
        async with holding.lock:
            if holding.tokens >= 1 or now < holding.refused_until:
                return
            limit = allowance.limit
            answer = await self._redis.run(
                "withdraw", [allowance.name], [now, limit.per_second, limit.burst, limit.portion]
            )
            if answer is None:
                holding.own, granted = withdrawn(holding.own, limit, now, at_most=limit.portion)
                holding.left = holding.own.tokens
            else:
                granted, holding.left = int(answer[0]), float(answer[1])
            holding.tokens += granted
            if not granted:
                wait = (1 - holding.left) / limit.per_second
                holding.refused_until = now + min(wait, LONGEST_REFUSAL_SECONDS)


def _spent(allowance: Allowance, holding: _Holding) -> Verdict:
    is_allowed = holding.tokens >= 1
    if is_allowed:
        holding.tokens -= 1
    return judged(
        allowance.policy, allowance.limit, is_allowed=is_allowed, tokens=holding.tokens + holding.left
    )
