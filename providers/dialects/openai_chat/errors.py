"""Our errors as OpenAI writes them (platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from typing import Any, Final

import orjson

from providers import errors as e
from providers.dialects.base import WireError
from providers.dialects.error_forms import ErrorForm, error_headers, form_of, status_of
from providers.dialects.vendor_errors import ErrorClass

_FORMS: Final[dict[ErrorClass, ErrorForm]] = {
    e.RateLimitError: ErrorForm(429, "requests", "rate_limit_exceeded"),
    e.QuotaExhaustedError: ErrorForm(429, "insufficient_quota", "insufficient_quota"),
    e.AuthenticationError: ErrorForm(401, "invalid_request_error", "invalid_api_key"),
    e.PermissionDeniedError: ErrorForm(403, "permission_error"),
    e.ModelNotFoundError: ErrorForm(404, "invalid_request_error", "model_not_found"),
    e.InvalidRequestError: ErrorForm(400, "invalid_request_error"),
    e.ContextLengthError: ErrorForm(400, "invalid_request_error", "context_length_exceeded"),
    e.ContentFilterError: ErrorForm(400, "invalid_request_error", "content_filter"),
    e.ProviderTimeoutError: ErrorForm(408, "timeout", "timeout"),
    e.ServiceUnavailableError: ErrorForm(503, "server_error", "server_is_overloaded"),
    e.ConnectionFailedError: ErrorForm(502, "server_error", "connection_failed"),
    e.MalformedResponseError: ErrorForm(502, "server_error", "malformed_response"),
    e.StreamInterruptedError: ErrorForm(502, "server_error", "stream_interrupted"),
    e.CircuitBreakerOpenError: ErrorForm(503, "server_error", "circuit_breaker_open"),
    e.BudgetExceededError: ErrorForm(429, "budget_exceeded", "budget_exceeded"),
    e.AllProvidersFailedError: ErrorForm(502, "server_error", "all_providers_failed"),
    e.ProviderError: ErrorForm(500, "server_error"),
}


def error_object(error: e.ProviderError) -> dict[str, Any]:
    """What stands under `error`, in a body and in a stream alike."""
    form = form_of(error, _FORMS)
    return {"message": error.message, "type": form.type, "param": None, "code": form.code}


def encode_error(error: e.ProviderError) -> WireError:
    status = status_of(error, form_of(error, _FORMS))
    return WireError(status, error_headers(error), orjson.dumps({"error": error_object(error)}))
