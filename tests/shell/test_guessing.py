import asyncio
import time

import msgspec
import pytest
from zxcvbn.matching import RANKED_DICTIONARIES  # type: ignore[import-untyped]  # it has no types

from core.errors import PasswordTooCommon
from core.registration import MAX_PASSWORD_LENGTH
from shell.guessing import is_easy_to_guess
from shell.passwords import Passwords
from shell.settings import Settings

ABOUT = ["ada.lovelace@example.com", "Ada Lovelace", "acme-cloud", "Acme Cloud"]
CHEAP = Settings(argon2_memory_kib=8, argon2_time=1)


@pytest.mark.parametrize(
    "password",
    ["password1234", "Password12345!", "qwertzuiop12", "123456789012", "aaaaaaaaaaaa", "iloveyou2026"],
)
def test_common_passwords_are_easy_to_guess(password: str) -> None:
    assert is_easy_to_guess(password)


@pytest.mark.parametrize(
    "password", ["ada.lovelace@example.com", "AdaLovelace2026", "acme-cloud-acme", "AcmeCloud-2026"]
)
def test_what_is_known_of_an_account_is_easy_to_guess(password: str) -> None:
    assert is_easy_to_guess(password, ABOUT)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "seven quiet rivers, no bridge",
        "97xIpcSzg4EiIEGr",
        "Käse im Schrank 77",
    ],
)
def test_others_are_not(password: str) -> None:
    assert not is_easy_to_guess(password, ABOUT)


@pytest.mark.parametrize("stem", ["@4$!0(3)", "p4ssw0rd", "12/3/1999", "x", "aB3$kQ9_", "🔑"])
def test_the_longest_passwords_are_weighed_within_a_second(stem: str) -> None:
    started = time.perf_counter()
    is_easy_to_guess((stem * MAX_PASSWORD_LENGTH)[:MAX_PASSWORD_LENGTH], [stem * 100] * 100)
    assert time.perf_counter() - started < 1


def test_nothing_of_an_account_is_remembered() -> None:
    is_easy_to_guess("correct horse battery staple", ABOUT)
    assert "user_inputs" not in RANKED_DICTIONARIES


async def test_a_guessable_password_is_not_hashed() -> None:
    passwords = Passwords(CHEAP)
    with pytest.raises(PasswordTooCommon):
        await passwords.hash_new("AcmeCloud-2026", about=ABOUT)
    kept = await passwords.hash_new("correct horse battery staple", about=ABOUT)
    assert await passwords.matches("correct horse battery staple", kept)
    passwords.close()


async def test_words_of_one_account_do_not_judge_the_password_of_another() -> None:
    passwords = Passwords(msgspec.structs.replace(CHEAP, password_threads=4))

    async def is_refused(about: str) -> bool:
        try:
            await passwords.hash_new("zorblaxquimet", about=[about])
        except PasswordTooCommon:
            return True
        return False

    names = ["zorblaxquimet", "somebody else"] * 10
    assert await asyncio.gather(*[is_refused(name) for name in names]) == [True, False] * 10
    passwords.close()
