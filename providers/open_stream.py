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

    __slots__ = ("_head", "_source", "text")

    def __init__(self, source: AsyncGenerator[StreamEvent], head: list[StreamEvent]) -> None:
        self._source = source
        self._head = head
        self.text = ""

    @classmethod
    async def open(cls, source: AsyncGenerator[StreamEvent]) -> OpenStream:
        """Read up to and including the first event that shows something of the answer."""
        head: list[StreamEvent] = []
        try:
            async for event in source:
                head.append(event)
                if not isinstance(event, StreamStarted) and _shows(event):
                    return cls(source, head)
            raise StreamInterruptedError("the stream ended before it began")
        except BaseException:
            await source.aclose()
            raise

    @property
    def already_whole(self) -> Completion | None:
        """The whole answer, where it ended before it showed anything."""
        last = self._head[-1]
        return last.completion if isinstance(last, StreamFinished) else None

    async def events(self, clock: Clock, silence: float) -> AsyncIterator[StreamEvent]:
        """Everything from the beginning. Raises StreamInterruptedError, with what had arrived, when it breaks."""
        for event in self._head:
            if isinstance(event, TextDelta):
                self.text += event.text
            yield event
            if isinstance(event, StreamFinished):
                return
        pieces = [self.text]
        try:
            while True:
                try:
                    event = await within(clock.timeout, silence, self._source.__anext__())
                except StopAsyncIteration:
                    raise StreamInterruptedError(
                        "the stream ended without a finish", partial_text="".join(pieces)
                    ) from None
                if isinstance(event, TextDelta):
                    pieces.append(event.text)
                yield event
                if isinstance(event, StreamFinished):
                    return
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
