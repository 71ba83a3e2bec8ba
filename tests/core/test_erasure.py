"""The life of an erasure, as a table."""

from uuid import UUID

import pytest

from core.erasure import (
    STEPS,
    TRANSITIONS,
    ErasureEvent,
    ErasureState,
    erased_slug,
    next_state,
    tables_of_tenants,
)
from core.errors import ErasureRefused
from core.tenant import schema_name


@pytest.mark.parametrize("state", ErasureState)
@pytest.mark.parametrize("event", ErasureEvent)
def test_an_erasure_goes_only_where_the_table_says(state: ErasureState, event: ErasureEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(ErasureRefused):
            next_state(state, event)


def test_once_it_runs_an_erasure_can_only_end() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is ErasureState.RUNNING} == {
        ErasureState.RUNNING,
        ErasureState.DONE,
    }


def test_the_law_is_served_before_anything_is_deleted() -> None:
    assert STEPS.index("archive") < STEPS.index("delete_data") < STEPS.index("drop_schema")


def test_an_erased_slug_is_a_slug_that_names_nobody() -> None:
    assert schema_name(erased_slug(UUID(int=7)))


def test_rows_of_tenants_in_shared_tables_go_by_their_classification() -> None:
    assert {"api_keys", "founders", "jobs", "prices"} <= set(tables_of_tenants())
    assert not {"erasures", "legal_archives", "tenants"} & set(tables_of_tenants())
