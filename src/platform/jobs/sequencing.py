"""Sequencing the audit log: a loop in every worker, of which one at a time gets to do it.

It needs no Redis, so that entries find their places within seconds while Redis is away, too.
"""

import asyncio
import time
from datetime import UTC, datetime

import structlog

from jobs.context import WorkerContext
from shell.audit_key import AuditSigner
from shell.measures import AUDIT_WINDOW
from shell.sequencing import sequence_once, sign_checkpoints
from shell.witness import Witness, latest_checkpoints

log = structlog.get_logger()


async def keep_sequencing(context: WorkerContext, signer: AuditSigner) -> None:
    """Sequence each second and sign each minute (settings) until cancelled; after an error, try again."""
    sequencer = Sequencer(context, signer)
    while True:
        try:
            await sequencer.sequence()
            await sequencer.sign()
        except Exception:
            log.exception("audit.sequencing_failed")
        await asyncio.sleep(context.settings.audit_sequence_seconds)


class Sequencer:
    """What one worker remembers between two passes: when it last saw the log complete, and when it signed."""

    def __init__(self, context: WorkerContext, signer: AuditSigner) -> None:
        """Nothing has been seen or signed yet."""
        self._context = context
        self._signer = signer
        self._witness: Witness | None = None
        self._complete_at: float | None = None
        self._sign_next_at = 0.0

    async def sequence(self) -> None:
        """Give every committed entry its place, and measure how long any has waited for it at most."""
        stuck = frozenset[str]()
        while True:
            started = time.monotonic()
            done = await sequence_once(self._context.owner_pool, without=stuck)
            stuck |= done.stuck
            if done.oldest is not None:
                AUDIT_WINDOW.observe(self._waited(done.oldest))
            if done.is_last:
                self._complete_at = started
                return

    async def sign(self) -> None:
        """Sign what has grown, once the time has come, and tell the witness."""
        now = time.monotonic()
        if now < self._sign_next_at:
            return
        self._sign_next_at = now + self._context.settings.audit_checkpoint_seconds
        if self._witness is None:
            self._witness = Witness(self._context.settings, await latest_checkpoints(self._context.pool))
        notes = await sign_checkpoints(self._context.owner_pool, self._signer, datetime.now(UTC))
        await asyncio.to_thread(self._witness.tell, notes)

    def _waited(self, oldest: datetime) -> float:
        """How long an entry of the pass may have been committed without a place, in seconds.

        It was not there when a pass last found nothing more, and it is not older than it says.
        """
        by_its_own_time = (datetime.now(UTC) - oldest).total_seconds()
        if self._complete_at is None:
            return by_its_own_time
        return min(by_its_own_time, time.monotonic() - self._complete_at)
