"""What is pasted elsewhere must be right: the body is the provider's own, the key a variable."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

import pytest

from providers import factory
from providers.errors import InputError
from providers.types import GenerationRequest
from sandbox.tui.reports import ProviderInfo
from sandbox.tui.snippets import write

CANARY = "CANARY-key-value"
PROMPT = 'It\'s "quoted" – naïve $HOME `x` \\ and\nnew lines'
KINDS = ("openai", "azure_openai", "deepseek", "vllm", "anthropic", "bedrock", "gemini", "ollama")


def info(kind: str, **options: Any) -> ProviderInfo:
    provider = factory.create(kind, mock_mode=True, **options)
    return ProviderInfo(kind, kind, provider.model, provider)


def parsed(command: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Address, headers and body, split as a shell does, without its variables."""
    words = shlex.split(command)
    assert words[0] == "curl"
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    return words[1], headers, json.loads(words[words.index("-d") + 1])


@pytest.mark.parametrize("kind", KINDS)
def test_curl_sends_what_the_provider_would_send(kind: str) -> None:
    one = info(kind)
    address, headers, body = parsed(write("curl", one, PROMPT, None, None))
    provider = one.provider
    expected = provider.dialect.encode_request(
        GenerationRequest(prompt=PROMPT), model=provider.model_id, stream=False,
        quirks=provider.quirks_of(provider.model_id),
    )  # fmt: skip
    assert body == json.loads(expected)
    assert address.endswith(provider.path_of(provider.model_id))
    assert headers["content-type"] == "application/json"
    if provider.needs_key:
        assert any(f"${provider.key_variable}" in value for value in headers.values())


def test_known_addresses_and_headers() -> None:
    address, headers, body = parsed(write("curl", info("openai"), "hi", "gpt-4", "gpt-4"))
    assert address == "https://api.openai.com/v1/chat/completions"
    assert headers["authorization"] == "Bearer $OPENAI_API_KEY"
    assert body["model"] == "gpt-4"
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    address, headers, _ = parsed(write("curl", info("azure_openai"), "hi", None, None))
    assert address.startswith("$AZURE_OPENAI_ENDPOINT/openai/deployments/gpt-4o-mini/chat/completions?api-version=")
    assert headers["api-key"] == "$AZURE_OPENAI_API_KEY"
    address, headers, _ = parsed(write("curl", info("anthropic"), "hi", None, "claude-3-haiku"))
    assert address == "https://api.anthropic.com/v1/messages"
    assert headers["x-api-key"] == "$ANTHROPIC_API_KEY"
    address, headers, body = parsed(write("curl", info("gemini"), "hi", None, None))
    assert address == "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
    assert headers["x-goog-api-key"] == "$GEMINI_API_KEY"
    assert body == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    address, headers, _ = parsed(write("curl", info("ollama"), "hi", None, None))
    assert address == "http://localhost:11434/api/chat"
    assert list(headers) == ["content-type"]


class Recorder:
    """Stands for a vendor's SDK: keeps what it is called with."""

    def __init__(self, log: list[tuple[str, dict[str, Any]]], name: str = "") -> None:
        self._log = log
        self._name = name

    def __getattr__(self, name: str) -> Recorder:
        return Recorder(self._log, f"{self._name}.{name}".strip("."))

    def __getitem__(self, _: int) -> Recorder:
        return self

    def __call__(self, **arguments: Any) -> Recorder:
        self._log.append((self._name, arguments))
        return self


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "bedrock"])
def test_python_runs_and_asks_the_same(kind: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import sys
    from types import SimpleNamespace

    one = info(kind)
    log: list[tuple[str, dict[str, Any]]] = []
    recorder = Recorder(log)
    module = SimpleNamespace(OpenAI=recorder.OpenAI, AzureOpenAI=recorder.AzureOpenAI, Anthropic=recorder.Anthropic)
    monkeypatch.setitem(sys.modules, "openai", module)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "anthropic", module)  # type: ignore[arg-type]
    for name in ("OPENAI", "AZURE_OPENAI", "DEEPSEEK", "ANTHROPIC", "GEMINI"):
        variable = f"{name}_API_KEY"
        monkeypatch.setenv(variable, f"value of {variable}")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    program = write("python", one, PROMPT, None, None)
    exec(compile(program, "snippet", "exec"), {})
    (_, client), (method, arguments) = log
    assert arguments["model"] == one.provider.model_id
    assert arguments["messages"] == [{"role": "user", "content": PROMPT}]
    assert "stream" not in arguments
    if one.provider.needs_key:
        assert client["api_key"] == f"value of {one.provider.key_variable}"
    assert method.endswith("create")
    expected = {
        "openai": "https://api.openai.com/v1",
        "deepseek": "https://api.deepseek.com",
        "vllm": "http://localhost:8000/v1",
        "gemini": "https://generativelanguage.googleapis.com/v1beta/openai/",
        "ollama": "http://localhost:11434/v1",
        "anthropic": "https://api.anthropic.com",
    }
    if kind == "azure_openai":
        assert client["azure_endpoint"] == "https://mine.openai.azure.com"
        assert client["api_version"]
    else:
        assert client["base_url"] == expected[kind]


