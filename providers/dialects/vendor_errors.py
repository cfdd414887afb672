"""Every vendor's error body and status to exactly one class of ours, for all dialects alike.

Vendors share most words (`invalid_request_error`, `insufficient_quota`), proxies mix their shapes, and an error inside
a 200 has no status at all, so one reader takes them all: decisive words first, then tell-tale messages, then the
status, then the vendor's type. Sources: platform.openai.com/docs/guides/error-codes, docs.claude.com/en/api/errors,
api-docs.deepseek.com/quick_start/error_codes, openrouter.ai/docs/api/reference/errors-and-debugging,
docs.ollama.com/api/errors, learn.microsoft.com/azure/ai-services/openai/concepts/content-filter,
docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from providers.dialects.retry_after import google_delay, retry_after
from providers.errors import (
    AllProvidersFailedError,
    AuthenticationError,
    BudgetExceededError,
    CircuitBreakerOpenError,
    ConnectionFailedError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
)

ErrorClass = type[ProviderError]


def _table(*rows: tuple[ErrorClass, str]) -> dict[str, ErrorClass]:
    return {word: cls for cls, words in rows for word in words.split()}


# Words that decide by themselves, whatever the status says.
_DECISIVE: Final = _table(
    (
        QuotaExhaustedError,
        "insufficient_quota insufficient_balance insufficient_credits credit_balance_too_low payment_required "
        "billing_hard_limit_reached billing_not_active billing_error exceeded_current_quota_error "
        "servicequotaexceededexception quota_exhausted daily_quota_exhausted billing_disabled",
    ),
    (ContextLengthError, "context_length_exceeded model_context_window_exceeded token_limit_exceeded"),
    (
        ContentFilterError,
        "content_filter content_filtered content_policy_violation responsibleaipolicyviolation "
        "data_inspection_failed moderation_blocked flagged_input image_content_policy_violation bio_policy "
        "misalignment_policy_violation",
    ),
    (ModelNotFoundError, "model_not_found deploymentnotfound unknown_model"),
    (
        AuthenticationError,
        "invalid_api_key api_key_invalid account_deactivated "
        # AWS answers these with 403, as it does missing permissions.
        "expiredtokenexception expiredtoken unrecognizedclientexception invalidsignatureexception "
        "incompletesignatureexception incompletesignature missingauthenticationtokenexception "
        "missingauthenticationtoken invalidclienttokenid signaturedoesnotmatch requestexpired",
    ),
    # Google: not offered where the caller is, or not without billing.
    (PermissionDeniedError, "failed_precondition"),
    # Our own gateway's words, so that a gateway behind a gateway keeps the class.
    (CircuitBreakerOpenError, "circuit_breaker_open"),
    (BudgetExceededError, "budget_exceeded"),
    (AllProvidersFailedError, "all_providers_failed"),
    (ConnectionFailedError, "connection_failed"),
    (MalformedResponseError, "malformed_response"),
    (StreamInterruptedError, "stream_interrupted"),
)

# Words that speak only where there is no status: errors inside a 200 and in streams.
_TYPES: Final = _table(
    (
        InvalidRequestError,
        "invalid_request_error invalid_request bad_request badrequesterror invalid_argument validation_error "
        "unprocessableentityerror request_too_large tool_use_failed invalid_prompt data_residency_mismatch "
        "invalid_image invalid_image_format invalid_base64_image invalid_image_url invalid_image_mode image_too_large "
        "image_too_small image_parse_error image_file_too_large image_file_not_found unsupported_image_media_type "
        "empty_image_file failed_to_download_image",
    ),
    (AuthenticationError, "authentication_error authenticationerror unauthorized unauthenticated"),
    (PermissionDeniedError, "permission_error permission_denied permissiondeniederror forbidden"),
    (ModelNotFoundError, "not_found_error notfounderror not_found"),
    (
        RateLimitError,
        "rate_limit_error rate_limit_exceeded ratelimiterror ratelimitreached too_many_requests toomanyrequests "
        "resource_exhausted requests tokens",
    ),
    (ProviderTimeoutError, "timeout timeout_error request_timeout deadline_exceeded vector_store_timeout"),
    (
        ServiceUnavailableError,
        "overloaded_error api_error server_error internal_error internalservererror internal_server_error unavailable "
        "service_unavailable service_unavailable_error serviceunavailableerror server_is_overloaded slow_down "
        "conflict_error",
    ),
)

_STATUSES: Final[dict[int, ErrorClass]] = {
    401: AuthenticationError,
    402: QuotaExhaustedError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    408: ProviderTimeoutError,
    409: ServiceUnavailableError,
    410: ModelNotFoundError,
    424: ServiceUnavailableError,
    425: ServiceUnavailableError,
    429: RateLimitError,
}

# The status of each of Bedrock's exceptions, for streams, where nothing else tells it.
_EXCEPTIONS: Final = {
    "validationexception": 400,
    "accessdeniedexception": 403,
    "resourcenotfoundexception": 404,
    "modeltimeoutexception": 408,
    "modelerrorexception": 424,
    "modelstreamerrorexception": 424,
    "throttlingexception": 429,
    "modelnotreadyexception": 429,
    "internalserverexception": 500,
    "serviceunavailableexception": 503,
}

# Patterns stay text: they are compiled when the first error comes, not when a program that meets none starts.
_CONTEXT: Final = (
    r"prompt (?:is|was) too long|maximum context length|context length is only"
    r"|context (?:length|window) (?:was |is |has been )?exceeded"
    r"|(?:exceed\w*|longer than|larger than|greater than)[^.]{0,80}"
    r"(?:context (?:length|window|limit|size)|maximum model length)"
    r"|input token count\b.{0,80}(?:exceeds|only supports)"
    r"|reduce the length of (?:the |your )?(?:messages|input|prompt)"
    r"|input is too long for requested model|input tokens exceed|too many input tokens|too many tokens:"
    r"|expected maxlength:"
)
_QUOTA: Final = (
    r"credit balance is too low|insufficient (?:balance|credits|funds)|reached your specified api usage limits"
)
_FILTERED: Final = (
    r"content filtering policy|content management policy|content exists risk|flagged as potentially violating"
    r"|blocked by our content filters"
)
_BAD_KEY: Final = (
    r"api key (?:is )?(?:not valid|invalid|expired)|invalid (?:x-)?api[- ]key|organization has been disabled"
    r"|api key was reported as leaked|unregistered callers|make sure your api key is valid"
)
_NO_MODEL: Final = (
    r"model not exist|is not a valid model|\bmodel\b[^.]{0,120}(?:not found|does not exist)|no such model"
    r"|model identifier is invalid|with on-demand throughput isn.t supported"
)
_TITLE: Final = r"(?is)<title[^>]*>(.*?)</title>"


@dataclass(slots=True)
class ErrorFacts:
    """What an error body says, whatever its shape."""

    message: str = ""
    type: str | None = None
    code: str | None = None
    status: int | None = None
    """A status inside the body, as errors within a 200 have it."""
    words: list[str] = field(default_factory=list)
    """Code, type and inner codes in lower case: what classification looks at."""
    retry_after: float | None = None
    request_id: str | None = None


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The one error of an answer with a failing status. Header names are lower case; any body is tolerated."""
    facts = read_body(body)
    _name(facts, headers.get("x-amzn-errortype"))
    message = facts.message or f"HTTP {status} with an empty body"
    wanted = retry_after(headers)
    return classify(status, facts)(
        message,
        status=status,
        code=facts.code,
        error_type=facts.type,
        request_id=facts.request_id
        or headers.get("x-request-id")
        or headers.get("request-id")
        or headers.get("apim-request-id"),
        retry_after=facts.retry_after if wanted is None else wanted,
    )


