"""Packages as their receivers see them, by readers that know nothing of how they were written."""

import csv
import hashlib
import io
import json
import re
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

from core.portability import Format
from core.tenant import Tenant
from shell.portability import write_package
from shell.session import tenant_session
from tests.installation import Installation
from tests.odd_tenant import NOW

Row = dict[str, object]
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


async def untold(_: float) -> None:
    """Tell nobody how far it is."""


async def packaged(installation: Installation, tenant: Tenant, format_: Format, path: Path) -> Path:
    """The tenant's package in a file."""
    with path.open("w+b") as file:
        async with tenant_session(installation.pool, tenant_id=tenant.id, snapshot=True) as session:
            package = await write_package(session, file, format_, NOW, told=untold)
        content = file.read()
    assert (package.size, package.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    return path


def files_in(path: Path) -> dict[str, bytes]:
    """What an ordinary reader finds in a package, without its one top folder."""
    with tarfile.open(path, "r:gz") as archive:
        members = archive.getmembers()
        assert len({member.name.split("/")[0] for member in members}) == 1
        found = {member.name.partition("/")[2]: archive.extractfile(member) for member in members}
        return {name: file.read() for name, file in found.items() if file is not None}


def payload_of(path: Path) -> dict[str, bytes]:
    """The files of a package that hold rows."""
    return {name: content for name, content in files_in(path).items() if name.startswith("data/")}


def rows_of(content: bytes, format_: Format) -> list[Row]:
    """The rows of a file by an ordinary reader of its format."""
    readers: dict[Format, Callable[[str], list[Row]]] = {
        Format.JSON: _json,
        Format.CSV: _csv,
        Format.XML: _xml,
    }
    return readers[format_](content.decode())


def _json(text: str) -> list[Row]:
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _csv(text: str) -> list[Row]:
    return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]


def _xml(text: str) -> list[Row]:
    return [{value.tag: _value(value) for value in row} for row in ET.fromstring(text)]  # noqa: S314 -- our own


def _value(element: ET.Element) -> str | None:
    if element.get(NIL) == "true":
        return None
    plain = element.text or ""
    if element.get("escaped") != "true":
        return plain
    return re.sub(
        r"\\(\\|u(....))", lambda match: match[1] if match[1] == "\\" else chr(int(match[2], 16)), plain
    )
