"""Figures: what a benchmark found, beside its baseline and its target; shown as a table, kept as JSON."""

import os
import platform
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

Measured = Callable[[], Awaitable[float]]


class Rounds(msgspec.Struct, frozen=True):
    """What product and baseline came to in rounds that took turns: the n-th of both are neighbours."""

    product: list[float]
    baseline: list[float]

    @property
    def ratios(self) -> list[float]:
        """Product to baseline, round by round."""
        return [mine / other for mine, other in zip(self.product, self.baseline, strict=True)]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. A figure has a target for its ratio, for its value, or for both.

    `ratio` is the median of the rounds' ratios and `value`, `baseline` are medians of their own, so that
    `ratio` need not be exactly `value / baseline`. `spread` is the lowest and the highest ratio of a round,
    or value where there is no baseline.
    """

    name: str
    unit: str
    value: float
    baseline: float | None = None
    ratio: float | None = None
    spread: tuple[float, float]
    rounds: int
    ratio_at_least: float | None = None
    ratio_at_most: float | None = None
    value_at_least: float | None = None
    value_at_most: float | None = None
    notes: dict[str, float] = {}

    @property
    def is_reached(self) -> bool:
        """Whether every target that the figure has is met."""
        return all(
            limit is None or (found is not None and found * sign >= limit * sign)
            for found, limit, sign in (
                (self.ratio, self.ratio_at_least, 1),
                (self.ratio, self.ratio_at_most, -1),
                (self.value, self.value_at_least, 1),
                (self.value, self.value_at_most, -1),
            )
        )

    @property
    def target(self) -> str:
        """The targets in words."""
        limits = (
            ("ratio ≥ {:g}", self.ratio_at_least),
            ("ratio ≤ {:g}", self.ratio_at_most),
            ("≥ {:,.0f}", self.value_at_least),
            ("≤ {:,g}", self.value_at_most),
        )
        return ", ".join(words.format(limit) for words, limit in limits if limit is not None)


class Machine(msgspec.Struct, frozen=True):
    """What the figures were measured on, and when."""

    date: str
    system: str
    processor: str
    cores: int
    memory_gb: float
    python: str
    postgres: str


async def take_turns(product: Measured, baseline: Measured, rounds: int) -> Rounds:
    """Measure both in turns, each leading in every other round: A B, B A, A B, …, after one round unmeasured.

    A machine's speed drifts; neighbours in time drift together.
    """
    await baseline()
    await product()
    found = Rounds([], [])
    for number in range(rounds):
        if number % 2:
            found.baseline.append(await baseline())
            found.product.append(await product())
        else:
            found.product.append(await product())
            found.baseline.append(await baseline())
    return found


def compared(name: str, unit: str, rounds: Rounds, **targets: float | dict[str, float]) -> Figure:
    """The figure of rounds that took turns."""
    ratios = rounds.ratios
    figure = Figure(
        name=name,
        unit=unit,
        value=median(rounds.product),
        baseline=median(rounds.baseline),
        ratio=median(ratios),
        spread=(min(ratios), max(ratios)),
        rounds=len(ratios),
    )
    return msgspec.structs.replace(figure, **targets)


def alone(name: str, unit: str, values: Sequence[float], **targets: float | dict[str, float]) -> Figure:
    """The figure of values that have no baseline."""
    figure = Figure(
        name=name, unit=unit, value=median(values), spread=(min(values), max(values)), rounds=len(values)
    )
    return msgspec.structs.replace(figure, **targets)


def machine(postgres: str) -> Machine:
    """The facts of this machine."""
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        python=platform.python_version(),
        postgres=postgres,
    )


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def show(console: Console, facts: Machine, figures: Sequence[Figure]) -> None:
    """Print the table."""
    table = Table(
        title="Benchmarks",
        caption=f"{facts.cores} cores ({facts.processor}), "
        f"Python {facts.python}, PostgreSQL {facts.postgres}, {facts.date}",
    )
    table.add_column("benchmark")
    for heading in ("value", "baseline", "ratio", "spread"):
        table.add_column(heading, justify="right")
    table.add_column("target")
    table.add_column("reached")
    for figure in figures:
        table.add_row(*_cells(figure))
    console.print(table)


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        "-" if figure.baseline is None else _number(figure.baseline),
        "-" if figure.ratio is None else f"{figure.ratio:.2f}",
        " … ".join(_number(end) for end in figure.spread),
        figure.target,
        "[green]yes[/]" if figure.is_reached else "[red]no[/]",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
