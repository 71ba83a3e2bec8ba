"""The registers of breaches and of requests of data subjects."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec

from core.errors import NotFound
from core.register_case import (
    REMIND_BEFORE_BREACH,
    REMIND_BEFORE_REQUEST,
    RUNNING,
    CaseKind,
    CaseState,
    CaseStep,
    RegisterCase,
    due_of,
    next_case_state,
)
from shell.queries import SQL
from shell.session import Session

CaseKey = tuple[datetime, UUID]


async def add(
    session: Session, kind: CaseKind, *, tenant_id: UUID | None, summary: str, began_at: datetime
) -> RegisterCase:
    """Enter a case; its clock has been running since it began."""
    due = due_of(kind, began_at, CaseState.OPEN)
    row = await session.connection.fetchrow(
        SQL["insert_case"],
        uuid4(),
        kind,
        tenant_id,
        summary,
        began_at,
        due,
        CaseState.OPEN,
        datetime.now(UTC),
    )
    return _found(row)


async def take_step(session: Session, case_id: UUID, step: CaseStep, *, reason: str) -> RegisterCase:
    """Move a case on; an extension moves its end. Raises NotFound, CaseStepRefused."""
    case = _found(await session.connection.fetchrow(SQL["lock_case"], case_id))
    state = next_case_state(case.kind, case.state, step)
    due = due_of(case.kind, case.began_at, state) if state in RUNNING else case.due_at
    return _found(
        await session.connection.fetchrow(SQL["move_case"], case_id, state, reason, due, datetime.now(UTC))
    )


async def get(session: Session, case_id: UUID) -> RegisterCase:
    """A case; raises NotFound."""
    return _found(await session.connection.fetchrow(SQL["case_by_id"], case_id))


async def page(
    session: Session, kind: CaseKind | None, *, after: CaseKey | None, limit: int
) -> list[RegisterCase]:
    """Cases by age, after one; one more than `limit`, where there are more."""
    created_at, case_id = after or (None, None)
    rows = await session.connection.fetch(SQL["case_page"], kind, created_at, case_id, limit + 1)
    return [_case_of(row) for row in rows]


async def next_to_remind(session: Session, now: datetime, tried: Sequence[UUID]) -> RegisterCase | None:
    """The case that is due first, of which nobody was reminded and which is not among those; locked."""
    row = await session.connection.fetchrow(
        SQL["case_to_remind"],
        list(RUNNING),
        now + REMIND_BEFORE_BREACH,
        now + REMIND_BEFORE_REQUEST,
        list(tried),
    )
    return None if row is None else _case_of(row)


async def note_reminder(session: Session, case_id: UUID, now: datetime) -> None:
    """Note that somebody was reminded of a case."""
    await session.connection.execute(SQL["note_reminder"], case_id, now)


def _case_of(row: asyncpg.Record) -> RegisterCase:
    return msgspec.convert(dict(row), RegisterCase)


def _found(row: asyncpg.Record | None) -> RegisterCase:
    if row is None:
        raise NotFound(what="case")
    return _case_of(row)
