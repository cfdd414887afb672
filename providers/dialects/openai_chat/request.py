"""Chat Completions requests, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.base import DecodedRequest, Quirks
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest, Message

NAME: Final = "openai_chat"

# Read into fields of the request, or of no use beyond this exchange.
_READ = frozenset(
    {
        "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed", "n",
        "response_format", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options",
    }
)  # fmt: skip
# Sent on as the caller wrote them. Anything else (a gateway's own fields too) is kept in the metadata and not sent.
_PASSED = frozenset(
    {
        "frequency_penalty", "presence_penalty", "logit_bias", "reasoning_effort", "verbosity", "user", "service_tier",
        "web_search_options", "thinking", "top_k", "min_p", "repetition_penalty", "chat_template_kwargs",
        "prompt_cache_key", "safety_identifier",
    }
)  # fmt: skip
_FOREIGN_TO_MESSAGES = frozenset({forms.THINKING_BLOCKS, forms.RESPONSE_ITEMS, forms.THOUGHT_SIGNATURES, "is_error"})


def encode_request(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """Raises InvalidRequestError for what JSON cannot hold."""
    return forms.dump(request_body(request, model=model, stream=stream, quirks=quirks))


def request_body(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> dict[str, Any]:
    messages = [own for message in request.chat() if (own := _own(message))]
    if request.messages and any(m["role"] == "tool" and isinstance(m.get("content"), list) for m in messages):
        messages = _shown_apart(messages)
    body: dict[str, Any] = {"model": model, "messages": messages}
    if request.max_tokens is not None:
        body[quirks.max_tokens_field] = request.max_tokens
    if quirks.sampling:
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.seed is not None:
            body["seed"] = request.seed
    if request.stop:
        body["stop"] = request.stop
    if request.response_format is not None:
        form, told = wanted_form(request, quirks)
        if form is not None:
            body["response_format"] = form
        if told is not None:
            body["messages"] = [{"role": "system", "content": told}, *messages]
    if request.tools:
        body["tools"] = [
            {k: v for k, v in tool.items() if k != forms.ANTHROPIC_EXTRAS} if forms.ANTHROPIC_EXTRAS in tool else tool
            for tool in request.tools
        ]
        if request.tool_choice is not None:
            body["tool_choice"] = request.tool_choice
        if request.metadata.get(forms.PARALLEL_TOOLS) is False:
            body["parallel_tool_calls"] = False
    if stream:
        body["stream"] = True
        if quirks.stream_usage:
            body["stream_options"] = {"include_usage": True}
    extras = request.metadata.get(NAME)
    if extras:
        body.update((k, v) for k, v in extras.items() if k in _PASSED)
    if quirks.extra_body:
        body.update(quirks.extra_body)
    return body


def _own(message: Message) -> Message:
    """The message without what only other formats understand; empty where it says nothing else."""
    if not _FOREIGN_TO_MESSAGES.isdisjoint(message):
        message = {k: v for k, v in message.items() if k not in _FOREIGN_TO_MESSAGES}
        if message == {"role": "assistant", "content": None}:
            return {}
    content = message.get("content")
    if isinstance(content, list) and any(isinstance(part, dict) and "cache_control" in part for part in content):
        message = {
            **message,
            "content": [
                {k: v for k, v in p.items() if k != "cache_control"} if isinstance(p, dict) else p for p in content
            ],
        }
    return message


def _shown_apart(messages: Sequence[Message]) -> list[Message]:
    """Results of tools hold only text: what else they show, the user shows after the last result of the turn."""
    apart: list[Message] = []
    shown: list[Any] = []
    for message in messages:
        content = message.get("content")
        if message["role"] != "tool" and shown:
            apart.append({"role": "user", "content": shown})
            shown = []
        elif message["role"] == "tool" and isinstance(content, list):
            shown += [part for part in content if not _is_text(part)]
            message = {**message, "content": [part for part in content if _is_text(part)] or ""}
        apart.append(message)
    return [*apart, {"role": "user", "content": shown}] if shown else apart


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or part.get("type") == "text"


def wanted_form(request: GenerationRequest, quirks: Quirks) -> tuple[Mapping[str, Any] | None, str | None]:
    """The response format to ask for, and what the model must be told beside it; None where there is nothing."""
    schema = forms.json_schema(request)
    if schema is not None and quirks.json_schema and isinstance(request.response_format, Mapping):
        return request.response_format, None
    if not request.wants_json():
        return None, None
    # Without the field for it the model can only be told; JSON mode also asks that the word JSON appears.
    return {"type": "json_object"}, None if schema is None else forms.json_instruction(request)


def decode_request(body: bytes, *, path: str = "") -> DecodedRequest:
    data = forms.load(body)
    return read_body(data, forms.text_field(data, "model") or deployment_in(path))


def read_body(data: Mapping[str, Any], model: str | None) -> DecodedRequest:
    messages = forms.objects_field(data, "messages")
    forms.check_messages(messages)
    one_choice(data)
    stream = forms.flag_field(data, "stream", False)
    metadata: dict[str, Any] = {}
    extras = {k: v for k, v in data.items() if k not in _READ}
    if extras:
        metadata[NAME] = extras
    if data.get(forms.PARALLEL_TOOLS) is False:
        metadata[forms.PARALLEL_TOOLS] = False
    limit = forms.whole_field(data, "max_completion_tokens")
    choice = data.get("tool_choice")
    request = GenerationRequest(
        messages=messages,
        model=model,
        temperature=forms.number_field(data, "temperature"),
        top_p=forms.number_field(data, "top_p"),
        max_tokens=forms.whole_field(data, "max_tokens") if limit is None else limit,
        stop=forms.stop_field(data, "stop"),
        seed=forms.whole_field(data, "seed"),
        response_format=read_form(forms.object_field(data, "response_format"), "response_format"),
        tools=forms.objects_field(data, "tools") or None,
        tool_choice=choice if isinstance(choice, dict) else read_mode(choice),
        metadata=metadata,
    )
    request.check()
    return DecodedRequest(request, stream, forms.object_field(data, "stream_options").get("include_usage") is True)


def read_form(form: Mapping[str, Any], where: str) -> Mapping[str, Any] | None:
    """The form that the answer must have; None for plain text."""
    kind = form.get("type")
    if not form or kind == "text":
        return None
    if kind not in ("json_object", "json_schema"):
        raise InvalidRequestError(f"{where}.type is {kind!r}; use 'text', 'json_object' or 'json_schema'")
    return form


def read_mode(choice: object) -> str | None:
    """A tool choice that is one word."""
    if choice is not None:
        forms.chosen_tool(choice if isinstance(choice, str) else forms.shown(choice))
    return None if choice is None else str(choice)


def one_choice(data: Mapping[str, Any]) -> None:
    """Raise InvalidRequestError where several answers are asked for."""
    if forms.whole_field(data, "n") not in (None, 1):
        raise InvalidRequestError(f"n is {data['n']}; only one choice can be asked for")


def deployment_in(path: str) -> str | None:
    """Azure names the model by the deployment in the path."""
    _, found, rest = path.partition("/deployments/")
    if not found:
        return None
    from urllib.parse import unquote

    return unquote(rest.partition("/")[0]) or None
