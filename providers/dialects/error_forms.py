"""How a format writes our errors: for each class a status and words, and the wait before another try in the headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from providers.dialects.vendor_errors import ErrorClass, ErrorFacts, by_status, classify
from providers.errors import ContextLengthError, ProviderError


@dataclass(frozen=True, slots=True)
class ErrorForm:
    """How one format writes one class of error."""

    status: int
    type: str
    code: str | None = None


def form_of(error: ProviderError, forms: Mapping[ErrorClass, ErrorForm]) -> ErrorForm:
    """The form of the error's class, or of the nearest class above it."""
    return next(forms[cls] for cls in type(error).__mro__ if cls in forms)


def status_of(error: ProviderError, form: ErrorForm) -> int:
    """The error's own status where it means the same class (a 500 stays a 500), else the form's."""
    own = error.status
    if own is not None and 400 <= own <= 599 and by_status(own) is by_status(form.status):
        return own
    return form.status


def message_of(error: ProviderError, too_long: str) -> str:
    """The message; `too_long` goes before one of a prompt too long, which clients know by its text alone."""
    if isinstance(error, ContextLengthError) and classify(400, ErrorFacts(error.message)) is not ContextLengthError:
        return f"{too_long}: {error.message}"
    return error.message


def error_headers(error: ProviderError) -> dict[str, str]:
    """JSON, and Retry-After in whole seconds and in milliseconds, as Azure sends both."""
    headers = {"content-type": "application/json"}
    wanted = error.retry_after
    if wanted is not None and 0 <= wanted < float("inf"):
        headers["retry-after"] = str(ceil(wanted))
        headers["retry-after-ms"] = str(ceil(wanted * 1000))
    return headers
