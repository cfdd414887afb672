"""Gemini's requests, both ways: turns of parts, sampling in `generationConfig`, model and streaming in the path."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

from providers.dialects import forms
from providers.dialects.base import DecodedRequest, Quirks
from providers.dialects.gemini.contents import from_chat, read_parts, to_messages
from providers.dialects.gemini.spelling import camel, camel_field, listed
from providers.dialects.gemini.tools import calling_config, json_schema_of, read_calling, read_tools, write_tools
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest, Message, content_text

NAME: Final = "gemini"

_READ: Final = frozenset({"model", "contents", "systemInstruction", "generationConfig", "tools", "toolConfig"})
_CONFIG_READ: Final = frozenset(
    {
        "temperature", "topP", "maxOutputTokens", "stopSequences", "seed", "candidateCount", "responseMimeType",
        "responseSchema", "responseJsonSchema",
    }
)  # fmt: skip
_PASSED: Final = frozenset({"safetySettings", "cachedContent", "labels", "serviceTier", "modelArmorConfig"})

_PATH: Final = re.compile(r"/(?:models|tunedModels|endpoints)/([^/?#]+?):(\w+)")
_WITHOUT_SYSTEM: Final = re.compile(r"gemma-3")
"""Models that refuse a system instruction and JSON mode: they are told both in the conversation."""
_TOOLS_OR_JSON: Final = re.compile(r"gemini-(?:[12]\.|pro)")
"""Models that refuse JSON mode beside function declarations."""
_SEEDS: Final = 2**31
"""A seed is a 32-bit integer here."""


# --- out ------------------------------------------------------------------------------------------------------------


def encode_request(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """Raises InvalidRequestError for what the format cannot hold."""
    chat = request.chat()
    forms.check_messages(chat)
    system, contents = from_chat(chat, model)
    extras = request.metadata.get(NAME) or {}
    plain = _WITHOUT_SYSTEM.search(model) is not None
    config = dict(extras.get("generationConfig") or {})
    if quirks.sampling:
        _sampling(request, config)
    if request.max_tokens is not None:
        config["maxOutputTokens"] = request.max_tokens
    if request.stop:
        config["stopSequences"] = request.stop_list()
    if request.wants_json():
        schema = forms.json_schema(request)
        in_words = plain or (request.tools and _TOOLS_OR_JSON.search(model) is not None)
        if not in_words:
            config["responseMimeType"] = "application/json"
            if schema is not None and quirks.json_schema:
                config["responseJsonSchema"] = schema
        if in_words or (schema is not None and not quirks.json_schema):
            system.append({"text": forms.json_instruction(request)})
    if plain and system:
        contents.insert(0, {"role": "user", "parts": system})
        system = []
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    if config:
        body["generationConfig"] = config
    if request.tools:
        body["tools"] = write_tools(request.tools)
        calling = extras.get("toolConfig") or calling_config(request.tool_choice)
        if calling:
            body["toolConfig"] = calling
    body.update((k, v) for k, v in extras.items() if k in _PASSED)
    body.update(quirks.extra_body)
    return forms.dump(body)


def _sampling(request: GenerationRequest, config: dict[str, Any]) -> None:
    if request.temperature is not None:
        config["temperature"] = request.temperature
    if request.top_p is not None:
        config["topP"] = request.top_p
    if request.seed is not None:
        config["seed"] = request.seed if -_SEEDS <= request.seed < _SEEDS else request.seed % _SEEDS


# --- in -------------------------------------------------------------------------------------------------------------


def decode_request(body: bytes, *, path: str = "") -> DecodedRequest:
    data = camel(forms.load(body))
    place = _PATH.search(path)
    model = unquote(place[1]) if place else (forms.text_field(data, "model") or "").removeprefix("models/")
    messages: list[Message] = []
    system = read_parts(camel_field(data, "systemInstruction"), "systemInstruction")
    told: str | None = None
    if len(system) == 1 and system[0].get("type") == "text":
        told = content_text(system)
    elif system:
        messages.append({"role": "system", "content": system})
    contents = listed(data, "contents")
    if not contents:
        raise InvalidRequestError("contents is missing; the request needs at least one turn")
    messages += to_messages(contents)
    config = camel_field(data, "generationConfig")
    if forms.whole_field(config, "candidateCount") not in (None, 1):
        raise InvalidRequestError(f"candidateCount is {config['candidateCount']}; only one candidate can be asked for")
    form, kept = _read_form(config)
    choice, calling = read_calling(camel_field(data, "toolConfig"))
    extras: dict[str, Any] = {k: v for k, v in data.items() if k not in _READ}
    kept |= {k: v for k, v in config.items() if k not in _CONFIG_READ}
    if kept:
        extras["generationConfig"] = kept
    if calling:
        extras["toolConfig"] = calling
    request = GenerationRequest(
        messages=messages,
        system=told or None,
        model=model or None,
        temperature=forms.number_field(config, "temperature"),
        top_p=forms.number_field(config, "topP"),
        max_tokens=forms.whole_field(config, "maxOutputTokens"),
        stop=forms.stop_field(config, "stopSequences"),
        seed=forms.whole_field(config, "seed"),
        response_format=form,
        tools=read_tools(listed(data, "tools")) or None,
        tool_choice=choice,
        metadata={NAME: extras} if extras else {},
    )
    request.check()
    return DecodedRequest(request, place is not None and place[2] == "streamGenerateContent", True)


def _read_form(config: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The response format in the common form, and the fields of one that has none (a choice out of an enum)."""
    kind = forms.text_field(config, "responseMimeType")
    schema = forms.object_field(config, "responseJsonSchema")
    if not schema:
        schema = json_schema_of(forms.object_field(config, "responseSchema"))
    if kind == "text/x.enum":
        return None, {"responseMimeType": kind, "responseSchema": config.get("responseSchema")}
    if kind not in (None, "", "text/plain", "application/json"):
        raise InvalidRequestError(
            f"responseMimeType is {kind[:60]!r}; use 'application/json', 'text/plain' or 'text/x.enum'"
        )
    if schema:
        return forms.schema_format(schema), {}
    return ({"type": "json_object"} if kind == "application/json" else None), {}
