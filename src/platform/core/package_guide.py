"""What a package says of itself to people: README.md, and a page that a browser shows without any network."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

import msgspec
import polars as pl

from core.html_page import fact_list, html_page
from core.package import Payload
from core.portability import Format, Kind, PortableTable
from core.tenant import Tenant

GLANCE = 10
"""Rows of each table on the page."""

LONGEST = 80
"""Characters of a value on the page."""

FORMS = {
    Format.JSON: "One JSON object a line (JSON Lines, UTF-8). Decimals are strings, so that no digit is "
    "lost. NULL is null; a column of JSON values that is NULL is left out of the object.",
    Format.CSV: "Comma-separated values by RFC 4180, UTF-8, with a line of names. Texts always stand in "
    'quotes; an empty field without quotes is NULL, and `""` is an empty text. JSON values and lists stand '
    "as JSON.",
    Format.XML: "XML 1.0, UTF-8; `xsi:nil` marks NULL. A text with characters that XML cannot hold has "
    '`escaped="true"`: in it `\\uXXXX` is a character and `\\\\` a backslash. JSON values and lists stand '
    "as JSON. `schema/*.xsd` describes each file.",
}

STYLE = """th, td { white-space: pre; }
th small { display: block; font-weight: normal; opacity: .7; }
td.number { text-align: right; } .null, .note { opacity: .6; }
"""

NUMERIC = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.NUMBER})


class Chapter(msgspec.Struct, frozen=True):
    """A table of the package as the guide tells of it; `glance` holds its first rows."""

    table: PortableTable
    payload: Payload
    glance: pl.DataFrame


def readme(format_: Format, tenant: Tenant, chapters: Sequence[Chapter], made_at: datetime) -> bytes:
    """`README.md`."""
    files = "".join(_file(each) for each in chapters)
    return f"""# Data of {tenant.slug}

Everything that the platform keeps for this tenant, as it was at one moment
({made_at:%Y-%m-%d %H:%M:%S} UTC), for you to keep, read, or move elsewhere (Art. 20 GDPR).
Open `index.html` for a first look.

| file | rows | bytes | left out |
| --- | --- | --- | --- |
{files}
**Form.** {FORMS[format_]}
Instants are RFC 3339 in UTC. `schema/*.json` describes a row of each table.

**Left out.** Whatever would let its holder in: hashes of passwords and tokens, and secrets of second factors,
with the tables that hold nothing else; and the platform's own bookkeeping. The audit log is exported by
itself, so that it can be verified.

**Check it.** The package is a BagIt bag (RFC 8493):
`sha256sum -c manifest-sha256.txt tagmanifest-sha256.txt`.
The digests show that nothing was damaged; who can change a file can change its digest as well.
""".encode()


def _file(chapter: Chapter) -> str:
    payload, withheld = chapter.payload, ", ".join(f"`{name}`" for name in chapter.table.withheld)
    return f"| `{payload.path}` | {payload.rows} | {payload.size} | {withheld} |\n"


def page(format_: Format, tenant: Tenant, chapters: Sequence[Chapter], made_at: datetime) -> bytes:
    """`index.html`: what is in the package, and the first rows of each table; it loads nothing."""
    facts = [
        ("Tenant", f"{tenant.slug} ({tenant.id})"),
        ("As of", f"{made_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("Format", FORMS[format_].replace("`", "")),
        ("Rows", f"{sum(each.payload.rows for each in chapters):,}"),
    ]
    body = f"""{fact_list(facts)}<h2>Files</h2>
<div class="wide"><table>
<tr><th>file<th>rows<th>bytes<th>left out</tr>
{"".join(_line(each) for each in chapters)}</table></div>
<p class="note">Left out is what would let its holder in. README.md tells more.</p>
{"".join(_chapter(each) for each in chapters if each.payload.rows)}"""
    return html_page(f"Data of {tenant.name}", body, style=STYLE).encode()


def _line(chapter: Chapter) -> str:
    payload = chapter.payload
    return (
        f'<tr><td><a href="{escape(payload.path)}">{escape(payload.path)}</a>'
        f'<td class="number">{payload.rows:,}<td class="number">{payload.size:,}'
        f"<td>{escape(', '.join(chapter.table.withheld))}</tr>\n"
    )


def _chapter(chapter: Chapter) -> str:
    table, payload = chapter.table, chapter.payload
    names = "".join(f"<th>{escape(each.name)}<small>{each.kind}</small>" for each in table.columns)
    rows = "".join(_row(table, row) for row in chapter.glance.iter_rows())
    more = payload.rows - chapter.glance.height
    note = f'<p class="note">… and {more:,} more in {escape(payload.path)}</p>\n' if more > 0 else ""
    return f"""<h2>{escape(table.name)}</h2>
<div class="wide"><table>
<tr>{names}</tr>
{rows}</table></div>
{note}"""


def _row(table: PortableTable, row: tuple[str | None, ...]) -> str:
    cells = (_cell(value, column.kind) for value, column in zip(row, table.columns, strict=True))
    return f"<tr>{''.join(cells)}</tr>\n"


def _cell(value: str | None, kind: Kind) -> str:
    if value is None:
        return '<td class="null">NULL'
    shown = value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
    return f'<td class="number">{escape(shown)}' if kind in NUMERIC else f"<td>{escape(shown)}"
