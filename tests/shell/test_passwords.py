import asyncio
import time
from collections.abc import Iterator
from threading import Event, current_thread

import msgspec
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from core.errors import TooBusy
from shell.passwords import Passwords
from shell.settings import Settings
from tests.waiting import until

CHEAP = Settings(argon2_memory_kib=8, argon2_time=1, password_threads=1, password_queue=4)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    cheap = Passwords(CHEAP)
    yield cheap
    cheap.close()


async def test_a_password_matches_its_own_hash_only(passwords: Passwords) -> None:
    kept = await passwords.hash("correct horse battery staple")
    assert await passwords.matches("correct horse battery staple", kept)
    assert not await passwords.matches("correct horse battery stapl", kept)
    assert not await passwords.matches("", kept)


async def test_a_hash_is_argon2id_with_the_parameters_of_the_settings(passwords: Passwords) -> None:
    parameters = extract_parameters(await passwords.hash("x"))
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (8, 1, 1)


def test_by_default_a_hash_costs_what_owasp_asks_for() -> None:
    settings = Settings()
    assert settings.argon2_memory_kib >= 19_456
    assert settings.argon2_time >= 2


async def test_the_same_password_is_never_hashed_alike(passwords: Passwords) -> None:
    assert await passwords.hash("x") != await passwords.hash("x")


async def test_nobody_has_a_password_and_checking_it_costs_as_much(passwords: Passwords) -> None:
    assert not await passwords.matches("x", None)
    nobody = extract_parameters(passwords._nobody)  # noqa: SLF001 -- time cannot be compared reliably
    assert nobody == extract_parameters(await passwords.hash("x"))


@pytest.mark.parametrize("kept", ["", "none", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_a_text_that_is_no_hash_matches_nothing(passwords: Passwords, kept: str) -> None:
    assert not await passwords.matches("x", kept)


async def test_a_hash_with_other_parameters_is_outdated_and_still_matches(passwords: Passwords) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash("x")
    assert passwords.is_outdated(old)
    assert await passwords.matches("x", old)
    assert not passwords.is_outdated(await passwords.hash("x"))


async def test_beyond_its_queue_it_refuses_and_afterwards_it_takes_again(passwords: Passwords) -> None:
    gate = Event()
    asked = [asyncio.create_task(passwords._run(gate.wait)) for _ in range(4)]  # noqa: SLF001 -- to hold it up
    await asyncio.sleep(0)
    with pytest.raises(TooBusy) as refused:
        await passwords.hash("x")
    assert refused.value.data["retry_after"] > 0
    gate.set()
    await asyncio.gather(*asked)
    assert await passwords.matches("x", await passwords.hash("x"))


async def test_a_thread_rests_for_as_long_as_it_has_hashed(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_patience", 60.0)  # on a busy machine, another thread would take over

    def busy() -> float:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        return time.monotonic()

    def at_once() -> float:
        return time.monotonic()

    ended, following = await asyncio.gather(passwords._run(busy), passwords._run(at_once))  # noqa: SLF001
    assert following - ended >= 0.018


async def test_a_hash_that_starves_is_done_by_another_thread_and_so_are_those_after_it(
    passwords: Passwords,
) -> None:
    gate, names = Event(), list[str]()

    def work() -> str:
        names.append(current_thread().name)
        if len(names) == 1:
            gate.wait()  # as where nobody leaves it a processor
        return names[-1]

    assert await passwords._run(work) == "argon2_0"  # noqa: SLF001 -- work that can be held up
    assert await passwords._run(work) == "argon2_0"  # noqa: SLF001
    assert names[0] == "argon2 idle_0"
    gate.set()

    async def is_tried_where_it_disturbs_nobody() -> bool:
        return await passwords._run(work) == "argon2 idle_0"  # noqa: SLF001

    await until(is_tried_where_it_disturbs_nobody)


async def test_a_login_that_is_given_up_makes_room(passwords: Passwords) -> None:
    gate = Event()
    asked = [asyncio.create_task(passwords._run(gate.wait)) for _ in range(4)]  # noqa: SLF001 -- to hold it up
    await asyncio.sleep(0)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    gate.set()
    assert await passwords.hash("x")


async def test_other_work_goes_on_while_passwords_are_hashed() -> None:
    slow = Passwords(msgspec.structs.replace(CHEAP, argon2_memory_kib=16_384))
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(other_work())
    await slow.hash("x")
    other.cancel()
    slow.close()
    assert turns > 10
