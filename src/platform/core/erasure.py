"""The erasure of a tenant (Art. 17 GDPR): its waiting period, its steps, and what it may be asked to do."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from core.classification import CLASSIFICATION, Scope
from core.classification import Erasure as Treatment
from core.errors import ErasureRefused


class ErasureState(StrEnum):
    """Where an erasure is: REQUESTED waits, and can be taken back; RUNNING ends as DONE, whatever crashes."""

    REQUESTED = "REQUESTED"
    CANCELLED = "CANCELLED"
    RUNNING = "RUNNING"
    DONE = "DONE"


class ErasureEvent(StrEnum):
    """What happens to an erasure."""

    CANCEL = "cancel"
    BEGIN = "begin"
    FINISH = "finish"


TRANSITIONS: dict[tuple[ErasureState, ErasureEvent], ErasureState] = {
    (ErasureState.REQUESTED, ErasureEvent.CANCEL): ErasureState.CANCELLED,
    (ErasureState.REQUESTED, ErasureEvent.BEGIN): ErasureState.RUNNING,
    (ErasureState.RUNNING, ErasureEvent.BEGIN): ErasureState.RUNNING,
    (ErasureState.RUNNING, ErasureEvent.FINISH): ErasureState.DONE,
}
"""The whole life of an erasure; it may begin again, since it is resumed after a crash."""

UNDER_WAY = frozenset({ErasureState.REQUESTED, ErasureState.RUNNING})


class Step(StrEnum):
    """The steps in their order: each is one transaction, recorded in it, and may run again."""

    FREEZE = "freeze"
    ARCHIVE = "archive"
    DELETE_DATA = "delete_data"
    DROP_SCHEMA = "drop_schema"
    PURGE_REDIS = "purge_redis"
    AUDIT = "audit"
    CLOSE = "close"
    CERTIFY = "certify"


STEPS = tuple(Step)


class StepDone(msgspec.Struct, frozen=True):
    """A step that was done, and what it found."""

    step: Step
    finished_at: datetime
    facts: dict[str, str]


class Erasure(msgspec.Struct, frozen=True):
    """The erasure of a tenant, as far as it is; from `due_at` on it cannot be taken back."""

    tenant_id: UUID
    state: ErasureState
    requested_at: datetime
    due_at: datetime
    job_id: UUID | None
    steps: list[StepDone]
    ended_at: datetime | None


class Identifiers(msgspec.Struct, frozen=True):
    """What names a tenant's people and machines: sealed while it is erased, forgotten after the scan."""

    emails: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    user_ids: frozenset[UUID] = frozenset()
    key_ids: frozenset[UUID] = frozenset()
    job_ids: frozenset[UUID] = frozenset()

    def __repr__(self) -> str:
        """Nobody's name."""
        return "Identifiers(***)"


def next_state(state: ErasureState, event: ErasureEvent) -> ErasureState:
    """The state that follows; raises ErasureRefused where there is no such step."""
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise ErasureRefused(state=state, event=event)
    return following


def due_at(now: datetime, waiting: timedelta) -> datetime:
    """When an erasure that is asked for now may begin."""
    return now + waiting


def tables_of_tenants() -> list[str]:
    """The shared tables whose rows go with their tenant, by the classification."""
    return sorted(
        table.name
        for table, columns in CLASSIFICATION.items()
        if table.scope is Scope.PUBLIC
        and "tenant_id" in columns
        and columns["tenant_id"].erasure is Treatment.DELETE_ROW
    )


def erased_slug(tenant_id: UUID) -> str:
    """What stands in place of a slug, which may be a person's name."""
    return f"erased-{tenant_id.hex}"