def embedded_error(value: object, name: str | None = None) -> ProviderError:
    """The error that a 200's body or a stream event holds; `name` is AWS's for it, where that stands beside it."""
    facts = read_value(value)
    _name(facts, name)
    return classify(None, facts)(
        facts.message or "the provider sent an error without a message",
        status=facts.status,
        code=facts.code,
        error_type=facts.type,
        request_id=facts.request_id,
        retry_after=facts.retry_after,
    )


def unreadable(body: bytes) -> MalformedResponseError:
    """The error of a 200 whose body is not the JSON it should be."""
    if not body.strip():
        return MalformedResponseError("the answer is empty")
    return MalformedResponseError(f"the answer is not JSON: {_plain_text(body)[:200]!r}")


def classify(status: int | None, facts: ErrorFacts) -> ErrorClass:
    """The class of an error. A status of the HTTP answer counts before one inside the body."""
    answered = status
    if status is None or status < 400:
        status = facts.status
    for word in facts.words:
        cls = _DECISIVE.get(word)
        if cls is ModelNotFoundError and status in (401, 403):
            return PermissionDeniedError
        if cls is not None:
            return cls
    text = facts.message.lower()
    vague = status is None or by_status(status) is InvalidRequestError
    if (vague or status in (402, 403, 429)) and re.search(_QUOTA, text):
        return QuotaExhaustedError
    if (vague or status == 403) and re.search(_FILTERED, text):
        return ContentFilterError
    if (vague or status == 500) and re.search(_CONTEXT, text):
        return ContextLengthError
    if (vague or status == 403) and re.search(_BAD_KEY, text):
        return AuthenticationError
    if vague and re.search(_NO_MODEL, text):
        return ModelNotFoundError
    if status is not None:
        return by_status(status)
    for word in facts.words:
        cls = _TYPES.get(word)
        if cls is not None:
            return cls
    return ServiceUnavailableError if answered is None else by_status(answered)


