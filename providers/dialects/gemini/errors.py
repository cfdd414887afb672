"""Our errors as Google writes them (google.rpc.Status in JSON; ai.google.dev/gemini-api/docs/troubleshooting).

The wait before another try is in the body alone, as RetryInfo. Where status and code do not tell our class, ErrorInfo
gives a reason.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from providers import errors as e
from providers.dialects.base import WireError
from providers.dialects.error_forms import ErrorForm, form_of, message_of, status_of
from providers.dialects.vendor_errors import ErrorClass

_FORMS: Final[dict[ErrorClass, ErrorForm]] = {
    e.RateLimitError: ErrorForm(429, "RESOURCE_EXHAUSTED"),
    e.QuotaExhaustedError: ErrorForm(429, "RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED"),
    e.AuthenticationError: ErrorForm(401, "UNAUTHENTICATED"),
    e.PermissionDeniedError: ErrorForm(403, "PERMISSION_DENIED"),
    e.ModelNotFoundError: ErrorForm(404, "NOT_FOUND"),
    e.InvalidRequestError: ErrorForm(400, "INVALID_ARGUMENT"),
    e.ContextLengthError: ErrorForm(400, "INVALID_ARGUMENT"),
    e.ContentFilterError: ErrorForm(400, "INVALID_ARGUMENT", "CONTENT_FILTERED"),
    e.ProviderTimeoutError: ErrorForm(408, "DEADLINE_EXCEEDED"),
    e.ServiceUnavailableError: ErrorForm(503, "UNAVAILABLE"),
    e.ConnectionFailedError: ErrorForm(502, "UNAVAILABLE", "CONNECTION_FAILED"),
    e.MalformedResponseError: ErrorForm(502, "INTERNAL", "MALFORMED_RESPONSE"),
    e.StreamInterruptedError: ErrorForm(502, "ABORTED", "STREAM_INTERRUPTED"),
    e.CircuitBreakerOpenError: ErrorForm(503, "UNAVAILABLE", "CIRCUIT_BREAKER_OPEN"),
    e.BudgetExceededError: ErrorForm(429, "RESOURCE_EXHAUSTED", "BUDGET_EXCEEDED"),
    e.AllProvidersFailedError: ErrorForm(502, "UNAVAILABLE", "ALL_PROVIDERS_FAILED"),
    e.ProviderError: ErrorForm(500, "INTERNAL"),
}
_WORDS: Final = {409: "ABORTED", 500: "INTERNAL", 504: "DEADLINE_EXCEEDED"}
"""Google's words of statuses that are not the usual one of their class."""


def error_body(error: e.ProviderError) -> dict[str, Any]:
    form = form_of(error, _FORMS)
    status = status_of(error, form)
    message = message_of(error, "The input token count exceeds the maximum number of tokens allowed")
    details: list[dict[str, Any]] = []
    if form.code is not None:
        details.append(
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": form.code, "domain": "googleapis.com"}
        )
    wait = error.retry_after
    if wait is not None and 0 <= wait < float("inf"):
        delay = f"{wait:.9f}".rstrip("0").rstrip(".") + "s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    body: dict[str, Any] = {"code": status, "message": message, "status": _WORDS.get(status, form.type)}
    if details:
        body["details"] = details
    return {"error": body}


def encode_error(error: e.ProviderError) -> WireError:
    body = error_body(error)
    return WireError(body["error"]["code"], {"content-type": "application/json"}, orjson.dumps(body))
