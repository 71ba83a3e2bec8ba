"""What the pure core is asked about: days, zones, instants, quantities, prices, events."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from uuid import UUID

from hypothesis import strategies as st

from core.costing import DailyUsage
from core.invoicing import Unbilled
from core.period import Month, day_start, month_of_day
from core.pricing import Price
from core.resource import Resource
from core.usage import UsageEvent

ODD_ZONES = (
    "Africa/Monrovia",  # -0:44:30 until 7 January 1972
    "America/Havana",  # midnight comes twice in autumn
    "America/Santiago",  # midnight is left out in spring
    "America/St_Johns",  # fell back at 00:01 until 2011, half an hour beside the others
    "Antarctica/Casey",  # fell back by three hours over midnight
    "Antarctica/Troll",  # two hours of summer time
    "Asia/Kathmandu",  # +5:45
    "Australia/Lord_Howe",  # half an hour of summer time
    "Europe/Berlin",
    "Pacific/Apia",  # left out 30 December 2011
    "Pacific/Chatham",  # +12:45
    "Pacific/Kiritimati",  # -10:40 until 1979, left out 31 December 1994
    "UTC",
)


def scaled(units: int, places: int) -> Decimal:
    """The exact decimal of so many units of the last place."""
    with localcontext() as context:
        context.prec = 60
        return Decimal(units).scaleb(-places)


def decimals_below(limit: int, *, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals from 0, everyday ones and those of every digit."""
    return st.one_of(
        st.decimals(0, min(limit - 1, 1_000), places=min(places, 3)),
        st.integers(0, limit * 10**places - 1).map(lambda units: scaled(units, places)),
    )


resources = st.sampled_from(Resource)
quantities = decimals_below(10**15, places=12)
unit_prices = decimals_below(10**6, places=12)
amounts = decimals_below(10**20, places=6)

days = st.dates(date(2020, 1, 1), date(2029, 12, 31))
months = st.dates(date(1972, 1, 1), date(2100, 12, 31)).map(month_of_day)
time_zones = st.one_of(st.sampled_from(ODD_ZONES), st.timezone_keys(allow_prefix=False))

FIRST = datetime(1972, 1, 1)  # noqa: DTZ001 -- Hypothesis takes bounds without a zone
LAST = datetime(2100, 12, 31)  # noqa: DTZ001

any_instants = st.datetimes(FIRST, LAST, timezones=st.just(UTC))


@st.composite
def zones_and_instants(draw: st.DrawFn) -> tuple[str, datetime]:
    """A time zone with an instant, more often than not one around the zone's midnight."""
    zone = draw(time_zones)
    near_midnight = st.builds(
        lambda day, seconds: day_start(day, zone) + timedelta(seconds=seconds),
        st.dates(date(1972, 1, 2), date(2100, 12, 31)),
        st.integers(-3 * 3600, 3 * 3600),
    )
    return zone, draw(st.one_of(near_midnight, any_instants))


def usage_events(
    *, first: datetime, last: datetime, sources: st.SearchStrategy[str] | None = None
) -> st.SearchStrategy[UsageEvent]:
    """Valid events between two instants; their ids differ in general, not for sure."""
    return st.builds(
        UsageEvent,
        id=st.uuids().map(str),
        source=sources or st.sampled_from(["vm-1", "vm-2", "gateway"]),
        resource=resources,
        quantity=quantities,
        occurred_at=st.datetimes(
            first.replace(tzinfo=None), last.replace(tzinfo=None), timezones=st.just(UTC)
        ),
    )


daily_usages = st.builds(DailyUsage, days, resources, quantities)

prices = st.builds(
    Price,
    id=st.uuids(),
    tenant_id=st.sampled_from([None, UUID(int=1)]),
    resource=resources,
    unit_price=unit_prices,
    currency=st.just("EUR"),
    effective_from=days,
)


def unbilled(month: Month) -> st.SearchStrategy[Unbilled]:
    """What is not billed yet of a month or the one before."""
    return st.builds(
        Unbilled,
        month=st.sampled_from([str(month.preceding), str(month)]),
        resource=resources,
        unit_price=unit_prices,
        quantity=quantities,
        amount=amounts,
    )
