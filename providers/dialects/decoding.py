"""What every stream decoder does alike: keeps good events before an error, bounds memory, never guesses a finish."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import orjson

from providers.dialects.accumulator import Accumulator, events_of
from providers.dialects.vendor_errors import unreadable
from providers.errors import MalformedResponseError, ProviderError, StreamInterruptedError
from providers.types import Completion, ReasoningDelta, StreamEvent, StreamFinished, StreamStarted, TextDelta

SHAPE_ERRORS = (TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError)
"""What reading JSON of an unexpected shape raises (orjson's decode error is a ValueError)."""

P = TypeVar("P")


class Splitter(Protocol[P]):
    def feed(self, data: bytes) -> Iterable[P]:
        """The payloads completed by these bytes; all of them are read, up to one that raises."""
        ...

    def close(self) -> list[P]:
        """What the end of the bytes completes."""
        ...

    def foreign(self) -> bytes:
        """The whole text when none of it was in the framing at all."""
        ...


class EventDecoder(Generic[P]):
    """A stream's state machine over the payloads that a splitter finds; a format defines `_take` and `_whole`."""

    __slots__ = ("_out", "_splitter", "_started", "answer", "failure", "finished")

    def __init__(self, splitter: Splitter[P]) -> None:
        self.finished = False
        self.failure: ProviderError | None = None
        self.answer = Accumulator()
        self._splitter = splitter
        self._started = False
        self._out: list[StreamEvent] = []

    def feed(self, data: bytes) -> list[StreamEvent]:
        """See StreamDecoder.feed."""
        if self.finished:
            return []
        out: list[StreamEvent] = []
        self._out = out
        if self.failure is None:
            self._read(data)
        if self.failure is not None and not out:
            raise self.failure
        return out

    def close(self) -> list[StreamEvent]:
        """See StreamDecoder.close."""
        if self.finished:
            return []
        out: list[StreamEvent] = []
        self._out = out
        if self.failure is None:
            self._read_end()
        if self.failure is not None:
            raise self.failure
        return out

    # --- what a format defines ------------------------------------------------------------------------------------

    def _take(self, payload: P) -> None:
        """Read one payload: append events to `_out`, call `_finish` at the end, raise a ProviderError for an error."""
        raise NotImplementedError

    def _whole(self, body: bytes) -> Completion:
        """The answer of a server that ignored `stream` and sent a plain body; raises what that body means."""
        raise NotImplementedError

    def _complete(self) -> bool:
        """Nothing but an end sentinel is missing."""
        return self.answer.finish_reason is not None

    # --- for a decoder that finds this format's payloads in another framing ----------------------------------------

    def read_into(self, out: list[StreamEvent], payload: P) -> None:
        """Read one payload, appending its events to `out`; raises what it means."""
        self._out = out
        self._take(payload)

    def finish_into(self, out: list[StreamEvent]) -> None:
        """End the stream, whose answer is complete."""
        self._out = out
        self._finish()

    # --- shared ---------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        try:
            for payload in self._splitter.feed(data):
                self._take(payload)
                if self.finished:
                    break
        except ProviderError as error:
            self._failed(error)
        except SHAPE_ERRORS as error:
            self._failed(MalformedResponseError(f"a stream event cannot be read: {_why(error)}"))

    def _read_end(self) -> None:
        shown = self.answer.partial_text()
        try:
            for payload in self._splitter.close():
                self._take(payload)
            if not self.finished and not self._started:
                self._read_foreign()
        except ProviderError as error:
            self._failed(error, shown)
            return
        except SHAPE_ERRORS:
            # The bytes ended inside an event: that is a cut stream, not a server that writes nonsense.
            pass
        if not self.finished:
            if self._complete():
                self._finish()
            else:
                self._failed(StreamInterruptedError("the stream ended before the answer was complete"), shown)

    def _start(self) -> None:
        self._started = True
        self._out.append(StreamStarted(model=self.answer.model))

    def _text(self, text: Any) -> None:
        """Add a piece of text; an empty one counts only as the first, because then an empty text came."""
        if type(text) is not str:
            raise TypeError("a piece of text is not a string")
        pieces = self.answer.text
        if text or not pieces:
            pieces.append(text)
            self._out.append(TextDelta(text))

    def _reasoning(self, text: Any) -> None:
        """Add a piece of reasoning, likewise."""
        if type(text) is not str:
            raise TypeError("a piece of reasoning is not a string")
        pieces = self.answer.reasoning
        if text or not pieces:
            pieces.append(text)
            self._out.append(ReasoningDelta(text))

    def _finish(self) -> None:
        self._out.append(StreamFinished(self.answer.completion()))
        self.finished = True

    def _read_foreign(self) -> None:
        """Make what can be made of a body that was no event stream."""
        body = self._splitter.foreign().strip()
        if not body or b"data:".startswith(body) or b"event:".startswith(body):
            return
        if body[:1] not in b"{[<":
            raise MalformedResponseError(f"not an event stream: {body[:80].decode('utf-8', 'replace')!r}")
        self._out += events_of(self._whole(body))
        self.finished = True

    def _failed(self, error: ProviderError, shown: str | None = None) -> None:
        """Keep the error; `shown` is the text handed out, where that is not all that was read."""
        self.failure = error
        error.model = error.model or self.answer.model
        usage = self.answer.usage
        if error.billed is None and usage is not None and usage.input_tokens:
            # No request is without input: servers that learn their numbers at the end begin with zeros.
            error.billed = usage
        if isinstance(error, StreamInterruptedError):
            error.partial_text = self.answer.partial_text() if shown is None else shown


def read_answer(body: bytes, read: Callable[[Any], Completion], what: str) -> Completion:
    """The answer that `read` makes of a body; whatever it stumbles over says that this is not `what`."""
    try:
        data = orjson.loads(body)
    except ValueError:
        raise unreadable(body) from None
    try:
        return read(data)
    except SHAPE_ERRORS as error:
        raise MalformedResponseError(f"the answer is not {what} ({type(error).__name__}: {str(error)[:120]})") from None


def json_or_text(data: bytes) -> object:
    """The payload of an error event, which need not be JSON."""
    try:
        return orjson.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")


def _why(error: Exception) -> str:
    return str(error).strip()[:120] or type(error).__name__
