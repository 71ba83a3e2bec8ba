"""Rows of packages read back: from JSON, CSV and XML to the text form that COPY … FROM takes.

A reader takes a file in pieces as they come, and gives the rows that are complete: a text or None for each
column. All of them raise PackageRefused for what is not in the form that packages have.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol
from xml.parsers import expat

import msgspec

from core.package import PackageRefused
from core.portability import Format, Kind, PortableTable

Cells = list[str | None]

LONGEST_ROW = 64 * 1024 * 1024
LITERAL = re.compile(r'[\\"]')
IN_COPY = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
COPY_SPECIAL = re.compile(r"[\\\n\r\t]")
FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|$)')
ESCAPED = re.compile(r"\\(?:(\\)|u([0-9a-f]{4}))")

PATH = ("table", "row", "a column")
"""Where a value stands in XML."""

AS_IS = frozenset({Kind.INTEGER, Kind.BOOLEAN, Kind.NUMBER, Kind.JSON})
"""Kinds whose JSON text is what the database takes."""


class Reader(Protocol):
    """Rows from pieces of a file."""

    def feed(self, piece: bytes) -> Iterator[Cells]:
        """The rows that the piece completes."""
        ...

    def end(self) -> list[Cells]:
        """The rows that only the end of the file completes; raises PackageRefused in the middle of one."""
        ...


def reader(format_: Format, table: PortableTable) -> Reader:
    """A reader of a table's file; its columns stand in the file as they do in the table."""
    readers: dict[Format, Callable[[PortableTable], Reader]] = {
        Format.JSON: JsonReader,
        Format.CSV: CsvReader,
        Format.XML: XmlReader,
    }
    return readers[format_](table)


def copy_line(cells: Sequence[str | None]) -> bytes:
    """A row as COPY … FROM takes it."""
    return ("\t".join("\\N" if cell is None else _for_copy(cell) for cell in cells) + "\n").encode()


def _for_copy(cell: str) -> str:
    return COPY_SPECIAL.sub(lambda match: IN_COPY[match[0]], cell) if COPY_SPECIAL.search(cell) else cell


def cell(text: str, kind: Kind) -> str:
    """A value as the database takes it."""
    if kind is Kind.LIST:
        return _array(text)
    if kind is Kind.BYTES:
        return bytes_literal(_decoded(text))
    return text


def bytes_literal(content: bytes) -> str:
    """Bytes as the database takes them."""
    return "\\x" + content.hex()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise PackageRefused(reason="bytes that are not base64") from error


def _array(text: str) -> str:
    try:
        items = msgspec.json.decode(text, type=list[str | None])
    except msgspec.DecodeError as error:
        raise PackageRefused(reason="a list that is no JSON list of texts") from error
    return "{" + ",".join("NULL" if item is None else _item(item) for item in items) + "}"


def _item(text: str) -> str:
    return '"' + LITERAL.sub(lambda match: "\\" + match[0], text) + '"'


class _Lines:
    """Lines of a file, from pieces."""

    def __init__(self, ending: bytes) -> None:
        self._ending = ending
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that the piece completes, without their endings."""
        *lines, self._rest = (self._rest + piece).split(self._ending)
        if len(self._rest) > LONGEST_ROW:
            raise PackageRefused(reason="a row is too long")
        return lines

    def end(self) -> None:
        """Raise PackageRefused for a line without an ending."""
        if self._rest:
            raise PackageRefused(reason="a file ends in the middle of a row")


class JsonReader:
    """JSON Lines."""

    def __init__(self, table: PortableTable) -> None:
        """Read this table's rows."""
        self._table = table
        self._lines = _Lines(b"\n")
        self._names = {column.name for column in table.columns}

    def feed(self, piece: bytes) -> Iterator[Cells]:
        """The rows that the piece completes."""
        for line in self._lines.feed(piece):
            yield self._row(line)

    def end(self) -> list[Cells]:
        """None; raises PackageRefused in the middle of a row."""
        self._lines.end()
        return []

    def _row(self, line: bytes) -> Cells:
        try:
            row = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
            if not row.keys() <= self._names:
                raise PackageRefused(reason=f"a row of {self._table.name} has a name that its schema lacks")
            return [_json_cell(row, column.name, column.kind) for column in self._table.columns]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PackageRefused(reason=f"a line of {self._table.name} cannot be read") from error


def _json_cell(row: dict[str, msgspec.Raw], name: str, kind: Kind) -> str | None:
    raw = bytes(row.get(name, b""))
    if raw == b"" if kind is Kind.JSON else raw == b"null":
        return None
    if kind in AS_IS and not (kind is Kind.NUMBER and raw.startswith(b'"')):
        return raw.decode()
    if kind is Kind.LIST:
        return _array(raw.decode())
    return cell(msgspec.json.decode(raw, type=str), kind)


