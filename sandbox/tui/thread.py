"""A loop in a thread of its own, beside the screen's: commands go in thread-safe, what happens comes out of one deque.

The screen and the requests do not share a loop, so a burst of chunks never delays a key press; and nobody is called
across threads for an event: the screen empties the deque at its own pace.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from providers.clock import Clock
from providers.errors import InputError, ProviderError
from providers.redaction import redact
from sandbox.core.events import Event
from sandbox.tui.reports import Report, Settled, Unavailable

if TYPE_CHECKING:
    from sandbox.settings import Settings

logger = logging.getLogger(__name__)

CLOSE_WAIT_S = 5.0
"""How long leaving waits for requests under way to end and for their records to be written."""


class EngineThread:
    """Owns the thread, its tasks, and the way out. What the loop does is its subclass's `_serve`."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.outbox: deque[Event | Report] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._leave = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._chores: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Cancel what runs, let its records be written, and end the thread."""
        if self._thread.is_alive():
            self._call(self._leave.set)
            self._thread.join(CLOSE_WAIT_S)
        elif not self._loop.is_closed():
            self._loop.close()

    def cancel(self, request_id: str) -> None:
        """End a request, or a room's work, that was begun under this id."""
        self._call(lambda: self._cancel(request_id))

    # --- for subclasses -------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """The loop's life: returns when `_leave` is set and everything is closed."""
        raise NotImplementedError

    def _ended(self) -> None:
        """A task of `_spawn` has ended."""

    def _call(self, work: Callable[[], object]) -> None:
        """Run on the engine's loop; a command that comes after the end is dropped."""
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            logger.debug("a command came after the engine had closed")

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that nobody cancels; what it raises is told as Unavailable."""

        def begin() -> None:
            task = self._loop.create_task(self._guarded(work))
            self._chores.add(task)
            task.add_done_callback(self._chores.discard)

        if self._loop.is_closed():
            work.close()
        else:
            self._call(begin)

    def _spawn(self, id: str, work: Coroutine[Any, Any, None]) -> None:
        """Work that can be cancelled by its id and ends in Settled."""
        task = self._loop.create_task(work)
        self._tasks[id] = task
        task.add_done_callback(lambda _: self._settled(id))

    async def _end_requests(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self.outbox.append(Unavailable(sentence(error)))

    def _settled(self, id: str) -> None:
        self._tasks.pop(id, None)
        self.outbox.append(Settled(id))
        if not self._leave.is_set():
            self._ended()

    def _cancel(self, id: str) -> None:
        task = self._tasks.get(id)
        if task is not None:
            task.cancel()


def sentence(error: BaseException) -> str:
    """What went wrong in one sentence, without a credential."""
    if isinstance(error, (ProviderError, InputError)):
        return redact(str(error))
    if isinstance(error, OSError) and error.strerror:
        place = f" {error.filename}" if error.filename else ""
        return redact(f"the system refused{place}: {error.strerror.lower()}")
    return redact(f"internal error, {type(error).__name__}: {error}")
