from decimal import Decimal

import pytest

from core.country import COUNTRIES, STANDARD_VAT, vat_id_prefix


def test_iso_3166_has_249_countries() -> None:
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in COUNTRIES)
    assert not COUNTRIES & {"EL", "EU", "UK", "XI", "XK", "XX", "ZZ"}


def test_the_european_union_has_27_members() -> None:
    members = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
    assert set(STANDARD_VAT) == set(members.split())
    assert set(STANDARD_VAT) <= COUNTRIES


@pytest.mark.parametrize("country", sorted(STANDARD_VAT))
def test_a_standard_rate_is_at_least_15_per_cent(country: str) -> None:
    # Directive 2006/112/EC, Article 97; no member state has ever asked for more than 27.
    assert 15 <= STANDARD_VAT[country] <= 27
    assert isinstance(STANDARD_VAT[country], Decimal)


@pytest.mark.parametrize(("country", "prefix"), [("DE", "DE"), ("GR", "EL"), ("FR", "FR"), ("CH", "CH")])
def test_a_vat_number_begins_with_the_country_but_for_greece(country: str, prefix: str) -> None:
    assert vat_id_prefix(country) == prefix
