"""How each vendor wraps an error, where that is not how its dialect's namesake does: Azure speaks OpenAI's format, but
its errors are its own.

Shapes: learn.microsoft.com/azure/ai-services/openai/concepts/content-filter and …/how-to/quota, api-docs.deepseek.com/
quick_start/error_codes, docs.vllm.ai (OpenAI-compatible server; nested with a numeric code since 0.10.1),
console.groq.com/docs/errors, openrouter.ai/docs/api-reference/errors, docs.ollama.com/api/errors, docs.claude.com/en/
api/errors. A class of ours that a vendor has no word for keeps the word of the dialect, so that it can be told again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from providers import errors as e
from providers.dialects.vendor_errors import classify, read_value

Fields = Mapping[str, Any]
"""What the dialect wrote under `error`: message, type, param, code."""
Envelope = Callable[[e.ProviderError, int, Fields], Any]
"""From an error, its status and the dialect's fields to the whole body."""

OPENAI_SHAPED: Final = frozenset({"openai_chat", "openai_completions", "openai_responses"})
"""Dialects whose error bodies have the fields that an envelope starts from."""

_SAFE: Final = {"filtered": False, "severity": "safe"}


def _azure(error: e.ProviderError, status: int, fields: Fields) -> Any:
    if isinstance(error, e.ContentFilterError):
        verdict = {
            "hate": _SAFE,
            "jailbreak": {"filtered": False, "detected": False},
            "self_harm": _SAFE,
            "sexual": _SAFE,
            "violence": {"filtered": True, "severity": "medium"},
        }
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": verdict}
        head = {"message": fields["message"], "type": None, "param": "prompt", "code": "content_filter"}
        return {"error": {**head, "status": status, "innererror": inner}}
    if isinstance(error, (e.InvalidRequestError, e.ContextLengthError, e.QuotaExhaustedError)):
        return {"error": fields}
    words = {404: "DeploymentNotFound", 500: "InternalServerError", 503: "ServiceUnavailable"}
    return {"error": {"code": words.get(status, str(status)), "message": fields["message"]}}


def _deepseek(error: e.ProviderError, status: int, fields: Fields) -> Any:
    words = {
        401: ("authentication_error", "invalid_request_error"),
        402: ("unknown_error", "invalid_request_error"),
        429: ("rate_limit_reached_error", "rate_limit_reached_error"),
        500: ("internal_error", "internal_error"),
        503: ("service_unavailable_error", "service_unavailable_error"),
    }
    kind, code = words.get(status, ("invalid_request_error", "invalid_request_error"))
    return {"error": {"message": fields["message"], "type": kind, "param": None, "code": code}}


def _vllm(error: e.ProviderError, status: int, fields: Fields) -> Any:
    if status == 401:
        # The one check that comes before the API server's own handlers.
        return {"error": "Unauthorized"}
    words = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError"}
    kind = words.get(status) or _phrase(status)
    return {"error": {"message": fields["message"], "type": kind, "param": None, "code": status}}


def _groq(error: e.ProviderError, status: int, fields: Fields) -> Any:
    return {"error": {k: v for k, v in fields.items() if v is not None}}


def _openrouter(error: e.ProviderError, status: int, fields: Fields) -> Any:
    body: dict[str, Any] = {"error": {"code": status, "message": fields["message"]}}
    if isinstance(error, e.ContentFilterError):
        body["error"]["metadata"] = {"reasons": ["violence"], "flagged_input": "…", "provider_name": "sandbox"}
    return body


def _ollama(error: e.ProviderError, status: int, fields: Fields) -> Any:
    words = {400: "invalid_request_error", 404: "not_found_error"}
    kind = words.get(status, "api_error")
    return {"error": {"message": fields["message"], "type": kind, "param": None, "code": None}}


def _google(error: e.ProviderError, status: int, fields: Fields) -> Any:
    words = {
        400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
    }  # fmt: skip
    inner = {"code": status, "message": fields["message"], "status": words.get(status, "UNKNOWN")}
    return [{"error": inner}]


ENVELOPES: Final[Mapping[str, Envelope]] = {
    "azure_openai": _azure,
    "deepseek": _deepseek,
    "vllm": _vllm,
    "groq": _groq,
    "openrouter": _openrouter,
    "ollama": _ollama,
    "gemini": _google,
}
"""By provider, for the formats of OpenAI's shape."""

STATUSES: Final[Mapping[str, Mapping[type[e.ProviderError], int]]] = {
    "deepseek": {e.QuotaExhaustedError: 402},
    "openrouter": {e.QuotaExhaustedError: 402},
}
"""Where a vendor's status for a class is not its dialect's."""


def wrapped(envelope: Envelope, error: e.ProviderError, status: int, fields: Fields, *, streamed: bool = False) -> Any:
    """The vendor's body, for an answer of that status or for an event in a stream.

    What the vendor's words do not tell of the error's class is told by the dialect's word.
    """
    body = envelope(error, status, fields)
    if streamed and isinstance(body, list):
        body = body[0]
    if classify(None if streamed else status, read_value(body)) is type(error):
        return body
    if streamed:
        # Nothing but the words tells the class there.
        return {"error": dict(fields)}
    inner = (body[0] if isinstance(body, list) else body)["error"]
    inner["type"] = fields.get("code") or fields.get("type")
    return body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
