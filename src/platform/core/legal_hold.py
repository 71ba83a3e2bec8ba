"""Legal holds: what is needed for a legal claim is not erased, whoever asks for it (Art. 17(3)(e) GDPR)."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from core.errors import LegalHoldLifted, UnderLegalHold


class LegalHold(msgspec.Struct, frozen=True):
    """A hold on a whole tenant, or on one of its people; it stands until it is lifted."""

    id: UUID
    tenant_id: UUID
    user_id: UUID | None
    reason: str
    placed_by: UUID
    placed_at: datetime
    lifted_by: UUID | None = None
    lifted_at: datetime | None = None
    lift_reason: str | None = None


def stops(hold: LegalHold, user_id: UUID | None) -> bool:
    """Whether a hold forbids to erase a person, or the whole tenant where `user_id` is None.

    A hold on the tenant covers its people; a hold on a person covers the tenant, whose erasure takes the
    person along.
    """
    return hold.lifted_at is None and (hold.user_id is None or user_id is None or hold.user_id == user_id)


def require_no_hold(holds: Iterable[LegalHold], user_id: UUID | None = None) -> None:
    """Refuse erasure under a hold, naming the oldest: raises UnderLegalHold."""
    standing = sorted((hold for hold in holds if stops(hold, user_id)), key=lambda hold: hold.placed_at)
    if standing:
        raise UnderLegalHold(reason=standing[0].reason, since=standing[0].placed_at.date())


def require_standing(hold: LegalHold) -> None:
    """Refuse to lift a hold twice: raises LegalHoldLifted."""
    if hold.lifted_at is not None:
        raise LegalHoldLifted(day=hold.lifted_at.date())
