"""Portability (Art. 20 GDPR): what a tenant's package holds, as values."""

from collections.abc import Collection, Mapping
from enum import StrEnum

import msgspec

from core.classification import Column, Export
from core.errors import PlatformError

LAYOUT = "1"
"""The version of the package's layout; a reader refuses one that it does not know."""


class Format(StrEnum):
    """How the rows of a package are written."""

    JSON = "json"
    CSV = "csv"
    XML = "xml"

    @property
    def suffix(self) -> str:
        """How the files of tables end; JSON comes as one object a line, since a file may be large."""
        return "jsonl" if self is Format.JSON else self.value


class Kind(StrEnum):
    """What the values of a column are, and so how each format writes them."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    NUMBER = "number"
    BOOLEAN = "boolean"
    UUID = "uuid"
    DATE = "date"
    INSTANT = "instant"
    JSON = "json"
    LIST = "list"
    BYTES = "bytes"


class PortableColumn(msgspec.Struct, frozen=True):
    """A column as packages hold it."""

    name: str
    kind: Kind
    is_nullable: bool


class PortableTable(msgspec.Struct, frozen=True):
    """A table as packages hold it, and the columns that are left out of it."""

    name: str
    columns: tuple[PortableColumn, ...]
    withheld: tuple[str, ...] = ()

    def path(self, format_: Format) -> str:
        """Where its rows stand in the package."""
        return f"data/{self.name}.{format_.suffix}"


class LiveColumn(msgspec.Struct, frozen=True):
    """A column as the database has it now."""

    column: PortableColumn
    is_key: bool


class SchemaUndescribed(PlatformError):
    """The table {table} has columns that the classification does not know: {columns}."""

    fields = ("table", "columns")


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A finished package: what its receiver may want to check."""

    format: Format
    size: int
    sha256: str
    rows: int


def portable(
    name: str, live: Collection[LiveColumn], classified: Mapping[str, Column]
) -> PortableTable | None:
    """What of a table leaves: the columns that are classified so; None where nothing does.

    A table whose key holds a secret or bookkeeping stays whole: its rows are credentials, or notes of the
    platform's own. Raises SchemaUndescribed for a column without a classification, rather than leave out
    what a tenant has a right to, or give away what must stay.
    """
    unknown = sorted(each.column.name for each in live if each.column.name not in classified)
    if unknown:
        raise SchemaUndescribed(table=name, columns=", ".join(unknown))
    leaves = {each.column.name for each in live if classified[each.column.name].export is Export.YES}
    if not leaves or any(each.is_key and each.column.name not in leaves for each in live):
        return None
    return PortableTable(
        name,
        tuple(each.column for each in live if each.column.name in leaves),
        tuple(each.column.name for each in live if each.column.name not in leaves),
    )
