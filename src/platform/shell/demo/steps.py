"""Telling on standard error what is being done: with a bar on a terminal, with a line per step elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn

NAME_WIDTH = 50


class Steps:
    """Says which step runs, and how long it took."""

    def __init__(self) -> None:
        """Standard error leaves standard output to the report."""
        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """One step; the body may say how much of the total has been done."""
        columns: list[ProgressColumn] = [TextColumn("{task.description} …")]
        if total is not None:
            columns += [BarColumn(), MofNCompleteColumn()]
        started = time.monotonic()
        # Without a thread that refreshes the bar: processes are started here, which threads would endanger.
        with Progress(
            *columns,
            console=self._console,
            transient=True,
            auto_refresh=False,
            disable=not self._console.is_terminal,
        ) as bar:
            task = bar.add_task(name, total=total)
            bar.refresh()
            yield lambda done: bar.update(task, completed=done, refresh=True)
        seconds = time.monotonic() - started
        self._console.print(f"[dim]{name:<{NAME_WIDTH}} {seconds:5.1f} s[/dim]")
