import pytest

from shell.sealing import Seal, SealBroken, SecretKeys, derived_key, keyed_digest
from shell.settings import Secret

SECRET = Secret("a secret key of the tests")
KEY = SecretKeys(SECRET)


def test_what_is_sealed_is_opened_for_the_thing_that_it_belongs_to() -> None:
    seal = Seal(KEY, "tests")
    assert seal.open(seal.seal(b"content", belongs_to=b"a"), belongs_to=b"a") == b"content"


def test_nothing_is_sealed_alike_twice() -> None:
    seal = Seal(KEY, "tests")
    assert seal.seal(b"content", belongs_to=b"a") != seal.seal(b"content", belongs_to=b"a")


@pytest.mark.parametrize("position", [0, 12, -1])
def test_a_changed_value_is_not_opened(position: int) -> None:
    seal = Seal(KEY, "tests")
    sealed = bytearray(seal.seal(b"content", belongs_to=b"a"))
    sealed[position] ^= 1
    with pytest.raises(SealBroken):
        seal.open(bytes(sealed), belongs_to=b"a")


def test_a_value_is_not_opened_for_another_thing_or_purpose_or_by_another_key() -> None:
    sealed = Seal(KEY, "tests").seal(b"content", belongs_to=b"a")
    for seal, thing in [
        (Seal(KEY, "tests"), b"b"),
        (Seal(KEY, "other tests"), b"a"),
        (Seal(SecretKeys(Secret("another key")), "tests"), b"a"),
    ]:
        with pytest.raises(SealBroken):
            seal.open(sealed, belongs_to=thing)


def test_a_cut_value_is_not_opened() -> None:
    with pytest.raises(SealBroken):
        Seal(KEY, "tests").open(b"short", belongs_to=b"a")


def test_every_purpose_has_a_key_of_its_own() -> None:
    assert derived_key(SECRET, "a") != derived_key(SECRET, "b")
    assert SECRET.value.encode() not in derived_key(SECRET, "a")


def test_a_keyed_digest_names_a_text_without_telling_it() -> None:
    assert keyed_digest(SECRET, "tests", "ada@example.com") == keyed_digest(
        SECRET, "tests", "ada@example.com"
    )
    assert keyed_digest(SECRET, "tests", "ada@example.com") != keyed_digest(
        SECRET, "tests", "bob@example.com"
    )
    assert keyed_digest(SECRET, "tests", "a") != keyed_digest(Secret("another key"), "tests", "a")


def test_what_the_previous_key_sealed_is_opened_and_new_things_are_sealed_under_the_current_one() -> None:
    old, new = Secret("old"), Secret("new")
    rotating = Seal(SecretKeys(new, previous=old), "tests")
    assert rotating.open(Seal(SecretKeys(old), "tests").seal(b"x", belongs_to=b"a"), belongs_to=b"a") == b"x"
    sealed = rotating.seal(b"y", belongs_to=b"a")
    assert Seal(SecretKeys(new), "tests").open(sealed, belongs_to=b"a") == b"y"
    with pytest.raises(SealBroken):
        Seal(SecretKeys(old), "tests").open(sealed, belongs_to=b"a")