def test_curl_for_bedrock_needs_no_signature() -> None:
    address, headers, body = parsed(write("curl", info("bedrock", region="eu-west-1"), "hi", None, "claude-3-haiku"))
    assert address == (
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"
    )
    assert headers["authorization"] == "Bearer $AWS_BEARER_TOKEN_BEDROCK"
    assert body["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]


@pytest.mark.parametrize(
    ("model", "operation", "answer"),
    [
        ("claude-haiku-4-5", "converse", b'{"output":{"message":{"role":"assistant","content":[{"text":"said"}]}}}'),
        ("titan-text-express", "invoke", b'{"results":[{"outputText":"said"}]}'),
    ],
)
def test_python_for_bedrock_passes_the_checks_of_boto3(
    model: str, operation: str, answer: bytes, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    import io

    import boto3
    from botocore.awsrequest import AWSResponse
    from urllib3.response import HTTPResponse

    one = info("bedrock", model=model, base_url="http://localhost:4010/bedrock")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    sent: list[Any] = []
    real = boto3.client

    def client(*arguments: Any, **options: Any) -> Any:
        made = real(*arguments, **options)

        def reply(request: Any, **_: Any) -> AWSResponse:
            sent.append(request)
            raw = HTTPResponse(io.BytesIO(answer), preload_content=False)
            return AWSResponse(request.url, 200, {"content-type": "application/json"}, raw)

        made.meta.events.register("before-send.bedrock-runtime", reply)
        return made

    monkeypatch.setattr(boto3, "client", client)
    exec(compile(write("python", one, PROMPT, None, None), "snippet", "exec"), {})
    assert "said" in capsys.readouterr().out
    [request] = sent
    provider = one.provider
    assert request.url == f"http://localhost:4010/bedrock{provider.path_of(provider.model_id)}"
    assert request.url.endswith(f"/{operation}")
    expected = provider.dialect_of(provider.model_id).encode_request(
        GenerationRequest(prompt=PROMPT), model=provider.model_id, stream=False, quirks=provider.quirks
    )
    assert json.loads(request.body) == json.loads(expected)


OTHER_APIS = [
    ("openai", "responses", {}, "https://api.openai.com/v1/responses"),
    ("openai", "completions", {}, "https://api.openai.com/v1/completions"),
    ("deepseek", "responses", {}, "https://api.deepseek.com/responses"),
    ("vllm", "completions", {}, "http://localhost:8000/v1/completions"),
    ("azure_openai", "responses", {"deployment": "mine"}, "$AZURE_OPENAI_ENDPOINT/openai/v1/responses"),
    (
        "azure_openai",
        "completions",
        {"deployment": "mine"},
        "$AZURE_OPENAI_ENDPOINT/openai/deployments/mine/completions?api-version=2024-10-21",
    ),
]


@pytest.mark.parametrize(("kind", "api", "options", "expected"), OTHER_APIS)
def test_curl_for_openais_other_apis(kind: str, api: str, options: dict[str, str], expected: str) -> None:
    one = info(kind, api=api, **options)
    address, _, body = parsed(write("curl", one, PROMPT, None, None))
    assert address == expected
    assert body["input" if api == "responses" else "prompt"] == PROMPT
    assert body["model"] == ("mine" if (kind, api) == ("azure_openai", "responses") else one.provider.model_id)


@pytest.mark.parametrize(("kind", "api", "options", "address"), OTHER_APIS)
def test_python_for_openais_other_apis(
    kind: str, api: str, options: dict[str, str], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real client without a network: it sends what the provider would send, where it would send it."""
    import httpx2
    import openai

    from providers.types import Completion

    provider = info(kind, api=api, **options).provider
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        body = provider.dialect.encode_completion(
            Completion("Hello", None, None, "stop"), model="m", response_id="r", created=0
        )
        return httpx2.Response(200, content=body, headers={"content-type": "application/json"})

    def offline(client: Any) -> Any:
        http = httpx2.Client(transport=httpx2.MockTransport(answer))
        return lambda **given: client(**given, http_client=http)

    for client in ("OpenAI", "AzureOpenAI"):
        monkeypatch.setattr(openai, client, offline(getattr(openai, client)))
    for variable in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.setenv(variable, f"value of {variable}")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    shown: list[str] = []
    program = write("python", info(kind, api=api, **options), PROMPT, None, None)
    exec(compile(program, "snippet", "exec"), {"print": shown.append})
    assert shown == ["Hello"]
    (request,) = seen
    assert str(request.url) == address.replace("$AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    expected = provider.dialect.encode_request(
        GenerationRequest(prompt=PROMPT), model=options.get("deployment") or provider.model_id, stream=False,
        quirks=provider.quirks_of(provider.model_id),
    )  # fmt: skip
    assert json.loads(request.content) == json.loads(expected)


@pytest.mark.parametrize("form", ["curl", "python"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_key_is_ever_in_it(kind: str, form: str) -> None:
    one = info(kind, api_key=CANARY, base_url=f"https://user:{CANARY}@gateway.example/v1?key={CANARY}")
    text = write(form, one, "hi", None, None)
    assert CANARY not in text
    assert "gateway.example" in text


def test_a_simulated_provider_has_no_address() -> None:
    with pytest.raises(InputError, match="no address"):
        write("curl", info("mock"), "hi", None, None)


def test_python_is_valid_for_awkward_prompts() -> None:
    for prompt in ("'''", '"""', "\\", "\x00 \u2028", "{}", "%s"):
        ast.parse(write("python", info("openai"), prompt, None, None))
