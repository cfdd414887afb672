"""Models that take one prompt and answer with a text: Titan, Llama, Mistral, Command, Jurassic-2, as data.

What the formats have in common is code here; where each keeps its fields is a row in `families`. None holds reasoning
or calls of tools, so those are left out of what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from providers.dialects import forms
from providers.dialects.base import Quirks
from providers.dialects.bedrock_invoke.family import NAME, ChunkWriter
from providers.dialects.bedrock_invoke.templates import Template, Turn
from providers.dialects.decoding import EventDecoder, read_answer
from providers.dialects.sse import SseEvent, SseSplitter
from providers.dialects.usage import count, usage_with_cache_outside
from providers.errors import InvalidRequestError, MalformedResponseError
from providers.types import (
    Completion,
    GenerationRequest,
    Message,
    RawUsage,
    StopReason,
    StreamEvent,
    TextDelta,
    UsageReported,
    content_text,
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Where an answer keeps its parts: paths of fields, `0` for the only item of a list."""

    text: str
    finish: str
    given: str | None = None
    """Input tokens."""
    made: str | None = None
    """Output tokens."""

    def owns(self, data: Mapping[str, Any]) -> bool:
        return self.text.partition(".")[0] in data


@dataclass(frozen=True, slots=True)
class TextFamily:
    name: str
    models: tuple[str, ...]
    template: Template
    prompt: str
    limit: str
    temperature: str
    top_p: str
    stop: str | None
    """None: the model takes no stop sequences, and a request's are left out."""
    stops: Mapping[str, StopReason]
    """The vendor's words; the first for a reason is the one that is written."""
    answer: Shape
    chunks: tuple[Shape, ...] = ()
    """Forms of a stream's chunks; the last one is written. Empty: the models do not stream."""
    done: str | None = None
    """The field of a chunk that says whether it is the last."""
    asks_for_stream: bool = False
    """A stream must be asked for in the body too."""
    marks: frozenset[str] = field(default_factory=frozenset)

    # --- requests -------------------------------------------------------------------------------------------------

    def write_request(self, request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> dict[str, Any]:
        """Raises InvalidRequestError for tools, images and whatever else is no text."""
        if stream and not self.chunks:
            raise InvalidRequestError(f"{model} does not stream; ask for the whole answer, or another model")
        if request.tools:
            raise InvalidRequestError(f"{model} takes no tools through InvokeModel; use Converse or another model")
        body = self.ask(_turns(request, model))
        if request.max_tokens is not None:
            _put(body, self.limit, request.max_tokens)
        if quirks.sampling:
            if request.temperature is not None:
                # OpenAI's scale ends at 2, these at 1.
                _put(body, self.temperature, min(request.temperature, 1))
            if request.top_p is not None:
                _put(body, self.top_p, request.top_p)
        if request.stop and self.stop is not None:
            _put(body, self.stop, request.stop_list())
        if stream and self.asks_for_stream:
            body["stream"] = True
        body.update((request.metadata.get(NAME) or {}).get(self.name) or {})
        body.update(quirks.extra_body)
        return body

    def read_request(self, data: dict[str, Any], *, model: str | None, stream: bool) -> GenerationRequest:
        if stream and not self.chunks:
            raise InvalidRequestError("The model is unsupported for streaming.")
        messages: list[Message] = [{"role": role, "content": text} for role, text in self.turns(data)]
        rest = {k: v for k, v in data.items() if k not in self._read()}
        request = GenerationRequest(
            messages=messages,
            model=model,
            max_tokens=forms.whole_field(*_holder(data, self.limit)),
            temperature=forms.number_field(*_holder(data, self.temperature)),
            top_p=forms.number_field(*_holder(data, self.top_p)),
            stop=forms.stop_field(*_holder(data, self.stop)) if self.stop is not None else None,
            metadata={NAME: {self.name: rest}} if rest else {},
        )
        request.check()
        return request

    def ask(self, turns: list[Turn]) -> dict[str, Any]:
        """The part of a body that holds the conversation."""
        return {self.prompt: self.template.write(turns)}

    def turns(self, data: Mapping[str, Any]) -> list[Turn]:
        """What `ask` has written. Raises InvalidRequestError."""
        prompt = forms.text_field(data, self.prompt)
        if not prompt:
            raise InvalidRequestError(f"{self.prompt} is missing; this model needs one")
        return self.template.read(prompt)

    def _read(self) -> set[str]:
        fields = (self.prompt, self.limit, self.temperature, self.top_p, self.stop or "", "stream")
        return {path.partition(".")[0] for path in fields}

    # --- answers --------------------------------------------------------------------------------------------------

    def owns(self, answer: Mapping[str, Any]) -> bool:
        return self.answer.owns(answer)

    def owns_chunk(self, chunk: Mapping[str, Any]) -> bool:
        return any(shape.owns(chunk) for shape in self.chunks) or (self.done is not None and self.done in chunk)

    def read_answer(self, body: bytes) -> Completion:
        return read_answer(body, self._completion, "a text")

    def _completion(self, data: Any) -> Completion:
        text, finish = _at(data, self.answer.text), _at(data, self.answer.finish)
        if type(text) is not str:
            raise MalformedResponseError("the answer has no text")
        raw = RawUsage(_count(data, self.answer.given), _count(data, self.answer.made))
        finish = finish if type(finish) is str else None
        return Completion(text, None, finish, self.stop_of(finish), usage_with_cache_outside(raw), raw)

    def stop_of(self, finish_reason: str | None) -> StopReason:
        return self.stops.get(finish_reason, "other") if finish_reason is not None else "other"

    def finish_word(self, completion: Completion) -> str:
        """The vendor's word for why an answer ended: its own where it was the vendor's already."""
        own = completion.finish_reason
        if own is not None and self.stops.get(own) == completion.stop:
            return own
        return next((word for word, stop in self.stops.items() if stop == completion.stop), next(iter(self.stops)))

    def write_answer(self, completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
        return orjson.dumps(self.written(self.answer, completion.text or "", completion))

    def written(self, shape: Shape, text: str, completion: Completion | None) -> dict[str, Any]:
        """A body of this shape; without the completion, what a stream writes before its end."""
        body: dict[str, Any] = {}
        _put(body, shape.text, text)
        _put(body, shape.finish, None if completion is None else self.finish_word(completion))
        usage = completion.usage if completion is not None else None
        for path, tokens in (
            (shape.given, usage.input_tokens if usage is not None else None),
            (shape.made, usage.output_tokens if usage is not None else None),
        ):
            if path is not None:
                _put(body, path, tokens)
        return body

    def reader(self) -> EventDecoder[SseEvent]:
        return _TextReader(self)

    def writer(self, *, model: str, response_id: str, created: int) -> ChunkWriter:
        return _TextWriter(self)


class _TextReader(EventDecoder[SseEvent]):
    """Never ends by itself: no chunk says that it is the last one in every format."""

    __slots__ = ("_family",)

    def __init__(self, family: TextFamily) -> None:
        super().__init__(SseSplitter())
        self._family = family

    def _take(self, payload: SseEvent) -> None:
        chunk, answer = orjson.loads(payload[1]), self.answer
        if not self._started:
            self._start()
        shapes = self._family.chunks
        shape = next((shape for shape in shapes if shape.owns(chunk)), shapes[-1])
        text, finish = _at(chunk, shape.text), _at(chunk, shape.finish)
        if text is not None:
            self._text(text)
        given, made = _count(chunk, shape.given), _count(chunk, shape.made)
        raw = answer.raw_usage
        if given is not None or made is not None:
            raw = answer.raw_usage = RawUsage(
                raw.input_tokens if given is None else given, raw.output_tokens if made is None else made
            )
        if finish is not None:
            if type(finish) is not str:
                raise TypeError("the finish reason is not a string")
            answer.finish_reason, answer.stop = finish, self._family.stop_of(finish)
            answer.usage = usage_with_cache_outside(raw)
            if answer.usage is not None:
                self._out.append(UsageReported(answer.usage, raw))


class _TextWriter:
    __slots__ = ("_family", "_shape")

    def __init__(self, family: TextFamily) -> None:
        self._family = family
        self._shape = (family.chunks or (family.answer,))[-1]

    def start(self) -> bytes:
        return b""

    def event(self, event: StreamEvent) -> bytes:
        return self._chunk(event.text, None) if isinstance(event, TextDelta) and event.text else b""

    def finish(self, completion: Completion) -> bytes:
        return self._chunk("", completion)

    def _chunk(self, text: str, completion: Completion | None) -> bytes:
        chunk = self._family.written(self._shape, text, completion)
        if self._family.done is not None:
            chunk[self._family.done] = completion is not None
        return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _turns(request: GenerationRequest, model: str) -> list[Turn]:
    """The conversation as texts, one system prompt first. Raises InvalidRequestError for what is no text."""
    chat = request.chat()
    forms.check_messages(chat)
    system: list[str] = []
    turns: list[Turn] = []
    for index, message in enumerate(chat):
        role, content = message["role"], forms.said(message)
        if role == "tool" or message.get("tool_calls") or not _only_text(content):
            raise InvalidRequestError(
                f"messages[{index}] holds more than text, which is all that {model} takes through InvokeModel; "
                "use Converse or another model"
            )
        text = content_text(content)
        if role in ("system", "developer"):
            system.append(text)
        else:
            turns.append(("assistant" if role == "assistant" else "user", text))
    if request.wants_json():
        system.append(forms.json_instruction(request))
    return [("system", "\n\n".join(system)), *turns] if any(system) else turns


def _only_text(content: Any) -> bool:
    return not isinstance(content, (list, tuple)) or all(
        isinstance(part, Mapping) and "text" in part and part.get("type", "text") == "text" for part in content
    )


# --- paths ----------------------------------------------------------------------------------------------------------


def _at(data: Any, path: str) -> Any:
    """The value at a path; None where a field of it is missing."""
    for step in path.split("."):
        data = data[0] if step == "0" else data.get(step)
        if data is None:
            return None
    return data


def _count(data: Any, path: str | None) -> int | None:
    return None if path is None else count({"": _at(data, path)}, "")


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    first, _, rest = path.partition(".")
    if not rest:
        data[first] = value
    elif rest.startswith("0."):
        _put(data.setdefault(first, [{}])[0], rest[2:], value)
    else:
        _put(data.setdefault(first, {}), rest, value)


def _holder(data: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """The object that holds a request's field, and the field's name in it."""
    outer, dot, inner = path.partition(".")
    return (forms.object_field(data, outer), inner) if dot else (data, outer)