def by_status(status: int) -> ErrorClass:
    """The class of a bare HTTP status."""
    if status in _STATUSES:
        return _STATUSES[status]
    if 400 <= status < 500:
        return InvalidRequestError
    # Not even a redirect is an answer that a provider's API gives.
    return ServiceUnavailableError if status >= 500 else MalformedResponseError


def read_body(body: bytes) -> ErrorFacts:
    """The facts of an error body; text that is not JSON becomes the message."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return ErrorFacts(_plain_text(body)[:500])
    return read_value(value)


def read_value(value: object) -> ErrorFacts:
    """The facts of a parsed error: nested, top-level, a bare string, or Google's list around one."""
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    if isinstance(value, str):
        return ErrorFacts(value)
    if not isinstance(value, dict):
        return ErrorFacts()
    inner = value.get("error")
    source: dict[str, Any] = inner if isinstance(inner, dict) else value
    facts = ErrorFacts()
    for candidate in (
        source.get("message"),
        inner,
        source.get("msg"),
        source.get("detail"),
        source.get("errors"),
        value.get("message"),
        value.get("Message"),
    ):
        if candidate:
            facts.message = (
                candidate if isinstance(candidate, str) else "" if candidate is source else _dumped(candidate)
            )
            if facts.message:
                break
    kind, code = source.get("type"), source.get("code")
    facts.type = kind if isinstance(kind, str) else None
    facts.code = str(code) if isinstance(code, (str, int)) and not isinstance(code, bool) else None
    facts.status = _status(
        source.get("status_code"), source.get("status"), code, value.get("status"), value.get("statusCode")
    )
    status_word = source.get("status")
    if facts.type is None and isinstance(status_word, str) and not status_word.isdigit():
        facts.type = status_word
    if isinstance(value.get("request_id"), str):
        facts.request_id = value["request_id"]
    _collect_words(source, facts)
    _name(facts, value.get("__type"))
    return facts


def _name(facts: ErrorFacts, name: object) -> None:
    """Add AWS's name of an exception, which may come as `namespace#Name` or as `Name:address`."""
    if not isinstance(name, str) or not name:
        return
    facts.type = name.partition(":")[0].rpartition("#")[2]
    facts.words.append(facts.type.lower())
    facts.status = facts.status or _EXCEPTIONS.get(facts.type.lower())


def _collect_words(source: dict[str, Any], facts: ErrorFacts) -> None:
    words: list[object] = [facts.code, facts.type]
    for key in ("innererror", "inner_error"):
        deeper = source.get(key)
        if isinstance(deeper, dict):
            words.append(deeper.get("code"))
    metadata = source.get("metadata")
    if isinstance(metadata, dict):
        words.append(metadata.get("error_type"))
        if metadata.get("flagged_input") or metadata.get("reasons"):
            words.append("flagged_input")
    details = source.get("details")
    if isinstance(details, list):
        for detail in details:
            if isinstance(detail, dict):
                words.append(detail.get("reason"))
                facts.retry_after = (
                    google_delay(detail.get("retryDelay")) if facts.retry_after is None else facts.retry_after
                )
        if facts.retry_after is None and _daily(details):
            words.append("daily_quota_exhausted")
    facts.words = ["_".join(word.lower().split()) for word in words if isinstance(word, str)]


def _daily(details: list[Any]) -> bool:
    """Google's QuotaFailure names a quota for each day (`GenerateRequestsPerDayPerProjectPerModel`)."""
    return any(
        isinstance(one, dict) and isinstance(one.get("quotaId"), str) and "PerDay" in one["quotaId"]
        for detail in details
        if isinstance(detail, dict) and isinstance(detail.get("violations"), list)
        for one in detail["violations"]
    )


def _status(*candidates: object) -> int | None:
    for value in candidates:
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return None


def _plain_text(body: bytes) -> str:
    text = body[:65536].decode("utf-8", "replace")
    if "<" in text[:200]:
        title = re.search(_TITLE, text)
        text = f"an HTML page titled {title[1].strip()!r}" if title else text
    return " ".join(text.split())


def _dumped(value: object) -> str:
    try:
        return orjson.dumps(value).decode()[:500]
    except TypeError:
        return ""
