"""A stream of an answer from its first text on: what it breaks with, and what had arrived by then."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator

from providers.clock import Clock
from providers.errors import InputError, ProviderError, StreamInterruptedError
from providers.resuming import within
from providers.types import Completion, StreamEvent, StreamFinished, StreamStarted, TextDelta

logger = logging.getLogger(__name__)


class OpenStream:
    """A stream whose first text has arrived, so that opening it can be retried like a plain call."""

    __slots__ = ("_head", "_source", "already_whole", "text")

    def __init__(
        self, source: AsyncGenerator[list[StreamEvent]], head: list[StreamEvent], already_whole: Completion | None
    ) -> None:
        self._source = source
        self._head = head
        self.already_whole = already_whole
        """The whole answer, where it ended before it showed anything."""
        self.text = ""

    @classmethod
    async def open(cls, source: AsyncGenerator[list[StreamEvent]]) -> OpenStream:
        """Read up to and including the first event that shows something of the answer, and what came with it."""
        head: list[StreamEvent] = []
        try:
            async for batch in source:
                head += batch
                for event in batch:
                    if not isinstance(event, StreamStarted) and _shows(event):
                        return cls(source, head, event.completion if isinstance(event, StreamFinished) else None)
            raise StreamInterruptedError("the stream ended before it began")
        except BaseException:
            await source.aclose()
            raise

    async def batches(self, clock: Clock, silence: float) -> AsyncIterator[list[StreamEvent]]:
        """Everything from the beginning, what came together in one list; StreamFinished is the last of the last.

        Raises StreamInterruptedError, with what had arrived, when it breaks.
        """
        pieces: list[str] = []
        batch = self._head
        try:
            while True:
                pieces += [event.text for event in batch if isinstance(event, TextDelta)]
                over = isinstance(batch[-1], StreamFinished)
                yield batch
                if over:
                    return
                try:
                    batch = await within(clock.timeout, silence, self._source.__anext__())
                except StopAsyncIteration:
                    raise StreamInterruptedError(
                        "the stream ended without a finish", partial_text="".join(pieces)
                    ) from None
        except StreamInterruptedError as error:
            error.partial_text = "".join(pieces)
            raise
        except ProviderError as error:
            interrupted = StreamInterruptedError(
                error.message,
                partial_text="".join(pieces),
                provider=error.provider,
                model=error.model,
                status=error.status,
                code=error.code,
                error_type=error.error_type,
            )
            interrupted.billed = error.billed
            raise interrupted from error
        except TimeoutError:
            raise StreamInterruptedError(
                f"the stream was silent for {silence:g} s", partial_text="".join(pieces)
            ) from None
        except InputError:
            raise
        except Exception as error:
            message = f"the provider raised {type(error).__name__}: {error}"
            raise StreamInterruptedError(message, partial_text="".join(pieces)) from error
        finally:
            self.text = "".join(pieces)

    async def close(self) -> None:
        """Close the source; what its cleaning up raises changes nothing about the answer."""
        try:
            await self._source.aclose()
        except Exception:
            logger.debug("closing a stream failed", exc_info=True)


def _shows(event: StreamEvent) -> bool:
    """Whether an event holds something of the answer itself, or its end."""
    return isinstance(event, StreamFinished) or bool(
        getattr(event, "text", "") or getattr(event, "arguments", "") or getattr(event, "name", "")
    )
