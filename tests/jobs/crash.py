"""Crashes between two steps of a job."""

from uuid import uuid4

from jobs.context import WorkerContext
from jobs.progress import Progress


class Crash(Exception):
    """The worker has ended here."""


class Crashing(Progress):
    """Progress of a worker that ends when it reaches a step."""

    def __init__(self, context: WorkerContext, step: str) -> None:
        """End at this step."""
        super().__init__(context, uuid4())
        self._step = step

    async def __call__(self, step: str, share: float) -> None:  # noqa: ARG002 -- as in Progress
        """Report nothing; raise Crash at the step."""
        if step == self._step:
            raise Crash
