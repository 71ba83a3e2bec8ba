"""Attempts at something secret, such as logins: counted by account and by address, with growing waits.

An attempt counts as a failure from its beginning, so that a thousand guesses at once are no better than one
after the other; settling one that was no failure takes it back. A success clears its account's failures, but
only its own of the address: with an account of one's own, nobody buys more guesses at others.

Whoever guesses at an account makes all others wait who log in to it, a quarter of an hour at most; but not
those at an address from which the account was logged in to within the last month. That pair has a count of
its own, which others cannot touch.

A refusal tells once in a quarter of an hour what has to wait, so that it can be audited, and a storm of
refused attempts leaves one entry.

Without Redis, each process counts for itself.
"""

import hmac
from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import msgspec

from core.errors import AttemptThrottled
from core.network import network_of
from core.throttling import Failures, Patience, failed_once_more, one_taken_back, refused
from shell.quick_redis import QuickRedis
from shell.sealing import derived_key
from shell.settings import Secret, Settings

Kept = TypeVar("Kept")

REMEMBERED_SECONDS = 30 * 86_400
"""For how long an address from which an account was logged in to is known."""

COUNTED_LOCALLY = 50_000
TOLD_SECONDS = 900
"""How long a refusal of the same account or address is not told again; attempt.lua has the same."""

FOREIGN_ACCESSES = 20
"""How many requests of an account for another tenant are audited each, before they have to wait for it."""

ACCOUNT_FORGIVEN_EVERY = timedelta(minutes=15)
ADDRESS_FORGIVEN_EVERY = timedelta(seconds=30)


class Rule(msgspec.Struct, frozen=True):
    """What is attempted, and the patience with an account and with an address."""

    name: str
    account: Patience
    address: Patience


class Attempt(msgspec.Struct, frozen=True):
    """An attempt that may go on: whether its pair of account and address is known, and what was counted."""

    rule: Rule
    known: str
    counted: tuple[str, ...]
    is_local: bool


class Attempts:
    """Begins attempts, or refuses them, and settles those that were no failures."""

    def __init__(self, redis: QuickRedis, settings: Settings, secret: Secret) -> None:
        """Know of no failures yet; the secret keeps e-mail addresses out of Redis."""
        account = Patience(settings.login_free_failures, ACCOUNT_FORGIVEN_EVERY)
        self.login = Rule("login", account, Patience(settings.address_free_failures, ADDRESS_FORGIVEN_EVERY))
        registrations = Patience(settings.address_free_registrations, ADDRESS_FORGIVEN_EVERY)
        self.register = Rule("register", account, registrations)
        self.reset = Rule("reset", account, registrations)
        self.refresh = Rule("refresh", account, self.login.address)
        self.foreign = Rule("foreign", Patience(FOREIGN_ACCESSES, ACCOUNT_FORGIVEN_EVERY), self.login.address)
        self._redis = redis
        self._key = derived_key(secret, "throttling")
        self._failures: OrderedDict[str, Failures] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()

    async def begin(self, rule: Rule, *, account: str, address: str | None, now: float) -> Attempt:
        """Count an attempt as a failure until it is settled; raises AttemptThrottled where it must wait."""
        place = network_of(address)
        known, *keys = (
            f"throttle:{rule.name}:{kind}:{self._digest(text)}"
            for kind, text in (
                ("known", f"{account} {place}"),
                ("pair", f"{account} {place}"),
                ("account", account),
                ("address", place),
            )
        )
        answer = await self._redis.run("attempt", [known, *keys], _arguments(rule, now))
        if answer is None:
            return self._begun_here(rule, known, keys, now)
        seconds, is_known = float(answer[0]), answer[1] == "1"
        if seconds > 0:
            raise _throttled(rule, seconds, held=answer[2] or None)
        return Attempt(rule, known, tuple(keys[:1] if is_known else keys[1:]), is_local=False)

    async def succeeded(self, attempt: Attempt, now: float) -> None:
        """Forget the account's failures, and remember where it was logged in to."""
        if attempt.is_local:
            self._failures.pop(attempt.counted[0], None)
            _keep(self._known, attempt.known, now + REMEMBERED_SECONDS)
            self._take_back(attempt.counted[1:])
        else:
            await self._redis.run("settle", [attempt.known, *attempt.counted], [1, REMEMBERED_SECONDS])

    async def take_back(self, attempt: Attempt) -> None:
        """Uncount an attempt that came to nothing: no guess was judged."""
        if attempt.is_local:
            self._take_back(attempt.counted)
        else:
            await self._redis.run("settle", [attempt.known, *attempt.counted], [0, 0])

    def _begun_here(self, rule: Rule, known: str, keys: Sequence[str], now: float) -> Attempt:
        """The same by the counts of this process alone."""
        is_known = self._known.get(known, 0) > now
        counted = tuple(keys[:1] if is_known else keys[1:])
        until, longest = max((self._failures.get(key, Failures()).until, key) for key in counted)
        if until > now:
            raise _throttled(rule, until - now, held=self._held(longest, now))
        for key, patience in zip(counted, (rule.account, rule.address), strict=False):
            failures = failed_once_more(self._failures.get(key, Failures()), patience, now)
            _keep(self._failures, key, failures)
        return Attempt(rule, known, counted, is_local=True)

    def _held(self, key: str, now: float) -> str | None:
        """What has to wait, unless it was told a moment ago."""
        if self._told.get(key, 0) > now:
            return None
        _keep(self._told, key, now + TOLD_SECONDS)
        return "address" if ":address:" in key else "account"

    def _digest(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()

    def _take_back(self, keys: Sequence[str]) -> None:
        for key in keys:
            if key in self._failures:
                self._failures[key] = one_taken_back(self._failures[key])


def _keep(kept: OrderedDict[str, Kept], key: str, value: Kept) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > COUNTED_LOCALLY:
        kept.popitem(last=False)


def _arguments(rule: Rule, now: float) -> list[float]:
    account, address = rule.account, rule.address
    return [
        now,
        account.forgiven_every.total_seconds(),
        account.free,
        address.forgiven_every.total_seconds(),
        address.free,
        *account.delays(),
    ]


def _throttled(rule: Rule, seconds: float, *, held: str | None) -> AttemptThrottled:
    window = int(rule.account.forgiven_every.total_seconds())
    verdict = refused(rule.name, rule.account.free + 1, window=window, seconds=seconds)
    return AttemptThrottled(retry_after=verdict.reset, verdicts=(verdict,), held=held)
