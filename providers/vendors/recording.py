"""Keeps exchanges with providers as fixtures: taken on their way, freed of credentials, read once by the real provider.

Everything after the taking happens in a thread of its own: neither a slow disk nor a full one is noticed by a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from providers.clock import SYSTEM_CLOCK, Clock
from providers.errors import FixtureError, InputError
from providers.redaction import redact
from providers.transports.base import Transport, WireRequest
from providers.transports.recording import Captured, Keep, RecordingTransport

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from providers.exchange.format import Exchange, Origin
    from providers.exchange.recordings import Recordings

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 256 << 20
"""Bytes of answers that wait for the disk; while there are more, further ones are not kept."""


class Saved(NamedTuple):
    exchange: Exchange
    path: Path


class _Claim(NamedTuple):
    """One exchange that is to be kept."""

    provider: str
    base_path: str
    """What the address of the API puts before every path."""
    secrets: Callable[[], Sequence[str]]
    case: str | None
    armed: bool
    """It was asked for by itself, so that another one is owed where it comes to nothing."""


class Recorder:
    """Keeps what passes through the transports that it wraps, in `<folder>/<provider>/<case>.json`.

    `always`: everything, else only what it is armed for. `provoked`: what comes of provoked faults, as the caller sees
    it, in place of what the provider sent. `saved` and `failed` are told on the event loop of the exchange; a failure
    is one sentence. `secrets` are credentials by value, beside those of each wrapped transport.
    """

    def __init__(
        self,
        folder: Path,
        *,
        always: bool = False,
        origin: Origin = "live",
        provoked: bool = False,
        secrets: Sequence[str] = (),
        saved: Callable[[Saved], None] | None = None,
        failed: Callable[[str], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.folder = folder
        self.always = always
        self.origin: Origin = origin
        self.provoked = provoked
        self._secrets = tuple(secrets)
        self._saved = saved
        self._failed = failed
        self._clock = clock
        self._armed: deque[str | None] = deque()
        self._pending: dict[Future[Saved | None], int] = {}
        """What is not told yet, with the bytes of each."""
        self._executor: ThreadPoolExecutor | None = None
        self._recordings: Recordings | None = None
        self._complaints: set[str] = set()

    @property
    def armed(self) -> int:
        """How many of the next exchanges are going to be kept."""
        return len(self._armed)

    def arm(self, count: int = 1, *, case: str | None = None) -> None:
        """Keep the next `count` exchanges too; `case` names the file of a single one. Raises InputError."""
        if count < 1 or (case is not None and count > 1):
            raise InputError(f"{count} exchanges cannot be kept{f' as {case!r}' if case else ''}; give 1 or more")
        if case is not None:
            from providers.exchange.document import NAME, NAME_RULE

            if not NAME.fullmatch(case):
                raise InputError(
                    f"the name of a fixture is {case[:60]!r}; it must be such as 'greeting-stream', of {NAME_RULE}"
                )
        self._armed.extend([case] * count)

    def disarm(self) -> None:
        self._armed.clear()

    def wrap(
        self,
        transport: Transport,
        *,
        provider: str,
        base_url: str | None = None,
        secrets: Callable[[], Sequence[str]] = tuple,
    ) -> Transport:
        """The transport with this recorder listening in. `base_url`: what paths are relative to. `secrets`: the
        credentials of the moment, as some change while the program runs."""
        # Every start wraps transports, few record: what only recording needs is loaded where it is used.
        from urllib.parse import urlsplit

        base_path = urlsplit(base_url or "").path.rstrip("/")

        def begin(request: WireRequest) -> Keep | None:
            armed = bool(self._armed)
            if not armed and not self.always:
                return None
            case = self._armed.popleft() if armed else None
            claim = _Claim(provider, base_path, secrets, case, armed)
            return lambda captured: self._keep(captured, claim)

        return RecordingTransport(transport, begin=begin, clock=self._clock)

    # --- on the loop of the exchange --------------------------------------------------------------------------------

    def _keep(self, captured: Captured | None, claim: _Claim) -> None:
        if captured is None:
            self._owe(claim)
            return
        size = sum(len(data) for _, data in captured.chunks) + len(captured.request.body)
        if sum(list(self._pending.values())) + size > MAX_WAITING:
            self._owe(claim)
            self._complain(f"{self.folder} does not take recordings as fast as they come; some are not kept")
            return
        from concurrent.futures import ThreadPoolExecutor

        loop = asyncio.get_running_loop()
        try:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="recorder")
            secrets = (*self._secrets, *claim.secrets())
            future = self._executor.submit(self._save, captured, claim, secrets)
        except RuntimeError:
            # The interpreter is about to end.
            return
        self._pending[future] = size

        def done(future: Future[Saved | None]) -> None:
            try:
                loop.call_soon_threadsafe(self._settle, future, claim)
            except RuntimeError:
                # The loop is closed: nobody is left who would want to know.
                self._pending.pop(future, None)

        future.add_done_callback(done)

    def _settle(self, future: Future[Saved | None], claim: _Claim) -> None:
        self._pending.pop(future, None)
        try:
            saved = future.result()
        except FixtureError as error:
            self._complain(str(error))
        except Exception as error:
            import traceback

            told = "".join(traceback.format_exception(error))
            logger.error("keeping an exchange failed: %s", redact(told, (*self._secrets, *claim.secrets())))
            self._complain(f"an exchange with {claim.provider} was not kept: {type(error).__name__}")
        else:
            if saved is None:
                self._owe(claim)
            elif self._saved is not None:
                self._saved(saved)

    def _owe(self, claim: _Claim) -> None:
        if claim.armed:
            self._armed.appendleft(claim.case)

    def _complain(self, sentence: str) -> None:
        """Once for each sentence: a full disk is full for every exchange."""
        sentence = redact(sentence, self._secrets)
        if sentence not in self._complaints:
            self._complaints.add(sentence)
            if self._failed is not None:
                self._failed(sentence)
            else:
                logger.warning("%s", sentence)

    async def flush(self) -> None:
        """Return when everything that has passed is on disk, or is known not to get there."""
        pending = list(self._pending)
        await asyncio.gather(*map(asyncio.wrap_future, pending), return_exceptions=True)
        for future in pending:
            # Told already, but for those of a loop that stands still.
            self._pending.pop(future, None)

    async def close(self) -> None:
        """Flush and end the thread; safe to call twice. What passes later starts a new one, so that nothing is lost."""
        await self.flush()
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    # --- on the thread ----------------------------------------------------------------------------------------------

    def _save(self, captured: Captured, claim: _Claim, secrets: Sequence[str]) -> Saved | None:
        """The file; None where the caller left before the answer was whole. Raises FixtureError."""
        from providers.exchange.recordings import Recordings
        from providers.vendors.captured import exchange_of

        exchange = exchange_of(
            captured, provider=claim.provider, origin=self.origin, base_path=claim.base_path, secrets=secrets
        )
        if exchange is None:
            return None
        if self._recordings is None:
            self._recordings = Recordings(self.folder)
        return Saved(exchange, self._recordings.keep(exchange, case=claim.case))
