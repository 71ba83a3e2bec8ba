"""What every job needs: the pools, the announcer, and the worker's name."""

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from taskiq import AsyncBroker

from core.invoicing import Party
from shell.database import Pool
from shell.settings import Settings

if TYPE_CHECKING:  # it imports OpenTelemetry, which may not be there
    from shell.spans import Tracing


class WorkerContext(msgspec.Struct, frozen=True):
    """Made once when a worker starts, passed to every job."""

    settings: Settings
    pool: Pool
    owner_pool: Pool
    announcer: AsyncBroker
    worker: str
    tracing: "Tracing | None" = None

    @property
    def lease(self) -> timedelta:
        """For how long a job is taken at a time."""
        return timedelta(seconds=self.settings.job_lease_seconds)

    @property
    def seller(self) -> Party:
        """Who issues the invoices."""
        settings = self.settings
        return Party(settings.seller_name, settings.seller_country, settings.seller_vat_id)
