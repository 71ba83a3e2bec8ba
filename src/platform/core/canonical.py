"""Canonical JSON by RFC 8785 (JCS), for values of which it is known to be canonical.

Sorted JSON of msgspec is RFC 8785 as long as keys are ASCII and values are strings, booleans and integers
that a double holds exactly: floats, other keys and null are refused rather than written in a form of our own.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

SAFE_INTEGER: Final = 2**53 - 1

Scalar: TypeAlias = str | int | bool
Value: TypeAlias = Scalar | Mapping[str, Scalar]


def canonical_json(value: Mapping[str, Value]) -> bytes:
    """The value's one form as bytes; raises ValueError, TypeError for what has none here."""
    require_canonical(value)
    return msgspec.json.encode(value, order="sorted")


def require_canonical(value: Mapping[str, Value]) -> None:
    """Refuse what `canonical_json` cannot write: raises ValueError, TypeError."""
    for key, item in value.items():
        if not key.isascii():
            raise ValueError("a key that is not ASCII")
        if isinstance(item, Mapping):
            require_canonical(item)
        elif isinstance(item, str):
            item.encode()  # lone surrogates have no form in UTF-8
        elif not isinstance(item, int):  # a bool is an int
            raise TypeError(f"{type(item).__name__} is no string, integer or boolean")
        elif abs(item) > SAFE_INTEGER:
            raise ValueError("an integer that a double does not hold exactly")
