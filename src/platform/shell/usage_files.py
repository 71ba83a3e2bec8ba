"""Files of usage: CSV and Parquet, read piece by piece, so that a file may be larger than the memory."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
from polars.exceptions import PanicException, PolarsError

from core.errors import PlatformError
from core.usage_import import MORE_FIELDS

PIECE_ROWS: Final = 5_000
BLOCK_BYTES: Final = 1024 * 1024
"""What the file is hashed in; a line of a CSV that fills a block is longer than any row."""

_BLANK: Final = "\x00blank"
_PARQUET_MAGIC: Final = b"PAR1"
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "a ZIP archive or a workbook",
}
_UNREADABLE: Final = (PolarsError, PanicException)


class FileUnusable(PlatformError):
    """The file {file} cannot be imported: {reason}."""

    fields = ("file", "reason")


class FileKind(StrEnum):
    """How a file keeps its rows."""

    CSV = "csv"
    PARQUET = "parquet"


class UsageFile(msgspec.Struct, frozen=True):
    """A file that can be read: its columns, how many rows it has, and the number of the first.

    In a CSV the header is row 1, as in a spreadsheet, so that rows are the lines an editor shows.
    """

    path: Path
    kind: FileKind
    columns: tuple[str, ...]
    rows: int
    first_row: int
    digest: bytes


class Piece(msgspec.Struct, frozen=True):
    """Numbered rows that follow one another, without the blank ones, and how many rows they end after."""

    rows: list[tuple[int, dict[str, Any]]]
    end: int


def open_usage_file(path: Path) -> UsageFile:
    """Look through the whole file once; raises FileUnusable with a reason that a person understands."""
    with _explained(path):
        kind = _kind(path)
        digest = _digest(path, kind)
        if kind is FileKind.PARQUET:
            scan = _scan_parquet(path)
            return UsageFile(path, kind, tuple(scan.collect_schema()), _length(scan), 1, digest)
        before = _lines_before_header(path)
        header = pl.scan_csv(path, infer_schema=False, glob=False, encoding="utf8-lossy")
        columns = tuple(header.collect_schema())
        return UsageFile(path, kind, columns, _length(_scan_csv(path, columns, before)), before + 2, digest)


def pieces(file: UsageFile, columns: Sequence[str], *, after: int = 0) -> Iterator[Piece]:
    """The values of these columns in the rows that follow the first `after`, in pieces of 5,000 rows.

    Raises FileUnusable where the file turns out to be damaged.
    """
    with _explained(file.path, file.kind):
        end = after
        scan = _selected(file, columns).slice(after)
        for frame in scan.collect_batches(chunk_size=PIECE_ROWS, maintain_order=True):
            numbers = range(file.first_row + end, file.first_row + end + frame.height)
            rows = zip(numbers, frame.iter_rows(named=True), strict=True)
            end += frame.height
            yield Piece([(number, row) for number, row in rows if not row.pop(_BLANK)], end)


def _selected(file: UsageFile, columns: Sequence[str]) -> pl.LazyFrame:
    """The columns, with whether a row is blank; in a CSV also with what stands beyond the last column."""
    if file.kind is FileKind.PARQUET:
        scan = _scan_parquet(file.path)
        types = scan.collect_schema()
        # As a Python float, 0.1 in four bytes is 0.10000000149011612.
        narrow = [name for name in columns if types[name] in (pl.Float32, pl.Float16)]
        return scan.select(
            pl.col(*columns).exclude(narrow),
            pl.col(*narrow).cast(pl.String),
            pl.lit(value=False).alias(_BLANK),
        )
    scan = _scan_csv(file.path, file.columns, file.first_row - 2)
    return scan.select(*columns, MORE_FIELDS, pl.all_horizontal(pl.all().is_null()).alias(_BLANK))


def _scan_csv(path: Path, columns: Sequence[str], lines_before: int) -> pl.LazyFrame:
    """Every value as text; a row with fields too many keeps the first of them, one with too few has nulls."""
    return pl.scan_csv(
        path,
        has_header=False,
        skip_rows=lines_before + 1,
        schema=dict.fromkeys([*columns, MORE_FIELDS], pl.String),
        missing_columns="insert",
        truncate_ragged_lines=True,
        encoding="utf8-lossy",  # one row in another encoding is a bad row, not a bad file
        raise_if_empty=False,
        glob=False,
    )


def _scan_parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _length(scan: pl.LazyFrame) -> int:
    return int(scan.select(pl.len()).collect().item())


def _kind(path: Path) -> FileKind:
    if path.is_dir():
        raise FileUnusable(file=path, reason="it is a folder")
    if path.exists() and not path.is_file():
        raise FileUnusable(file=path, reason="it is no regular file, so it cannot be read twice")
    with path.open("rb") as opened:
        start = opened.read(4)
    if not start:
        raise FileUnusable(file=path, reason="it is empty")
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise FileUnusable(file=path, reason=f"it is compressed ({name}); unpack it, or save it as CSV")
    return FileKind.PARQUET if start == _PARQUET_MAGIC else FileKind.CSV


def _digest(path: Path, kind: FileKind) -> bytes:
    """The SHA-256 of the content; on the way, what is no text is refused."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            digest.update(block)
            if kind is FileKind.PARQUET:
                continue
            if b"\x00" in block:
                raise FileUnusable(file=path, reason="it is neither Parquet nor text in UTF-8")
            if len(block) == BLOCK_BYTES and b"\n" not in block:
                raise FileUnusable(file=path, reason="it has a line of more than a million characters")
    return digest.digest()


def _lines_before_header(path: Path) -> int:
    """How many empty lines the file begins with."""
    with path.open("rb") as opened:
        for number, line in enumerate(opened):
            if line.strip(b"\xef\xbb\xbf\r\n"):
                return number
    raise FileUnusable(file=path, reason="it has nothing but empty lines")


@contextmanager
def _explained(path: Path, kind: FileKind | None = None) -> Iterator[None]:
    """What the system and Polars have to say about a file, in the words of one error."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileUnusable(file=path, reason="there is no such file") from error
    except OSError as error:
        raise FileUnusable(file=path, reason=error.strerror or str(error)) from error
    except _UNREADABLE as error:
        fault = _csv_fault(path) if kind is FileKind.CSV else None
        reason = fault or f"it is damaged ({str(error).splitlines()[0]})"
        raise FileUnusable(file=path, reason=reason) from error


def _csv_fault(path: Path) -> str | None:
    """Where the quoting of a CSV goes wrong, which Polars does not tell."""
    with path.open(encoding="utf-8", errors="replace", newline="") as opened:
        rows = csv.reader(opened, strict=True)
        try:
            for _ in rows:
                pass
        except csv.Error as error:
            return f"its quoting is broken, at line {rows.line_num} ({error})"
    return None
