"""What each vendor is by itself: its models, addresses, keys and quirks."""

from __future__ import annotations

import asyncio
import time

import orjson
import pytest

from providers import (
    AnthropicProvider,
    AzureOpenAIProvider,
    DeepSeekProvider,
    GeminiProvider,
    GenerationRequest,
    OllamaProvider,
    OpenAIProvider,
    VLLMProvider,
)
from providers.errors import AuthenticationError, ConfigError
from providers.factory import KINDS, create, keywords, provider_class
from providers.faults import Fault, FaultBoard
from providers.mock.simulated import SimulatedTransport
from providers.vendors.settings import checked_base_url, is_loopback
from providers.vendors.wire import WireProvider


def sent(provider: WireProvider, model: str | None = None, **request: object) -> dict[str, object]:
    """The body that the provider would send."""
    ask = GenerationRequest(prompt="Hi", **request)
    model_id = provider.resolve_model(model) if model else provider.model_id
    return orjson.loads(
        provider.dialect.encode_request(ask, model=model_id, stream=False, quirks=provider.quirks_of(model_id))
    )


# --- models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "asked", "answered"),
    [
        (OpenAIProvider, "gpt-4o-mini", "gpt-4o-mini"),
        (OpenAIProvider, "gpt-4-turbo", "gpt-4-turbo"),
        (OpenAIProvider, "gpt-3.5-turbo", "gpt-3.5-turbo"),
        (OpenAIProvider, "o3-mini", "o3-mini"),
        (OpenAIProvider, "chatgpt-4o-latest", "chatgpt-4o-latest"),
        (OpenAIProvider, "ft:gpt-4o-mini-2024-07-18:org::id", "ft:gpt-4o-mini-2024-07-18:org::id"),
        (OpenAIProvider, "gpt-oss-120b", None),
        (OpenAIProvider, "o3000", None),
        (OpenAIProvider, "claude-3-opus", None),
        (AzureOpenAIProvider, "gpt-35-turbo", "gpt-3.5-turbo"),
        (AzureOpenAIProvider, "gpt-4", "gpt-4"),
        (AzureOpenAIProvider, "deepseek-chat", None),
        (AnthropicProvider, "claude-3-sonnet", "claude-3-sonnet-20240229"),
        (AnthropicProvider, "claude-3.5-sonnet", "claude-3-5-sonnet-20241022"),
        (AnthropicProvider, "Claude-3-Opus", "claude-3-opus-20240229"),
        (AnthropicProvider, "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        (AnthropicProvider, "claude-3-sonnet-20240229", "claude-3-sonnet-20240229"),
        (AnthropicProvider, "claude-opus-9", "claude-opus-9"),
        (AnthropicProvider, "anthropic.claude-v2", None),
        (AnthropicProvider, "gpt-4", None),
        (DeepSeekProvider, "deepseek-chat", "deepseek-chat"),
        (DeepSeekProvider, "deepseek-reasoner", "deepseek-reasoner"),
        (DeepSeekProvider, "deepseek-r1:8b", None),
        (DeepSeekProvider, "deepseek-ai/DeepSeek-V3", None),
        (GeminiProvider, "gemini-2.5-pro", "gemini-2.5-pro"),
        (GeminiProvider, "models/gemini-2.5-flash", "gemini-2.5-flash"),
        (GeminiProvider, "gemma-3-27b-it", "gemma-3-27b-it"),
        (GeminiProvider, "gemma3:4b", None),
        (GeminiProvider, "google/gemini-2.5-flash", None),
        (OllamaProvider, "llama3.2", "llama3.2"),
        (OllamaProvider, "llama3.2:latest", "llama3.2"),
        (OllamaProvider, "mistral", None),
        (VLLMProvider, "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        (VLLMProvider, "qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct"),
        (VLLMProvider, "qwen", "Qwen/Qwen2.5-7B-Instruct"),
        (VLLMProvider, "llama3.2", None),
    ],
)
def test_which_models_a_vendor_serves(cls, asked, answered):
    assert cls(mock_mode=True).resolve_model(asked) == answered


def test_configured_models_are_served_too():
    assert OllamaProvider(model="mistral", models=["phi4"], mock_mode=True).resolve_model("phi4") == "phi4"
    assert OllamaProvider(model="mistral", mock_mode=True).resolve_model("llama3.2") is None
    assert (
        VLLMProvider(models=["meta-llama/Llama-3.1-8B"], mock_mode=True).resolve_model("llama-3.1-8b")
        == "meta-llama/Llama-3.1-8B"
    )
    assert OpenAIProvider(model="my-own", mock_mode=True).resolve_model("my-own") == "my-own"
    assert OpenAIProvider(models=["routed-model"], mock_mode=True).resolve_model("routed-model") == "routed-model"


def test_a_model_by_its_plain_name_or_by_its_id():
    by_name = AnthropicProvider(model="claude-3-sonnet", mock_mode=True)
    assert (by_name.model, by_name.model_id) == ("claude-3-sonnet", "claude-3-sonnet-20240229")
    by_id = AnthropicProvider(model_id="claude-3-sonnet-20240229", mock_mode=True)
    assert (by_id.model, by_id.model_id) == ("claude-3-sonnet-20240229", "claude-3-sonnet-20240229")


async def test_the_response_names_the_model_that_was_asked_for():
    async with AnthropicProvider(mock_mode=True) as provider:
        response = await provider.generate(GenerationRequest(prompt="Hi", model="claude-3-opus"))
        assert (response.requested_model, response.model, response.model_id) == (
            "claude-3-opus",
            "claude-3-opus",
            "claude-3-opus-20240229",
        )


# --- quirks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.2", "gpt-6-luna", "ft:gpt-5-mini:org::x"]
)
@pytest.mark.parametrize("cls", [OpenAIProvider, AzureOpenAIProvider])
def test_reasoning_models_take_other_fields(cls, model):
    body = sent(cls(model=model, mock_mode=True), max_tokens=9, temperature=0.5, top_p=0.5)
    assert body["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature", "top_p"} & set(body)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4-turbo", "gpt-3.5-turbo", "chatgpt-4o-latest", "gpt-5-chat-latest"])
