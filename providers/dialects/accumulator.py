"""Folds the events of a stream into the whole answer, and writes a whole answer as events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from providers.types import (
    Completion,
    RawUsage,
    ReasoningDelta,
    StopReason,
    StreamEvent,
    StreamFinished,
    StreamStarted,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
    UsageReported,
)


class Accumulator:
    """What a stream has said so far. Decoders write its fields directly; anyone else uses `add`.

    An empty list of text pieces means that no text part came at all, one empty piece that an empty text came.
    """

    __slots__ = (
        "_arguments", "calls", "finish_reason", "metadata", "model", "raw_usage", "reasoning", "refusal", "response_id",
        "stop", "text", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls: list[ToolCall] = []
        self._arguments: list[list[str]] = []
        self.usage: TokenUsage | None = None
        self.raw_usage = RawUsage()
        self.model: str | None = None
        self.response_id: str | None = None
        self.finish_reason: str | None = None
        self.stop: StopReason = "other"
        self.metadata: dict[str, Any] = {}

    def add(self, event: StreamEvent) -> None:
        """Take one event; those that hold nothing of the answer change nothing."""
        if isinstance(event, TextDelta):
            if event.text or not self.text:
                self.text.append(event.text)
        elif isinstance(event, ReasoningDelta):
            if event.text or not self.reasoning:
                self.reasoning.append(event.text)
        elif isinstance(event, ToolCallDelta):
            self.tool(event.index, event.id, event.name, event.arguments)
        elif isinstance(event, UsageReported):
            self.usage, self.raw_usage = event.usage, event.raw
        elif isinstance(event, StreamStarted):
            self.model = event.model or self.model
        elif isinstance(event, StreamFinished):
            done = event.completion
            self.finish_reason, self.stop = done.finish_reason, done.stop
            self.model, self.response_id = done.model or self.model, done.response_id
            self.metadata = done.metadata

    def tool(self, index: int, ident: str | None, name: str | None, arguments: str) -> None:
        """Take a piece of tool call number `index`; calls are numbered from 0 without gaps."""
        while len(self.calls) <= index:
            self.calls.append(ToolCall("", "", ""))
            self._arguments.append([])
        call = self.calls[index]
        if ident:
            call.id = ident
        if name:
            call.name = name
        if arguments:
            self._arguments[index].append(arguments)

    def has_arguments(self, index: int) -> bool:
        return bool(self._arguments[index])

    def partial_text(self) -> str:
        return "".join(self.text)

    def completion(self) -> Completion:
        """Everything so far as one answer."""
        for call, pieces in zip(self.calls, self._arguments, strict=True):
            call.arguments = "".join(pieces)
        if self.refusal:
            self.metadata["refusal"] = "".join(self.refusal)
        return Completion(
            "".join(self.text) if self.text else None,
            "".join(self.reasoning) if self.reasoning else None,
            self.finish_reason,
            self.stop,
            self.usage,
            self.raw_usage,
            self.calls,
            self.model,
            self.response_id,
            self.metadata,
        )


class Growing:
    """An object whose texts come in pieces; joined once, because at every piece a long text would be copied."""

    __slots__ = ("_pieces", "whole")

    def __init__(self, whole: dict[str, Any]) -> None:
        self.whole = whole
        self._pieces: dict[str, list[str]] = {}

    def add(self, name: str, piece: Any) -> None:
        """Raises TypeError for a piece that is no text."""
        begun = self.whole.get(name) or ""
        if type(piece) is not str or type(begun) is not str:
            raise TypeError(f"a piece of {name} is not a string")
        self._pieces.setdefault(name, [begun]).append(piece)

    def join(self) -> None:
        for name, pieces in self._pieces.items():
            self.whole[name] = "".join(pieces)


def _whole(text: str) -> Iterable[str]:
    return (text,)


def events_of(completion: Completion, split: Callable[[str], Iterable[str]] = _whole) -> list[StreamEvent]:
    """A whole answer as the events of a stream; `split` cuts text, reasoning and arguments into pieces."""
    events: list[StreamEvent] = [StreamStarted(model=completion.model)]
    if completion.reasoning_text is not None:
        events += [ReasoningDelta(piece) for piece in split(completion.reasoning_text)]
    if completion.text is not None:
        events += [TextDelta(piece) for piece in split(completion.text)]
    for index, call in enumerate(completion.tool_calls):
        events.append(ToolCallDelta(index, call.id, call.name))
        events += [ToolCallDelta(index, arguments=piece) for piece in split(call.arguments)]
    if completion.usage is not None:
        events.append(UsageReported(completion.usage, completion.raw_usage))
    events.append(StreamFinished(completion))
    return events


def call_id(seed: str | None, index: int, name: str | None) -> str:
    """An id for a tool call whose vendor sends none: the same for the same answer, different from turn to turn."""
    from hashlib import blake2s

    return "call_" + blake2s(f"{seed}|{index}|{name}".encode(), digest_size=8).hexdigest()
