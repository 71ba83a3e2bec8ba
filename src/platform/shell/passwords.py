"""Passwords: Argon2id in a bounded thread pool, so that a storm of logins leaves other requests alone.

A thread rests after each hash for half as long as the hash kept a processor busy: it takes two thirds of one
at most, also while logins queue up. Whoever comes when the queue is full is refused, which costs little.
"""

import asyncio
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import PasswordTooCommon, TooBusy
from shell.guessing import is_easy_to_guess
from shell.settings import Settings

Result = TypeVar("Result")

BUSY_SECONDS = 2
NICENESS = 10
REST = 0.5
"""How long a thread rests for each second that it has hashed."""


class Passwords:
    """Hashes and checks passwords, at most `password_queue` at a time; beyond that it refuses."""

    def __init__(self, settings: Settings) -> None:
        """Start the threads, and make the hash that unknown users are checked against."""
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        self._threads = ThreadPoolExecutor(
            settings.password_threads, thread_name_prefix="argon2", initializer=_stand_back
        )
        self._thread = threading.local()
        self._room = settings.password_queue
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """The PHC string to keep."""
        return await self._run(lambda: self._hasher.hash(password))

    async def hash_new(self, password: str, *, about: Sequence[str]) -> str:
        """The PHC string of a password that somebody chooses; raises PasswordTooCommon.

        `about` is what an attacker would try first: the account's e-mail address and names.
        """
        return await self._run(lambda: self._hash_new(password, about))

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether a password is the one that was hashed; checking for nobody takes as long as for anybody."""
        return await self._run(lambda: self._verify(password, kept))

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made with other parameters than are set today."""
        return self._hasher.check_needs_rehash(kept)

    def require_room(self) -> None:
        """Raise TooBusy where so many checks wait that one more would be refused, before anything is done."""
        if self._room <= 0:
            raise TooBusy(retry_after=BUSY_SECONDS)

    def close(self) -> None:
        """Let running checks end and start no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hash_new(self, password: str, about: Sequence[str]) -> str:
        if is_easy_to_guess(password, about):
            raise PasswordTooCommon
        return self._hasher.hash(password)

    def _verify(self, password: str, kept: str | None) -> bool:
        try:
            self._hasher.verify(self._nobody if kept is None else kept, password)
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    async def _run(self, work: Callable[[], Result]) -> Result:
        self.require_room()
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._rested, work)
        finally:
            self._room += 1

    def _rested(self, work: Callable[[], Result]) -> Result:
        """Do the work when this thread has rested from the last: only who comes next waits for a rest."""
        time.sleep(max(0.0, getattr(self._thread, "rests_until", 0.0) - time.monotonic()))
        started = time.thread_time()
        try:
            return work()
        finally:
            self._thread.rests_until = time.monotonic() + REST * (time.thread_time() - started)


def _stand_back() -> None:
    """Let the event loop's thread go first where both want the processor (Linux knows niceness by thread)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