def test_chat_models_take_the_usual_fields(model):
    body = sent(OpenAIProvider(model=model, mock_mode=True), max_tokens=9, temperature=0.5)
    assert (body["max_tokens"], body["temperature"]) == (9, 0.5)


@pytest.mark.parametrize(
    ("model", "sampling", "prefills"),
    [
        ("claude-3-opus", True, True),
        ("claude-haiku-4-5", True, True),
        ("claude-sonnet-4-5", True, True),
        ("claude-sonnet-4-6", True, False),
        ("claude-opus-4-7", False, False),
        ("claude-sonnet-5", False, False),
        ("claude-fable-5-1", False, False),
    ],
)
def test_newer_claude_models_refuse_sampling_and_prefills(model, sampling, prefills):
    provider = AnthropicProvider(model=model, mock_mode=True)
    assert ("temperature" in sent(provider, temperature=0.5)) is sampling
    assert provider.prefills is prefills
    assert AnthropicProvider.prefills is True


@pytest.mark.parametrize(
    ("model", "both"),
    [
        ("claude-3-opus", True),
        ("claude-sonnet-4", True),
        ("claude-opus-4", True),
        ("claude-opus-4-1", False),
        ("claude-haiku-4-5", False),
        ("claude-sonnet-4-6", False),
    ],
)
def test_claude_models_since_opus_4_1_take_temperature_or_top_p_but_not_both(model, both):
    provider = AnthropicProvider(model=model, mock_mode=True)
    body = sent(provider, temperature=0.5, top_p=0.9)
    assert (body["temperature"], body.get("top_p")) == (0.5, 0.9 if both else None)
    assert sent(provider, top_p=0.9)["top_p"] == 0.9


def test_deepseek_is_told_a_schema_in_words():
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert sent(DeepSeekProvider(mock_mode=True), response_format=form)["response_format"] == {"type": "json_object"}
    assert sent(OpenAIProvider(mock_mode=True), response_format=form)["response_format"] == form


