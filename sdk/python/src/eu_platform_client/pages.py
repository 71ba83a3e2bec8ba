"""Lists, page by page, as one iterator."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from eu_platform_client.generated.models.problem import Problem
from eu_platform_client.generated.types import UNSET, Unset
from eu_platform_client.problem import ok

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class Page(Protocol[Item_co]):
    """Items, and the cursor of those that follow."""

    @property
    def items(self) -> Sequence[Item_co]:
        """The items of this page."""
        ...

    @property
    def next_cursor(self) -> str | Unset | None:
        """Where the next page begins; None at the end."""
        ...


def items(page: Callable[[str | Unset], Page[Item] | Problem | None]) -> Iterator[Item]:
    """Every item of a list; `page` asks for the page at a cursor, each when it is needed.

    `items(lambda cursor: list_usage.sync(tenant_id, client=client, cursor=cursor))`
    """
    cursor: str | Unset = UNSET
    while True:
        found = ok(page(cursor))
        yield from found.items
        if not isinstance(found.next_cursor, str):
            return
        cursor = found.next_cursor
