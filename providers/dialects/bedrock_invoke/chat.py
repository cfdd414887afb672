"""Models that take messages: Claude in Anthropic's own format, Nova in nearly Converse's, all others in OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from providers.dialects import forms
from providers.dialects.anthropic_messages import request as claude_requests
from providers.dialects.anthropic_messages import response as claude_responses
from providers.dialects.anthropic_messages.stream import MessageDecoder, MessageEncoder
from providers.dialects.base import Quirks
from providers.dialects.bedrock import takes_schemas
from providers.dialects.bedrock_converse import request as converse_requests
from providers.dialects.bedrock_converse import response as converse_responses
from providers.dialects.bedrock_converse.stream import BlockDecoder, ConverseEncoder
from providers.dialects.bedrock_invoke.family import ChunkWriter
from providers.dialects.decoding import EventDecoder
from providers.dialects.openai_chat import request as chat_requests
from providers.dialects.openai_chat import response as chat_responses
from providers.dialects.openai_chat.stream import ChatDecoder, ChatEncoder
from providers.dialects.sse import SseEvent, SseSplitter
from providers.types import Completion, GenerationRequest

VERSION: Final = "bedrock-2023-05-31"


class Claude:
    """docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html"""

    name = "claude"
    models = ("anthropic", "claude")
    marks = frozenset({"anthropic_version"})
    # Said by the path, or unknown to this API.
    _unsent: Final = ("model", "service_tier", "container", "mcp_servers", "inference_geo")

    def write_request(self, request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> dict[str, Any]:
        quirks = replace(quirks, json_schema=quirks.json_schema and takes_schemas(model))
        body = claude_requests.request_body(request, model=model, stream=False, quirks=quirks)
        for name in self._unsent:
            body.pop(name, None)
        beta = (request.metadata.get(claude_requests.NAME) or {}).get("anthropic_beta")
        return {"anthropic_version": VERSION, **({"anthropic_beta": beta} if beta else {}), **body}

    def read_request(self, data: dict[str, Any], *, model: str | None, stream: bool) -> GenerationRequest:
        return claude_requests.read_body(data, model)

    def owns(self, answer: Mapping[str, Any]) -> bool:
        return "content" in answer or "type" in answer

    def owns_chunk(self, chunk: Mapping[str, Any]) -> bool:
        return "type" in chunk

    def read_answer(self, body: bytes) -> Completion:
        return claude_responses.decode_completion(body)

    def write_answer(self, completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
        return claude_responses.encode_completion(completion, model=model, response_id=response_id, created=created)

    def reader(self) -> EventDecoder[SseEvent]:
        return MessageDecoder()

    def writer(self, *, model: str, response_id: str, created: int) -> ChunkWriter:
        return MessageEncoder(model=model, response_id=response_id, created=created)


class Nova:
    """docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html"""

    name = "nova"
    models = ("amazon.nova", "nova-")
    marks = frozenset({"schemaVersion", "inferenceConfig"})
    _events: Final = frozenset(
        {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
    )
    _sent: Final = ("system", "messages", "inferenceConfig", "toolConfig")
    # The names of the first version, which is still taken.
    _older: Final = {"max_new_tokens": "maxTokens", "top_p": "topP", "top_k": "topK"}

    def write_request(self, request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> dict[str, Any]:
        body = converse_requests.request_body(request, model=model, quirks=quirks)
        return {"schemaVersion": "messages-v1", **{k: body[k] for k in self._sent if k in body}, **quirks.extra_body}

    def read_request(self, data: dict[str, Any], *, model: str | None, stream: bool) -> GenerationRequest:
        config = {self._older.get(k, k): v for k, v in forms.object_field(data, "inferenceConfig").items()}
        return converse_requests.read_body({**data, "inferenceConfig": config}, model)

    def owns(self, answer: Mapping[str, Any]) -> bool:
        return "output" in answer

    def owns_chunk(self, chunk: Mapping[str, Any]) -> bool:
        return not self._events.isdisjoint(chunk)

    def read_answer(self, body: bytes) -> Completion:
        return converse_responses.decode_completion(body)

    def write_answer(self, completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
        body = converse_responses.answer_body(completion)
        del body["metrics"]
        return orjson.dumps(body)

    def reader(self) -> EventDecoder[SseEvent]:
        return _NovaReader(SseSplitter())

    def writer(self, *, model: str, response_id: str, created: int) -> ChunkWriter:
        return _NovaWriter()


class _NovaReader(BlockDecoder[SseEvent]):
    """Each chunk is one of Converse's events, under its name."""

    __slots__ = ()

    def _take(self, payload: SseEvent) -> None:
        for name, event in orjson.loads(payload[1]).items():
            self._event(name, event)


class _NovaWriter(ConverseEncoder):
    __slots__ = ()

    def _written(self, name: str, body: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps({name: body}) + b"\n\n"


class Chat:
    """OpenAI's chat completions, which open-weight models and Jamba speak here too."""

    name = "chat"
    models = ("ai21.jamba", "openai.", "qwen.", "deepseek.v3", "moonshot", "minimax.", "google.", "nvidia.", "zai.")
    marks = frozenset({"messages"})

    def write_request(self, request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> dict[str, Any]:
        quirks = replace(quirks, json_schema=quirks.json_schema and takes_schemas(model))
        body = chat_requests.request_body(request, model=model, stream=False, quirks=quirks)
        del body["model"]
        return body

    def read_request(self, data: dict[str, Any], *, model: str | None, stream: bool) -> GenerationRequest:
        return chat_requests.read_body(data, model).request

    def owns(self, answer: Mapping[str, Any]) -> bool:
        return "choices" in answer

    def owns_chunk(self, chunk: Mapping[str, Any]) -> bool:
        return "choices" in chunk

    def read_answer(self, body: bytes) -> Completion:
        answer = orjson.loads(body)
        choices = answer["choices"]
        if type(choices) is list and any("stop_reason" in choice for choice in choices):
            body = orjson.dumps({**answer, "choices": [_renamed(choice) for choice in choices]})
        return chat_responses.decode_completion(body)

    def write_answer(self, completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
        return chat_responses.encode_completion(completion, model=model, response_id=response_id, created=created)

    def reader(self) -> EventDecoder[SseEvent]:
        return _ChatReader()

    def writer(self, *, model: str, response_id: str, created: int) -> ChunkWriter:
        return ChatEncoder(model=model, response_id=response_id, created=created)


class _ChatReader(ChatDecoder):
    __slots__ = ()

    def _choice(self, choice: Mapping[str, Any]) -> None:
        super()._choice(_renamed(choice))


def _renamed(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mistral's choices have OpenAI's fields under other names, of which streams share one with whole answers."""
    if "stop_reason" not in choice:
        return choice
    return {"delta": choice.get("message"), "finish_reason": choice["stop_reason"], **choice}
