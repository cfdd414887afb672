"""Configurations of LiteLLM's proxy as settings: what is taken, what is told of the rest, what stays secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from providers.errors import ConfigError
from providers.types import GenerationRequest
from sandbox.gateway.configured import configured_policy
from sandbox.runtime import Runtime
from sandbox.settings import load
from sandbox.settings.importing import toml
from sandbox.settings.importing.litellm import read
from sandbox.settings.importing.notes import Imported

CANARY = "canary-5e1f"

FULL = f"""
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/eu-deployment
      api_base: https://eu.openai.azure.com
      api_key: os.environ/AZURE_KEY
      api_version: "2024-02-01"
      rpm: 600
    model_info: {{base_model: azure/gpt-4o}}
  - model_name: gpt-4o
    litellm_params: {{model: openai/gpt-4o, api_key: sk-{CANARY}, rpm: 200}}
  - model_name: gpt-3.5-turbo
    litellm_params: {{model: gpt-3.5-turbo, api_key: os.environ/OPENAI_API_KEY, tpm: 9000, order: 2}}
  - model_name: claude
    litellm_params: {{model: bedrock/converse/us-east-1/anthropic.claude-3-haiku-20240307-v1:0,
                     aws_region_name: us-west-2, aws_secret_access_key: {CANARY}}}
  - model_name: local
    litellm_params: {{model: openai/Qwen/Qwen2.5-7B-Instruct, api_base: "http://10.0.0.5:8000/v1"}}
router_settings:
  routing_strategy: simple-shuffle
  num_retries: 4
  timeout: 20
  stream_timeout: 7
  allowed_fails: 3
  cooldown_time: 45
  fallbacks: [{{gpt-4o: [claude, local]}}]
  context_window_fallbacks: [{{gpt-3.5-turbo: [gpt-4o]}}]
  model_group_alias: {{best: gpt-4o}}
litellm_settings:
  content_policy_fallbacks: [{{gpt-3.5-turbo: [claude]}}]
  cache: true
  cache_params: {{type: redis, host: localhost, port: 6380, password: {CANARY}, ttl: 600}}
  max_budget: 100
  budget_duration: 30d
  success_callback: [langfuse]
general_settings:
  master_key: sk-{CANARY}
  database_url: postgresql://user:{CANARY}@db/litellm
environment_variables: {{OPENAI_API_KEY: {CANARY}}}
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def one(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, "utf-8")
        return path

    return one


def with_models(rest: str = "", *models: str) -> str:
    listed = models or ("{model_name: gpt-4o, litellm_params: {model: openai/gpt-4o}}",)
    return "model_list:\n" + "".join(f"  - {one}\n" for one in listed) + rest


def outcome(found: Imported, key: str) -> str | None:
    return next((note.outcome for note in found.notes if note.key == key), None)


def test_a_whole_configuration(write: Any, tmp_path: Path) -> None:
    found = read(write(FULL))
    found.checked()
    assert found.settings["chain"] == ["azure_openai", "openai", "bedrock", "vllm", "openai_gpt_3_5_turbo"]
    providers = found.settings["providers"]
    assert providers["azure_openai"] == {
        "deployment": "eu-deployment",
        "model": "gpt-4o",
        "base_url": "https://eu.openai.azure.com",
        "api_version": "2024-02-01",
        "requests_per_minute": 600,
        "weight": 600,
    }
    assert providers["openai_gpt_3_5_turbo"] == {
        "kind": "openai",
        "model": "gpt-3.5-turbo",
        "tokens_per_minute": 9000,
        "priority": 2,
    }
    assert providers["bedrock"] == {
        "model": "anthropic.claude-3-haiku-20240307-v1:0",
        "region": "us-west-2",
        "weight": 0,
    }
    assert providers["vllm"]["base_url"] == "http://10.0.0.5:8000/v1"
    routes = found.settings["routes"]
    assert routes["gpt-4o"] == {
        "models": [
            "azure_openai/gpt-4o",
            "openai/gpt-4o",
            "bedrock/anthropic.claude-3-haiku-20240307-v1:0",
            "vllm/Qwen/Qwen2.5-7B-Instruct",
        ],
        "strategy": "weighted",
    }
    assert routes["best"] == routes["gpt-4o"]
    assert routes["gpt-3.5-turbo"]["models"][:2] == ["openai_gpt_3_5_turbo/gpt-3.5-turbo", "azure_openai/gpt-4o"]
    assert found.settings["retry"] == {"retries": 4, "when": "last_candidate", "base_delay": 0.5}
    assert found.settings["breaker"] == {
        "mode": "window",
        "failure_threshold": 4,
        "window": 60.0,
        "recovery_timeout": 45.0,
    }
    assert (found.get("attempt_timeout"), found.get("deadline")) == (20.0, 100.0)
    assert found.get("streaming", "first_text") == 7.0
    assert found.get("failover_on_content_filter") is True
    assert found.settings["cache"] == {"backend": "redis", "endpoint_url": "redis://localhost:6380", "ttl": 600.0}
    assert found.get("budget_limit") == "100"
    file = tmp_path / "settings.toml"
    toml.merge(found.settings, file)
    loaded = load(file, environ={}, folder=tmp_path).settings
    assert loaded.routes["gpt-3.5-turbo"].models[0] == "openai_gpt_3_5_turbo/gpt-3.5-turbo"
    assert configured_policy(loaded).retry.retries == 4


