"""Draining: a process that is to stop says so first, and then still answers for a while.

Whoever balances the load learns it from `/health/ready`, and a client from `Connection: close` on its next
answer: by the time the process stops to listen, nobody has a request or a connection left to lose.
"""

import os
import signal
from types import FrameType

from granian.server.mp import MPServer
from litestar.datastructures import State

SIGNAL = signal.SIGUSR1
"""What the server sends the processes that it has started: their own SIGTERM ends them."""


class Draining:
    """Whether this process is about to stop."""

    has_begun = False

    def listen(self) -> None:
        """Begin when the server says so; to be called by the main thread."""
        signal.signal(SIGNAL, self._begin)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        self.has_begun = True


def draining_of(state: State) -> Draining:
    """Whether the process with this application's state is about to stop."""
    draining = state["draining"]
    if not isinstance(draining, Draining):
        raise TypeError("the application was not made whole")
    return draining


class DrainingServer(MPServer):
    """Granian that, told to stop, lets its processes drain for some seconds before it stops them."""

    drain_delay_seconds = 0

    def shutdown(self, exit_code: int = 0) -> None:
        """Drain, and stop; a second signal ends the draining at once."""
        if self.drain_delay_seconds:
            self.main_loop_interrupt.clear()
            for worker in self.wrks:
                os.kill(worker.inner.pid, SIGNAL)
            self.main_loop_interrupt.wait(self.drain_delay_seconds)
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]
