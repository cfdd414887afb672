"""One thread that takes work off the event loop: what is put comes out in order, in batches.

The thread starts with the first item and is a daemon, so that a forgotten `stop` never hangs the interpreter; what is
still queued when the interpreter exits is handled then. Waiting here is real time: batches are no part of a simulation.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)

_EXIT_WAIT_S = 5.0
"""How long the exit of the interpreter waits for the queue: an outage must not hold a user's shell."""
_GIVE_WAY_S = 0.0005


class BatchWorker(Generic[T]):
    """`put` costs well under a microsecond; `handle` gets lists of at most `limit` items on the worker's thread.

    `linger` is how many seconds the first item of a batch waits for company. `handle` is to deal with its own failures:
    an exception of it is logged and the batch is gone. With more than `crowd` items waiting, each `put` waits half a
    millisecond: a busy event loop may keep the interpreter lock to itself, and then the queue would only ever grow.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[list[T]], None],
        *,
        linger: float,
        limit: int,
        crowd: int | None = None,
        tick: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._handle = handle
        self._linger = linger
        self._limit = limit
        self._crowd = sys.maxsize if crowd is None else crowd
        self._tick = tick
        self._queue: deque[T | _Job] = deque()
        self._awake = threading.Event()
        self._hurry = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._in_hand = 0
        self._due: float | None = None

    @property
    def waiting(self) -> int:
        """Items taken and not yet handled."""
        return len(self._queue) + self._in_hand

    def put(self, item: T) -> None:
        """Queue one item, from any thread."""
        self._queue.append(item)
        if not self._awake.is_set():
            self._wake()
        if len(self._queue) > self._crowd:
            self._hurry.set()
            time.sleep(_GIVE_WAY_S)

    def call(self, work: Callable[[], R]) -> Future[R]:
        """Run `work` on the thread after everything queued so far, without lingering."""
        future: Future[R] = Future()
        self._queue.append(_Job(work, future))
        self._hurry.set()
        self._wake()
        return future

    def tick_in(self, seconds: float | None) -> None:
        """Call `tick` on the thread that much later, once; None: not at all.

        To be called on the worker's thread, or before the first item.
        """
        self._due = None if seconds is None else time.monotonic() + seconds

    def stop(self) -> Future[None]:
        """Handle what is queued, then end the thread. A later `put` or `call` starts a new one, so nothing is lost."""
        if self._thread is None:
            done: Future[None] = Future()
            done.set_result(None)
            return done
        return self.call(self._end)

    def _end(self) -> None:
        """From here on the thread is none. Before the future resolves, so that who waited may exit at once."""
        with self._starting:
            self._thread = None
            # A `put` that saw it set has queued before this: the thread's last look at the queue finds it.
            self._awake.clear()
            atexit.unregister(self._at_exit)

    def _wake(self) -> None:
        self._awake.set()
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()
                    atexit.register(self._at_exit)

    def _run(self) -> None:
        while True:
            wait = None if self._due is None else max(0.0, self._due - time.monotonic())
            if self._awake.wait(wait):
                if len(self._queue) < self._limit:
                    self._hurry.wait(self._linger)
                # Cleared before draining: what is put from here on sets them again, so nothing is left asleep.
                self._hurry.clear()
                self._awake.clear()
                if self._drain():
                    if self._queue:
                        self._wake()
                    return
            if self._due is not None and time.monotonic() >= self._due:
                self._due = None
                self._guard(self._tick)

    def _drain(self) -> bool:
        """Handle what is queued now; what comes meanwhile lingers for company again. True: the thread is to end."""
        queue = self._queue
        left = len(queue)
        while left:
            batch: list[T] = []
            job: _Job | None = None
            while left and len(batch) < self._limit:
                item = queue.popleft()
                left -= 1
                if isinstance(item, _Job):
                    job = item
                    break
                batch.append(item)
                self._in_hand += 1
            if batch:
                self._guard(self._handle, batch)
                self._in_hand = 0
            if job is not None:
                job.run()
                if threading.current_thread() is not self._thread:
                    return True
        return False

    def _guard(self, work: Callable[..., None] | None, *arguments: Any) -> None:
        try:
            if work is not None:
                work(*arguments)
        except Exception:
            logger.exception("%s failed", self._name)

    def _at_exit(self) -> None:
        try:
            self.stop().result(_EXIT_WAIT_S)
        except TimeoutError:
            logger.error("%s: %d items were not handled before the program ended", self._name, self.waiting)


class _Job:
    __slots__ = ("_future", "_work")

    def __init__(self, work: Callable[[], Any], future: Future[Any]) -> None:
        self._work = work
        self._future = future

    def run(self) -> None:
        if not self._future.set_running_or_notify_cancel():
            return
        try:
            result = self._work()
        except BaseException as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(result)
