"""Every vendor's error to exactly one class, and every class of ours to the vendor's form and back."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import errors as e
from providers.dialects import dialect
from providers.dialects.retry_after import google_delay, retry_after
from providers.redaction import MASK
from tests.providers.dialects.recorded import drain

NAMES = [
    "openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "bedrock_converse", "bedrock_invoke",
    "gemini", "gemini_array", "ollama", "ollama_generate",
]  # fmt: skip

BY_STATUS = {
    400: e.InvalidRequestError,
    401: e.AuthenticationError,
    402: e.QuotaExhaustedError,
    403: e.PermissionDeniedError,
    404: e.ModelNotFoundError,
    405: e.InvalidRequestError,
    408: e.ProviderTimeoutError,
    409: e.ServiceUnavailableError,
    413: e.InvalidRequestError,
    422: e.InvalidRequestError,
    424: e.ServiceUnavailableError,
    429: e.RateLimitError,
    500: e.ServiceUnavailableError,
    502: e.ServiceUnavailableError,
    503: e.ServiceUnavailableError,
    504: e.ServiceUnavailableError,
    529: e.ServiceUnavailableError,
    599: e.ServiceUnavailableError,
    302: e.MalformedResponseError,
}


@pytest.mark.parametrize("status", BY_STATUS)
def test_the_status_decides_where_the_body_says_nothing(status: int) -> None:
    for name in NAMES:
        for body in (b"", b"Bad thing", b"<html><title>502 Bad Gateway</title></html>", b"[]", b"null", b"7", b"\xff"):
            error = dialect(name).decode_error(status, {}, body)
            assert type(error) is BY_STATUS[status]
            assert error.status == status
            assert error.message


def openai(message: str = "x", **fields: object) -> dict[str, object]:
    return {"error": {"message": message, "param": None, **fields}}


VENDORS: list[tuple[str, int, object, type[e.ProviderError]]] = [
    # OpenAI
    ("quota", 429, openai(type="insufficient_quota", code="insufficient_quota"), e.QuotaExhaustedError),
    ("rate", 429, openai(type="requests", code="rate_limit_exceeded"), e.RateLimitError),
    (
        "tpm",
        429,
        openai("Request too large for gpt-4 on tokens per min (TPM)", type="tokens", code="rate_limit_exceeded"),
        e.RateLimitError,
    ),
    ("window", 400, openai(type="invalid_request_error", code="context_length_exceeded"), e.ContextLengthError),
    ("key", 401, openai(type="invalid_request_error", code="invalid_api_key"), e.AuthenticationError),
    (
        "region",
        403,
        openai(type="request_forbidden", code="unsupported_country_region_territory"),
        e.PermissionDeniedError,
    ),
    ("model", 404, openai(type="invalid_request_error", code="model_not_found"), e.ModelNotFoundError),
    ("no access to model", 403, openai(type="invalid_request_error", code="model_not_found"), e.PermissionDeniedError),
    ("policy", 400, openai(type="invalid_request_error", code="content_policy_violation"), e.ContentFilterError),
    (
        "flagged",
        400,
        openai(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt"
        ),
        e.ContentFilterError,
    ),
    ("overloaded", 503, openai(type="server_error", code="server_is_overloaded"), e.ServiceUnavailableError),
    # Azure
    (
        "azure filter",
        400,
        openai(code="content_filter", status=400, innererror={"code": "ResponsibleAIPolicyViolation"}),
        e.ContentFilterError,
    ),
    (
        "azure inner filter",
        400,
        openai(code=None, innererror={"code": "ResponsibleAIPolicyViolation"}),
        e.ContentFilterError,
    ),
    ("azure rate", 429, openai(code="429"), e.RateLimitError),
    ("azure deployment", 404, openai(code="DeploymentNotFound"), e.ModelNotFoundError),
    ("azure key", 401, {"statusCode": 401, "message": "Unauthorized. Access token is missing"}, e.AuthenticationError),
    ("azure timeout", 408, openai(code="Timeout"), e.ProviderTimeoutError),
    # DeepSeek
    (
        "deepseek balance",
        402,
        openai("Insufficient Balance", type="unknown_error", code="invalid_request_error"),
        e.QuotaExhaustedError,
    ),
    (
        "deepseek model",
        400,
        openai("Model Not Exist", type="invalid_request_error", code="invalid_request_error"),
        e.ModelNotFoundError,
    ),
    ("deepseek filter", 400, openai("Content Exists Risk", type="invalid_request_error"), e.ContentFilterError),
    ("deepseek params", 422, openai("Invalid max_tokens", type="invalid_request_error"), e.InvalidRequestError),
    (
        "deepseek window",
        400,
        openai(
            "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens",
            type="invalid_request_error",
        ),
        e.ContextLengthError,
    ),
    # vLLM: top-level and nested
    (
        "vllm old",
        404,
        {
            "object": "error",
            "message": "The model `x` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        e.ModelNotFoundError,
    ),
    ("vllm new", 400, openai("bad", type="BadRequestError", code=400), e.InvalidRequestError),
    (
        "vllm window",
        400,
        openai(
            "You passed 1015 input tokens. However, the model's context length is only 1024 tokens",
            type="BadRequestError",
            code=400,
        ),
        e.ContextLengthError,
    ),
    (
        "vllm long prompt",
        400,
        openai("The decoder prompt (length 5000) is longer than the maximum model length of 2048.", code=400),
        e.ContextLengthError,
    ),
    ("fastapi", 422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, e.InvalidRequestError),
    # OpenRouter
    ("openrouter credits", 402, {"error": {"code": 402, "message": "Insufficient credits"}}, e.QuotaExhaustedError),
    (
        "openrouter moderation",
        403,
        {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "…"}}},
        e.ContentFilterError,
    ),
    (
        "openrouter model",
        400,
        {"error": {"code": 400, "message": "foo/bar is not a valid model ID"}},
        e.ModelNotFoundError,
    ),
    # Gemini's compatible API, whose errors come in a list
    (
        "gemini key",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        e.AuthenticationError,
    ),
    (
        "gemini window",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                }
            }
        ],
        e.ContextLengthError,
    ),
    (
        "gemini quota",
        429,
        [{"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}],
        e.RateLimitError,
    ),
    *(
        (f"gemini {word}", status, {"error": {"code": status, "message": "x", "status": word}}, cls)
        for word, status, cls in [
            ("INVALID_ARGUMENT", 400, e.InvalidRequestError),
            ("FAILED_PRECONDITION", 400, e.PermissionDeniedError),
            ("OUT_OF_RANGE", 400, e.InvalidRequestError),
            ("UNAUTHENTICATED", 401, e.AuthenticationError),
            ("PERMISSION_DENIED", 403, e.PermissionDeniedError),
            ("NOT_FOUND", 404, e.ModelNotFoundError),
            ("ABORTED", 409, e.ServiceUnavailableError),
            ("RESOURCE_EXHAUSTED", 429, e.RateLimitError),
            ("INTERNAL", 500, e.ServiceUnavailableError),
            ("UNAVAILABLE", 503, e.ServiceUnavailableError),
            ("DEADLINE_EXCEEDED", 504, e.ServiceUnavailableError),
        ]
    ),
    *(
        (f"gemini says: {message}", status, {"error": {"code": status, "message": message, "status": word}}, cls)
        for message, status, word, cls in [
            ("API key expired. Please renew the API key.", 400, "INVALID_ARGUMENT", e.AuthenticationError),
            (
                "Your API key was reported as leaked. Please use another API key.",
                403,
                "PERMISSION_DENIED",
                e.AuthenticationError,
            ),
            (
                "Method doesn't allow unregistered callers (callers without established identity).",
                403,
                "PERMISSION_DENIED",
                e.AuthenticationError,
            ),
            (
                "Unable to submit request because the input token count is 2000000 but model only supports up to "
                "1048576. Reduce the input token count and try again.",
                400,
                "INVALID_ARGUMENT",
                e.ContextLengthError,
            ),
            ("The model is overloaded. Please try again later.", 503, "UNAVAILABLE", e.ServiceUnavailableError),
        ]
    ),
    (
        "cohere window",
        400,
        {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."},
        e.ContextLengthError,
    ),
    (
        "bedrock's tokens a minute",
        429,
        {"message": "Too many tokens, please wait before trying again."},
        e.RateLimitError,
    ),
    (
        "bedrock api key",
        403,
        {"Message": "Authentication failed: Please make sure your API Key is valid."},
        e.AuthenticationError,
    ),
    # Groq
    (
        "groq window",
        400,
        openai("Please reduce the length of the messages or completion.", code="context_length_exceeded"),
        e.ContextLengthError,
    ),
    (
        "groq too large",
        413,
        openai("Request too large", type="tokens", code="rate_limit_exceeded"),
        e.InvalidRequestError,
    ),
    # Anthropic
    *(
        (f"anthropic {kind}", status, {"type": "error", "error": {"type": kind, "message": "x"}}, cls)
        for kind, status, cls in [
            ("invalid_request_error", 400, e.InvalidRequestError),
            ("authentication_error", 401, e.AuthenticationError),
            ("billing_error", 402, e.QuotaExhaustedError),
            ("permission_error", 403, e.PermissionDeniedError),
            ("not_found_error", 404, e.ModelNotFoundError),
            ("conflict_error", 409, e.ServiceUnavailableError),
            ("request_too_large", 413, e.InvalidRequestError),
            ("rate_limit_error", 429, e.RateLimitError),
            ("api_error", 500, e.ServiceUnavailableError),
            ("timeout_error", 504, e.ServiceUnavailableError),
            ("overloaded_error", 529, e.ServiceUnavailableError),
        ]
    ),
    *(
        (
            f"anthropic says: {message}",
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": message}},
            cls,
        )
        for message, cls in [
            ("prompt is too long: 200001 tokens > 200000 maximum", e.ContextLengthError),
            ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", e.ContextLengthError),
            ("Your credit balance is too low to access the Anthropic API.", e.QuotaExhaustedError),
            ("You have reached your specified API usage limits.", e.QuotaExhaustedError),
            ("Output blocked by content filtering policy", e.ContentFilterError),
            ("max_tokens: Field required", e.InvalidRequestError),
        ]
    ),
    # Ollama
    ("ollama model", 404, {"error": "model 'x' not found"}, e.ModelNotFoundError),
    ("ollama bad", 400, {"error": "model is required"}, e.InvalidRequestError),
    ("ollama cloud key", 401, {"error": "unauthorized", "signin_url": "https://ollama.com"}, e.AuthenticationError),
    (
        "ollama busy",
        503,
        {"error": "server busy, please try again. maximum pending requests exceeded"},
        e.ServiceUnavailableError,
    ),
    ("ollama window", 400, {"error": "the input length exceeds the context length"}, e.ContextLengthError),
]


@pytest.mark.parametrize(("status", "body", "cls"), [row[1:] for row in VENDORS], ids=[row[0] for row in VENDORS])
def test_every_vendors_error_is_exactly_one_class(status: int, body: object, cls: type[e.ProviderError]) -> None:
    for name in NAMES:
        assert type(dialect(name).decode_error(status, {}, orjson.dumps(body))) is cls


@pytest.mark.parametrize(
    ("body", "cls"),
    [
        ({"error": {"code": 402, "message": "no credits"}}, e.QuotaExhaustedError),
        ({"error": {"code": "server_error", "message": "x"}}, e.ServiceUnavailableError),
        ({"error": {"message": "x", "type": "timeout_error"}}, e.ProviderTimeoutError),
        ({"error": {"message": "x", "type": "permission_error"}}, e.PermissionDeniedError),
        ({"error": {"message": "x"}}, e.ServiceUnavailableError),
        ({"error": "x"}, e.ServiceUnavailableError),
        (
            {"object": "error", "message": "x", "type": "NotFoundError", "param": None, "code": 404},
            e.ModelNotFoundError,
        ),
        ([{"error": {"code": 503, "message": "x"}}], e.ServiceUnavailableError),
        (
            {"choices": [{"error": {"code": 502, "message": "Upstream"}, "message": {"content": "a"}}]},
            e.ServiceUnavailableError,
        ),
        ({"choices": [{"finish_reason": "error", "message": {"content": "a"}}]}, e.ServiceUnavailableError),
    ],
)
def test_an_error_in_a_200_is_that_error(body: object, cls: type[e.ProviderError]) -> None:
    with pytest.raises(e.ProviderError) as caught:
        dialect("openai_chat").decode_completion(orjson.dumps(body))
    assert type(caught.value) is cls


@pytest.mark.parametrize(
    "name",
    [
        "anthropic_messages", "bedrock_converse", "bedrock_invoke", "gemini", "gemini_array", "ollama",
        "ollama_generate",
    ],
)  # fmt: skip
def test_an_error_in_a_200_of_the_others(name: str) -> None:
    for body in (
        {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}},
        {"error": "too many requests", "status": 429},
    ):
        with pytest.raises(e.RateLimitError):
            dialect(name).decode_completion(orjson.dumps(body))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"<html><title>Hi</title></html>",
        b'{"id":"x","choices":[{"mess',
        b"null",
        b"[]",
        b"{}",
        b'{"choices":[]}',
        b'{"detail":"Not Found"}',
        b'{"choices":[null],"content":7,"message":3,"done":true}',
        b"\xff\xfe",
    ],
)
def test_a_200_that_is_no_answer_is_malformed(name: str, body: bytes) -> None:
    with pytest.raises(e.MalformedResponseError):
        dialect(name).decode_completion(body)


# --- what an error carries ------------------------------------------------------------------------------------------


def test_the_vendors_own_words_are_kept_and_a_key_in_them_is_not() -> None:
    body = orjson.dumps(
        openai(
            "Incorrect API key provided: sk-proj-abcdefghijkl.", type="invalid_request_error", code="invalid_api_key"
        )
    )
    error = dialect("openai_chat").decode_error(401, {"x-request-id": "req_1"}, body)
    assert (error.error_type, error.code, error.request_id) == ("invalid_request_error", "invalid_api_key", "req_1")
    assert error.message == f"Incorrect API key provided: {MASK}"


def test_a_numeric_code_is_kept_as_text() -> None:
    assert dialect("openai_chat").decode_error(429, {}, b'{"error":{"code":429,"message":"x"}}').code == "429"


def test_anthropics_request_id_is_in_the_body() -> None:
    body = b'{"type":"error","error":{"type":"api_error","message":"x"},"request_id":"req_9"}'
    assert dialect("anthropic_messages").decode_error(500, {}, body).request_id == "req_9"


NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "0"}, 0.0),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": NOW}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:30 GMT", "date": NOW}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "yesterday"}, None),
        ({"retry-after": "Wed, 21 Oct 2099 07:28:30 GMT", "date": NOW}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e12"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    assert dialect("openai_chat").decode_error(429, headers, b"").retry_after == seconds


def test_googles_delay_is_in_the_body() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}
    body = orjson.dumps([{"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED", "details": [detail]}}])
    assert dialect("openai_chat").decode_error(429, {}, body).retry_after == 7.5
    assert dialect("gemini").decode_error(429, {"retry-after": "9"}, body[1:-1]).retry_after == 9.0
    assert google_delay("7") is None
    assert google_delay(7) is None


# --- writing --------------------------------------------------------------------------------------------------------

OURS = [
    e.RateLimitError, e.ProviderTimeoutError, e.ServiceUnavailableError, e.ConnectionFailedError,
    e.MalformedResponseError, e.StreamInterruptedError, e.QuotaExhaustedError, e.AuthenticationError,
    e.PermissionDeniedError, e.ModelNotFoundError, e.ContextLengthError, e.ContentFilterError, e.InvalidRequestError,
    e.CircuitBreakerOpenError, e.BudgetExceededError, e.AllProvidersFailedError,
]  # fmt: skip

MESSAGES = st.text(st.characters(codec="utf-8", exclude_characters="sS"), max_size=40)
"""Without the letter s no message holds a phrase that itself decides the class, nor anything shaped like a key."""


def test_the_list_of_our_errors_is_complete() -> None:
    assert set(OURS) == set(e.ProviderError.__subclasses__())


@pytest.mark.parametrize("name", NAMES)
@given(
    cls=st.sampled_from(OURS),
    message=MESSAGES,
    status=st.none() | st.integers(100, 599),
    wait=st.none() | st.floats(0, 1e6),
)
def test_every_error_of_ours_survives_the_wire(
    name: str, cls: type[e.ProviderError], message: str, status: int | None, wait: float | None
) -> None:
    error = cls(message, status=status, retry_after=wait)
    wire = dialect(name).encode_error(error)
    assert 400 <= wire.status <= 599
    assert wire.headers["content-type"] == "application/json"
    assert all(header == header.lower() for header in wire.headers)
    back = dialect(name).decode_error(wire.status, wire.headers, wire.body)
    assert type(back) is cls
    assert back.message.endswith(error.message)
    assert back.retry_after == (None if wait is None else pytest.approx(wait, abs=0.001))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cls", OURS)
def test_every_error_of_ours_survives_a_stream(name: str, cls: type[e.ProviderError]) -> None:
    encoder = dialect(name).encoder(model="m", response_id="r", created=0)
    _, error = drain(dialect(name).decoder(), [encoder.start() + encoder.error(cls("no"))])
    assert type(error) is cls


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 413, 422])
def test_a_status_that_means_the_same_is_kept(name: str, status: int) -> None:
    error = BY_STATUS[status]("x", status=status)
    wire = dialect(name).encode_error(error)
    assert wire.status == status
    assert type(dialect(name).decode_error(wire.status, {}, wire.body)) is type(error)


def test_vendors_clients_find_what_they_look_for() -> None:
    openai_body = orjson.loads(dialect("openai_chat").encode_error(e.QuotaExhaustedError("x")).body)
    assert openai_body["error"]["code"] == "insufficient_quota"
    anthropic_body = orjson.loads(dialect("anthropic_messages").encode_error(e.ContextLengthError("9 tokens")).body)
    assert anthropic_body["type"] == "error"
    assert anthropic_body["error"] == {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens"}
    gemini_body = orjson.loads(dialect("gemini").encode_error(e.RateLimitError("x", retry_after=7.5)).body)
    assert gemini_body["error"] == {
        "code": 429,
        "message": "x",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}],
    }
    ollama_body = orjson.loads(dialect("ollama").encode_error(e.ModelNotFoundError("model 'x' not found")).body)
    assert ollama_body == {"error": "model 'x' not found"}


def test_a_plain_provider_error_is_a_500() -> None:
    for name in NAMES:
        wire = dialect(name).encode_error(e.ProviderError("x"))
        assert wire.status == 500
        assert type(dialect(name).decode_error(wire.status, wire.headers, wire.body)) is e.ServiceUnavailableError
