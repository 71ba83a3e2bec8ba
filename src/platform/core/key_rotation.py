"""Key rotation: the newest key signs, and the ones before it verify as long as a token of theirs can live."""

from collections.abc import Sequence
from datetime import datetime, timedelta


def still_verifying(made: Sequence[datetime | None], now: datetime, token_life: timedelta) -> list[bool]:
    """Which keys verify, of those made at these instants, oldest first.

    A key is superseded when the next one is made; the last token that it signed ends one token's life later.
    A key whose successor was made at an unknown time verifies until it is removed.
    """
    successors = [*made[1:], None]
    return [successor is None or now < successor + token_life for successor in successors]
