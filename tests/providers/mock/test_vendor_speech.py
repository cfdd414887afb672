"""How each simulated vendor says that something went wrong, and what it sends beside its answers."""

from __future__ import annotations

import re
from http import HTTPStatus

import orjson
import pytest

from providers import errors as e
from providers.dialects import API_DIALECTS
from providers.mock.simulated import SimulatedTransport, Simulation
from providers.mock.vendor_headers import Moment, error_headers
from providers.mock.vendor_speech import VendorSpeech
from providers.transports.base import WireRequest
from tests.fake_clock import FakeClock

CLASSES = [
    e.RateLimitError, e.QuotaExhaustedError, e.AuthenticationError, e.PermissionDeniedError, e.InvalidRequestError,
    e.ModelNotFoundError, e.ContentFilterError, e.ContextLengthError, e.ProviderTimeoutError, e.ServiceUnavailableError,
]  # fmt: skip
SPOKEN = [
    (provider, api)
    for provider, apis in {
        "openai": ("chat.completions", "responses", "completions"),
        "azure_openai": ("chat.completions", "responses", "completions"),
        "anthropic": ("messages",),
        "deepseek": ("chat.completions", "responses"),
        "vllm": ("chat.completions", "responses", "completions"),
        "ollama": ("chat", "generate", "chat.completions"),
        "bedrock": ("converse", "converse-stream", "invoke", "invoke-stream"),
        "gemini": ("generateContent", "streamGenerateContent", "chat.completions"),
        "groq": ("chat.completions",),
        "openrouter": ("chat.completions",),
    }.items()
    for api in apis
    if api in API_DIALECTS
]


def encoded(provider: str, api: str, error: e.ProviderError):
    wire = VendorSpeech(provider).of(api, "?alt=sse").encode_error(error)
    return wire.status, {k.lower(): v for k, v in wire.headers.items()}, orjson.loads(wire.body)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(("provider", "api"), SPOKEN)
def test_every_class_is_told_again_in_every_vendors_words(provider, api, cls):
    speech = VendorSpeech(provider).of(api, "?alt=sse")
    wire = speech.encode_error(cls("It did not work (provoked).", retry_after=2 if cls is e.RateLimitError else None))
    back = speech.decode_error(wire.status, {k.lower(): v for k, v in wire.headers.items()}, wire.body)
    assert type(back) is cls
    if cls is e.RateLimitError:
        assert back.retry_after == 2


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(("provider", "api"), SPOKEN)
def test_and_in_the_middle_of_a_stream(provider, api, cls):
    if provider == "bedrock":
        pytest.skip("its streams name five exceptions only")
    speech = VendorSpeech(provider).of(api, "?alt=sse")
    encoder, decoder = speech.encoder(model="m", response_id="i", created=1), speech.decoder()
    with pytest.raises(e.ProviderError) as caught:
        decoder.feed(encoder.start() + encoder.error(cls("It did not work (provoked).")))
        if decoder.failure is not None:
            raise decoder.failure
        decoder.close()
    assert type(caught.value) is cls


# --- the documented shapes ----------------------------------------------------------------------------------------


