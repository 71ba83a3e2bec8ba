"""How long the law makes a seller keep invoices and what supports them, by member state of the EU.

Article 247 of the VAT Directive (2006/112/EC) leaves the period to the member states. The state where the
seller is established decides, so the table is asked for the seller's country, not the tenant's. A period is
counted from the end of the calendar year in which the last invoice was issued, or of that in which the
seller's financial year has ended, and lasts until the end of a calendar year; it never ends before the law's.
"""

from collections.abc import Iterable
from datetime import date
from enum import StrEnum

import msgspec

DECEMBER = 12


class YearEnd(StrEnum):
    """The end of which year a period is counted from."""

    CALENDAR = "calendar"
    FINANCIAL = "financial"


class Duty(msgspec.Struct, frozen=True):
    """For how many years invoices are kept, from the end of which year, and which law says so."""

    years: int
    counted_from: YearEnd
    basis: str


CALENDAR, FINANCIAL = YearEnd

DUTIES: dict[str, Duty] = {
    "AT": Duty(7, FINANCIAL, "§ 132 BAO; § 11 Abs. 2 UStG 1994"),
    "BE": Duty(
        10, CALENDAR, "Art. 60 § 4 Code de la TVA, since 2023 (law of 20 November 2022; 7 years before)"
    ),
    "BG": Duty(
        11,
        CALENDAR,
        "Art. 38 DOPK; Art. 121 ZDDS: five years after the limitation of five years (Art. 171)",
    ),
    "CY": Duty(
        6, FINANCIAL, "Art. 30 Assessment and Collection of Taxes Law: six years from the end of the tax year"
    ),
    "CZ": Duty(10, CALENDAR, "§ 35 zákon č. 235/2004 Sb. (DPH)"),
    "DE": Duty(
        8, CALENDAR, "§ 147 Abs. 1 Nr. 4, Abs. 3 AO; § 14b Abs. 1 UStG, since 2025 (BEG IV; 10 years before)"
    ),
    "DK": Duty(5, FINANCIAL, "§ 12 bogføringsloven: five years from the end of the financial year"),
    "EE": Duty(7, FINANCIAL, "§ 12 raamatupidamise seadus; § 36 käibemaksuseadus"),
    "ES": Duty(
        6,
        FINANCIAL,
        "Art. 30 Código de Comercio: six years from the last entry; for taxes four (Art. 66 LGT)",
    ),
    "FI": Duty(
        6,
        FINANCIAL,
        "2 luku 10 § kirjanpitolaki: six years from the end of the year of the financial year's end",
    ),
    "FR": Duty(10, FINANCIAL, "Art. L123-22 Code de commerce; for taxes six years (Art. L102 B LPF)"),
    "GR": Duty(
        11,
        FINANCIAL,
        "Art. 7 Law 4308/2014; Art. 13 Law 5104/2024: ten years, from the end of the year of the tax return",
    ),
    "HR": Duty(11, FINANCIAL, "čl. 10 Zakon o računovodstvu; čl. 66 Opći porezni zakon"),
    "HU": Duty(
        9, FINANCIAL, "169. § 2000. évi C. törvény (Szt.): eight years, from the adoption of the accounts"
    ),
    "IE": Duty(7, CALENDAR, "s. 84 VAT Consolidation Act 2010; s. 886 TCA 1997: six years"),
    "IT": Duty(10, FINANCIAL, "art. 2220 Codice civile: ten years from the last entry"),
    "LT": Duty(10, CALENDAR, "78 str. PVM įstatymas"),
    "LU": Duty(10, FINANCIAL, "art. 16 Code de commerce; art. 65 loi TVA"),
    "LV": Duty(
        10, FINANCIAL, "28. pants Grāmatvedības likums: ten years for registers, five for most other records"
    ),
    "MT": Duty(
        10, FINANCIAL, "Art. 163 Companies Act (Cap. 386); for VAT six years (Thirteenth Schedule, Cap. 406)"
    ),
    "NL": Duty(7, FINANCIAL, "art. 52 lid 4 AWR"),
    "PL": Duty(
        6,
        CALENDAR,
        "art. 112 ustawa o VAT; art. 70 § 1, art. 86 Ordynacja podatkowa: 5 years after the tax's year",
    ),
    "PT": Duty(10, CALENDAR, "art. 52.º CIVA; art. 19.º DL 28/2019"),
    "RO": Duty(
        6,
        FINANCIAL,
        "art. 25 Legea contabilității 82/1991; Ordin 1447/2023: five years from the July after",
    ),
    "SE": Duty(
        7,
        FINANCIAL,
        "7 kap. 2 § bokföringslagen: the seventh year after that in which the financial year has ended",
    ),
    "SI": Duty(10, CALENDAR, "86. člen ZDDV-1"),
    "SK": Duty(10, CALENDAR, "§ 76 zákon č. 222/2004 Z. z.; § 35 zákon č. 431/2002 Z. z."),
}
"""As of 2026. Where a law is read in more than one way, the longer reading is taken."""

