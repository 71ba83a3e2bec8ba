import pytest

from shell.sealing import Seal, SealBroken, derived_key, keyed_digest
from shell.settings import Secret

KEY = Secret("a secret key of the tests")


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
        (Seal(Secret("another key"), "tests"), b"a"),
    ]:
        with pytest.raises(SealBroken):
            seal.open(sealed, belongs_to=thing)


def test_a_cut_value_is_not_opened() -> None:
    with pytest.raises(SealBroken):
        Seal(KEY, "tests").open(b"short", belongs_to=b"a")


def test_every_purpose_has_a_key_of_its_own() -> None:
    assert derived_key(KEY, "a") != derived_key(KEY, "b")
    assert KEY.value.encode() not in derived_key(KEY, "a")


def test_a_keyed_digest_names_a_text_without_telling_it() -> None:
    assert keyed_digest(KEY, "tests", "ada@example.com") == keyed_digest(KEY, "tests", "ada@example.com")
    assert keyed_digest(KEY, "tests", "ada@example.com") != keyed_digest(KEY, "tests", "bob@example.com")
    assert keyed_digest(KEY, "tests", "a") != keyed_digest(Secret("another key"), "tests", "a")