def test_azure_tells_what_its_filter_saw():
    status, _, body = encoded("azure_openai", "chat.completions", e.ContentFilterError("Filtered."))
    assert status == 400
    error = body["error"]
    assert (error["code"], error["status"], error["param"], error["type"]) == ("content_filter", 400, "prompt", None)
    assert error["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    verdict = error["innererror"]["content_filter_result"]
    assert set(verdict) == {"hate", "jailbreak", "self_harm", "sexual", "violence"}
    assert [name for name, one in verdict.items() if one["filtered"]] == ["violence"]


@pytest.mark.parametrize(
    ("provider", "api", "error", "status", "body"),
    [
        ("azure_openai", "chat.completions", e.RateLimitError("Slow."), 429,
         {"error": {"code": "429", "message": "Slow."}}),
        ("azure_openai", "chat.completions", e.ModelNotFoundError("No."), 404,
         {"error": {"code": "DeploymentNotFound", "message": "No."}}),
        ("deepseek", "chat.completions", e.QuotaExhaustedError("Insufficient Balance", status=402), 402,
         {"error": {"message": "Insufficient Balance", "type": "unknown_error", "param": None,
                    "code": "invalid_request_error"}}),
        ("deepseek", "chat.completions", e.AuthenticationError("No."), 401,
         {"error": {"message": "No.", "type": "authentication_error", "param": None, "code": "invalid_request_error"}}),
        ("vllm", "chat.completions", e.InvalidRequestError("No."), 400,
         {"error": {"message": "No.", "type": "BadRequestError", "param": None, "code": 400}}),
        ("vllm", "chat.completions", e.AuthenticationError("No."), 401, {"error": "Unauthorized"}),
        ("ollama", "chat", e.ModelNotFoundError("model 'x' not found"), 404, {"error": "model 'x' not found"}),
        ("ollama", "chat.completions", e.ServiceUnavailableError("No."), 503,
         {"error": {"message": "No.", "type": "api_error", "param": None, "code": None}}),
        ("groq", "chat.completions", e.RateLimitError("Slow."), 429,
         {"error": {"message": "Slow.", "type": "requests", "code": "rate_limit_exceeded"}}),
        ("openrouter", "chat.completions", e.RateLimitError("Slow."), 429,
         {"error": {"code": 429, "message": "Slow."}}),
        ("gemini", "chat.completions", e.ModelNotFoundError("No."), 404,
         [{"error": {"code": 404, "message": "No.", "status": "NOT_FOUND"}}]),
        ("openai", "chat.completions", e.QuotaExhaustedError("No."), 429,
         {"error": {"message": "No.", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}}),
    ],
)  # fmt: skip
def test_a_vendors_envelope(provider, api, error, status, body):
    assert encoded(provider, api, error)[::2] == (status, body)


def test_anthropic_names_the_request_in_the_body_as_in_the_header():
    _, headers, body = encoded("anthropic", "messages", e.ServiceUnavailableError("Overloaded", status=529))
    assert re.fullmatch(r"req_01[0-9a-f]{22}", headers["request-id"])
    assert body["request_id"] == headers["request-id"]
    assert headers["x-should-retry"] == "true"


def test_groqs_error_in_a_stream_has_the_form_of_a_recorded_one():
    encoder = VendorSpeech("groq").of("chat.completions").encoder(model="m", response_id="i", created=1)
    name, data = encoder.error(e.InvalidRequestError("No.")).strip().split(b"\n")
    assert name == b"event: error"
    assert orjson.loads(data.removeprefix(b"data: "))["error"]["status_code"] == 400


def test_a_status_that_nobody_named_has_a_phrase_or_goes_without():
    speech = VendorSpeech("vllm").of("chat.completions")
    for status, phrase in ((502, HTTPStatus(502).phrase), (599, "Error")):
        wire = speech.encode_error(e.ServiceUnavailableError("No.", status=status))
        assert (wire.status, orjson.loads(wire.body)["error"]["type"]) == (status, phrase)


# --- headers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "names"),
    [
        ("openai", {"x-request-id", "openai-processing-ms", "openai-version", "x-ratelimit-limit-requests",
                    "x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests"}),
        ("azure_openai", {"apim-request-id", "x-request-id", "x-ms-region", "x-ratelimit-remaining-tokens"}),
        ("anthropic", {"request-id", "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-tokens-reset",
                       "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-output-tokens-limit"}),
        ("deepseek", {"x-ds-trace-id"}),
        ("vllm", {"server"}),
        ("groq", {"x-request-id", "x-ratelimit-limit-requests"}),
        ("openrouter", {"x-generation-id"}),
    ],
)  # fmt: skip
async def test_an_answer_has_its_vendors_headers(provider, names):
    api = "messages" if provider == "anthropic" else "chat.completions"
    transport = SimulatedTransport(provider=provider)
    for stream in (False, True):
        body = {"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
        response = await transport.send(WireRequest("/x", orjson.dumps(body), stream, api=api))
        assert names | {"content-type"} <= set(response.headers)
        assert all(isinstance(value, str) and name == name.lower() for name, value in response.headers.items())
        await response.close()


async def test_equal_requests_have_equal_ids_and_others_have_others():
    transport = SimulatedTransport(provider="azure_openai")

    async def ident(prompt: str) -> str:
        body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]})
        return (await transport.send(WireRequest("/x", body))).headers["apim-request-id"]

    assert await ident("one") == await ident("one") != await ident("two")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", await ident("one"))


def test_a_spent_limit_says_when_it_is_full_again():
    moment = Moment("0" * 32, now_us=1_735_689_600_000_000)
    spent = error_headers("openai", 429, 92.773, moment)
    assert (spent["x-ratelimit-remaining-requests"], spent["x-ratelimit-reset-requests"]) == ("0", "1m32.773s")
    assert error_headers("openai", 429, 0.25, moment)["x-ratelimit-reset-requests"] == "250ms"
    assert error_headers("openai", 429, None, moment)["x-ratelimit-reset-requests"] == "1s"
    spent = error_headers("anthropic", 429, 30.0, moment)
    assert spent["anthropic-ratelimit-requests-remaining"] == "0"
    assert spent["anthropic-ratelimit-requests-reset"] == "2025-01-01T00:00:30Z"
    assert error_headers("azure_openai", 429, 7.0, moment)["x-ratelimit-reset-requests"] == "7"
    assert not any("ratelimit" in name for name in error_headers("openai", 401, None, moment))


async def test_a_paced_answer_tells_how_long_it_took():
    class Steady:
        def timing(self, provider, model, dice):
            from providers.mock.pace import Timing

            return Timing(0.25, 1000.0)

    transport = SimulatedTransport(provider="openai", simulation=Simulation(pace=Steady()), clock=FakeClock())
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
    assert (await transport.send(WireRequest("/x", body))).headers["openai-processing-ms"] == "250"