SOURCES: dict[str, str] = {
    "AT": "https://gesetzefinden.at/bundesrecht/bundesgesetze/bao/para-132",
    "BE": "https://www.decostere.be/updates/verlenging-bewaringstermijnen-boekhouding-naar-10-jaar",
    "BG": "https://www.mi.government.bg/en/general/sahranyavane-na-schetovodna-informaciya/",
    "CY": "http://frsaudit.com/news/cyprus-tax-news-amendments-to-the-assessment-and-collection-of-taxes-law.html",
    "CZ": "https://www.notia.cz/archivace-ucetnich-dokladu/",
    "DE": "https://www.akanthus-wpg.de/verkuerzung-von-aufbewahrungsfristen/",
    "DK": "https://www.uni-it.dk/uniconta/2022/06/07/den-nye-bogfoeringslov-2022/",
    "EE": "https://www.tahelend.ee/blogi/algdokumendid",
    "ES": "http://www.agenciatributaria.es/AEAT.internet/Inicio/_Segmentos_/Empresas_y_profesionales/Empresas/Impuesto_sobre_Sociedades/Periodos_impositivos_a_partir_de_1_1_2016/Obligaciones_contables_y_registrales/Conservacion_de_libros.shtml",
    "FI": "https://www.azets.fi/blogi/kirjanpitoaineiston-sailytysaika-ja-sailytys/",
    "FR": "https://cabinet-osmose.fr/tout-savoir-article-l123-22-code-de-commerce",
    "GR": "https://www.naftemporiki.gr/finance/economy/2020996/forologiko-chartovasileio-gia-10-eti",
    "HR": "https://www.vesal.hr/cuvanje-knjigovodstvenih-isprava/",
    "HU": "https://www.eu-tax.hu/megorzesi-ido-a-szamvitelben/",
    "IE": "https://revisedacts.lawreform.ie/eli/2010/act/31/section/84/revised/en/html",
    "IT": "https://brocardi.it/codice-civile/libro-quinto/titolo-ii/capo-iii/sezione-iii/art2220.html",
    "LT": "https://saskaitafaktura.lt/saugojimas.html",
    "LU": "https://fdocuments.in/document/in-colaboration-with-documents-generaux-des-entreprises-description-du-document.html",
    "LV": "https://www.la.lv/viss-tik-digitals-bet-kapec-rekinu-tur-vairs-nav-vid-pieprasa-no-nodoklu-maksatajiem-neiespejamo?p=2",
    "MT": "https://belegal.com.mt/malta-law-articles/record-keeping-obligations/",
    "NL": "https://bieb.knab.nl/ondernemen/administratie-bewaren-hoe-lang-en-waar-moet-dit",
    "PL": "https://lexlege.pl/ustawa-o-podatku-od-towarow-i-uslug/rozdzial-4-terminy-przechowywania-dokumentow/1540",
    "PT": "https://info.portaldasfinancas.gov.pt/pt/informacao_fiscal/codigos_tributarios/civa_rep/Pages/iva52.aspx",
    "RO": "https://legislatie.just.ro/Public/DetaliiDocumentAfis/270686",
    "SE": "https://www.zentralen.se/ufaqs/vad-sager-bokforingslagen/",
    "SI": "https://www.gzs.si/Default.aspx?tabid=33872",
    "SK": "https://www.dph.sk/33/archivacia-faktur-v-kontexte-dph-uniqueidmRRWSbk196FPkyDafLfWALZKDA4bYb1gAtI_rC2n2H6dWZzrzPmSmg/",
}
"""Where each period was read, in November 2026: the law itself, an authority, or who explains the law."""

ONE_STOP_SHOP = Duty(
    10, CALENDAR, "Art. 369k Directive 2006/112/EC: consumers in other member states (One Stop Shop)"
)


class Kept(msgspec.Struct, frozen=True):
    """Until when something must be kept, and by which laws."""

    until: date
    basis: str


def kept_until(
    seller_country: str,
    issued: Iterable[date],
    *,
    to_foreign_consumers: bool,
    financial_year_end_month: int = DECEMBER,
) -> Kept:
    """How long invoices that were issued on these days are kept; at least one of them.

    The seller's financial year ends with the month of that number, 12 where it is the calendar year.
    """
    last = max(issued)
    years = {
        YearEnd.CALENDAR: last.year,
        YearEnd.FINANCIAL: last.year + (last.month > financial_year_end_month),
    }
    duties = [DUTIES[seller_country], *([ONE_STOP_SHOP] if to_foreign_consumers else [])]
    last_year = max(years[duty.counted_from] + duty.years for duty in duties)
    return Kept(date(last_year, DECEMBER, 31), "; ".join(duty.basis for duty in duties))
