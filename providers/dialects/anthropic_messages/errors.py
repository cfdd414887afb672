"""Our errors as Anthropic writes them (docs.claude.com/en/api/errors)."""

from __future__ import annotations

from typing import Any, Final

import orjson

from providers import errors as e
from providers.dialects.base import WireError
from providers.dialects.error_forms import ErrorForm, error_headers, form_of, message_of, status_of
from providers.dialects.vendor_errors import ErrorClass

# Anthropic has types only; a code is added where no type says what happened.
_FORMS: Final[dict[ErrorClass, ErrorForm]] = {
    e.RateLimitError: ErrorForm(429, "rate_limit_error"),
    e.QuotaExhaustedError: ErrorForm(402, "billing_error"),
    e.AuthenticationError: ErrorForm(401, "authentication_error"),
    e.PermissionDeniedError: ErrorForm(403, "permission_error"),
    e.ModelNotFoundError: ErrorForm(404, "not_found_error"),
    e.InvalidRequestError: ErrorForm(400, "invalid_request_error"),
    e.ContextLengthError: ErrorForm(400, "invalid_request_error"),
    e.ContentFilterError: ErrorForm(400, "invalid_request_error", "content_filter"),
    e.ProviderTimeoutError: ErrorForm(408, "timeout_error"),
    e.ServiceUnavailableError: ErrorForm(529, "overloaded_error"),
    e.ConnectionFailedError: ErrorForm(502, "api_error", "connection_failed"),
    e.MalformedResponseError: ErrorForm(502, "api_error", "malformed_response"),
    e.StreamInterruptedError: ErrorForm(502, "api_error", "stream_interrupted"),
    e.CircuitBreakerOpenError: ErrorForm(503, "overloaded_error", "circuit_breaker_open"),
    e.BudgetExceededError: ErrorForm(429, "rate_limit_error", "budget_exceeded"),
    e.AllProvidersFailedError: ErrorForm(502, "api_error", "all_providers_failed"),
    e.ProviderError: ErrorForm(500, "api_error"),
}
_TYPE_OF_STATUS: Final = {413: "request_too_large", 500: "api_error", 503: "api_error", 504: "timeout_error"}


def error_body(error: e.ProviderError, status: int | None = None) -> dict[str, Any]:
    """The body; `status` is the one it goes out with, None in a stream."""
    form = form_of(error, _FORMS)
    inner: dict[str, Any] = {"type": form.type, "message": message_of(error, "prompt is too long")}
    if form.code is not None:
        inner["code"] = form.code
    elif status is not None and status != form.status:
        inner["type"] = _TYPE_OF_STATUS.get(status, form.type)
    return {"type": "error", "error": inner, "request_id": error.request_id}


def encode_error(error: e.ProviderError) -> WireError:
    status = status_of(error, form_of(error, _FORMS))
    return WireError(status, error_headers(error), orjson.dumps(error_body(error, status)))
