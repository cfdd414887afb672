from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import InputError
from sandbox.comparison.contestants import MOST, choose, distinct, known, standing

from .support import simulated


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        (["gpt-4o"], ["azure_openai/gpt-4o"]),
        (["openai/gpt-4o"], ["openai/gpt-4o"]),
        (["claude-haiku-4-5", "deepseek"], ["anthropic/claude-haiku-4-5", "deepseek/deepseek-chat"]),
        (["ollama", "vllm"], ["ollama/llama3.2", "vllm/Qwen/Qwen2.5-7B-Instruct"]),
        ([" gpt-4o ", "gpt-4o", "azure_openai/gpt-4o"], ["azure_openai/gpt-4o"]),
        (["bedrock/claude-3-hai*"], ["bedrock/claude-3-haiku"]),
        (["CLAUDE-3-HAI*"], ["anthropic/claude-3-haiku"]),
        (["claude-haiku-4-5", "bedrock/claude-haiku-4-5"], ["anthropic/claude-haiku-4-5", "bedrock/claude-haiku-4-5"]),
    ],
)
async def test_whom_a_name_means(tmp_path: Path, named: list[str], meant: list[str]) -> None:
    async with simulated(tmp_path) as gateway:
        assert [one.key for one in choose(gateway, named)] == meant


async def test_columns_carry_the_provider_only_where_the_model_would_not_tell_them_apart(tmp_path: Path) -> None:
    async with simulated(tmp_path) as gateway:
        chosen = choose(gateway, ["gpt-4o", "openai/gpt-4o", "deepseek"])
    assert [one.name for one in chosen] == ["azure_openai/gpt-4o", "openai/gpt-4o", "deepseek-chat"]


async def test_a_key_finds_the_same_contestant_again(tmp_path: Path) -> None:
    async with simulated(tmp_path) as gateway:
        everybody = distinct(known(gateway))[:MOST]
        assert [one.key for one in choose(gateway, [one.key for one in everybody])] == [one.key for one in everybody]


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (["claude-snnet-4-5"], "unknown model 'claude-snnet-4-5': did you mean 'claude-sonnet-4-5'?"),
        (["zzz*"], "the pattern 'zzz*' matches no model"),
        (["claude-4-hiku*"], "did you mean"),
        (["*"], "narrow it to 32 or fewer"),
        (["bedrock/gpt-4o"], "bedrock does not serve 'gpt-4o'"),
        (["openai/gpt-9000"], "unknown model 'gpt-9000'"),
        (["", " "], "no model is named"),
        (["bedrok"], "did you mean 'bedrock'?"),
    ],
)
async def test_a_name_that_means_nobody(tmp_path: Path, named: list[str], sentence: str) -> None:
    async with simulated(tmp_path) as gateway:
        with pytest.raises(InputError) as caught:
            choose(gateway, named)
    assert sentence in str(caught.value)


async def test_a_model_that_no_configured_provider_serves(tmp_path: Path) -> None:
    async with simulated(tmp_path, chain=["openai"]) as gateway:
        with pytest.raises(
            InputError, match=r"no configured provider serves 'claude-haiku-4-5': .*configured are openai"
        ):
            choose(gateway, ["claude-haiku-4-5"])


async def test_a_model_of_the_users_own(tmp_path: Path) -> None:
    own = {"providers": {"ollama": {"models": ["mistral-nemo"]}}}
    async with simulated(tmp_path, **own) as gateway:
        assert [one.key for one in choose(gateway, ["mistral-nemo"])] == ["ollama/mistral-nemo"]
        assert [one.key for one in choose(gateway, ["mistral-n*"])] == ["ollama/mistral-nemo"]


async def test_who_stands_without_being_named(tmp_path: Path) -> None:
    async with simulated(tmp_path) as gateway:
        everybody = standing(gateway)
        models = [one.model for one in standing(gateway, distinct=True)]
        assert [one.provider for one in everybody] == [one.id for one in gateway.registry]
    assert len(models) == len(set(models)) < len(everybody)
