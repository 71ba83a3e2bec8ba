from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from core.errors import LegalHoldLifted, UnderLegalHold
from core.legal_hold import LegalHold, require_no_hold, require_standing, stops

DAY = datetime(2026, 11, 25, 10, tzinfo=UTC)
TENANT, ADA, BOB = uuid4(), uuid4(), uuid4()


def hold(
    user_id: UUID | None = None, *, days: int = 0, lifted: bool = False, reason: str = "case 1"
) -> LegalHold:
    return LegalHold(
        uuid4(),
        TENANT,
        user_id,
        reason,
        uuid4(),
        DAY + timedelta(days=days),
        lifted_at=DAY + timedelta(days=days + 1) if lifted else None,
    )


@pytest.mark.parametrize(
    ("held", "erased", "expected"),
    [
        (None, None, True),
        (None, ADA, True),
        (ADA, ADA, True),
        (ADA, BOB, False),
        (ADA, None, True),  # erasing the tenant would erase Ada, too
    ],
)
def test_a_hold_stops_what_would_take_its_subject_along(
    held: UUID | None, erased: UUID | None, *, expected: bool
) -> None:
    assert stops(hold(held), erased) is expected
    assert stops(hold(held, lifted=True), erased) is False


def test_erasure_is_refused_with_reason_and_date_of_the_oldest_hold() -> None:
    holds = [
        hold(days=3, reason="younger"),
        hold(days=1, reason="oldest"),
        hold(lifted=True, reason="lifted"),
    ]
    with pytest.raises(UnderLegalHold, match="since 2026-11-26: oldest"):
        require_no_hold(holds, ADA)


def test_without_a_hold_nothing_is_refused() -> None:
    require_no_hold([], ADA)
    require_no_hold([hold(BOB), hold(lifted=True)], ADA)


def test_a_hold_is_lifted_once() -> None:
    require_standing(hold())
    with pytest.raises(LegalHoldLifted, match="2026-11-26"):
        require_standing(hold(lifted=True))
