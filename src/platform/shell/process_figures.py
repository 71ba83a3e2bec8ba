"""How the living processes of each service are: memory, processor time, files, threads."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec
import psutil
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric


class Figure(msgspec.Struct, frozen=True):
    """What is read from each process, and how the processes of a service become one value."""

    family: type[GaugeMetricFamily] | type[CounterMetricFamily]
    name: str
    documentation: str
    of: Callable[[psutil.Process], float]
    together: Callable[[list[float]], float] = sum


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


_PREFIX = "platform_process"
FIGURES = (
    Figure(GaugeMetricFamily, "platform_processes", "Processes that run.", lambda _: 1),
    Figure(
        GaugeMetricFamily,
        f"{_PREFIX}_resident_memory_bytes",
        "Memory that processes hold.",
        lambda process: float(process.memory_info().rss),
    ),
    Figure(
        CounterMetricFamily,
        f"{_PREFIX}_cpu_seconds",
        "Processor time of the running processes.",
        _processor_seconds,
    ),
    Figure(GaugeMetricFamily, f"{_PREFIX}_open_fds", "Open files and sockets.", psutil.Process.num_fds),
    Figure(GaugeMetricFamily, f"{_PREFIX}_threads", "Threads.", psutil.Process.num_threads),
    Figure(
        GaugeMetricFamily,
        f"{_PREFIX}_start_time_seconds",
        "Start of the youngest process.",
        psutil.Process.create_time,
        max,
    ),
)


def process_figures(started: Metric) -> Iterator[Metric]:
    """A family for each figure; `started` has a sample, with service and pid, for each living process."""
    pids: dict[str, list[int]] = {}
    for sample in started.samples:
        pids.setdefault(sample.labels["service"], []).append(int(sample.labels["pid"]))
    for figure in FIGURES:
        family = figure.family(figure.name, figure.documentation, labels=["service"])
        for service in sorted(pids):
            values = [value for pid in pids[service] for value in _read(figure, pid)]
            if values:
                family.add_metric([service], figure.together(values))
        yield family


def _read(figure: Figure, pid: int) -> Iterator[float]:
    """The value, or none of a process that has just ended."""
    with suppress(psutil.Error):
        yield figure.of(psutil.Process(pid))
