"""Our errors as Ollama writes them (docs.ollama.com/api/errors): a bare string, beside it `status` in a stream.

A `code` is added where neither tells the class; Ollama's clients read only `error`.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from providers import errors as e
from providers.dialects.base import WireError
from providers.dialects.error_forms import ErrorForm, error_headers, form_of, status_of
from providers.dialects.vendor_errors import ErrorClass

_FORMS: Final[dict[ErrorClass, ErrorForm]] = {
    e.RateLimitError: ErrorForm(429, ""),
    e.QuotaExhaustedError: ErrorForm(402, "", "insufficient_quota"),
    e.AuthenticationError: ErrorForm(401, ""),
    e.PermissionDeniedError: ErrorForm(403, ""),
    e.ModelNotFoundError: ErrorForm(404, ""),
    e.InvalidRequestError: ErrorForm(400, ""),
    e.ContextLengthError: ErrorForm(400, "", "context_length_exceeded"),
    e.ContentFilterError: ErrorForm(400, "", "content_filter"),
    e.ProviderTimeoutError: ErrorForm(408, ""),
    e.ServiceUnavailableError: ErrorForm(503, ""),
    e.ConnectionFailedError: ErrorForm(502, "", "connection_failed"),
    e.MalformedResponseError: ErrorForm(502, "", "malformed_response"),
    e.StreamInterruptedError: ErrorForm(502, "", "stream_interrupted"),
    e.CircuitBreakerOpenError: ErrorForm(503, "", "circuit_breaker_open"),
    e.BudgetExceededError: ErrorForm(429, "", "budget_exceeded"),
    e.AllProvidersFailedError: ErrorForm(502, "", "all_providers_failed"),
    e.ProviderError: ErrorForm(500, ""),
}


def _body(error: e.ProviderError, form: ErrorForm) -> dict[str, Any]:
    return {"error": error.message} if form.code is None else {"error": error.message, "code": form.code}


def error_line(error: e.ProviderError) -> bytes:
    form = form_of(error, _FORMS)
    return orjson.dumps({**_body(error, form), "status": status_of(error, form)}) + b"\n"


def encode_error(error: e.ProviderError) -> WireError:
    form = form_of(error, _FORMS)
    return WireError(status_of(error, form), error_headers(error), orjson.dumps(_body(error, form)))
