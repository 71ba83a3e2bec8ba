"""Rows as packages write them: from the database's own text form to JSON, CSV and XML, a batch at a time.

Frames hold one String column for each column of the table, null for NULL.
"""

import polars as pl

from core.portability import Format, Kind, PortableColumn, PortableTable

UNESCAPED = {"\\\\": "\\", "\\b": "\b", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\v": "\v"}
"""What COPY's text form writes a character as, and the character."""

CONTROLS = {chr(code): f"\\u{code:04x}" for code in range(1, 0x20)}
IN_JSON = CONTROLS | {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}

NO_XML = r"[\x01-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]"
"""Characters that no XML 1.0 document can hold, not even as references."""

IN_XML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
ESCAPED_FOR_XML = {character: text for character, text in CONTROLS.items() if character not in "\t\n\r"} | {
    "\\": "\\\\",
    "\ufffe": "\\ufffe",
    "\uffff": "\\uffff",
}

FREE = frozenset({Kind.TEXT, Kind.JSON, Kind.LIST})
"""Kinds whose text may hold any character; all others hold letters, digits and a few signs."""

BARE_IN_JSON = frozenset({Kind.INTEGER, Kind.BOOLEAN, Kind.JSON, Kind.LIST})
NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def plain(frame: pl.DataFrame, columns: tuple[PortableColumn, ...]) -> pl.DataFrame:
    """Values in the form that packages use, from the form that COPY … TO writes them in."""
    return frame.with_columns(_plain(pl.col(column.name), column.kind) for column in columns)


def _plain(value: pl.Expr, kind: Kind) -> pl.Expr:
    if kind in FREE:
        return value.str.replace_many(UNESCAPED)
    if kind is Kind.INSTANT:  # "2026-11-25 01:00:00+00", since the session's time zone is UTC
        return pl.concat_str(
            value.str.head(10), pl.lit("T"), value.str.slice(11).str.strip_suffix("+00"), pl.lit("Z")
        )
    if kind is Kind.BOOLEAN:
        return value.replace({"t": "true", "f": "false"})
    return value


def head(table: PortableTable, format_: Format) -> str:
    """What stands before the first row of a file."""
    if format_ is Format.CSV:
        return ",".join(column.name for column in table.columns) + "\r\n"
    if format_ is Format.XML:
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<table name="{table.name}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        )
    return ""


def tail(format_: Format) -> str:
    """What stands after the last row."""
    return "</table>\n" if format_ is Format.XML else ""


def written(frame: pl.DataFrame, columns: tuple[PortableColumn, ...], format_: Format) -> bytes:
    """The rows of a frame as `plain` gives them, in a format."""
    row = {Format.JSON: _json, Format.CSV: _csv, Format.XML: _xml}[format_](columns)
    text: str = frame.select(row.str.join("")).item()
    return text.encode()


def _json(columns: tuple[PortableColumn, ...]) -> pl.Expr:
    members = pl.concat_str(_json_member(column) for column in columns)
    return pl.concat_str(pl.lit("{"), members.str.strip_prefix(","), pl.lit("}\n"))


def _json_member(column: PortableColumn) -> pl.Expr:
    """A name and its value; NULL is null, except where JSON's own null may stand: there it has no name."""
    name = pl.lit(f',"{column.name}":')
    if column.kind is Kind.JSON:
        return pl.concat_str(name, pl.col(column.name)).fill_null("")
    return pl.concat_str(name, _json_value(column).fill_null("null"))


def _json_value(column: PortableColumn) -> pl.Expr:
    value = pl.col(column.name)
    if column.kind in BARE_IN_JSON:
        return value
    quoted = pl.concat_str(
        pl.lit('"'), value.str.replace_many(IN_JSON) if column.kind is Kind.TEXT else value, pl.lit('"')
    )
    if column.kind is Kind.NUMBER:
        return pl.when(value.is_in(NOT_FINITE)).then(quoted).otherwise(value)
    return quoted


def _csv(columns: tuple[PortableColumn, ...]) -> pl.Expr:
    """RFC 4180; a text always stands in quotes, so that an empty field is NULL."""
    cells = [_csv_value(column).fill_null("") for column in columns]
    return pl.concat_str(pl.concat_str(cells, separator=","), pl.lit("\r\n"))


def _csv_value(column: PortableColumn) -> pl.Expr:
    value = pl.col(column.name)
    if column.kind not in FREE:
        return value
    return pl.concat_str(pl.lit('"'), value.str.replace_all('"', '""', literal=True), pl.lit('"'))


def _xml(columns: tuple[PortableColumn, ...]) -> pl.Expr:
    return pl.concat_str(pl.lit("<row>"), *(_xml_element(column) for column in columns), pl.lit("</row>\n"))


def _xml_element(column: PortableColumn) -> pl.Expr:
    value, name = pl.col(column.name), column.name
    absent = pl.lit(f'<{name} xsi:nil="true"/>')
    opened, closed = pl.lit(f"<{name}>"), pl.lit(f"</{name}>")
    if column.kind not in FREE:
        return pl.concat_str(opened, value, closed).fill_null(absent)
    plain = pl.concat_str(opened, value.str.replace_many(IN_XML), closed)
    escaped = pl.concat_str(
        pl.lit(f'<{name} escaped="true">'),
        value.str.replace_many(ESCAPED_FOR_XML).str.replace_many(IN_XML),
        closed,
    )
    return pl.when(value.str.contains(NO_XML)).then(escaped).otherwise(plain).fill_null(absent)
