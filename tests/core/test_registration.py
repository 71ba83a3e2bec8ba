from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from core.country import COUNTRIES, STANDARD_VAT, vat_id_prefix
from core.errors import InvalidInput
from core.period import is_time_zone, local_day
from core.registration import (
    DEFAULT_TIME_ZONES,
    Email,
    NewPassword,
    Organisation,
    billing_objections,
    refuse,
    require_valid,
    time_zone_of,
)
from core.tenant import RESERVED_SLUGS

ACME: dict[str, Any] = {"name": "Acme", "slug": "acme", "country": "DE"}


def organisation(**fields: object) -> Organisation:
    return msgspec.convert({**ACME, **fields}, Organisation)


def objections(**fields: object) -> dict[str, str]:
    """What is wrong with an organisation whose types are right, by field."""
    try:
        require_valid(organisation(**fields))
    except InvalidInput as error:
        return {found["field"]: found["detail"] for found in error.data["errors"]}
    return {}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"vat_id": "DE123456789"},
        {"country": "GR", "vat_id": "EL123456789"},
        {"country": "US", "vat_id": "US12"},
        {"time_zone": "Asia/Kathmandu"},
        {"name": "Ácme & Söhne, 株式会社"},
        {"name": "x"},
        {"name": "x" * 200},
    ],
)
def test_an_organisation_can_be_founded(fields: dict[str, object]) -> None:
    assert objections(**fields) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("name", value)
            for value in ("", " ", "\u3000", "Acme\n", "\nAcme", "Ac\x00me", "\x7f", "x" * 201)
        ),
        *(("slug", value) for value in ("", "ab", "Acme", "acme\n", "acme_cloud", "a" * 41)),
        *(("country", value) for value in ("", "D", "de", "DEU", "DE\n", " DE")),
        ("vat_id", "D" * 21),
        ("time_zone", "x" * 65),
        ("colour", "red"),
    ],
)
def test_a_field_of_a_wrong_form_is_refused_where_it_is_read(field: str, value: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        organisation(**{field: value})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"country": "XX"}, {"country": "is not a country (ISO 3166-1 alpha-2)"}),
        ({"country": "UK"}, {"country": "is not a country (ISO 3166-1 alpha-2)"}),
        ({"vat_id": ""}, {"vat_id": "is not a VAT number"}),
        ({"vat_id": "DE 123"}, {"vat_id": "is not a VAT number"}),
        ({"vat_id": "DE123456789\n"}, {"vat_id": "is not a VAT number"}),
        ({"vat_id": "DE123\x00"}, {"vat_id": "is not a VAT number"}),
        ({"vat_id": "FR12345678901"}, {"vat_id": "must begin with DE"}),
        ({"country": "GR", "vat_id": "GR123456789"}, {"vat_id": "must begin with EL"}),
        ({"time_zone": ""}, {"time_zone": "is not an IANA time zone"}),
        ({"time_zone": "../../etc/passwd"}, {"time_zone": "is not an IANA time zone"}),
        ({"time_zone": "UTC\x00"}, {"time_zone": "is not an IANA time zone"}),
        ({"time_zone": "Mars/Olympus"}, {"time_zone": "is not an IANA time zone"}),
        (
            {"slug": "admin", "country": "XX", "vat_id": "?", "time_zone": "?"},
            {
                "slug": "is reserved",
                "country": "is not a country (ISO 3166-1 alpha-2)",
                "vat_id": "is not a VAT number",
                "time_zone": "is not an IANA time zone",
            },
        ),
    ],
)
def test_everything_that_is_wrong_is_told_at_once(
    fields: dict[str, object], expected: dict[str, str]
) -> None:
    assert objections(**fields) == expected


@pytest.mark.parametrize("slug", sorted(slug for slug in RESERVED_SLUGS))
def test_a_reserved_slug_is_refused(slug: str) -> None:
    assert objections(slug=slug) == {"slug": "is reserved"}


@pytest.mark.parametrize("country", sorted(STANDARD_VAT))
def test_a_vat_number_of_each_member_state_is_taken(country: str) -> None:
    assert objections(country=country, vat_id=f"{vat_id_prefix(country)}12345678") == {}
    assert dict(billing_objections(country, None)) == {"country": None, "vat_id": None}


def test_nothing_is_refused_without_an_objection() -> None:
    refuse([])
    with pytest.raises(InvalidInput):
        refuse([("slug", "is reserved")])


def test_an_organisation_that_names_no_time_zone_has_the_one_of_its_country() -> None:
    assert time_zone_of(organisation()) == "Europe/Berlin"
    assert time_zone_of(organisation(country="JP")) == "UTC"
    assert time_zone_of(organisation(time_zone="Asia/Tokyo")) == "Asia/Tokyo"


def test_every_member_state_has_a_time_zone_that_exists() -> None:
    assert set(STANDARD_VAT) <= set(DEFAULT_TIME_ZONES) <= COUNTRIES
    for time_zone in DEFAULT_TIME_ZONES.values():
        assert is_time_zone(time_zone)
        assert local_day(datetime(2026, 11, 23, 12, tzinfo=UTC), time_zone).day == 23


@pytest.mark.parametrize("email", ["a@b.eu", " Ada@Example.com ", "ada+x@mail.example.com", "é@example.com"])
def test_an_address_with_a_mailbox_and_a_domain_is_taken(email: str) -> None:
    assert msgspec.convert(email, Email) == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "a da@example.com",
        "ada@@example.com",
        "a@b.eu\x00",
        "\x00a@b.eu",
        "a@b.eu, c@d.eu",
        "a" * 250 + "@b.eu",
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(email, Email)


@pytest.mark.parametrize(
    ("length", "taken"), [(0, False), (11, False), (12, True), (128, True), (129, False)]
)
def test_a_password_has_12_to_128_characters_of_any_kind(length: int, taken: bool) -> None:
    password = "päss wörd\n\x00"[:length].ljust(length, "é")
    if taken:
        assert msgspec.convert(password, NewPassword) == password
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(password, NewPassword)
