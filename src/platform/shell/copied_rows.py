"""What COPY … TO writes, as a frame."""

import io

import polars as pl

from core.portability import PortableColumn


def frame_of(copied: bytes, columns: tuple[PortableColumn, ...]) -> pl.DataFrame:
    """Whole lines of COPY's text form (UTF-8): a String column each, still escaped, null for NULL.

    A line break or tab inside a value is escaped, and a value that reads like NULL's sign has its backslash
    doubled, so that lines and fields can be told apart without a look at quotes.
    """
    return pl.read_csv(
        io.BytesIO(copied),
        has_header=False,
        separator="\t",
        quote_char=None,
        null_values="\\N",
        empty_string_is_null=False,
        schema={column.name: pl.String() for column in columns},
    )
