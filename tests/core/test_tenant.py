import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import TenantGone, TenantNotWritable, TransitionRefused
from core.tenant import (
    RESERVED_SLUGS,
    SLUG_PATTERN,
    TRANSITIONS,
    Slug,
    Tenant,
    TenantEvent,
    TenantState,
    next_state,
    require_readable,
    require_writable,
    schema_name,
)

HOMES = {TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.DELETED}

words = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=9)
slugs = st.lists(words, min_size=1, max_size=3).map(lambda parts: "ab" + "-".join(parts))

NO_SLUGS = [
    "",
    "ab",
    "a" * 41,
    "Acme",
    "1acme",
    "-acme",
    "acme-",
    "acme--cloud",
    "acme_cloud",
    "acme cloud",
    "acme\n",
    "\nacme",
    "acme\nevil",
    "acme\x00",
    'acme"; drop schema public',
    "ácme",
    "acme\u0661",
]


def reachable(start: TenantState) -> set[TenantState]:
    """Every state that some path leads to, the start included."""
    found = {start}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in found} - found
        if not more:
            return found
        found |= more


def walk(state: TenantState, events: list[TenantEvent]) -> Iterator[TenantState]:
    """The states of a life, with the events that the lifecycle refuses left out."""
    for event in events:
        state = TRANSITIONS.get((state, event), state)
        yield state


def test_every_state_can_be_reached_from_the_first() -> None:
    assert reachable(TenantState.PENDING) == set(TenantState)


@pytest.mark.parametrize("state", TenantState)
def test_every_path_can_end_in_active_suspended_or_deleted(state: TenantState) -> None:
    assert reachable(state) & HOMES


@pytest.mark.parametrize("state", [state for state in TenantState if state not in HOMES])
def test_no_state_that_is_on_its_way_is_a_dead_end(state: TenantState) -> None:
    assert reachable(state) - {state}


@given(st.lists(st.sampled_from(TenantEvent), max_size=30))
def test_whatever_happens_a_life_can_go_on_to_its_end(events: list[TenantEvent]) -> None:
    for state in walk(TenantState.PENDING, events):
        assert reachable(state) & HOMES
        assert TenantState.DELETED in reachable(state)


def test_nothing_happens_to_a_deleted_tenant() -> None:
    assert reachable(TenantState.DELETED) == {TenantState.DELETED}
    assert not [event for state, event in TRANSITIONS if state is TenantState.DELETED]


def test_a_tenant_that_is_being_erased_does_not_come_back() -> None:
    assert reachable(TenantState.DEPROVISIONING) == {TenantState.DEPROVISIONING, TenantState.DELETED}


def test_a_tenant_is_erased_only_after_it_was_asked_to_be() -> None:
    befores = {before for (before, _), after in TRANSITIONS.items() if after is TenantState.DELETED}
    assert befores == {TenantState.DEPROVISIONING}


@pytest.mark.parametrize(("state", "event"), list(product(TenantState, TenantEvent)))
def test_the_next_state_is_the_tables_and_anything_else_is_refused(
    state: TenantState, event: TenantEvent
) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(TransitionRefused, match=f"{state} cannot be asked to {event}"):
            next_state(state, event)


@pytest.mark.parametrize(
    ("state", "readable", "writable"),
    [
        (TenantState.PENDING, True, False),
        (TenantState.PROVISIONING, True, False),
        (TenantState.ACTIVE, True, True),
        (TenantState.SUSPENDED, True, False),
        (TenantState.DEPROVISIONING, False, False),
        (TenantState.DELETED, False, False),
    ],
)
def test_a_suspended_tenant_is_read_and_only_an_active_one_changed(
    state: TenantState, readable: bool, writable: bool
) -> None:
    assert _allowed(require_readable, state) is readable
    assert _allowed(require_writable, state) is writable


def _allowed(check: object, state: TenantState) -> bool:
    assert callable(check)
    try:
        check(state)
    except (TenantGone, TenantNotWritable):
        return False
    return True


def test_a_change_to_a_tenant_that_is_gone_says_that_it_is_gone() -> None:
    with pytest.raises(TenantGone):
        require_writable(TenantState.DELETED)
    with pytest.raises(TenantNotWritable, match="SUSPENDED"):
        require_writable(TenantState.SUSPENDED)


@given(slugs)
def test_a_slug_names_a_schema_that_needs_no_quotes(slug: str) -> None:
    assert msgspec.convert(slug, Slug) == slug
    assert re.fullmatch(r"tenant_[a-z][a-z0-9_]*", schema_name(slug))
    assert len(schema_name(slug)) <= 63  # PostgreSQL cuts longer names


@given(slugs, slugs)
def test_no_two_slugs_share_a_schema(one: str, other: str) -> None:
    assert (schema_name(one) == schema_name(other)) == (one == other)


@pytest.mark.parametrize("text", NO_SLUGS)
def test_what_is_no_slug_is_taken_nowhere(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Slug)
    with pytest.raises(ValueError, match="not a slug"):
        schema_name(text)


def test_a_slug_has_3_to_40_characters() -> None:
    assert schema_name("abc") == "tenant_abc"
    assert schema_name("a" * 40) == "tenant_" + "a" * 40


def test_reserved_slugs_are_slugs_that_somebody_could_ask_for() -> None:
    assert all(re.search(SLUG_PATTERN, slug) for slug in RESERVED_SLUGS)
    assert "platform" in RESERVED_SLUGS


def test_a_tenant_knows_its_schema() -> None:
    tenant = Tenant(
        id=UUID(int=1),
        slug="acme-cloud",
        name="Acme",
        state=TenantState.ACTIVE,
        country="DE",
        vat_id=None,
        time_zone="Europe/Berlin",
        currency="EUR",
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    assert tenant.schema == "tenant_acme_cloud"
