"""How long the law makes a seller keep invoices and what supports them, by member state of the EU.

Article 247 of the VAT Directive (2006/112/EC) leaves the period to the member states. The state where the
seller is established decides, so the table is asked for the seller's country, not the tenant's. Every period
is counted here from the end of the calendar year in which the last invoice was issued, which is the rule in
most states and never ends before that of the others.
"""

from collections.abc import Iterable
from datetime import date

import msgspec


class Duty(msgspec.Struct, frozen=True):
    """For how many years invoices are kept, and which law says so."""

    years: int
    basis: str


DUTIES: dict[str, Duty] = {
    "AT": Duty(7, "§ 132 BAO; § 11 Abs. 2 UStG 1994"),
    "BE": Duty(10, "Art. 60 § 4 Code de la TVA, since 2023 (law of 20 November 2022; 7 years before)"),
    "BG": Duty(11, "Art. 38 DOPK: five years after the limitation of five years of Art. 171 has run out"),
    "CY": Duty(7, "Art. 30 Assessment and Collection of Taxes Law: six years from the end of the tax year"),
    "CZ": Duty(10, "§ 35 zákon č. 235/2004 Sb. (DPH)"),
    "DE": Duty(8, "§ 147 Abs. 1 Nr. 4, Abs. 3 AO; § 14b Abs. 1 UStG, since 2025 (BEG IV; 10 years before)"),
    "DK": Duty(6, "§ 12 bogføringsloven: five years from the end of the financial year"),
    "EE": Duty(7, "§ 12 raamatupidamise seadus; § 36 käibemaksuseadus"),
    "ES": Duty(6, "Art. 30 Código de Comercio; for taxes four years (Art. 66 LGT)"),
    "FI": Duty(
        7, "2 luku 10 § kirjanpitolaki: six years from the end of the year of the financial year's end"
    ),
    "FR": Duty(10, "Art. L123-22 Code de commerce; for taxes six years (Art. L102 B LPF)"),
    "GR": Duty(10, "Art. 7 Law 4308/2014: five years, and as long as taxes can be assessed, ten at most"),
    "HR": Duty(11, "čl. 10 Zakon o računovodstvu; čl. 66 Opći porezni zakon"),
    "HU": Duty(8, "169. § 2000. évi C. törvény (Szt.)"),
    "IE": Duty(7, "s. 84 VAT Consolidation Act 2010; s. 886 TCA 1997: six years"),
    "IT": Duty(10, "art. 2220 Codice civile"),
    "LT": Duty(10, "78 str. PVM įstatymas"),
    "LU": Duty(10, "art. 16 Code de commerce; art. 65 loi TVA"),
    "LV": Duty(10, "28. pants Grāmatvedības likums: five years for most records, the longest is taken"),
    "MT": Duty(10, "Art. 163 Companies Act (Cap. 386); for VAT six years (Thirteenth Schedule, Cap. 406)"),
    "NL": Duty(7, "art. 52 lid 4 AWR"),
    "PL": Duty(
        6, "art. 112 ustawa o VAT; art. 70 § 1, art. 86 Ordynacja podatkowa: 5 years after the tax's year"
    ),
    "PT": Duty(10, "art. 52.º CIVA; art. 19.º DL 28/2019"),
    "RO": Duty(10, "art. 25 Legea contabilității 82/1991; OMFP 2634/2015 has shortened most periods to five"),
    "SE": Duty(8, "7 kap. 2 § bokföringslagen: the seventh year after the financial year's end"),
    "SI": Duty(10, "86. člen ZDDV-1"),
    "SK": Duty(10, "§ 76 zákon č. 222/2004 Z. z.; § 35 zákon č. 431/2002 Z. z."),
}
"""As of 2026. Where a law is read in more than one way, the longer reading is taken."""

ONE_STOP_SHOP = Duty(10, "Art. 369k Directive 2006/112/EC: consumers in other member states (One Stop Shop)")


class Kept(msgspec.Struct, frozen=True):
    """Until when something must be kept, and by which laws."""

    until: date
    basis: str


def kept_until(seller_country: str, issued: Iterable[date], *, to_foreign_consumers: bool) -> Kept:
    """How long invoices that were issued on these days are kept; at least one of them."""
    duties = [DUTIES[seller_country], *([ONE_STOP_SHOP] if to_foreign_consumers else [])]
    last_year = max(issued).year + max(duty.years for duty in duties)
    return Kept(date(last_year, 12, 31), "; ".join(duty.basis for duty in duties))
