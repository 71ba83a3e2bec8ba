"""How long invoices are kept: every member state has a duty, and the longest wins."""

from datetime import date
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.country import STANDARD_VAT
from core.record_keeping import DUTIES, ONE_STOP_SHOP, SOURCES, YearEnd, kept_until


def test_every_member_state_has_a_duty_with_its_law() -> None:
    assert DUTIES.keys() == STANDARD_VAT.keys()
    assert all(5 <= duty.years <= 11 and len(duty.basis) > 8 for duty in DUTIES.values())
    assert SOURCES.keys() == DUTIES.keys()
    assert all(urlsplit(url).netloc for url in SOURCES.values())


@pytest.mark.parametrize(
    ("country", "until"),
    [("DE", 2034), ("AT", 2033), ("FR", 2036), ("BE", 2036), ("NL", 2033), ("IT", 2036), ("RO", 2032)],
)
def test_an_invoice_of_2026_is_kept_until_the_end_of(country: str, until: int) -> None:
    kept = kept_until(country, [date(2026, 3, 1)], to_foreign_consumers=False)
    assert kept.until == date(until, 12, 31)
    assert kept.basis == DUTIES[country].basis


def test_invoices_to_consumers_in_other_states_are_kept_for_ten_years() -> None:
    kept = kept_until("DE", [date(2026, 3, 1)], to_foreign_consumers=True)
    assert kept.until == date(2036, 12, 31)
    assert ONE_STOP_SHOP.basis in kept.basis


@pytest.mark.parametrize(
    ("country", "issued", "until"),
    [
        ("SE", date(2026, 6, 30), 2033),
        ("SE", date(2026, 7, 1), 2034),
        ("DE", date(2026, 7, 1), 2034),
        ("DE", date(2026, 12, 31), 2034),
    ],
)
def test_where_the_financial_year_counts_an_invoice_after_its_end_is_kept_a_year_longer(
    country: str, issued: date, until: int
) -> None:
    kept = kept_until(country, [issued], to_foreign_consumers=False, financial_year_end_month=6)
    assert kept.until == date(until, 12, 31)


@given(st.sampled_from(sorted(DUTIES)), st.lists(st.dates(date(2000, 1, 1), date(2090, 1, 1)), min_size=1))
def test_nothing_ends_before_the_duty_of_its_last_invoice(country: str, issued: list[date]) -> None:
    kept = kept_until(country, issued, to_foreign_consumers=False)
    assert kept.until.year - max(issued).year == DUTIES[country].years
    later = kept_until(country, issued, to_foreign_consumers=False, financial_year_end_month=3)
    assert later.until.year - kept.until.year == (
        DUTIES[country].counted_from is YearEnd.FINANCIAL and max(issued).month > 3
    )
