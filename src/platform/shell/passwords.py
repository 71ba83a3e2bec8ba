"""Passwords: Argon2id in a bounded thread pool, so that a storm of logins leaves other requests alone.

A thread rests after each hash for as long as the hash kept a processor busy: it takes half of one at most,
also while logins queue up. Whoever comes when the queue is full is refused, which costs little.

Hashes run in threads that get a processor only when nobody else wants it. On a machine that is busy for
long, a hash would starve there: one that is not done after a while is done again by a thread that has to
wait for nobody, and so are those that come before the starved one has ended.
"""

import asyncio
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import PasswordTooCommon, TooBusy
from shell.guessing import is_easy_to_guess
from shell.settings import Settings

Result = TypeVar("Result")

BUSY_SECONDS = 2
NICENESS = 10
REST = 1.0
"""How long a thread rests for each second that it has hashed."""
PATIENCE = 4.0
"""How long a hash may take in a thread that others go before, as a multiple of what it takes undisturbed."""
LEAST_PATIENCE_SECONDS = 0.005


class Passwords:
    """Hashes and checks passwords, at most `password_queue` at a time; beyond that it refuses."""

    def __init__(self, settings: Settings) -> None:
        """Start the threads, and make the hash that unknown users are checked against."""
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        at_once = settings.password_threads
        self._turns = asyncio.Semaphore(at_once)
        self._patient = ThreadPoolExecutor(
            at_once, thread_name_prefix="argon2 idle", initializer=_take_what_is_left
        )
        self._ordinary = ThreadPoolExecutor(at_once, thread_name_prefix="argon2", initializer=_stand_back)
        self._starved: set[asyncio.Future[Any]] = set()
        self._thread = threading.local()
        self._room = settings.password_queue
        started = time.perf_counter()
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))
        self._patience = max(LEAST_PATIENCE_SECONDS, PATIENCE * (time.perf_counter() - started))

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
        for threads in (self._patient, self._ordinary):
            threads.shutdown(wait=False, cancel_futures=True)

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
            async with self._turns:
                return await self._done(work)
        finally:
            self._room += 1

    async def _done(self, work: Callable[[], Result]) -> Result:
        """Do the work where it disturbs nobody, or, where it would starve there, in its turn."""
        loop = asyncio.get_running_loop()
        if not self._starved:
            patient = loop.run_in_executor(self._patient, self._rested, work)
            patient.add_done_callback(self._recover)
            await asyncio.wait({patient}, timeout=self._patience)
            if patient.done():
                return patient.result()
            self._starved.add(patient)
        return await loop.run_in_executor(self._ordinary, self._rested, work)

    def _recover(self, patient: "asyncio.Future[Any]") -> None:
        """A hash has ended: it starves no more, and maybe nobody waits any more for what it raises."""
        self._starved.discard(patient)
        if not patient.cancelled():
            patient.exception()

    def _rested(self, work: Callable[[], Result]) -> Result:
        """Do the work when this thread has rested from the last: only who comes next waits for a rest."""
        time.sleep(max(0.0, getattr(self._thread, "rests_until", 0.0) - time.monotonic()))
        started = time.thread_time()
        try:
            return work()
        finally:
            self._thread.rests_until = time.monotonic() + REST * (time.thread_time() - started)


def _take_what_is_left() -> None:
    """Let all others go first where they want the processor (Linux knows policies by thread).

    There is no way back from this policy without privileges (sched(7)), hence threads of their own.
    """
    if sys.platform == "linux":
        try:
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
        except OSError:  # a container's rules may forbid it
            _stand_back()


def _stand_back() -> None:
    """Let the event loop's thread go first where both want the processor (Linux knows niceness by thread)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
