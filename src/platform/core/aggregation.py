"""Daily aggregation: many usage events become one row per day and resource."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeAlias

import polars as pl

from core.money import total
from core.usage import QUANTITY_DECIMALS

QUANTITY = pl.Decimal(38, QUANTITY_DECIMALS)
"""Sums 10^11 of the largest quantities that an event may have, exactly."""

EPOCH = date(1970, 1, 1)
"""Day 0 of a Polars date."""

Schema: TypeAlias = dict[str, type[pl.DataType] | pl.DataType]

EVENTS: Schema = {"day_number": pl.Int32, "resource": pl.String, "quantity": QUANTITY}
DAILY_USAGE: Schema = {"day": pl.Date, "resource": pl.String, "quantity": QUANTITY, "events": pl.Int64}

Event: TypeAlias = tuple[int, str, Decimal]
"""A row of EVENTS."""

Daily: TypeAlias = tuple[date, str, Decimal, int]
"""A row of DAILY_USAGE."""


def daily_usage(events: pl.DataFrame, *, first_day: date) -> pl.DataFrame:
    """Sum the events of each day and resource, in no particular order of input.

    Takes EVENTS: `day_number` (1 is `first_day`, 2 the day after), `resource`, `quantity`.
    Gives DAILY_USAGE, sorted by day and resource: `day`, `resource`, `quantity` (the exact decimal sum),
    `events` (how many).
    """
    sums = (
        events.group_by("day_number", "resource")
        .agg(pl.col("quantity").sum().cast(QUANTITY), pl.len().cast(pl.Int64).alias("events"))
        .sort("day_number", "resource")
    )
    # Series by Series: an expression for so few rows would cost as much as the sums themselves.
    days = (sums["day_number"] + (first_day - EPOCH).days - 1).cast(pl.Date)
    return pl.DataFrame([days.alias("day"), sums["resource"], sums["quantity"], sums["events"]])


def daily_usage_of_few(events: Iterable[Event], *, first_day: date) -> list[Daily]:
    """The same sums, row by row: for a thousand events and fewer, where a frame costs more than it saves."""
    quantities: defaultdict[tuple[int, str], list[Decimal]] = defaultdict(list)
    for number, resource, quantity in events:
        quantities[number, resource].append(quantity)
    return [
        (first_day + timedelta(days=number - 1), resource, total(found), len(found))
        for (number, resource), found in sorted(quantities.items())
    ]
