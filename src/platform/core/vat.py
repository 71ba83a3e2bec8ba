"""Value added tax on electronically supplied services, by where the seller and the buyer are."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from core.country import STANDARD_VAT
from core.money import EXACT, to_cents


class VatRule(StrEnum):
    """Which rule of Directive 2006/112/EC decides."""

    DOMESTIC = "domestic"
    REVERSE_CHARGE = "reverse_charge"
    EU_CONSUMER = "eu_consumer"
    OUTSIDE_EU = "outside_eu"


NOTES: dict[VatRule, str] = {
    VatRule.DOMESTIC: "",
    VatRule.REVERSE_CHARGE: "Reverse charge: VAT owed by the recipient (Article 196, Directive 2006/112/EC).",
    VatRule.EU_CONSUMER: "VAT of the recipient's country (Article 58, Directive 2006/112/EC).",
    VatRule.OUTSIDE_EU: "Not taxable in the EU (Articles 44 and 59, Directive 2006/112/EC).",
}
"""What the invoice must say about it (Article 226)."""


class VatTreatment(msgspec.Struct, frozen=True):
    """The rule that applies, its rate in per cent, and the note that the invoice must carry."""

    rule: VatRule
    rate: Decimal
    note: str


def vat_treatment(*, seller_country: str, buyer_country: str, buyer_vat_id: str | None) -> VatTreatment:
    """Decide the tax of a service sold by a seller in the EU.

    A buyer in another member state with a VAT number is a business and owes the tax itself; one without is a
    consumer and pays the rate of its own country.
    """
    rule = _rule(seller_country, buyer_country, buyer_vat_id)
    rates = {
        VatRule.DOMESTIC: STANDARD_VAT[seller_country],
        VatRule.EU_CONSUMER: STANDARD_VAT.get(buyer_country, Decimal(0)),
    }
    return VatTreatment(rule, rates.get(rule, Decimal(0)), NOTES[rule])


def vat_amount(net: Decimal, rate: Decimal) -> Decimal:
    """The tax on a net amount at a rate in per cent, half-up to cents."""
    return to_cents(EXACT.divide(EXACT.multiply(net, rate), Decimal(100)))


def _rule(seller_country: str, buyer_country: str, buyer_vat_id: str | None) -> VatRule:
    if buyer_country == seller_country:
        return VatRule.DOMESTIC
    if buyer_country not in STANDARD_VAT:
        return VatRule.OUTSIDE_EU
    return VatRule.REVERSE_CHARGE if buyer_vat_id else VatRule.EU_CONSUMER