class CsvReader:
    """RFC 4180, where a text always stands in quotes and an empty field is NULL."""

    def __init__(self, table: PortableTable) -> None:
        """Read this table's rows."""
        self._table = table
        self._lines = _Lines(b"\r\n")
        self._open: list[bytes] = []
        self._is_headed = False

    def feed(self, piece: bytes) -> Iterator[Cells]:
        """The rows that the piece completes: a row ends where all its quotes have been closed."""
        for line in self._lines.feed(piece):
            self._open.append(line)
            if line.count(b'"') % 2 == (1 if len(self._open) > 1 else 0):
                yield from self._record(b"\r\n".join(self._open))
                self._open = []
            elif sum(map(len, self._open)) > LONGEST_ROW:
                raise PackageRefused(reason="a row is too long")

    def end(self) -> list[Cells]:
        """None; raises PackageRefused in the middle of a row."""
        self._lines.end()
        if self._open or not self._is_headed:
            raise PackageRefused(reason="a file ends in the middle of a row")
        return []

    def _record(self, record: bytes) -> Iterator[Cells]:
        fields = self._fields(record)
        if len(fields) != len(self._table.columns):
            raise PackageRefused(reason=f"a row of {self._table.name} has too many fields, or too few")
        if self._is_headed:
            columns = zip(fields, self._table.columns, strict=True)
            yield [None if text is None else cell(text, column.kind) for text, column in columns]
        elif fields != [column.name for column in self._table.columns]:
            raise PackageRefused(reason=f"{self._table.name} has other columns than its schema")
        self._is_headed = True

    def _fields(self, record: bytes) -> Cells:
        try:
            text = record.decode()
        except UnicodeDecodeError as error:
            raise PackageRefused(reason=f"a row of {self._table.name} is not UTF-8") from error
        fields: Cells = []
        place = 0
        while True:
            match = FIELD.match(text, place)
            if match is None:
                raise PackageRefused(reason=f"a row of {self._table.name} cannot be read")
            fields.append(match[2] or None if match[1] is None else match[1].replace('""', '"'))
            place = match.end()
            if not match[3]:
                return fields


class XmlReader:
    """XML as packages have it; a document type, and with it every entity, is refused."""

    def __init__(self, table: PortableTable) -> None:
        """Read this table's rows."""
        self._table = table
        self._path: list[str] = []
        self._attributes: dict[str, str] = {}
        self._text: list[str] = []
        self._row: Cells = []
        self._rows: list[Cells] = []
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._stop
        self._parser.CharacterDataHandler = self._text.append

    def feed(self, piece: bytes) -> Iterator[Cells]:
        """The rows that are complete; the parser may wait with some for what follows (CVE-2023-52425)."""
        yield from self._parsed(piece, is_last=False)

    def end(self) -> list[Cells]:
        """The rows that the parser has waited with; raises PackageRefused in the middle of one."""
        return self._parsed(b"", is_last=True)

    def _parsed(self, piece: bytes, *, is_last: bool) -> list[Cells]:
        try:
            self._parser.Parse(piece, is_last)
        except expat.ExpatError as error:
            raise PackageRefused(reason=f"{self._table.name} is no well-formed XML") from error
        rows, self._rows = self._rows, []
        return rows

    def _refuse_doctype(self, *_: object) -> None:
        raise PackageRefused(reason="a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._attributes = attributes
        self._text.clear()
        if len(self._path) > len(PATH) or any(map(str.__ne__, self._path, PATH[:2])):
            raise PackageRefused(reason=f"{self._table.name} has an element that its schema lacks")

    def _stop(self, name: str) -> None:
        depth = len(self._path)
        self._path.pop()
        if depth == len(PATH):
            self._take(name)
        elif name == "row":
            if len(self._row) != len(self._table.columns):
                raise PackageRefused(reason=f"a row of {self._table.name} has too few elements")
            self._rows.append(self._row)
            self._row = []

    def _take(self, name: str) -> None:
        place, columns = len(self._row), self._table.columns
        if place == len(columns) or columns[place].name != name:
            raise PackageRefused(reason=f"{self._table.name} has an element that its schema lacks")
        if self._attributes.get("xsi:nil") == "true":
            self._row.append(None)
            return
        text = "".join(self._text)
        if self._attributes.get("escaped") == "true":
            text = ESCAPED.sub(lambda match: match[1] or chr(int(match[2], 16)), text)
        self._row.append(cell(text, columns[place].kind))
