"""What somebody may ask for when founding an organisation, and what is wrong with it."""

import re
from typing import Annotated

import msgspec

from core.country import COUNTRIES, STANDARD_VAT, vat_id_prefix
from core.errors import InvalidInput
from core.period import is_time_zone
from core.tenant import RESERVED_SLUGS, Slug

DEFAULT_TIME_ZONES = {
    "AT": "Europe/Vienna", "BE": "Europe/Brussels", "BG": "Europe/Sofia", "CH": "Europe/Zurich",
    "CY": "Asia/Nicosia", "CZ": "Europe/Prague", "DE": "Europe/Berlin", "DK": "Europe/Copenhagen",
    "EE": "Europe/Tallinn", "ES": "Europe/Madrid", "FI": "Europe/Helsinki", "FR": "Europe/Paris",
    "GB": "Europe/London", "GR": "Europe/Athens", "HR": "Europe/Zagreb", "HU": "Europe/Budapest",
    "IE": "Europe/Dublin", "IT": "Europe/Rome", "LT": "Europe/Vilnius", "LU": "Europe/Luxembourg",
    "LV": "Europe/Riga", "MT": "Europe/Malta", "NL": "Europe/Amsterdam", "NO": "Europe/Oslo",
    "PL": "Europe/Warsaw", "PT": "Europe/Lisbon", "RO": "Europe/Bucharest", "SE": "Europe/Stockholm",
    "SI": "Europe/Ljubljana", "SK": "Europe/Bratislava",
}  # fmt: skip
"""The time zone of an organisation that names none; elsewhere it is UTC."""

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 128
VAT_ID = re.compile(r"[A-Z]{2}[0-9A-Z+*]{2,12}")

Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)"
    ),
]
Email = Annotated[
    str,
    msgspec.Meta(
        min_length=3,
        max_length=254,
        pattern=r"^\s*[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+\.[^\s@\x00-\x1f]+\s*$",
        examples=["ada@example.com"],
    ),
]
NewPassword = Annotated[
    str,
    msgspec.Meta(
        min_length=MIN_PASSWORD_LENGTH,
        max_length=MAX_PASSWORD_LENGTH,
        description="12 to 128 characters of any kind.",
        examples=["correct horse battery staple"],
    ),
]
Country = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2.", examples=["DE"])
]
VatId = Annotated[
    str, msgspec.Meta(max_length=20, description="With the country's prefix.", examples=["DE123456789"])
]
TimeZone = Annotated[
    str, msgspec.Meta(max_length=64, description="IANA time zone.", examples=["Europe/Berlin"])
]


class Organisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer to be."""

    name: Name
    slug: Slug
    country: Country
    vat_id: VatId | None = None
    time_zone: TimeZone | None = None


def require_valid(organisation: Organisation, *, place: str = "") -> None:
    """Refuse what the types cannot: raises InvalidInput with every field that is wrong, below a place."""
    found = [
        ("slug", "is reserved" if organisation.slug in RESERVED_SLUGS else None),
        *billing_objections(organisation.country, organisation.vat_id),
        ("time_zone", _time_zone_objection(organisation.time_zone)),
    ]
    refuse([(place + field, detail) for field, detail in found if detail is not None])


def billing_objections(country: str, vat_id: str | None) -> list[tuple[str, str | None]]:
    """What is wrong with a country and a VAT number, if anything."""
    return [
        ("country", None if country in COUNTRIES else "is not a country (ISO 3166-1 alpha-2)"),
        ("vat_id", _vat_id_objection(country, vat_id)),
    ]


def refuse(objections: list[tuple[str, str]]) -> None:
    """Raise InvalidInput unless there is no objection."""
    if objections:
        raise InvalidInput(errors=[{"field": field, "detail": detail} for field, detail in objections])


def time_zone_of(organisation: Organisation) -> str:
    """The time zone that was asked for, else the one of the country."""
    return organisation.time_zone or DEFAULT_TIME_ZONES.get(organisation.country, "UTC")


def _vat_id_objection(country: str, vat_id: str | None) -> str | None:
    """Only the form is checked: a number of the EU begins with its country's prefix."""
    if vat_id is None:
        return None
    if not VAT_ID.fullmatch(vat_id):
        return "is not a VAT number"
    if country in STANDARD_VAT and not vat_id.startswith(vat_id_prefix(country)):
        return f"must begin with {vat_id_prefix(country)}"
    return None


def _time_zone_objection(time_zone: str | None) -> str | None:
    return None if time_zone is None or is_time_zone(time_zone) else "is not an IANA time zone"