def test_every_key_of_the_file_is_accounted_for(write: Any) -> None:
    found = read(write(FULL))
    told = {note.key for note in found.notes}
    for key in (
        "model_list[0].litellm_params.api_key",
        "model_list[1].litellm_params.api_key",
        "model_list[3].litellm_params.aws_secret_access_key",
        "router_settings.fallbacks",
        "router_settings.context_window_fallbacks",
        "litellm_settings.content_policy_fallbacks",
        "litellm_settings.success_callback",
        "litellm_settings.cache_params.password",
        "general_settings.master_key",
        "general_settings.database_url",
        "environment_variables.OPENAI_API_KEY",
    ):
        assert key in told
    lines = FULL.splitlines()
    for note in found.notes:
        if note.line is not None and "[" not in note.key:
            assert note.key.split(".")[-1].split("[")[0] in lines[note.line - 1], "a note points at its line"
    ordered = [note.line for note in found.in_order() if note.line is not None]
    assert ordered == sorted(ordered)


def test_no_secret_leaves_the_file(write: Any) -> None:
    found = read(write(FULL))
    text = toml.dumps(found.settings) + "".join(map(str, found.notes)) + repr(found.settings)
    assert CANARY not in text
    assert "os.environ" not in text
    advice = {note.key: note.text for note in found.notes if note.outcome == "by_hand"}
    assert advice["model_list[0].litellm_params.api_key"] == "set AZURE_OPENAI_API_KEY to what AZURE_KEY is"
    assert "set OPENAI_API_KEY" in advice["model_list[1].litellm_params.api_key"]
    assert outcome(found, "model_list[2].litellm_params.api_key") == "by_hand", "the second of a kind has its own key"


