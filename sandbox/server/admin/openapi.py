"""`GET /openapi.json`: OpenAPI 3.1 of everything that is served, made of the models that check what is asked.

The vendors' endpoints are described by what this program needs of a request; their other fields are the vendors', and
are passed on or refused in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from sandbox import __version__
from sandbox.gateway.strategies import RoutingStrategy
from sandbox.server.admin import shapes
from sandbox.server.admin.operations import Operation
from sandbox.server.admin.table import EVERYTHING
from sandbox.server.gateway.asking import MAX_DEADLINE_MS, MAX_FALLBACKS, MAX_NAME

_REF: Final = "#/components/schemas/{model}"
_JSON: Final = "application/json"
_Named = Mapping[Any, dict[str, Any]]
"""Where the document has each model."""
Text = Annotated[str, Field(min_length=1)]


class _Vendor(BaseModel):
    """Any other field of the vendor's format may be there."""

    model_config = ConfigDict(extra="allow")

    model: Text | None = Field(
        default=None, description="A model, `provider/model`, a route, or a tier of the active backend; null: any."
    )
    stream: bool = False
    fallbacks: list[Text] | None = Field(
        default=None, max_length=MAX_FALLBACKS, description="What to ask after the model: models, or `provider/model`."
    )


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant"]
    content: str


class AnthropicMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["user", "assistant"]
    content: str


class ChatCompletion(_Vendor):
    """OpenAI's chat completions."""

    messages: list[ChatMessage] = Field(min_length=1)


class Completion(_Vendor):
    """OpenAI's completions."""

    prompt: Text


class Response(_Vendor):
    """OpenAI's responses."""

    input: Text | list[ChatMessage]


class Message(_Vendor):
    """Anthropic's messages."""

    max_tokens: int = Field(ge=1)
    messages: list[AnthropicMessage] = Field(min_length=1)


_VENDORS: Final[tuple[tuple[str, str, type[BaseModel]], ...]] = (
    ("/v1/chat/completions", "Complete a chat, as OpenAI's API does.", ChatCompletion),
    ("/v1/completions", "Complete a text, as OpenAI's older API does.", Completion),
    ("/v1/responses", "Answer, as OpenAI's newer API does.", Response),
    ("/v1/messages", "Answer, as Anthropic's API does.", Message),
)
_HEADERS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "x-sandbox-tenant": ("Whose request it is.", {"type": "string", "maxLength": MAX_NAME}),
    "x-sandbox-agent": ("Which agent's request it is.", {"type": "string", "maxLength": MAX_NAME}),
    "x-sandbox-deadline-ms": (
        "How long it may take, milliseconds.",
        {"type": "integer", "minimum": 1, "maximum": MAX_DEADLINE_MS},
    ),
    "x-sandbox-stream-policy": (
        "What happens when a stream breaks.",
        {"type": "string", "enum": ["fail", "restart", "continue", "buffer"]},
    ),
    "x-sandbox-strategy": (
        "In which order candidates are asked.",
        {"type": "string", "enum": [str(one) for one in RoutingStrategy]},
    ),
    "x-sandbox-no-cache": ("Whether the cache is passed by.", {"type": "string", "enum": ["0", "1"]}),
}


def document() -> dict[str, Any]:
    """The whole document."""
    asked = [one.body for one in EVERYTHING if one.body] + [body for _, _, body in _VENDORS]
    told = [*(one.told for one in EVERYTHING), shapes.ErrorBody]
    models = [*((one, "validation") for one in asked), *((one, "serialization") for one in told)]
    refs, definitions = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]
    named = {key[0]: ref for key, ref in refs.items()}
    paths: dict[str, dict[str, Any]] = {}
    for one in EVERYTHING:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, named)
    paths["/api/admin/events"] = {"get": _events(named)}
    for path, summary, body in _VENDORS:
        paths[path] = {"post": _vendor(summary, named[body], named)}
    for path, summary, kind in (
        ("/v1/models", "The models that may be asked.", _JSON),
        ("/healthz", "Whether the server is alive.", _JSON),
        ("/metrics", "Figures in Prometheus' text format.", "text/plain"),
        ("/openapi.json", "This document.", _JSON),
    ):
        answer = {"description": "The answer.", "content": {kind: {"schema": {}}}}
        paths[path] = {"get": {"summary": summary, "responses": {"200": answer, **_errors(named, 401, 403, 429)}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "LLM failover sandbox", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a JWT (HS256)."}
            },
        },
    }


def _operation(one: Operation, named: _Named) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": list(known)}}
        for name, known in one.parts.items()
    ]
    statuses = [401, 403, 429, 503] + ([400, 413] if one.body else []) + ([400] if one.query else [])
    told: dict[str, Any] = {
        "summary": one.summary,
        "security": [{"bearer": []}],
        "parameters": parameters + (_query(one.query) if one.query else []),
        "responses": {
            "200": {"description": "Done.", "content": {one.kind: {"schema": named[one.told]} if one.work else {}}},
            **_errors(named, *statuses, *([404] if one.parts or one.names else [])),
        },
    }
    if one.body is not None:
        told["requestBody"] = {"required": True, "content": {_JSON: {"schema": named[one.body]}}}
    return told


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": _plain(part)}
        for name, part in schema["properties"].items()
    ]


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be left out is left out."""
    kinds = [kind for kind in part.pop("anyOf", []) if kind.get("type") != "null"]
    return {**part, **(kinds[0] if kinds else {}), "title": part["title"]}


def _events(named: _Named) -> dict[str, Any]:
    return {
        "summary": "What happens, as it happens: server-sent events, each a line of a trace.",
        "security": [{"bearer": []}],
        "parameters": [
            *_query(shapes.EventsQuery),
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {"description": "It does not end.", "content": {"text/event-stream": {}}},
            **_errors(named, 400, 401, 403, 429),
        },
    }


def _vendor(summary: str, body: dict[str, Any], named: _Named) -> dict[str, Any]:
    return {
        "summary": summary,
        "security": [{}, {"bearer": []}],
        "parameters": [
            {"name": name, "in": "header", "required": False, "description": told, "schema": schema}
            for name, (told, schema) in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {_JSON: {"schema": body}}},
        "responses": {
            "200": {
                "description": "The answer, whole or as server-sent events.",
                "content": {_JSON: {"schema": {"type": "object"}}, "text/event-stream": {}},
            },
            **_errors(named, 400, 401, 403, 404, 408, 413, 429, 502, 503, 504),
        },
    }


def _errors(named: _Named, *statuses: int) -> dict[str, Any]:
    schema = named[shapes.ErrorBody]
    return {
        str(status): {"description": _WORDS[status], "content": {_JSON: {"schema": schema}}}
        for status in sorted(set(statuses))
    }


_WORDS: Final[Mapping[int, str]] = {
    400: "What was asked is wrong.",
    401: "It is not known who asks.",
    403: "Whoever asks may not.",
    404: "There is no such thing.",
    408: "It took too long.",
    413: "The body is too large.",
    429: "A limit, a quota or a budget is reached; Retry-After says for how long.",
    502: "All providers failed.",
    503: "Not now.",
    504: "The providers took too long.",
}