@pytest.mark.parametrize(
    ("model", "tools", "in_words"),
    [("gemini-2.5-flash", False, False), ("gemini-2.5-flash", True, True), ("gemini-3.8-flash", True, False),
     ("gemma-3-27b-it", False, True), ("gemma-4-31b-it", True, False)],
)  # fmt: skip
def test_gemini_is_told_in_words_what_it_refuses_as_a_field(model, tools, in_words):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    tool = {"type": "function", "function": {"name": "f"}}
    body = sent(GeminiProvider(model=model, mock_mode=True), response_format=form, tools=[tool] if tools else None)
    assert ("JSON Schema" in orjson.dumps(body).decode()) is in_words
    if not in_words:
        assert body["generationConfig"] == {
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
        }


def test_gemma_3_takes_its_system_prompt_in_the_conversation():
    ask = {"system": "Be kind."}
    plain = sent(GeminiProvider(model="gemma-3-27b-it", mock_mode=True), **ask)
    assert "systemInstruction" not in plain
    assert [turn["parts"] for turn in plain["contents"]] == [[{"text": "Be kind."}], [{"text": "Hi"}]]
    usual = sent(GeminiProvider(model="gemma-4-31b-it", mock_mode=True), **ask)
    assert usual["systemInstruction"] == {"parts": [{"text": "Be kind."}]}


# --- Azure --------------------------------------------------------------------------------------------------------


def test_azure_addresses_a_deployment():
    version = "?api-version=2024-10-21"
    assert (
        AzureOpenAIProvider(mock_mode=True).path_of("gpt-4") == f"/openai/deployments/gpt-4/chat/completions{version}"
    )
    named = AzureOpenAIProvider(deployment="my chat/1", model="gpt-4o", api_version="2025-01-01", mock_mode=True)
    assert named.path_of("gpt-4o") == "/openai/deployments/my%20chat%2F1/chat/completions?api-version=2025-01-01"
    assert named.model_id == "gpt-4o"
    assert AzureOpenAIProvider(deployment="gpt-4", mock_mode=True).model == "gpt-4"
    assert AzureOpenAIProvider(deployment="prod", mock_mode=True).model == "gpt-4o-mini"


@pytest.mark.parametrize(
    "address",
    [
        "https://r.openai.azure.com",
        "https://r.openai.azure.com/",
        "https://r.openai.azure.com/openai/deployments/x/chat/completions?api-version=1",
    ],
)
def test_azure_takes_the_resource_from_any_of_its_addresses(address):
    assert AzureOpenAIProvider(endpoint=address, api_key="k", mock_mode=False).base_url == "https://r.openai.azure.com"
    assert AzureOpenAIProvider(base_url=address, api_key="k", mock_mode=False).base_url == "https://r.openai.azure.com"


async def test_azure_without_an_address_says_what_to_set():
    with pytest.raises(AuthenticationError, match=r"AZURE_OPENAI_ENDPOINT.*mock_mode"):
        await AzureOpenAIProvider(api_key="k", mock_mode=False).attempt(GenerationRequest(prompt="Hi"), "gpt-4")


# --- Gemini -------------------------------------------------------------------------------------------------------


