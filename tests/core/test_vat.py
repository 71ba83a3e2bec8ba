from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.country import COUNTRIES, STANDARD_VAT
from core.vat import NOTES, VatRule, vat_amount, vat_treatment
from tests.core.strategies import amounts

DOMESTIC, REVERSE_CHARGE = VatRule.DOMESTIC, VatRule.REVERSE_CHARGE
EU_CONSUMER, OUTSIDE_EU = VatRule.EU_CONSUMER, VatRule.OUTSIDE_EU

members = st.sampled_from(sorted(STANDARD_VAT))
countries = st.sampled_from(sorted(COUNTRIES))
vat_ids = st.sampled_from([None, "XX123456789"])


@pytest.mark.parametrize(
    ("seller", "buyer", "buyer_vat_id", "rule", "rate"),
    [
        ("DE", "DE", None, DOMESTIC, "19"),
        ("DE", "DE", "DE123456789", DOMESTIC, "19"),
        ("FR", "FR", "FR12345678901", DOMESTIC, "20"),
        ("DE", "FR", "FR12345678901", REVERSE_CHARGE, "0"),
        ("DE", "GR", "EL123456789", REVERSE_CHARGE, "0"),  # Greek numbers begin with EL
        ("GR", "DE", "DE123456789", REVERSE_CHARGE, "0"),
        ("DE", "FR", None, EU_CONSUMER, "20"),
        ("DE", "FR", "", EU_CONSUMER, "20"),
        ("DE", "GR", None, EU_CONSUMER, "24"),
        ("DE", "FI", None, EU_CONSUMER, "25.5"),
        ("FR", "HU", None, EU_CONSUMER, "27"),
        ("GR", "GR", None, DOMESTIC, "24"),
        ("DE", "CH", None, OUTSIDE_EU, "0"),
        ("DE", "US", "12-3456789", OUTSIDE_EU, "0"),
        ("DE", "GB", "GB123456789", OUTSIDE_EU, "0"),
        ("DE", "NO", None, OUTSIDE_EU, "0"),
    ],
)
def test_the_place_of_seller_and_buyer_decides(
    seller: str, buyer: str, buyer_vat_id: str | None, rule: VatRule, rate: str
) -> None:
    treatment = vat_treatment(seller_country=seller, buyer_country=buyer, buyer_vat_id=buyer_vat_id)
    assert treatment.rule is rule
    assert treatment.rate == Decimal(rate)
    assert treatment.note == NOTES[rule]


@given(members, countries, vat_ids)
def test_every_pair_of_countries_has_a_rule_that_fits_it(seller: str, buyer: str, vat_id: str | None) -> None:
    treatment = vat_treatment(seller_country=seller, buyer_country=buyer, buyer_vat_id=vat_id)
    assert (treatment.rule is DOMESTIC) == (seller == buyer)
    assert (treatment.rule is OUTSIDE_EU) == (buyer not in STANDARD_VAT)
    taxed = treatment.rule in {DOMESTIC, EU_CONSUMER}
    assert treatment.rate == (STANDARD_VAT[buyer] if taxed else 0)
    assert treatment.rate > 0 or treatment.note


def test_an_invoice_without_tax_says_why() -> None:
    assert NOTES.keys() == set(VatRule)
    assert "Reverse charge" in NOTES[REVERSE_CHARGE]
    assert "196" in NOTES[REVERSE_CHARGE]


@pytest.mark.parametrize(
    ("net", "rate", "tax"),
    [
        ("100.00", "19", "19.00"),
        ("0.00", "19", "0.00"),
        ("0.02", "25", "0.01"),  # 0.005, half-up
        ("0.03", "19", "0.01"),  # 0.0057
        ("0.02", "19", "0.00"),  # 0.0038
        ("10.10", "25.5", "2.58"),  # 2.5755
        ("99.99", "0", "0.00"),
        ("12345678901234567890.50", "20", "2469135780246913578.10"),
    ],
)
def test_the_tax_is_rounded_half_up_to_cents(net: str, rate: str, tax: str) -> None:
    assert str(vat_amount(Decimal(net), Decimal(rate))) == tax


@given(amounts, st.sampled_from(sorted(STANDARD_VAT.values())))
def test_the_tax_is_exact_to_half_a_cent(net: Decimal, rate: Decimal) -> None:
    exact = Fraction(net) * Fraction(rate) / 100
    assert abs(Fraction(vat_amount(net, rate)) - exact) <= Fraction(1, 200)
