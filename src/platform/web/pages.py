"""Pages of a list, by keyset."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from core.cursor import DEFAULT_LIMIT, MAX_LIMIT, encode_cursor

Item = TypeVar("Item")

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many items at most.")]
Cursor = Annotated[
    str | None, QueryParameter(max_length=2_000, description="The `next_cursor` of the page before.")
]


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Items, and the cursor of the page after them; null at the end."""

    items: list[Item]
    next_cursor: str | None = None


def page_of(found: Sequence[Item], limit: int, key: Callable[[Item], tuple[Any, ...]]) -> Page[Item]:
    """The first `limit` of the items found; where one more was found, the cursor continues after them."""
    items = list(found[:limit])
    return Page(items, encode_cursor(key(items[-1])) if len(found) > limit else None)


__all__ = ["DEFAULT_LIMIT", "Cursor", "Limit", "Page", "page_of"]
