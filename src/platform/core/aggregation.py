"""Daily aggregation: many usage events become one row per day and resource."""

from datetime import date, timedelta
from typing import TypeAlias

import polars as pl

from core.usage import QUANTITY_DECIMALS

QUANTITY = pl.Decimal(38, QUANTITY_DECIMALS)
"""Sums 10^11 of the largest quantities that an event may have, exactly."""

Schema: TypeAlias = dict[str, type[pl.DataType] | pl.DataType]

EVENTS: Schema = {"day_number": pl.Int32, "resource": pl.String, "quantity": QUANTITY}
DAILY_USAGE: Schema = {"day": pl.Date, "resource": pl.String, "quantity": QUANTITY, "events": pl.Int64}


def daily_usage(events: pl.DataFrame, *, first_day: date) -> pl.DataFrame:
    """Sum the events of each day and resource, in no particular order of input.

    Takes EVENTS: `day_number` (1 is `first_day`, 2 the day after), `resource`, `quantity`.
    Gives DAILY_USAGE, sorted by day and resource: `day`, `resource`, `quantity` (the exact decimal sum),
    `events` (how many).
    """
    day_before = pl.lit(first_day - timedelta(days=1))
    return (
        events.lazy()
        .group_by("day_number", "resource")
        .agg(pl.col("quantity").sum().cast(QUANTITY), pl.len().cast(pl.Int64).alias("events"))
        .select(
            (day_before + pl.duration(days="day_number")).cast(pl.Date).alias("day"),
            "resource",
            "quantity",
            "events",
        )
        .sort("day", "resource")
        .collect()
    )
