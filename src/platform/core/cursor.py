"""Keyset cursors: the key of the last item of a page, as an opaque text."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from core.errors import InvalidInput

DEFAULT_LIMIT = 50
MAX_LIMIT = 1_000

Key = TypeVar("Key", bound=tuple[Any, ...])


def encode_cursor(key: tuple[Any, ...]) -> str:
    """The cursor that continues after this key."""
    return urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(cursor: str, key_type: type[Key]) -> Key:
    """The key in a cursor; raises InvalidInput for a text that is none."""
    try:
        decoded = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        key: Key = msgspec.json.decode(decoded, type=key_type)
        _require_storable(key)
    except (ValueError, OverflowError) as error:  # base64 and msgspec raise ValueErrors, too
        raise InvalidInput(errors=[{"field": "cursor", "detail": "is not a cursor of this list"}]) from error
    return key


def _require_storable(key: tuple[Any, ...]) -> None:
    """Refuse parts that no key in PostgreSQL has: raises ValueError, OverflowError."""
    for part in key:
        if isinstance(part, str) and "\x00" in part:
            raise ValueError("a text with NUL")
        if isinstance(part, int) and not -(2**63) <= part < 2**63:
            raise OverflowError("an integer that no column holds")
        if isinstance(part, datetime):
            if part.tzinfo is None:
                raise ValueError("a time without an offset")
            part.astimezone(UTC)  # overflows before year 1 and after year 9999
