"""The texts of a package beside its rows: BagIt's tag files (RFC 8493), the schema of each table, a guide.

Payload stands under `data/`; all else is a tag file, and listed in the manifest of tag files.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from core.errors import PlatformError
from core.portability import LAYOUT, Format, Kind, PortableColumn, PortableTable
from core.tenant import Tenant

BAGIT = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
ENTRY = re.compile(r"([0-9a-f]{64})  (\S.*)")
INFO_LINE = re.compile(r"([A-Za-z-]+): (.*)")

JSON_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.INTEGER: {"type": "integer"},
    Kind.DECIMAL: {"type": "string", "description": "A decimal number, with all its digits."},
    Kind.NUMBER: {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.UUID: {"type": "string", "format": "uuid"},
    Kind.DATE: {"type": "string", "format": "date"},
    Kind.INSTANT: {"type": "string", "format": "date-time"},
    Kind.JSON: {"description": "Any JSON value; where the name is missing, there is none (NULL)."},
    Kind.LIST: {"type": "array"},
    Kind.BYTES: {"type": "string", "contentEncoding": "base64"},
}

XML_TYPES: dict[Kind, str] = {
    Kind.INTEGER: "xs:integer",
    Kind.DECIMAL: "decimal",
    Kind.BOOLEAN: "xs:boolean",
    Kind.DATE: "xs:date",
    Kind.INSTANT: "xs:dateTime",
    Kind.BYTES: "xs:base64Binary",
}
"""All other kinds are text. A decimal is a pattern, since validators need take only 18 digits of xs:decimal;
and XML Schema's doubles write what is not finite in another way than everybody else."""


class PackageRefused(PlatformError):
    """The package is refused: {reason}."""

    fields = ("reason",)


class Payload(msgspec.Struct, frozen=True):
    """A file of the package: how many bytes and rows it has, and their digest."""

    path: str
    size: int
    sha256: str
    rows: int = 0


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Whose data it is: what an import needs to found a tenant like it."""

    id: str
    slug: str
    name: str
    country: str
    vat_id: str | None
    time_zone: str
    currency: str
    created_at: datetime


def origin_of(tenant: Tenant) -> bytes:
    """`tenant.json`."""
    told = {key: value for key, value in msgspec.structs.asdict(tenant).items() if key != "state"}
    return _pretty(msgspec.convert(told | {"id": str(tenant.id)}, Origin))


def info(format_: Format, tenant: Tenant, payload: Sequence[Payload], made_at: datetime) -> str:
    """`bag-info.txt`."""
    fields = {
        "Source-Organization": tenant.slug,
        "External-Description": "All data of a tenant of the EU platform (Art. 20 GDPR)",
        "External-Identifier": str(tenant.id),
        "Bagging-Date": made_at.date().isoformat(),
        "Payload-Oxum": oxum(payload),
        "EU-Platform-Layout": LAYOUT,
        "EU-Platform-Format": format_.value,
    }
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def parsed_info(text: str) -> dict[str, str]:
    """The fields of `bag-info.txt`, each once; raises PackageRefused."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        match = INFO_LINE.fullmatch(line)
        if match is None or match[1] in fields:
            raise PackageRefused(reason="bag-info.txt cannot be read")
        fields[match[1]] = match[2]
    return fields


def oxum(payload: Sequence[Payload]) -> str:
    """Bytes and files of the payload (RFC 8493, 2.2.2)."""
    return f"{sum(each.size for each in payload)}.{len(payload)}"


def manifest(files: Sequence[Payload]) -> str:
    """A manifest: a digest and a path a line."""
    return "".join(f"{each.sha256}  {each.path}\n" for each in files)


def parsed_manifest(text: str) -> dict[str, str]:
    """The digests of a manifest by path, each once; raises PackageRefused."""
    digests: dict[str, str] = {}
    for line in text.splitlines():
        match = ENTRY.fullmatch(line)
        if match is None or match[2] in digests:
            raise PackageRefused(reason="a manifest cannot be read")
        digests[match[2]] = match[1]
    return digests


