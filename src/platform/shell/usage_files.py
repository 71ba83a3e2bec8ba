"""Files of usage: CSV and Parquet, read piece by piece, so that a file may be larger than the memory.

CSV is read by Python's own reader, not by Polars: it loses no row of a file whose quoting is broken, and says
in which line it is.
"""

import csv
import hashlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
import polars as pl
from polars.exceptions import PanicException, PolarsError

from core.errors import PlatformError
from core.usage_import import FAULT

PIECE_ROWS: Final = 5_000
BLOCK_BYTES: Final = 1024 * 1024
"""What the file is hashed in; a line of a CSV that fills a block is longer than any row."""

_PARQUET_MAGIC: Final = b"PAR1"
_COMPRESSED: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "ZIP, or a workbook"}

NumberedRow = tuple[int, Mapping[str, Any]]


class FileUnusable(PlatformError):
    """The file {file} cannot be imported: {reason}."""

    fields = ("file", "reason")


class FileKind(StrEnum):
    """How a file keeps its rows."""

    CSV = "csv"
    PARQUET = "parquet"


class UsageFile(msgspec.Struct, frozen=True):
    """A file that can be read: its columns, how many rows it has, and the number of the first.

    The rows of a CSV are numbered as an editor numbers lines; the header is usually row 1.
    """

    path: Path
    kind: FileKind
    columns: tuple[str, ...]
    rows: int
    first_row: int
    digest: bytes


class Piece(msgspec.Struct, frozen=True):
    """Rows that follow one another, without the blank ones, and how many rows of the file they end after."""

    rows: list[NumberedRow]
    end: int


def open_usage_file(path: Path) -> UsageFile:
    """Look through the whole file once; raises FileUnusable with a reason that a person understands."""
    with _explained(path):
        kind = _kind(path)
        digest, lines = _digest(path, kind)
        if kind is FileKind.PARQUET:
            scan = _scan_parquet(path)
            rows = int(scan.select(pl.len()).collect().item())
            return UsageFile(path, kind, tuple(scan.collect_schema()), rows, 1, digest)
        columns, header_end = _header(path)
        return UsageFile(path, kind, columns, lines - header_end, header_end + 1, digest)


def pieces(file: UsageFile, columns: Sequence[str], *, after: int = 0) -> Iterator[Piece]:
    """The values of these columns in the rows that follow the first `after`, some thousand rows at a time.

    Raises FileUnusable where the file turns out to be damaged.
    """
    read = _csv_pieces if file.kind is FileKind.CSV else _parquet_pieces
    with _explained(file.path):
        yield from read(file, columns, after)


# --- CSV ----------------------------------------------------------------------------------------------


def _csv_pieces(file: UsageFile, columns: Sequence[str], after: int) -> Iterator[Piece]:
    """Pieces end between two records; `after` and `end` count lines, so that what is done is skipped fast."""
    places = {column: file.columns.index(column) for column in columns}
    with _opened(file.path) as lines:
        deque(islice(lines, file.first_row - 1 + after), maxlen=0)
        reader = csv.reader(lines, strict=True)
        records = _records(reader, first=file.first_row + after)
        while batch := list(islice(records, PIECE_ROWS)):
            rows = [
                (number, _csv_row(fields, places, len(file.columns)))
                for number, fields in batch
                if isinstance(fields, str) or any(map(str.strip, fields))
            ]
            yield Piece(rows, after + reader.line_num)


def _records(reader: Any, *, first: int) -> Iterator[tuple[int, list[str] | str]]:
    """The fields of each record, or what is wrong with it, and the number of its first line."""
    while True:
        number = first + reader.line_num
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            last = first + reader.line_num - 1
            lost = f"; lines {number} to {last} are not read" if last > number else ""
            yield number, f"its quoting is broken ({error}){lost}"


def _csv_row(fields: list[str] | str, places: Mapping[str, int], width: int) -> Mapping[str, Any]:
    if isinstance(fields, str):
        return {FAULT: fields}
    if any(fields[width:]):
        return {FAULT: f"has {len(fields)} fields, and the header {width}"}
    return {column: fields[place] if place < len(fields) else None for column, place in places.items()}


def _header(path: Path) -> tuple[tuple[str, ...], int]:
    """The names of the columns, and how many lines they end after."""
    with _opened(path) as lines:
        reader = csv.reader(lines, strict=True)
        try:
            columns = next((fields for fields in reader if any(fields)), None)
        except csv.Error as error:
            raise FileUnusable(file=path, reason=f"its header cannot be read ({error})") from error
        if columns is None:
            raise FileUnusable(file=path, reason="it has nothing but empty lines")
        twice = [name for name, times in Counter(columns).items() if times > 1 and name.strip()]
        if twice:
            raise FileUnusable(file=path, reason=f"two of its columns are named {twice[0]!r}")
        return tuple(columns), reader.line_num


def _opened(path: Path) -> TextIO:
    """The text of a CSV; one row in another encoding is a bad row, not a bad file."""
    return path.open(encoding="utf-8-sig", errors="replace", newline="\n")


# --- Parquet -------------------------------------------------------------------------------------------


def _parquet_pieces(file: UsageFile, columns: Sequence[str], after: int) -> Iterator[Piece]:
    scan = _scan_parquet(file.path)
    types = scan.collect_schema()
    # As a Python float, 0.1 in four bytes is 0.10000000149011612; as text it is 0.1.
    narrow = [name for name in columns if types[name] in (pl.Float16, pl.Float32)]
    selected = scan.select(columns).with_columns(pl.col(narrow).cast(pl.String)).slice(after)
    end = after
    for frame in selected.collect_batches(chunk_size=PIECE_ROWS, maintain_order=True):
        rows: list[NumberedRow] = list(enumerate(frame.iter_rows(named=True), file.first_row + end))
        end += frame.height
        yield Piece(rows, end)


def _scan_parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


# --- both ----------------------------------------------------------------------------------------------


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
            raise FileUnusable(file=path, reason=f"it is compressed ({name}); give the CSV or Parquet in it")
    return FileKind.PARQUET if start == _PARQUET_MAGIC else FileKind.CSV


def _digest(path: Path, kind: FileKind) -> tuple[bytes, int]:
    """The SHA-256 of the content, and how many lines it has; on the way, what is no text is refused."""
    digest = hashlib.sha256()
    lines, last = 0, b"\n"
    with path.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            digest.update(block)
            if kind is FileKind.PARQUET:
                continue
            if b"\x00" in block:
                raise FileUnusable(file=path, reason="it is neither Parquet nor text in UTF-8")
            if len(block) == BLOCK_BYTES and b"\n" not in block:
                raise FileUnusable(file=path, reason="it has a line of more than a million characters")
            lines += block.count(b"\n")
            last = block[-1:]
    return digest.digest(), lines + (last != b"\n")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What the system and Polars have to say about a file, in the words of one error."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileUnusable(file=path, reason="there is no such file") from error
    except OSError as error:
        raise FileUnusable(file=path, reason=error.strerror or str(error)) from error
    except (PolarsError, PanicException) as error:
        raise FileUnusable(file=path, reason=f"it is damaged ({str(error).splitlines()[0]})") from error
