"""Instants in query strings."""

from datetime import datetime

from core.registration import refuse


def require_offsets(instants: dict[str, datetime | None]) -> None:
    """Refuse times of no time zone, which mean another instant to each reader: raises InvalidInput."""
    naive = [name for name, instant in instants.items() if instant is not None and instant.tzinfo is None]
    refuse([(name, "must have an offset, such as Z or +01:00") for name in naive])
