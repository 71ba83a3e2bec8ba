"""Recorded series: metrics of AWS machines, and the windows of time in which they were anomalous.

They come from the Numenta Anomaly Benchmark (data/realAWSCloudwatch); times are UTC without an offset.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import msgspec

from core.evaluation import Evaluation, LabelledWindow, evaluate_series
from core.resource import Resource
from core.usage import Window
from core.usage_import import Choices, ColumnMapping, map_columns, parse_factor, read_rows
from shell.database import Pool
from shell.usage_files import FileUnusable, UsageFile, open_usage_file, pieces
from shell.usage_import import import_usage, shift_to

WINDOWS_FILE: Final = "anomaly_windows.json"
TIME_ZONE: Final = "UTC"
NEAR: Final = Path("../shared/data/aws_cloudwatch")
"""Where the series lie, seen from a checkout."""

MEANINGS: Final = {
    "ec2_cpu_utilization": (Resource.CPU, "4*5/60/100"),
    "rds_cpu_utilization": (Resource.CPU, "4*5/60/100"),
    "ec2_network_in": (Resource.NETWORK, "1/1000000000"),
    "ec2_disk_write_bytes": (Resource.STORAGE, "5/1440/1000000000"),
    "elb_request_count": (Resource.API_CALLS, "1"),
}
"""What five minutes of a metric are: per cent of 4 vCPU, bytes received, bytes held, requests."""

ALWAYS: Final = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class RecordedSeries(msgspec.Struct, frozen=True):
    """One series: its file, how a row of it becomes a usage event, and its labelled windows."""

    file: UsageFile
    mapping: ColumnMapping
    windows: tuple[LabelledWindow, ...]

    @property
    def name(self) -> str:
        """The source that its events name."""
        return self.file.path.stem


def find_series(names: Sequence[str]) -> Path | None:
    """The folder that holds all the series near the current folder or the checkout, if there is one."""
    places = (Path(), Path(__file__).parents[4])
    wanted = [f"{name}.csv" for name in names] + [WINDOWS_FILE]
    for folder in (place / NEAR for place in places):
        if all((folder / name).is_file() for name in wanted):
            return folder.resolve()
    return None


def open_all_series(folder: Path, names: Sequence[str]) -> dict[str, RecordedSeries]:
    """The series by their names; raises FileUnusable for one that is missing or damaged."""
    return {name: _open(folder, name) for name in names}


async def import_series(
    pool: Pool, slug: str, series: RecordedSeries, *, last_day: date, progress: Callable[[int], None]
) -> None:
    """Import a series into a tenant, moved by whole days, so that it ends on a day; raises FileUnusable."""
    mapping = await shift_to(series.file, series.mapping, last_day)
    imported = await import_usage(pool, slug=slug, file=series.file, mapping=mapping, progress=progress)
    if imported.rejected:
        raise FileUnusable(file=series.file.path, reason=f"{imported.rejected} of its rows are no usage")


def evaluate(series: RecordedSeries) -> Evaluation:
    """Judge the days of a series, in UTC and at its original dates, and compare with its windows."""
    read = (
        read_rows(piece.rows, series.mapping, ALWAYS) for piece in pieces(series.file, series.mapping.columns)
    )
    events = [event for reading in read for event in reading.events]
    return evaluate_series(events, series.windows, time_zone=TIME_ZONE)


def _open(folder: Path, name: str) -> RecordedSeries:
    file = open_usage_file(folder / f"{name}.csv")
    resource, factor = MEANINGS[name.rpartition("_")[0]]
    choices = Choices(resource=resource, factor=parse_factor(factor), time_zone=TIME_ZONE)
    mapping = map_columns(file.columns, choices, file_stem=name)
    return RecordedSeries(file, mapping, _windows(folder / WINDOWS_FILE, file.path.name))


def _windows(file: Path, name: str) -> tuple[LabelledWindow, ...]:
    try:
        labelled = msgspec.json.decode(file.read_bytes(), type=dict[str, list[tuple[datetime, datetime]]])
    except (OSError, msgspec.DecodeError) as error:
        raise FileUnusable(file=file, reason=str(error)) from error
    return tuple(
        LabelledWindow(start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
        for start, end in labelled.get(name, [])
    )
