"""What Bedrock's two inference APIs share: the model in the path, exceptions, and the messages of their streams.

Reference: docs.aws.amazon.com/bedrock/latest/APIReference (operations of Amazon Bedrock Runtime).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import orjson

from providers import errors as e
from providers.dialects.base import WireError
from providers.dialects.decoding import json_or_text
from providers.dialects.error_forms import ErrorForm, error_headers, form_of, message_of, status_of
from providers.dialects.eventstream import Frame, write_frame
from providers.dialects.vendor_errors import ErrorClass, embedded_error

_STREAMED: Final = frozenset({"converse-stream", "invoke-with-response-stream"})

# Which models refuse what, by docs.aws.amazon.com/bedrock/latest/userguide: structured-output.html, prompt-caching.html
# and conversation-inference-supported-models-features.html.
_SCHEMAS: Final = (
    "claude", "openai.gpt-oss", "qwen.", "deepseek.v3", "moonshot", "minimax.", "google.gemma", "nvidia.nemotron",
    "mistral.ministral", "mistral.magistral", "mistral.mistral-large-3",
)  # fmt: skip
_WITHOUT_SYSTEM: Final = ("titan-t", "mistral-7b", "mixtral-8x7b")
_CACHES: Final = ("claude", "amazon.nova")
_OLD_CLAUDE: Final = ("claude-v2", "claude-instant", "claude-3-sonnet", "claude-3-haiku", "claude-3-opus")
_WITHOUT_CACHE: Final = (*_OLD_CLAUDE, "claude-3-5-sonnet-20240620")
_WITHOUT_SCHEMAS: Final = (
    *_OLD_CLAUDE, "claude-3-5", "claude-3-7", "claude-sonnet-4-2025", "claude-opus-4-2025", "claude-opus-4-1",
)  # fmt: skip

ERROR_MESSAGE_BYTES: Final = 4096
"""An error's message is cut here where it travels as a header, which holds no more than 64 KiB."""


def read_path(path: str) -> tuple[str | None, bool]:
    """(model, whether the answer streams) of `/model/{id}/{operation}`; (None, False) of any other path.

    Clients write the `:` of an id and the `/` of an ARN both as they are and quoted.
    """
    _, found, rest = path.partition("?")[0].partition("/model/")
    model, _, operation = rest.rpartition("/")
    return (unquote(model) or None, operation in _STREAMED) if found else (None, False)


def takes_schemas(model: str) -> bool:
    """Whether the model can be held to a JSON Schema."""
    return _among(model, _SCHEMAS) and not _among(model, _WITHOUT_SCHEMAS)


def takes_cache_points(model: str) -> bool:
    """Whether the model caches prompts up to a mark."""
    return _among(model, _CACHES) and not _among(model, _WITHOUT_CACHE)


class Takes(NamedTuple):
    """What a model takes of a conversation beside texts, images and calls."""

    marks: bool
    """It caches prompts up to a mark."""
    tool_marks: bool
    """A mark may stand among tools too, and may say how long it lasts: Nova refuses the first and has one span."""
    thoughts: bool
    """Reasoning may be sent back. Others than Claude refuse a conversation that holds any."""


def takes(model: str) -> Takes:
    claude, marks = "claude" in model, takes_cache_points(model)
    return Takes(marks, marks and claude, claude or is_opaque(model))


def is_opaque(model: str) -> bool:
    """Whether it is the ARN of a profile or a deployment, which does not say which model that is."""
    return model.startswith("arn:") and "." not in model.rpartition("/")[2]


def takes_system(model: str) -> bool:
    """Whether the model takes a system prompt through Converse."""
    return not _among(model, _WITHOUT_SYSTEM)


def _among(model: str, names: tuple[str, ...]) -> bool:
    return any(name in model for name in names)


# --- errors ---------------------------------------------------------------------------------------------------------

