"""The whole error tree, the gateway's errors too. It is flat: one class for each thing that can happen.

ProviderError
    RateLimitError                  429                               same provider after Retry-After
    ProviderTimeoutError            408, no answer in time            (a TimeoutError too)
    ServiceUnavailableError         5xx, 409, 424, 529
    ConnectionFailedError           refused, reset, DNS, TLS
    MalformedResponseError          not what the wire format promises
    StreamInterruptedError          cut, stalled or failed before its end
    QuotaExhaustedError             402, insufficient_quota           disables the credential
    AuthenticationError             401                               disables the credential
    PermissionDeniedError           403                               disables the model
    ModelNotFoundError              404                               next provider
    ContextLengthError              prompt longer than the window     next provider with a larger window
    ContentFilterError              refused by a policy               next provider by option
    InvalidRequestError             400, 413, 422                     ends the request
    CircuitBreakerOpenError         every breaker refused, nothing was attempted
    BudgetExceededError             the limit is reached and nothing free is left
    AllProvidersFailedError         attempts failed in different ways
InputError
    ConfigError, FixtureError, ScenarioError

What happens after each error is data on its class: see `Recovery`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from providers.redaction import redact

if TYPE_CHECKING:
    from providers.types import AttemptRecord, TokenUsage


class Recovery(NamedTuple):
    """What an error class allows: one row of the failover table."""

    same_provider: bool
    """Another try on the same provider may help."""
    next_provider: bool | Literal["larger_window", "option"]
    """Another candidate may be asked: yes, no, only with a larger context window, only when the policy says so."""
    breaker: Literal["failure", "neutral"]
    disables: Literal["credential", "model"] | None = None
    """What is taken out of rotation until it is re-tested or its credentials change."""


_TRANSIENT = Recovery(True, True, "failure")
_FATAL = Recovery(False, False, "neutral")


def _masked(value: str | None, secrets: Sequence[str] = ()) -> str | None:
    # Vendors send numbers here too.
    if not isinstance(value, str):
        return value
    return redact(value, secrets) if secrets else _shapeless(value)


# Vendors have few codes and types, and an error is made for every failed attempt.
_shapeless = lru_cache(256)(redact)


class ProviderError(Exception):
    """A call to a provider failed. Its message never holds a credential."""

    recovery: ClassVar[Recovery] = _TRANSIENT

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        error_type: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: Sequence[AttemptRecord] = (),
    ) -> None:
        self.message = redact(message) or type(self).__name__
        super().__init__(self.message)
        self.provider = provider
        self.model = model
        self.status = status
        self.code = _masked(code)
        """The vendor's own error code, as sent but for credentials."""
        self.error_type = _masked(error_type)
        """The vendor's own error type, as sent but for credentials."""
        self.request_id = _masked(request_id)
        self.retry_after = retry_after
        """Seconds to wait before another try, where the vendor or a breaker said so."""
        self.attempts: tuple[AttemptRecord, ...] = tuple(attempts)
        self.billed: TokenUsage | None = None
        """Tokens that the vendor charges although it failed, where it said so."""

    @property
    def retryable(self) -> bool:
        """Whether the same request to the same provider may succeed later."""
        return self.recovery.same_provider

    def redacted(self, secrets: Sequence[str]) -> ProviderError:
        """Mask known credentials in the message and in what the vendor said beside it; returns itself."""
        self.message = redact(self.message, secrets)
        self.args = (self.message,)
        self.code = _masked(self.code, secrets)
        self.error_type = _masked(self.error_type, secrets)
        self.request_id = _masked(self.request_id, secrets)
        return self


class RateLimitError(ProviderError):
    """429: too many requests; `retry_after` in seconds where the vendor says."""


class QuotaExhaustedError(ProviderError):
    recovery = Recovery(False, True, "neutral", disables="credential")


class AuthenticationError(ProviderError):
    recovery = Recovery(False, True, "neutral", disables="credential")


class PermissionDeniedError(ProviderError):
    recovery = Recovery(False, True, "neutral", disables="model")


class InvalidRequestError(ProviderError):
    recovery = _FATAL


class ModelNotFoundError(ProviderError):
    recovery = Recovery(False, True, "neutral")


class ContentFilterError(ProviderError):
    recovery = Recovery(False, "option", "neutral")


class ContextLengthError(ProviderError):
    recovery = Recovery(False, "larger_window", "neutral")


class ProviderTimeoutError(ProviderError, TimeoutError):
    """No answer in time: the attempt's limit, a stream's limit to first text, a 408, or the request's deadline."""


class ServiceUnavailableError(ProviderError):
    """5xx and the vendors' other words for 'not now'."""


class ConnectionFailedError(ProviderError):
    """No usable connection: refused, reset, DNS or TLS."""


class MalformedResponseError(ProviderError):
    """The answer is not what the wire format promises."""


class StreamInterruptedError(ProviderError):
    """A stream that ended before its end; `partial_text` is what had arrived."""

    def __init__(self, message: str = "", *, partial_text: str = "", **kwargs: object) -> None:
        super().__init__(message, **kwargs)  # type: ignore[arg-type]
        self.partial_text = partial_text


class CircuitBreakerOpenError(ProviderError):
    """Every candidate's breaker refused; `retry_after` is the earliest next probe in seconds."""

    recovery = Recovery(True, True, "neutral")


class BudgetExceededError(ProviderError):
    recovery = _FATAL


class AllProvidersFailedError(ProviderError):
    """Several candidates failed in different ways; `.attempts` has each."""

    recovery = _FATAL


class InputError(Exception):
    """Something the user wrote is wrong; the message names the place, the value and what would be right."""

    without_quotes: str | None = None
    """The message where it is kept, if it quotes a prompt: prompts are stored by opt-in alone."""


class ConfigError(InputError):
    pass


class FixtureError(InputError):
    place: tuple[str | int, ...] = ()
    """The way to the value of the document that is wrong, where it is one."""


class ScenarioError(InputError):
    pass
