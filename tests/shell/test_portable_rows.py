"""What is written in any format is read back as it was, whatever a text holds."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.package import PackageRefused
from core.portability import Format, Kind, PortableColumn, PortableTable
from core.portable_parsing import LONGEST_ROW, Cells, copy_line, reader
from core.portable_rows import head, plain, tail, written
from shell.copied_rows import frame_of
from tests.odd_tenant import ODD_TEXTS

COLUMNS = (
    PortableColumn("number", Kind.INTEGER, is_nullable=False),
    PortableColumn("note", Kind.TEXT, is_nullable=True),
    PortableColumn("data", Kind.JSON, is_nullable=True),
    PortableColumn("amount", Kind.DECIMAL, is_nullable=True),
    PortableColumn("seen_at", Kind.INSTANT, is_nullable=True),
    PortableColumn("good", Kind.BOOLEAN, is_nullable=True),
    PortableColumn("share", Kind.NUMBER, is_nullable=True),
)
TABLE = PortableTable("odd", COLUMNS)

texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(st.characters(exclude_characters="\0", codec="utf-8")))
rows = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1).map(str),
        st.none() | texts,
        st.none() | st.recursive(st.none() | texts, st.lists).map(json.dumps),
        st.none() | st.decimals(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:f}"),
        st.none() | st.sampled_from(["2026-11-25 01:02:03+00", "1970-01-01 00:00:00.000001+00"]),
        st.none() | st.sampled_from(["t", "f"]),
        st.none() | st.sampled_from(["0.1", "1e+300", "NaN", "-Infinity"]),
    ),
    max_size=6,
)


def copied(found: Sequence[Sequence[str | None]]) -> bytes:
    """The rows as COPY … TO writes them."""
    return b"".join(copy_line(row) for row in found)


def file_of(found: Sequence[Sequence[str | None]], format_: Format) -> bytes:
    """The rows as a package's file holds them."""
    body = written(plain(frame_of(copied(found), COLUMNS), COLUMNS), COLUMNS, format_) if found else b""
    return head(TABLE, format_).encode() + body + tail(format_).encode()


def read(content: bytes, format_: Format, *, piece: int = 7, table: PortableTable = TABLE) -> list[Cells]:
    """The rows that a reader finds in a file that comes in pieces."""
    each = reader(format_, table)
    found = [
        row for start in range(0, len(content), piece) for row in each.feed(content[start : start + piece])
    ]
    return [*found, *each.end()]


def as_taken_back(row: Sequence[str | None]) -> Cells:
    """A row as the database takes it back: another text for some values, and the same value."""
    number, note, data, amount, seen_at, good, share = row
    return [
        number,
        note,
        data,
        amount,
        seen_at and seen_at.replace(" ", "T").replace("+00", "Z"),
        good and {"t": "true", "f": "false"}[good],
        share,
    ]


@pytest.mark.parametrize("format_", Format)
@settings(max_examples=40)
@given(rows)
def test_what_is_written_is_read_back(format_: Format, found: list[tuple[str | None, ...]]) -> None:
    again = read(file_of(found, format_), format_)
    expected = [as_taken_back(row) for row in found]
    if format_ is Format.JSON:  # which writes a number that is not finite as a text
        again = [
            [cell and cell.strip('"') if place == 6 else cell for place, cell in enumerate(row)]
            for row in again
        ]
    assert again == expected


@settings(max_examples=40)
@given(rows)
def test_json_lines_are_what_any_reader_of_json_expects(found: list[tuple[str | None, ...]]) -> None:
    lines = file_of(found, Format.JSON).decode().split("\n")[:-1]
    for line, row in zip(lines, found, strict=True):
        value: dict[str, Any] = json.loads(line)
        number, note, data, amount, *_ = row
        assert (value["number"], value["note"]) == (int(number or 0), note)
        assert value["amount"] is None if amount is None else Decimal(value["amount"]) == Decimal(amount)
        assert ("data" in value) is (data is not None)
        assert data is None or value["data"] == json.loads(data)


@pytest.mark.parametrize(
    ("format_", "content"),
    [
        (Format.JSON, b'{"number":1'),
        (Format.JSON, b"[]\n"),
        (Format.JSON, b'{"number":1,"other":2}\n'),
        (Format.JSON, b'{"number":1,"note":7}\n'),
        (Format.JSON, b'\xff{"number":1}\n'),
        (Format.CSV, b""),
        (Format.CSV, b"number,other\r\n"),
        (Format.CSV, b'number,note\r\n1,"open'),
        (Format.CSV, b'number,note\r\n1,"a"b\r\n'),
        (Format.CSV, b"number,note\r\n1\r\n"),
        (Format.CSV, b'number,note\r\n1,"\xff"\r\n'),
        (Format.XML, b"<table><row>"),
        (Format.XML, b"<table><row><number>1</number></row></table>"),
        (Format.XML, b"<table><row><note>1</note><number>1</number></row></table>"),
        (Format.XML, b"<table><row><number>1</number><note><b/></note></row></table>"),
        (Format.XML, b"<other/>"),
        (Format.XML, b'<!DOCTYPE table [<!ENTITY a "aaaa">]><table>&a;</table>'),
    ],
)
def test_a_file_in_another_form_is_refused(format_: Format, content: bytes) -> None:
    with pytest.raises(PackageRefused):
        read(content, format_, table=PortableTable("odd", COLUMNS[:2]))


@pytest.mark.parametrize("format_", [Format.JSON, Format.CSV])
def test_a_row_without_an_end_is_refused_before_it_fills_the_memory(format_: Format) -> None:
    each = reader(format_, TABLE)
    piece = b'"' + b"x" * (LONGEST_ROW // 4)
    with pytest.raises(PackageRefused):
        for _ in range(6):
            list(each.feed(piece))


def test_lists_and_bytes_are_taken_back_as_the_database_writes_them() -> None:
    table = PortableTable(
        "odd",
        (
            PortableColumn("names", Kind.LIST, is_nullable=True),
            PortableColumn("raw", Kind.BYTES, is_nullable=True),
        ),
    )
    (row,) = read(b'{"names":["a\\"b","c\\\\d",null,"NULL",""],"raw":"AP8="}\n', Format.JSON, table=table)
    assert row == ['{"a\\"b","c\\\\d",NULL,"NULL",""}', "\\x00ff"]