# A code is added where no exception says what happened.
_FORMS: Final[dict[ErrorClass, ErrorForm]] = {
    e.RateLimitError: ErrorForm(429, "ThrottlingException"),
    e.QuotaExhaustedError: ErrorForm(400, "ServiceQuotaExceededException"),
    e.AuthenticationError: ErrorForm(403, "UnrecognizedClientException"),
    e.PermissionDeniedError: ErrorForm(403, "AccessDeniedException"),
    e.ModelNotFoundError: ErrorForm(404, "ResourceNotFoundException"),
    e.InvalidRequestError: ErrorForm(400, "ValidationException"),
    e.ContextLengthError: ErrorForm(400, "ValidationException"),
    e.ContentFilterError: ErrorForm(400, "ValidationException", "content_filter"),
    e.ProviderTimeoutError: ErrorForm(408, "ModelTimeoutException"),
    e.ServiceUnavailableError: ErrorForm(503, "ServiceUnavailableException"),
    e.ConnectionFailedError: ErrorForm(500, "InternalServerException", "connection_failed"),
    e.MalformedResponseError: ErrorForm(424, "ModelErrorException", "malformed_response"),
    e.StreamInterruptedError: ErrorForm(424, "ModelErrorException", "stream_interrupted"),
    e.CircuitBreakerOpenError: ErrorForm(503, "ServiceUnavailableException", "circuit_breaker_open"),
    e.BudgetExceededError: ErrorForm(429, "ThrottlingException", "budget_exceeded"),
    e.AllProvidersFailedError: ErrorForm(500, "InternalServerException", "all_providers_failed"),
    e.ProviderError: ErrorForm(500, "InternalServerException"),
}
_TYPE_OF_STATUS: Final = {424: "ModelErrorException", 500: "InternalServerException"}

# The exceptions that a stream can hold; any other is an unmodelled error there.
_IN_STREAMS: Final = {
    "ThrottlingException": "throttlingException",
    "ValidationException": "validationException",
    "ModelErrorException": "modelStreamErrorException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "InternalServerException": "internalServerException",
}


def encode_error(error: e.ProviderError) -> WireError:
    name, status, body = _exception(error)
    headers = error_headers(error)
    headers["x-amzn-errortype"] = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return WireError(status, headers, orjson.dumps(body))


def _exception(error: e.ProviderError) -> tuple[str, int, dict[str, Any]]:
    """Name, status and body of the exception that says the same."""
    form = form_of(error, _FORMS)
    status, message = status_of(error, form), message_of(error, "Input is too long for requested model")
    if form.code is not None:
        return form.type, status, {"message": message, "code": form.code}
    return form.type if status == form.status else _TYPE_OF_STATUS.get(status, form.type), status, {"message": message}


# --- messages of a stream -------------------------------------------------------------------------------------------


def write_event(name: str, body: Mapping[str, Any]) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return write_frame(headers, orjson.dumps(body))


def write_exception(error: e.ProviderError, further: Mapping[str, str] | None = None) -> bytes:
    """The error as a stream's last message; `further` are exceptions that only this API's streams can hold."""
    name, _, body = _exception(error)
    modelled = _IN_STREAMS.get(name) or (further or {}).get(name)
    if modelled is None:
        message = body["message"].encode()[:ERROR_MESSAGE_BYTES].decode(errors="ignore")
        return write_frame({":message-type": "error", ":error-code": name, ":error-message": message}, b"")
    headers = {":exception-type": modelled, ":content-type": "application/json", ":message-type": "exception"}
    return write_frame(headers, orjson.dumps(body))


def read_event(frame: Frame) -> tuple[str, bytes]:
    """(type, payload) of an event. Raises what an exception or an error in its place means."""
    match frame.text(":message-type"):
        case "event":
            return frame.text(":event-type"), frame.payload
        case "exception":
            raise embedded_error(json_or_text(frame.payload), frame.text(":exception-type"))
        case "error":
            raise embedded_error(frame.text(":error-message"), frame.text(":error-code"))
        case other:
            raise e.MalformedResponseError(f"the event stream has a message of type {other!r}")
