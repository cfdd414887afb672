"""Sends what the spool holds, batch by batch, on a thread of its own, for as long as it takes."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from providers.attempts import RetryPolicy
from providers.clock import Clock, Randomness
from sandbox.core.background import BatchWorker
from sandbox.usage import database
from sandbox.usage.base import UsageUnavailable
from sandbox.usage.dynamodb import counters, names
from sandbox.usage.dynamodb.access import TableError
from sandbox.usage.dynamodb.client import Table
from sandbox.usage.dynamodb.items import Item, record_item, request_item, shortened
from sandbox.usage.dynamodb.outbox import Batch, Outbox
from sandbox.usage.dynamodb.table import differences

logger = logging.getLogger(__name__)

LINGER_S: Final = 0.5
"""Records are safe on the disk meanwhile; the more come together, the fewer writes their roll-ups take."""
PATIENCE: Final = RetryPolicy(base_delay=0.5, max_delay=15.0, jitter="full")
"""Between two tries while DynamoDB does not take a batch. There is no last one."""
_LEASE_WAIT_S: Final = 0.5
_LEASE_PATIENCE_S: Final = 10.0

_TROUBLE = (UsageUnavailable, sqlite3.Error, OSError)


class Sender:
    def __init__(
        self,
        outbox: Outbox,
        table: Table,
        *,
        clock: Clock,
        draws: Randomness,
        kept_s: float | None,
        patience: RetryPolicy = PATIENCE,
        linger: float = LINGER_S,
    ) -> None:
        self._outbox = outbox
        self._table = table
        self._clock = clock
        self._draws = draws
        self._kept_s = kept_s
        self._patience = patience
        self._closing = threading.Event()
        self._worker = BatchWorker[None](
            "usage-dynamodb", lambda _: self._arrived(), linger=linger, limit=1 << 30, tick=self._send
        )
        self._failures = 0
        self._under_way: tuple[str, int] | None = None
        self._there: set[str] = set()
        """Keys of the batch under way that the table has. Where calls fail now and then, a long batch that began anew
        each time would never be through."""
        self.sent = 0
        """Records that this process has sent."""
        self.trouble: str | None = None
        self.trouble_since_us: int | None = None

    def wake(self) -> None:
        """There is something to send. From any thread."""
        self._worker.put(None)

    def flush(self) -> Future[None]:
        """Done when all that the spool holds now is in the table; fails with UsageUnavailable."""
        return self._worker.call(self._flush)

    def hasten(self) -> None:
        """Begin to end: what is under way is the last batch."""
        self._closing.set()

    def close(self) -> Future[None]:
        self.hasten()
        self._worker.call(self._outbox.release)
        return self._worker.stop()

    # --- on the thread ----------------------------------------------------------------------------------------------

    def _arrived(self) -> None:
        # In trouble the next try has its time, whatever comes meanwhile. And where the interpreter is ending and nobody
        # closed the store, AWS's library can do nothing any more; what is in the spool is for the next run.
        if self.trouble is None and threading.main_thread().is_alive():
            self._send()

    def _send(self) -> None:
        try:
            with self._outbox.leased() as ours:
                while ours and not self._closing.is_set() and self._step():
                    pass
        except Exception as error:
            # Whatever it is, there will be another try.
            self._in_trouble(error)
            return
        if not ours:
            self._worker.tick_in(_LEASE_WAIT_S)
            return
        self._out_of_trouble()

    def _flush(self) -> None:
        try:
            left = self._outbox.look().depth
            waited = 0.0
            while left > 0:
                with self._outbox.leased() as ours:
                    while ours and left > 0:
                        before = self.sent
                        more = self._step()
                        left = left - (self.sent - before) if more else 0
                if ours:
                    break
                if waited >= _LEASE_PATIENCE_S:
                    raise UsageUnavailable("another process has been sending the usage spool for a long time")
                self._closing.wait(_LEASE_WAIT_S / 10)
                waited += _LEASE_WAIT_S / 10
                left = min(left, self._outbox.look().depth)
        except _TROUBLE as error:
            self._in_trouble(error)
            depth = self._outbox.stored.depth
            kept = f"{depth} usage records wait in {self._outbox.path}"
            raise UsageUnavailable(f"{self.trouble}; {kept}") from None
        self._out_of_trouble()

    def _step(self) -> bool:
        """Send one batch; False when there is nothing to send."""
        batch = self._outbox.batch()
        if batch is None:
            if not self._outbox.begin(self._table.existing):
                return False
            batch = self._outbox.batch()
        if batch is not None:
            self._deliver(batch)
            self._outbox.finish(batch)
            self.sent += len(batch.rows)
        return True

    def _deliver(self, batch: Batch) -> None:
        if self._under_way != batch[:2]:
            self._under_way = batch[:2]
            self._there.clear()
        # By key, for a request that is refused for two items of one key would be refused for ever.
        items: dict[str, Item] = {}
        rows = [shortened(row) for row in batch.rows]
        for row in rows:
            for item in (record_item(row, kept_s=self._kept_s), request_item(row, kept_s=self._kept_s)):
                if item is not None:
                    items[item[names.KEY]["S"]] = item
        self._put([item for key, item in items.items() if key not in self._there])

        def add(addition: counters.Addition) -> None:
            try:
                self._table.update(counters.update(addition, batch.spool, batch.number))
            except TableError as error:
                if error.code != "ValidationException":
                    raise
                # It took the records, so it is this item that no table would take.
                logger.error("sums of usage records cannot be stored in DynamoDB: %s", error)
            self._there.add(addition.key)

        self._table.each(add, [one for one in counters.additions(rows) if one.key not in self._there])

    def _put(self, items: Sequence[Item]) -> None:
        try:
            self._table.put(items, self._there.update)
        except TableError as error:
            if error.code != "ValidationException":
                raise
            # The table's fault or an item's: an item that no table would take must not hold up the others.
            if found := differences(self._table.call("describe_table", TableName=self._table.name)["Table"]):
                raise UsageUnavailable(f"table {self._table.name} has another shape: {'; '.join(found)}") from None
            self._table.each(self._put_alone, items)

    def _put_alone(self, item: Item) -> None:
        try:
            self._table.put([item], self._there.update)
        except TableError as error:
            if error.code != "ValidationException":
                raise
            key = item[names.KEY]["S"]
            logger.error("usage record %s cannot be stored in DynamoDB: %s", ascii(key), error)
            self._there.add(key)

    # ----------------------------------------------------------------------------------------------------------------

    def _in_trouble(self, error: BaseException) -> None:
        known = isinstance(error, _TROUBLE)
        sentence = database.sentence(self._outbox.path, error) if known else f"usage records cannot be sent: {error}"
        if self.trouble is None:
            self.trouble_since_us = self._clock.time_us()
            told = None if known else error
            logger.warning("usage records are kept in %s for now: %s", self._outbox.path, sentence, exc_info=told)
        self.trouble = sentence
        if isinstance(error, TableError) and error.cause == "missing":
            # What it held is gone; a new one gets the whole batch.
            self._under_way = None
        self._worker.tick_in(self._patience.backoff(self._failures, self._draws))
        self._failures += 1

    def _out_of_trouble(self) -> None:
        self._worker.tick_in(None)
        self._failures = 0
        if self.trouble is not None:
            self.trouble = self.trouble_since_us = None
            logger.warning("table %s takes usage records again", self._table.name)