def test_gemini_has_the_model_in_its_path():
    provider = GeminiProvider(mock_mode=True)
    assert provider.path_of("gemini-2.5-pro") == "/v1beta/models/gemini-2.5-pro:generateContent"
    assert provider.path_of("a/b?c", stream=True) == "/v1beta/models/a%2Fb%3Fc:streamGenerateContent?alt=sse"


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "given", "used"),
    [
        (VLLMProvider, "http://gpu.internal:8000", "http://gpu.internal:8000/v1"),
        (VLLMProvider, "http://gpu.internal:8000/v1/", "http://gpu.internal:8000/v1"),
        (VLLMProvider, None, "http://localhost:8000/v1"),
        (OllamaProvider, "http://box.local:11434/", "http://box.local:11434"),
        (OllamaProvider, "http://box.local:11434/v1", "http://box.local:11434"),
        (OllamaProvider, None, "http://localhost:11434"),
        (AnthropicProvider, "https://proxy.example/anthropic/v1", "https://proxy.example/anthropic"),
        (OpenAIProvider, "https://proxy.example/v1/", "https://proxy.example/v1"),
        (OpenAIProvider, "http://127.0.0.1:4000/v1", "http://127.0.0.1:4000/v1"),
        (DeepSeekProvider, None, "https://api.deepseek.com"),
        (GeminiProvider, None, "https://generativelanguage.googleapis.com"),
        (GeminiProvider, "https://generativelanguage.googleapis.com/v1beta/openai/", GeminiProvider.default_base_url),
        (GeminiProvider, "http://127.0.0.1:4010/gemini/v1beta", "http://127.0.0.1:4010/gemini"),
        (GeminiProvider, "http://127.0.0.1:4010/gemini/", "http://127.0.0.1:4010/gemini"),
    ],
)
def test_addresses_as_people_write_them(cls, given, used):
    assert cls(base_url=given, api_key="k", mock_mode=False).base_url == used


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://api.example.com/v1", "unencrypted"),
        ("http://10.0.0.5/v1", "unencrypted"),
        ("ftp://x", "must be an address"),
        ("api.openai.com", "must be an address"),
        ("https://", "must be an address"),
        ("http://[::1", "must be an address"),
        ("https://api example.com", "must be an address"),
        ("https://api.example.com/\x00", "must be an address"),
        ("https://user:secret@api.example.com", "user name or password"),
    ],
)
def test_an_address_that_must_not_be_called(url, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        OpenAIProvider(base_url=url, api_key="k", mock_mode=False)
    assert "base_url" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_variable_is_named_where_the_address_came_from(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://api.example.com/v1")
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL"):
        OpenAIProvider(api_key="k", mock_mode=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1", "api.localhost"])
def test_loopback_hosts(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "10.0.0.1", "127.0.0.1.example.com", "0.0.0.0"])
def test_hosts_that_are_not_loopback(host):
    assert not is_loopback(host)


def test_self_hosted_servers_may_speak_plain_http():
    assert checked_base_url("http://gpu.internal:8000", source="x", plain_http=True) == "http://gpu.internal:8000"


# --- the environment ----------------------------------------------------------------------------------------------


def test_a_class_by_itself_reads_its_documented_variables(monkeypatch):
    for name, value in {
        "OPENAI_API_KEY": " sk-o ",
        "OPENAI_ORG_ID": "org-7",
        "OPENAI_BASE_URL": "https://o.example/v1",
        "ANTHROPIC_API_KEY": "sk-a",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:4010/anthropic",
        "AZURE_OPENAI_API_KEY": "az",
        "AZURE_OPENAI_ENDPOINT": "https://az.example",
        "AZURE_OPENAI_DEPLOYMENT": "prod",
        "DEEPSEEK_API_KEY": "sk-d",
        "GOOGLE_API_KEY": "g-2",
        "GOOGLE_GEMINI_BASE_URL": "https://g.example/v1beta",
        "OLLAMA_BASE_URL": "http://ollama.example:1",
        "VLLM_ENDPOINT": "http://vllm.example:2",
    }.items():
        monkeypatch.setenv(name, value)
    openai = OpenAIProvider()
    assert (openai.api_key, openai.organization, openai.base_url) == ("sk-o", "org-7", "https://o.example/v1")
    assert openai.auth_headers("k") == {"authorization": "Bearer k", "openai-organization": "org-7"}
    anthropic = AnthropicProvider(model_id="claude-3-sonnet-20240229")
    assert (anthropic.api_key, anthropic.base_url) == ("sk-a", "http://127.0.0.1:4010/anthropic")
    azure = AzureOpenAIProvider()
    assert (azure.api_key, azure.base_url, azure.deployment) == ("az", "https://az.example", "prod")
    assert DeepSeekProvider().api_key == "sk-d"
    gemini = GeminiProvider()
    assert (gemini.api_key, gemini.base_url) == ("g-2", "https://g.example")
    monkeypatch.setenv("GEMINI_API_KEY", "g-1")
    assert GeminiProvider().api_key == "g-1"
    assert GeminiProvider(api_key="g-0").api_key == "g-0"
    monkeypatch.delenv("GEMINI_API_KEY")
    assert GeminiProvider(mock_mode=True).api_key is None
    assert GeminiProvider(transport=SimulatedTransport(provider="gemini")).api_key is None
    assert OllamaProvider().base_url == "http://ollama.example:1"
    assert VLLMProvider().base_url == "http://vllm.example:2/v1"
    assert VLLMProvider().api_key is None  # a key for OpenAI is not for one's own server


def test_what_is_passed_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://env.example/v1")
    provider = OpenAIProvider(api_key="given", base_url="https://given.example/v1")
    assert (provider.api_key, provider.base_url) == ("given", "https://given.example/v1")


def test_mock_mode_asks_the_environment_for_nothing(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "not an address")
    assert OpenAIProvider(mock_mode=True).api_key is None


@pytest.mark.parametrize(
    ("variable", "given", "mode"),
    [
        (None, None, "live"),
        ("mock", None, "mock"),
        ("REPLAY", None, "replay"),
        ("live", None, "live"),
        ("record", None, "live"),
        ("mock", False, "live"),
        (None, True, "mock"),
        ("live", True, "mock"),
    ],
)
def test_the_mode_is_live_unless_said_otherwise(monkeypatch, variable, given, mode):
    if variable:
        monkeypatch.setenv("SANDBOX_MODE", variable)
    provider = OpenAIProvider(mock_mode=given)
    assert provider.mode == mode
    assert provider.mock_mode is (mode != "live")


def test_a_mode_that_is_none_names_the_nearest(monkeypatch):
    monkeypatch.setenv("SANDBOX_MODE", "mok")
    with pytest.raises(ConfigError, match="SANDBOX_MODE is 'mok': did you mean 'mock'"):
        OpenAIProvider()


# --- the factory --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_made_and_says_what_it_is(kind):
    provider = create(kind, mock_mode=True, timeout=5, max_retries=1, registered_as="one")
    assert provider.kind == kind
    assert type(provider) is provider_class(kind)
    assert (provider.timeout, provider.retry_policy.retries, provider.registered_as) == (5, 1, "one")
    assert provider.model in repr(provider)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("opanai", "did you mean 'openai'"),
        ("OpenAI", "did you mean 'openai'"),
        ("nothing-like-it", "use one of azure_openai"),
    ],
)
def test_a_kind_there_is_not(kind, complaint):
    with pytest.raises(ConfigError, match=complaint):
        create(kind)


