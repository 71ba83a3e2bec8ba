"""What `/metrics` shows: what processes have counted, added up, how they are, and the state of the tables."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias

import psutil
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shell.measures import PROCESS_STARTED
from shell.metrics import folder
from shell.process_figures import process_figures

TenantIds: TypeAlias = frozenset[str]
Families: TypeAlias = Iterable[Metric]


def exposition(*, tenants: TenantIds | None = None, state: Families = ()) -> bytes:
    """Everything, in the text format; with `tenants`, no series of any other tenant."""
    registry = CollectorRegistry()
    registry.register(Exposed(lambda: tenants, state))
    return generate_latest(registry)


class Exposed(Collector):
    """What the processes that share the folder have counted, and what else is known."""

    def __init__(self, tenants: Callable[[], TenantIds | None], state: Families = ()) -> None:
        """Ask for the tenants at each scrape."""
        self._tenants = tenants
        self._state = state

    def describe(self) -> Families:
        """Nothing: a registry would otherwise collect once just to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        tenants = self._tenants()
        for metric in _counted():
            if metric.name == PROCESS_STARTED._name:  # noqa: SLF001 -- the library has no other way to ask
                yield from process_figures(metric)
            else:
                yield metric if tenants is None else _of_tenants(metric, tenants)
        yield from self._state


def _counted() -> Iterable[Metric]:
    _forget_the_dead()
    collector = multiprocess.MultiProcessCollector(None)  # type: ignore[no-untyped-call]  # untyped in the library
    return list(collector.collect())  # type: ignore[no-untyped-call]  # the same


def _forget_the_dead() -> None:
    """Remove what only the living may say; what the dead have counted still counts."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder().glob("gauge_live*.db")}:
        with suppress(FileNotFoundError):  # another process was faster
            if psutil.pid_exists(pid):
                continue
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # untyped in the library


def _of_tenants(metric: Metric, tenants: TenantIds) -> Metric:
    """The family without series of tenants that are gone; an empty id is nobody's."""
    metric.samples = [
        sample
        for sample in metric.samples
        if not (tenant_id := sample.labels.get("tenant_id")) or tenant_id in tenants
    ]
    return metric