async def test_a_group_is_asked_first_and_then_its_fallbacks_and_nobody_else(write: Any, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    toml.merge(read(write(FULL)).settings, file)
    loaded = load(file, environ={"SANDBOX_MODE": "mock", "SANDBOX_DATA_DIR": str(tmp_path / "data")}).settings
    async with Runtime.of(loaded, stores=False) as runtime:
        seen = []
        for _ in range(40):
            plan = runtime.gateway.plan(GenerationRequest(prompt="hi", model="gpt-4o"))
            seen.append([one.deployment.id for one in plan.candidates])
        assert {tuple(one[2:]) for one in seen} == {("bedrock", "vllm")}
        assert {one[0] for one in seen} == {"azure_openai", "openai"}, "the two of the group take turns by weight"
        answer = await runtime.gateway.generate(GenerationRequest(prompt="hi", model="local"))
        assert (answer.provider, answer.model) == ("vllm", "Qwen/Qwen2.5-7B-Instruct")


@pytest.mark.parametrize(
    ("model", "kind", "ours"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("o3", "openai", "o3"),
        ("claude-3-haiku-20240307", "anthropic", "claude-3-haiku-20240307"),
        ("gemini/gemini-1.5-pro", "gemini", "gemini-1.5-pro"),
        ("deepseek/deepseek-chat", "deepseek", "deepseek-chat"),
        ("bedrock/anthropic.claude-v2", "bedrock", "anthropic.claude-v2"),
        ("bedrock/invoke/eu-west-1/anthropic.claude-v2", "bedrock", "anthropic.claude-v2"),
        ("bedrock/us.anthropic.claude-3-haiku-20240307-v1:0", "bedrock", "us.anthropic.claude-3-haiku-20240307-v1:0"),
        ("hosted_vllm/meta-llama/Llama-3", "vllm", "meta-llama/Llama-3"),
        ("ollama_chat/llama3", "ollama", "llama3"),
    ],
)
def test_whose_a_model_is(write: Any, model: str, kind: str, ours: str) -> None:
    found = read(write(with_models("", f'{{model_name: m, litellm_params: {{model: "{model}"}}}}')))
    found.checked()
    assert found.settings["chain"] == [kind]
    assert found.get("providers", kind, "model") == ours
    assert found.settings["routes"]["m"]["models"] == [f"{kind}/{ours}"]


@pytest.mark.parametrize("model", ["groq/llama-3", "vertex_ai/gemini-pro", "sagemaker/x", "mystery"])
def test_a_provider_that_there_is_not_is_told(write: Any, model: str) -> None:
    path = write(
        with_models(
            "",
            "{model_name: ok, litellm_params: {model: gpt-4o}}",
            f"{{model_name: other, litellm_params: {{model: {model}}}}}",
        )
    )
    found = read(path)
    assert found.settings["chain"] == ["openai"]
    assert outcome(found, "model_list[1].litellm_params.model") == "none"


def test_a_pattern_needs_no_route(write: Any) -> None:
    found = read(
        write(
            with_models(
                "", '{model_name: "openai/*", litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY}}'
            )
        )
    )
    found.checked()
    assert found.settings["providers"] == {"openai": {}}
    assert "routes" not in found.settings
    assert outcome(found, "model_list[0].litellm_params.api_key") == "taken"


def test_ids_are_their_own_and_can_be_named_in_the_environment(write: Any) -> None:
    entries = [f"{{model_name: {name}, litellm_params: {{model: gpt-4o}}}}" for name in ("A.b", "A b", "a-b", "B" * 99)]
    found = read(write(with_models("", *entries)))
    found.checked()
    assert list(found.settings["providers"])[:3] == ["openai", "openai_a_b", "openai_a_b_2"]
    assert all(len(one) <= 64 for one in found.settings["providers"])


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("", {"mode": "rate", "failure_rate": 0.5, "minimum_calls": 5, "window": 60.0, "recovery_timeout": 5.0}),
        ("router_settings: {disable_cooldowns: true}", {"mode": "off"}),
        ("router_settings: {cooldown_time: 0}", {"mode": "off"}),
        (
            "litellm_settings: {allowed_fails: 0, cooldown_time: 10}",
            {"mode": "window", "failure_threshold": 1, "window": 60.0, "recovery_timeout": 10.0},
        ),
    ],
)
def test_cooldowns(write: Any, rest: str, expected: dict[str, Any]) -> None:
    found = read(write(with_models(rest)))
    found.checked()
    assert found.settings["breaker"] == expected


@pytest.mark.parametrize(
    ("name", "ours", "said"),
    [
        ("simple-shuffle", "weighted", "taken"),
        ("latency-based-routing", "least_latency", "taken"),
        ("cost-based-routing", "least_cost", "taken"),
        ("least-busy", "least_latency", "near"),
        ("usage-based-routing-v2", "weighted", "near"),
        ("provider-budget-routing", "random", "none"),
    ],
)
def test_strategies(write: Any, name: str, ours: str, said: str) -> None:
    two = "{model_name: m, litellm_params: {model: gpt-4o}}", "{model_name: m, litellm_params: {model: claude-3-opus}}"
    found = read(write(with_models(f"router_settings: {{routing_strategy: {name}}}", *two)))
    found.checked()
    assert found.settings["routes"]["m"]["strategy"] == found.settings["strategy"] == ours
    assert outcome(found, "router_settings.routing_strategy") == said