def test_a_setting_there_is_not_names_the_nearest():
    with pytest.raises(ConfigError, match="anthropic has no setting 'tiemout': did you mean 'timeout'"):
        create("anthropic", tiemout=3)
    assert {"organization", "api_key", "transport"} <= keywords(OpenAIProvider)
    assert "deployment" not in keywords(OpenAIProvider)


@pytest.mark.parametrize("kind", ["gemini", "ollama"])
def test_a_vendor_without_an_sdk(kind):
    with pytest.raises(ConfigError, match=f"for {kind}.*'aiohttp'"):
        create(kind, transport_kind="sdk")


async def test_faults_reach_the_provider_by_the_name_it_is_registered_under():
    board = FaultBoard()
    board.set("east", Fault("http_error"))
    east = create("openai", mock_mode=True, faults=board, registered_as="east", max_retries=0)
    west = create("openai", mock_mode=True, faults=board, registered_as="west", max_retries=0)
    assert (await west.generate("Hi")).text
    with pytest.raises(Exception, match="provoked"):
        await east.generate("Hi")
    board.set("east", None)
    assert (await east.generate("Hi")).text


async def test_ollamas_other_endpoint_takes_one_question():
    provider = create("ollama", api="generate", mock_mode=True)
    assert sent(provider) == {"model": "llama3.2", "prompt": "Hi", "stream": False}
    assert provider.path_of("llama3.2") == "/api/generate"
    # The beginning of an answer cannot be handed on there.
    assert not provider.prefills
    assert create("ollama", mock_mode=True).prefills
    assert (await provider.generate("Hi")).text


async def test_many_first_requests_connect_once_and_again_after_closing(monkeypatch):
    made = []

    def connected(provider: WireProvider) -> SimulatedTransport:
        time.sleep(0.02)  # as an SDK's client takes
        made.append(SimulatedTransport(provider="openai"))
        return made[-1]

    monkeypatch.setattr(OpenAIProvider, "_connected", connected)
    provider = OpenAIProvider(api_key="k", mock_mode=False)
    for times in (1, 2):
        ask = GenerationRequest(prompt="Hi")
        await asyncio.gather(*(provider.attempt(ask, provider.model_id) for _ in range(20)))
        assert len(made) == times
        await provider.close()
