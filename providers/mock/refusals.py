"""What each vendor says to a path or a method that it does not know; most do not use their errors' envelope there.

Seen in bug reports of the vendors' users: OpenAI's `Invalid URL`, Groq's `unknown_url`, DeepSeek's `error_msg`, AWS's
UnknownOperationException. Ollama (gin) and vLLM (FastAPI) answer with their web frameworks' own words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from providers.dialects.base import WireError
from providers.mock.vendor_headers import Moment, error_headers, request_id
from providers.mock.writer import Dice

Words = Callable[[str, str, bool], Any]
"""From a method, a path and whether only the method is wrong, to a JSON body, or to plain text."""


def _openai(method: str, path: str, known: bool) -> Any:
    if known:
        message, code = f"Not allowed to {method} on {path}.", "method_not_supported"
    else:
        message, code = f"Invalid URL ({method} {path})", None
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _azure(method: str, path: str, known: bool) -> Any:
    code, message = ("405", "Method not allowed") if known else ("404", "Resource not found")
    return {"error": {"code": code, "message": message}}


def _anthropic(method: str, path: str, known: bool) -> Any:
    kind, message = ("invalid_request_error", "Method Not Allowed") if known else ("not_found_error", "Not found")
    return {"type": "error", "error": {"type": kind, "message": message}}


def _bedrock(method: str, path: str, known: bool) -> Any:
    return {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"}


def _google(method: str, path: str, known: bool) -> Any:
    status = 405 if known else 404
    message = "Method not allowed." if known else "Method not found."
    return {"error": {"code": status, "message": message, "status": "UNIMPLEMENTED" if known else "NOT_FOUND"}}


def _deepseek(method: str, path: str, known: bool) -> Any:
    said = "Method Not Allowed" if known else "Not Found"
    return {"event_id": "wiretap", "error_msg": f"{said}. Please check the configuration."}


def _ollama(method: str, path: str, known: bool) -> Any:
    return "405 method not allowed" if known else "404 page not found"


def _vllm(method: str, path: str, known: bool) -> Any:
    return {"detail": "Method Not Allowed" if known else "Not Found"}


def _groq(method: str, path: str, known: bool) -> Any:
    message = (
        f"Unknown request URL: {method} {path}. Please check the URL for typos, or see the docs at "
        "https://console.groq.com/docs/"
    )
    return {"error": {"message": message, "type": "invalid_request_error", "code": "unknown_url"}}


def _openrouter(method: str, path: str, known: bool) -> Any:
    return {"error": {"message": "Method Not Allowed" if known else "Not Found", "code": 405 if known else 404}}


_WORDS: Final[dict[str, Words]] = {
    "openai": _openai,
    "azure_openai": _azure,
    "anthropic": _anthropic,
    "bedrock": _bedrock,
    "gemini": _google,
    "vertex": _google,
    "deepseek": _deepseek,
    "ollama": _ollama,
    "vllm": _vllm,
    "groq": _groq,
    "openrouter": _openrouter,
}


def refusal(provider: str, method: str, path: str, *, known: bool, now_us: int) -> WireError:
    """The vendor's 404, or its 405 where the path is known by another method."""
    body = _WORDS[provider](method, path, known)
    status = 405 if known else 404
    headers = error_headers(provider, status, None, Moment(Dice(provider, method, path).token(32), now_us=now_us))
    if isinstance(body, str):
        headers["content-type"] = "text/plain"
        return WireError(status, headers, body.encode())
    headers["content-type"] = "application/json"
    if provider == "anthropic":
        body["request_id"] = request_id(headers)
    elif provider == "bedrock":
        headers["x-amzn-errortype"] = "UnknownOperationException"
    return WireError(status, headers, orjson.dumps(body))
