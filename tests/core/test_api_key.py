from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api_key import (
    ALPHABET,
    RANDOM_BYTES,
    SCOPES,
    Scope,
    compose_key,
    is_from,
    is_well_formed,
    key_objections,
    parse_networks,
    permissions_of,
)
from core.permission import PERMISSIONS, Permission, Role

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(RANDOM)
def test_a_composed_key_is_well_formed(random: bytes) -> None:
    assert is_well_formed(compose_key(random))


@given(RANDOM, st.integers(min_value=4), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(random: bytes, place: int, character: str) -> None:
    key = compose_key(random)
    place = 4 + place % (len(key) - 4)
    mistyped = key[:place] + character + key[place + 1 :]
    assert is_well_formed(mistyped) is (mistyped == key)


@given(RANDOM, RANDOM)
def test_different_bytes_make_different_keys(one: bytes, other: bytes) -> None:
    assert (compose_key(one) == compose_key(other)) is (one == other)


@pytest.mark.parametrize("text", ["", "eup_", "eup__", "eup_" + "a" * 32, "eur_" + "a" * 32 + "_000000"])
def test_what_has_not_the_form_is_not_well_formed(text: str) -> None:
    assert not is_well_formed(text)


@pytest.mark.parametrize("size", [0, RANDOM_BYTES - 1, RANDOM_BYTES + 1])
def test_a_key_has_192_random_bits(size: int) -> None:
    with pytest.raises(ValueError, match="24 random bytes"):
        compose_key(bytes(size))


def test_only_the_backfill_scope_goes_beyond_what_a_member_may_do() -> None:
    beyond = {scope for scope in Scope if not SCOPES[scope] <= PERMISSIONS[Role.MEMBER]}
    assert beyond == {Scope.USAGE_BACKFILL}


def test_no_scope_lets_a_key_manage_people_or_keys() -> None:
    assert not permissions_of(Scope) & {
        Permission.API_KEYS_WRITE,
        Permission.API_KEYS_READ,
        Permission.USERS_READ,
        Permission.USERS_WRITE,
    }


@pytest.mark.parametrize(
    ("address", "networks", "expected"),
    [
        ("203.0.113.7", [], True),
        (None, [], True),
        ("203.0.113.7", ["203.0.113.0/24"], True),
        ("203.0.114.7", ["203.0.113.0/24"], False),
        ("203.0.114.7", ["203.0.113.0/24", "203.0.114.7/32"], True),
        ("::ffff:203.0.113.7", ["203.0.113.0/24"], True),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:db9::1", ["2001:db8::/32"], False),
        ("2001:db8::1", ["203.0.113.0/24"], False),
        (None, ["203.0.113.0/24"], False),
        ("unix", ["203.0.113.0/24"], False),
    ],
)
def test_a_key_is_good_from_its_networks_only(
    address: str | None, networks: list[str], expected: bool
) -> None:
    assert is_from(address, parse_networks(networks)) is expected


@pytest.mark.parametrize("network", ["", "nowhere", "203.0.113.7/24", "203.0.113.0/33", "10.0.0.0-10.0.0.9"])
def test_what_is_no_network_is_objected_to(network: str) -> None:
    found = key_objections(networks=["10.0.0.0/8", network], expires_at=None, now=NOW)
    assert found == [("networks[1]", "is not a network in CIDR notation")]


def test_a_key_expires_in_the_future() -> None:
    assert key_objections(networks=[], expires_at=NOW + timedelta(seconds=1), now=NOW) == []
    assert key_objections(networks=[], expires_at=NOW, now=NOW) == [("expires_at", "must be in the future")]
