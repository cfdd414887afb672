"""Where requests go."""

from __future__ import annotations

import orjson
import pytest

from providers.dialects import API_DIALECTS
from sandbox.server.wiretap.clients import CLIENTS
from sandbox.server.wiretap.listings import LISTED
from sandbox.server.wiretap.routes import PREFIXES, ROUTES, Found, Unknown, find
from tests.shared_material import needs_wire, wire_dir


def test_every_route_is_answered_by_a_dialect_or_a_listing():
    assert {route.api for route in ROUTES} <= set(API_DIALECTS) | LISTED
    assert set(API_DIALECTS) <= {route.api for route in ROUTES}
    assert len({(route.method, route.pattern) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "provider", "api", "model"),
    [
        ("POST", "/openai/v1/chat/completions", "openai", "chat.completions", None),
        ("POST", "/openai/v1/responses", "openai", "responses", None),
        ("POST", "/openai/v1/completions", "openai", "completions", None),
        ("GET", "/openai/v1/models", "openai", "models", None),
        ("GET", "/openai/v1/models/ft:gpt-4o:org::1", "openai", "model", "ft:gpt-4o:org::1"),
        ("POST", "/azure/openai/deployments/my-gpt/chat/completions", "azure_openai", "chat.completions", "my-gpt"),
        ("POST", "/azure/openai/deployments/my-gpt/completions", "azure_openai", "completions", "my-gpt"),
        ("POST", "/azure/openai/v1/responses", "azure_openai", "responses", None),
        ("POST", "/azure/models/chat/completions", "azure_openai", "chat.completions", None),
        ("POST", "/anthropic/v1/messages", "anthropic", "messages", None),
        ("POST", "/anthropic/v1/messages/count_tokens", "anthropic", "count_tokens", None),
        ("POST", "/deepseek/chat/completions", "deepseek", "chat.completions", None),
        ("POST", "/deepseek/v1/chat/completions", "deepseek", "chat.completions", None),
        ("POST", "/deepseek/responses", "deepseek", "responses", None),
        ("GET", "/deepseek/user/balance", "deepseek", "balance", None),
        ("POST", "/ollama/api/chat", "ollama", "chat", None),
        ("POST", "/ollama/v1/chat/completions", "ollama", "chat.completions", None),
        ("HEAD", "/ollama", "ollama", "alive", None),
        ("GET", "/vllm/health", "vllm", "health", None),
        ("POST", "/gemini/v1beta/models/gemini-2.5-flash:generateContent", "gemini", "generateContent",
         "gemini-2.5-flash"),
        ("POST", "/gemini/v1/models/g:streamGenerateContent", "gemini", "streamGenerateContent", "g"),
        ("POST", "/gemini/v1beta/models/g:countTokens", "gemini", "countTokens", "g"),
        ("POST", "/gemini/v1beta/openai/chat/completions", "gemini", "chat.completions", None),
        ("POST", "/gemini/v1beta1/publishers/google/models/g:generateContent", "vertex", "generateContent", "g"),
        ("POST", "/vertex/v1/projects/p/locations/us-central1/publishers/google/models/g:generateContent", "vertex",
         "generateContent", "g"),
        ("POST", "/bedrock/model/anthropic.claude-v2:1/converse", "bedrock", "converse", "anthropic.claude-v2:1"),
        ("POST", "/bedrock/model/anthropic.claude-v2%3A1/invoke-with-response-stream", "bedrock", "invoke-stream",
         "anthropic.claude-v2:1"),
        ("POST", "/bedrock/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x/converse-stream", "bedrock",
         "converse-stream", "arn:aws:bedrock:us-east-1:1:inference-profile/us.x"),
        ("POST", "/bedrock/model/arn%3Aaws%3Abedrock%3A%3A1%3Aprofile%2Fus.x/invoke", "bedrock", "invoke",
         "arn:aws:bedrock::1:profile/us.x"),
        ("POST", "/groq/openai/v1/chat/completions", "groq", "chat.completions", None),
        ("POST", "/openrouter/api/v1/chat/completions", "openrouter", "chat.completions", None),
    ],
)  # fmt: skip
def test_a_path_leads_to_its_vendor(method, path, provider, api, model):
    found = find(method, path)
    assert isinstance(found, Found)
    assert (found.route.provider, found.route.api, found.model) == (provider, api, model)
    assert f"/{path.split('/')[1]}{found.path}".rstrip("/") == path.rstrip("/")


@needs_wire
def test_every_recorded_request_finds_its_way_under_its_vendors_prefix():
    folder = wire_dir()
    assert folder is not None
    prefixes = {provider: prefix for prefix, provider in PREFIXES.items()}
    files = sorted(folder.glob("*/*.json"))
    assert len(files) > 100
    for file in files:
        recorded = orjson.loads(file.read_bytes())
        path = f"/{prefixes[recorded['provider']]}{recorded['request']['path'].partition('?')[0]}"
        found = find(recorded["request"]["method"], path)
        assert isinstance(found, Found), file.name
        assert (found.route.provider, found.route.api) == (recorded["provider"], recorded["api"]), file.name


@pytest.mark.parametrize(
    ("method", "path", "provider", "allowed", "nearest"),
    [
        ("POST", "/openai/chat/completions", "openai", (), "/openai/v1/chat/completions"),
        ("POST", "/v1/chat/completions", None, (), "/openai/v1/chat/completions"),
        ("POST", "/v1/messages", None, (), "/anthropic/v1/messages"),
        ("POST", "/api/chat", None, (), "/ollama/api/chat"),
        ("GET", "/openai/v1/chat/completions", "openai", ("POST",), None),
        ("DELETE", "/ollama/", "ollama", ("GET", "HEAD"), None),
        ("PUT", "/bedrock/model/x/converse", "bedrock", ("POST",), None),
        ("POST", "/gemini/v1beta/models/g:embedContent", "gemini", (), "/gemini/v1beta/models/{model}:generateContent"),
        ("POST", "/bedrock/model//converse", "bedrock", (), "/bedrock/model/{model*}/converse"),
        ("POST", "/", None, (), None),
        ("POST", "/nowhere", None, (), None),
        ("POST", "/openai", "openai", (), None),
    ],
)
def test_a_path_that_leads_nowhere_says_what_comes_closest(method, path, provider, allowed, nearest):
    assert find(method, path) == Unknown(provider, allowed, nearest)


def test_a_client_is_told_an_address_that_is_served():
    bases = {pattern.pattern for pattern in ROUTES}
    for client, _, path in CLIENTS:
        assert path.split("/")[1] in PREFIXES, client
        assert any(base.startswith(path) for base in bases), client