def test_one_member_has_nothing_to_choose_among(write: Any) -> None:
    found = read(write(with_models("router_settings: {routing_strategy: least-busy}")))
    assert "strategy" not in found.settings
    assert found.get("retry", "when") == "always"
    assert outcome(found, "router_settings.routing_strategy") == "near"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no configuration of LiteLLM"),
        ("- a", "is no configuration of LiteLLM"),
        ("model_list: []", "model_list is no list of models"),
        ("router_settings: {}", "model_list is no list of models"),
        ("model_list: [gpt-4o]", r"model_list\[0\] needs model_name and litellm_params"),
        ("model_list: [{model_name: a, litellm_params: {}}]", r"litellm_params needs a model"),
        ("model_list: [{model_name: a, litellm_params: {model: groq/x}}]", "has no model whose provider"),
        ("a: [", "not YAML"),
        ("a: !!python/object/apply:os.system ['true']", "not YAML"),
        (with_models("router_settings: {num_retries: many}"), r":3: router_settings\.num_retries must be a number"),
        (with_models("router_settings: {num_retries: 500}"), r":3: router_settings\.num_retries cannot be taken over"),
        (with_models("router_settings: {timeout: -1}"), r"router_settings\.timeout must be a number of at least 0"),
        (with_models("router_settings: {fallbacks: {a: b}}"), r"router_settings\.fallbacks must be a list"),
        (with_models("router_settings: {fallbacks: [a]}"), r"fallbacks\[0\] must be a group and its fallbacks"),
        (with_models("router_settings: {fallbacks: [{gpt-4o: [{model: x}]}]}"), "must be a list of model names"),
        (
            with_models("", "{model_name: a, litellm_params: {model: gpt-4o, rpm: lots}}"),
            r":2: model_list\[0\]\.litellm_params\.rpm cannot be taken over",
        ),
        (
            with_models("", "{model_name: a, litellm_params: {model: gpt-4o, api_base: nowhere}}"),
            r"litellm_params\.api_base cannot be taken over: an address begins with",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(write: Any, text: str, complaint: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError, match=complaint) as refused:
        read(path).checked()
    assert str(refused.value).startswith(str(path))


def test_fallbacks_that_lead_nowhere_or_in_circles(write: Any) -> None:
    two = "{model_name: a, litellm_params: {model: gpt-4o}}", "{model_name: b, litellm_params: {model: claude-3-opus}}"
    found = read(
        write(
            with_models(
                "router_settings: {fallbacks: [{a: [b, c]}, {b: [a, b]}, {d: [a]}], default_fallbacks: [b]}", *two
            )
        )
    )
    found.checked()
    routes = found.settings["routes"]
    assert routes["a"]["models"] == ["openai/gpt-4o", "anthropic/claude-3-opus"]
    assert routes["b"]["models"] == ["anthropic/claude-3-opus", "openai/gpt-4o"]
    assert outcome(found, "router_settings.fallbacks[0].a") == "none", "c is no model"
    assert outcome(found, "router_settings.fallbacks[2].d") == "none"


# --- files ----------------------------------------------------------------------------------------------------------


def test_into_a_settings_file_that_is_there(write: Any, tmp_path: Path) -> None:
    found = read(write(with_models("router_settings: {num_retries: 1}")))
    file = tmp_path / "settings.toml"
    file.write_text('# mine\nmode = "replay"  # stays\n\n[retry]\nretries = 7 # changes\njitter = "full"\n', "utf-8")
    toml.merge(found.settings, file)
    text = file.read_text("utf-8")
    assert text.startswith('# mine\nmode = "replay"  # stays\n')
    assert 'jitter = "full"' in text
    loaded = load(file, environ={}, folder=tmp_path).settings
    assert (loaded.mode, loaded.retry.retries, loaded.retry.jitter) == ("replay", 1, "full")
    assert loaded.routes["gpt-4o"].models == ["openai/gpt-4o"]


def test_a_settings_file_that_would_be_none_is_left_as_it_was(write: Any, tmp_path: Path) -> None:
    found = read(write(with_models()))
    file = tmp_path / "settings.toml"
    for text in ("not toml", 'mode = "nonsense"\n'):
        file.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=r"settings\.toml"):
            toml.merge(found.settings, file)
        assert file.read_text("utf-8") == text


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.one_of(TEXTS, st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(TEXTS, VALUES | st.dictionaries(TEXTS, VALUES | st.dictionaries(TEXTS, VALUES, max_size=2))))
def test_what_is_written_is_read_as_it_was(data: dict[str, Any]) -> None:
    import tomllib

    assert tomllib.loads(toml.dumps(data)) == data


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.sampled_from(["gpt-4o", "openai/*", "a", "os.environ/X"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "a", "gpt-4o", "rpm", "api_key", "ttl"]) | TEXTS, inner, max_size=3)
    ),
    max_leaves=8,
)
PARTS = st.sampled_from(
    [
        "routing_strategy",
        "fallbacks",
        "default_fallbacks",
        "num_retries",
        "timeout",
        "allowed_fails",
        "cache",
        "cache_params",
        "model_group_alias",
        "max_budget",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JUNK, max_size=2), st.dictionaries(PARTS, JUNK), st.dictionaries(PARTS, JUNK))
@example([], {"model_group_alias": {"best": ["gpt-4o"], "worst": {"model": {}}}}, {})
def test_whatever_stands_there_is_taken_or_refused_in_a_sentence(
    tmp_path: Path, models: list[Any], router: dict[str, Any], library: dict[str, Any]
) -> None:
    good = {"model_name": "gpt-4o", "litellm_params": {"model": "openai/gpt-4o"}}
    listed = [good, *({"model_name": "a", "litellm_params": one} if isinstance(one, dict) else one for one in models)]
    path = tmp_path / "config.yaml"
    data = {"model_list": listed, "router_settings": router, "litellm_settings": library, "general_settings": models}
    path.write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    try:
        found = read(path)
        found.checked()
    except ConfigError:
        return
    toml.dumps(found.settings)
