"""What a family of models is: one vendor's body formats, for requests, answers and the chunks of streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from providers.dialects.base import Quirks
from providers.dialects.decoding import EventDecoder
from providers.dialects.sse import SseEvent
from providers.types import Completion, GenerationRequest, StreamEvent

NAME = "bedrock_invoke"


class ChunkWriter(Protocol):
    """The family's stream as server-sent events, whose data become the chunks."""

    def start(self) -> bytes: ...

    def event(self, event: StreamEvent) -> bytes: ...

    def finish(self, completion: Completion) -> bytes: ...


class Family(Protocol):
    @property
    def models(self) -> tuple[str, ...]:
        """What the ids of its models hold; nothing else does."""
        ...

    @property
    def marks(self) -> frozenset[str]:
        """Fields by which a request is known to be its own, where the model's id says nothing."""
        ...

    def write_request(
        self, request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks
    ) -> dict[str, Any]: ...

    def read_request(self, data: dict[str, Any], *, model: str | None, stream: bool) -> GenerationRequest: ...

    def owns(self, answer: Mapping[str, Any]) -> bool:
        """Whether a whole answer has this family's form."""
        ...

    def owns_chunk(self, chunk: Mapping[str, Any]) -> bool: ...

    def read_answer(self, body: bytes) -> Completion: ...

    def write_answer(self, completion: Completion, *, model: str, response_id: str, created: int) -> bytes: ...

    def reader(self) -> EventDecoder[SseEvent]:
        """Reads the chunks of one stream, each as the data of an event."""
        ...

    def writer(self, *, model: str, response_id: str, created: int) -> ChunkWriter: ...
