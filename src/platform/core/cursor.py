"""Keyset cursors: the key of the last item of a page, as an opaque text."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Any, TypeVar

import msgspec

from core.errors import InvalidInput

DEFAULT_LIMIT = 50
MAX_LIMIT = 1_000

Key = TypeVar("Key")


def encode_cursor(key: tuple[Any, ...]) -> str:
    """The cursor that continues after this key."""
    return urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(cursor: str, key_type: type[Key]) -> Key:
    """The key in a cursor; raises InvalidInput for a text that is none."""
    try:
        decoded = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(decoded, type=key_type)
    except (Base64Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidInput(errors=[{"field": "cursor", "detail": "is not a cursor of this list"}]) from error