def require_intact(found: Mapping[str, Payload], tags: Mapping[str, bytes]) -> dict[str, str]:
    """Hold what a package has against what its manifests say; gives the fields of `bag-info.txt`.

    Raises PackageRefused for a file that is missing, changed, or in no manifest, and for a layout or format
    that is not ours.
    """
    try:
        texts = {name: tags[name].decode() for name in ("bagit.txt", "bag-info.txt", MANIFEST, TAG_MANIFEST)}
    except KeyError as error:
        raise PackageRefused(reason=f"{error.args[0]} is missing") from error
    except UnicodeDecodeError as error:
        raise PackageRefused(reason="a tag file is not UTF-8") from error
    fields = parsed_info(texts["bag-info.txt"])
    payload = [each for path, each in found.items() if path.startswith("data/")]
    tagged = [each for path, each in found.items() if not path.startswith("data/") and path != TAG_MANIFEST]
    _require_listed(payload, parsed_manifest(texts[MANIFEST]))
    _require_listed(tagged, parsed_manifest(texts[TAG_MANIFEST]))
    if texts["bagit.txt"] != BAGIT or fields.get("EU-Platform-Layout") != LAYOUT:
        raise PackageRefused(reason="its layout is unknown")
    if fields.get("EU-Platform-Format") not in set(Format):
        raise PackageRefused(reason="its format is unknown")
    if fields.get("Payload-Oxum") != oxum(payload):
        raise PackageRefused(reason="it does not have the size that it says")
    return fields


def _require_listed(files: Sequence[Payload], digests: Mapping[str, str]) -> None:
    found = {each.path: each.sha256 for each in files}
    for path in sorted(found.keys() | digests.keys()):
        if path not in digests:
            raise PackageRefused(reason=f"{path} is in no manifest")
        if path not in found:
            raise PackageRefused(reason=f"{path} is missing")
        if found[path] != digests[path]:
            raise PackageRefused(reason=f"{path} was changed")


def schema(table: PortableTable) -> bytes:
    """The JSON Schema of a row (2020-12): of a line where the format is JSON, else of what its texts mean."""
    return _pretty(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": table.name,
            "type": "object",
            "properties": {column.name: _json_type(column) for column in table.columns},
            "required": [each.name for each in table.columns if not _may_be_absent(each)],
            "additionalProperties": False,
        }
    )


def _may_be_absent(column: PortableColumn) -> bool:
    return column.is_nullable and column.kind is Kind.JSON


def _json_type(column: PortableColumn) -> dict[str, Any]:
    type_ = JSON_TYPES[column.kind]
    if not column.is_nullable or column.kind is Kind.JSON:
        return type_
    return {"anyOf": [type_, {"type": "null"}]}


def xml_schema(table: PortableTable) -> bytes:
    """The XML Schema of a table's file."""
    elements = "\n".join(_xml_element(column) for column in table.columns)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:complexType name="text">
    <xs:simpleContent>
      <xs:extension base="xs:string"><xs:attribute name="escaped" type="xs:boolean"/></xs:extension>
    </xs:simpleContent>
  </xs:complexType>
  <xs:simpleType name="decimal">
    <xs:restriction base="xs:string">
      <xs:pattern value="-?[0-9]+(\\.[0-9]+)?|NaN|-?Infinity"/>
    </xs:restriction>
  </xs:simpleType>
  <xs:element name="table">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="row" minOccurs="0" maxOccurs="unbounded">
          <xs:complexType>
            <xs:sequence>
{elements}
            </xs:sequence>
          </xs:complexType>
        </xs:element>
      </xs:sequence>
      <xs:attribute name="name" type="xs:string" fixed="{table.name}"/>
    </xs:complexType>
  </xs:element>
</xs:schema>
""".encode()


def _xml_element(column: PortableColumn) -> str:
    nillable = ' nillable="true"' if column.is_nullable else ""
    type_ = XML_TYPES.get(column.kind, "text")
    return f'              <xs:element name="{column.name}" type="{type_}"{nillable}/>'


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
