"""The unified client: tiers, retries, errors, loops. Simulated providers, provoked failures, an injected clock."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from providers.errors import (
    AuthenticationError,
    BudgetExceededError,
    InputError,
    InvalidRequestError,
    ProviderTimeoutError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from providers.faults import Fault
from sandbox import BaseAgent, LiteLLMConfig, LLMBackend, UnifiedLLMClient
from sandbox.compat.base_agent import AgentConfig
from sandbox.core.events import AttemptFailed, AttemptStarted, Event
from sandbox.usage.base import UsageFilter, UsageRecord
from tests.sandbox.compat.patient_clock import PatientClock

PROMPT = [{"role": "user", "content": "What is the capital of France?"}]
CANARY = "sk-ant-canary-8d3f"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
async def client(clock: PatientClock) -> AsyncIterator[UnifiedLLMClient]:
    async with UnifiedLLMClient(mock_mode=True, clock=clock) as made:
        yield made


async def fail(client: UnifiedLLMClient, *faults: Fault, provider: str = "anthropic") -> list[Event]:
    """Provoke these failures from now on; the events from now on."""
    runtime = await client.runtime()
    events: list[Event] = []
    runtime.bus.subscribe(events.append)
    runtime.faults.set(provider, faults)
    return events


def tries(events: list[Event]) -> int:
    return len([one for one in events if isinstance(one, AttemptStarted)])


async def recorded(client: UnifiedLLMClient) -> list[UsageRecord]:
    runtime = await client.runtime()
    assert runtime.usage is not None
    return list(reversed(await runtime.usage.recent(UsageFilter())))


# --- tiers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "tier", "model"),
    [
        ("anthropic", "haiku", "claude-3-haiku-20240307"),
        ("anthropic", "sonnet", "claude-3-5-sonnet-20241022"),
        ("anthropic", "Opus", "claude-3-opus-20240229"),
        ("anthropic", None, "claude-3-5-sonnet-20241022"),
        ("anthropic", "qwen", "claude-3-5-sonnet-20241022"),
        ("vllm", "qwen", "Qwen/Qwen2.5-7B-Instruct"),
        ("vllm", "opus", "Qwen/Qwen2.5-7B-Instruct"),
        ("vllm", None, "Qwen/Qwen2.5-7B-Instruct"),
    ],
)
async def test_a_tier_is_answered_by_the_backend_that_is_asked(
    client: UnifiedLLMClient, backend: str, tier: str | None, model: str
) -> None:
    assert await client.chat_completion(PROMPT, tier, backend=backend)
    [record] = await recorded(client)
    assert (record.provider, record.model, record.success, record.cached) == (backend, model, True, False)


async def test_an_unknown_tier_names_the_nearest(client: UnifiedLLMClient) -> None:
    with pytest.raises(InputError, match=r"unknown model tier 'hiaku': did you mean 'haiku'\?"):
        await client.chat_completion(PROMPT, "hiaku")
    with pytest.raises(InputError, match=r"unknown backend 'vlm': did you mean 'vllm'\?"):
        await client.chat_completion(PROMPT, backend="vlm")
    with pytest.raises(InvalidRequestError):
        await client.chat_completion([])


async def test_what_can_be_asked_for(client: UnifiedLLMClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get_available_models() == ["haiku", "sonnet", "opus"]
    monkeypatch.setenv("SANDBOX_CHAIN", "vllm,anthropic")
    monkeypatch.setenv("SANDBOX_PROVIDERS__VLLM__MODEL", "mistralai/Mistral-7B")
    other = UnifiedLLMClient(mock_mode=True)
    assert other.get_available_models() == ["qwen"], "the chain begins with the active backend"
    assert other.config.model("haiku") == "mistralai/Mistral-7B"
    async with other:
        assert await other.chat_completion(PROMPT)


async def test_arguments_reach_the_request(client: UnifiedLLMClient) -> None:
    runtime = await client.runtime()
    asked: list[Any] = []
    provider = runtime.gateway.registry.get("anthropic").provider
    real = provider.attempt

    async def attempt(request: Any, model_id: str) -> Any:
        asked.append(request)
        return await real(request, model_id)

    provider.attempt = attempt  # type: ignore[method-assign]
    await client.chat_completion(PROMPT, "haiku", temperature=0.0, max_tokens=7, agent_id="a1", tenant_id="acme")
    await client.chat_completion(messages=PROMPT)
    assert (asked[0].temperature, asked[0].max_tokens, asked[0].agent_id, asked[0].tenant_id) == (0.0, 7, "a1", "acme")
    assert (asked[1].temperature, asked[1].max_tokens, asked[1].timeout) == (0.7, 1000, 60.0)


# --- failures -------------------------------------------------------------------------------------------------------


async def test_a_503_is_retried_three_times_by_1_2_4(client: UnifiedLLMClient, clock: PatientClock) -> None:
    events = await fail(client, Fault("http_error", status=503))
    with pytest.raises(ServiceUnavailableError):
        await client.chat_completion(PROMPT)
    assert tries(events) == 4
    assert clock.slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(("after", "waits"), [(3.0, [3.0, 3.0, 4.0]), (12.0, [12.0, 12.0, 12.0]), (None, [1, 2, 4])])
async def test_a_429_is_retried_after_its_delay(
    client: UnifiedLLMClient, clock: PatientClock, after: float | None, waits: list[float]
) -> None:
    events = await fail(client, Fault("rate_limit", retry_after=after))
    with pytest.raises(RateLimitError) as refused:
        await client.chat_completion(PROMPT)
    assert (refused.value.retry_after, clock.slept, tries(events)) == (after, waits, 4)


async def test_a_429_that_would_outlast_the_call_is_not_waited_for(
    client: UnifiedLLMClient, clock: PatientClock
) -> None:
    await fail(client, Fault("rate_limit", retry_after=90.0))
    with pytest.raises(RateLimitError):
        await client.chat_completion(PROMPT)
    assert clock.slept == []


async def test_a_401_is_not_retried_and_nobody_else_answers(client: UnifiedLLMClient, clock: PatientClock) -> None:
    events = await fail(client, Fault("auth"))
    for _ in range(2):
        with pytest.raises(AuthenticationError):
            await client.chat_completion(PROMPT)
    assert (tries(events), clock.slept) == (1, []), "the second call does not ask with a key that was refused"
    assert await client.chat_completion(PROMPT, backend="vllm")


async def test_a_failure_that_passes(client: UnifiedLLMClient, clock: PatientClock) -> None:
    await fail(client, Fault("http_error", status=500))
    runtime = await client.runtime()
    runtime.bus.subscribe(lambda event: runtime.faults.clear() if isinstance(event, AttemptFailed) else None)
    assert await client.chat_completion(PROMPT)
    [record] = await recorded(client)
    assert (record.success, record.attempts, clock.slept) == (True, 2, [1.0])


async def test_time_limits_hold_and_can_be_set() -> None:
    async with UnifiedLLMClient(mock_mode=True, timeout=0.05) as client:
        await fail(client, Fault("timeout"))
        with pytest.raises(ProviderTimeoutError, match=r"deadline of 0\.05 s"):
            await client.chat_completion(PROMPT)
        with pytest.raises(ProviderTimeoutError, match=r"deadline of 0\.02 s"):
            await client.chat_completion(PROMPT, timeout=0.02)
    assert UnifiedLLMClient(mock_mode=True).config.backend("vllm").timeout == 60.0


async def test_log_lines_say_what_happened(
    monkeypatch: pytest.MonkeyPatch, clock: PatientClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sandbox")
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    async with UnifiedLLMClient(mock_mode=True, clock=clock) as client:
        await client.chat_completion(PROMPT, "haiku")
        await fail(client, Fault("rate_limit"))
        with pytest.raises(RateLimitError):
            await client.chat_completion(PROMPT, "haiku")
    lines = [json.loads(one.message) for one in caplog.records if one.message.startswith("{")]
    [cost] = [one for one in lines if one["event"] == "cost_tracked"]
    assert (cost["backend"], cost["model"]) == ("anthropic", "claude-3-haiku-20240307")
    failed = [one for one in lines if one["event"] == "llm_call_failed"]
    assert [one["retry_count"] for one in failed] == [0, 1, 2, 3]
    assert set(failed[0]) == {"event", "backend", "model", "error_type", "error_message", "retry_count"}
    assert (failed[0]["backend"], failed[0]["model"]) == ("anthropic", "claude-3-haiku-20240307")
    assert failed[0]["error_type"] == "RateLimitError"
    assert CANARY not in caplog.text


# --- streams --------------------------------------------------------------------------------------------------------


async def test_a_stream_is_the_same_text_in_pieces(client: UnifiedLLMClient) -> None:
    pieces = [piece async for piece in client.stream_chat_completion(PROMPT, "haiku")]
    assert len(pieces) > 5
    assert "".join(pieces) == await client.chat_completion(PROMPT, "haiku")


async def test_a_stream_that_breaks_off_says_so(client: UnifiedLLMClient) -> None:
    await fail(client, Fault("stream_cut", after_tokens=3))
    pieces: list[str] = []
    with pytest.raises(StreamInterruptedError) as broken:
        async for piece in client.stream_chat_completion(PROMPT):
            pieces.append(piece)
    assert "".join(pieces) == broken.value.partial_text


async def test_a_stream_that_is_left_is_closed_and_booked(client: UnifiedLLMClient) -> None:
    stream = client.stream_chat_completion(PROMPT)
    await anext(stream)
    await stream.aclose()
    [record] = await recorded(client)
    assert (record.success, record.error_type) == (False, "Cancelled")


# --- many calls -----------------------------------------------------------------------------------------------------


async def test_batches(client: UnifiedLLMClient) -> None:
    questions = [[{"role": "user", "content": f"question {number}"}] for number in range(50)]
    answers = await asyncio.gather(*(client.chat_completion(messages=one, model_tier="haiku") for one in questions))
    assert len(answers) == 50
    assert len(await recorded(client)) == 50
    assert await client.chat_completion(questions[0], "haiku") == answers[0]
    assert not any(one.cached for one in await recorded(client)), "nothing is cached"


async def test_the_budget_blocks_what_costs_money(monkeypatch: pytest.MonkeyPatch, clock: PatientClock) -> None:
    monkeypatch.setenv("BUDGET_LIMIT", "0")
    async with UnifiedLLMClient(mock_mode=True, clock=clock) as client:
        with pytest.raises(BudgetExceededError):
            await client.chat_completion(PROMPT)
        assert await client.chat_completion(PROMPT, backend="vllm"), "the machine runs anyway"


# --- agents ---------------------------------------------------------------------------------------------------------


class Helper(BaseAgent):
    async def process(self, message: str) -> str:
        return await self.call_llm(system_prompt="You are a helpful assistant", user_message=message)


async def test_agents_ask_by_their_configuration(client: UnifiedLLMClient) -> None:
    await Helper(llm=client).process("hello")
    await Helper(AgentConfig(model="opus", tenant_id="acme"), agent_id="h2", llm=client).process("hello")
    await Helper(AgentConfig(backend=LLMBackend.VLLM), llm=client).process("hello")
    client.engine.switch(LLMBackend.VLLM)
    await Helper(llm=client).process("hello")
    told = [
        (one.agent_id, one.tenant_id, one.provider, client.config.tier_of(one.model)) for one in await recorded(client)
    ]
    assert told == [
        ("Helper", "default", "anthropic", "sonnet"),
        ("h2", "acme", "anthropic", "opus"),
        ("Helper", "default", "vllm", "qwen"),
        ("Helper", "default", "vllm", "qwen"),
    ]


# --- loops ----------------------------------------------------------------------------------------------------------


def test_one_client_in_loop_after_loop_leaves_nothing_open(tmp_path: Path) -> None:
    client = UnifiedLLMClient(mock_mode=True)

    async def ask() -> str:
        return await client.chat_completion(PROMPT, "haiku")

    async def several() -> None:
        await asyncio.gather(*(ask() for _ in range(5)))
        async for _ in client.stream_chat_completion(PROMPT):
            break  # left in the middle: the end of the loop closes it

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = asyncio.run(ask())
        asyncio.run(several())
        assert asyncio.run(ask()) == first
        assert not list(client.engine._kept), "each loop closed what was its own"
        gc.collect()

    async def count() -> int:
        return len(await recorded(client))

    assert asyncio.run(count()) == 8


def test_one_client_in_loops_of_several_threads() -> None:
    client = UnifiedLLMClient(mock_mode=True)
    client.engine.switch(LLMBackend.VLLM)
    answers: list[str] = []

    def work() -> None:
        answers.append(asyncio.run(client.chat_completion(PROMPT)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(answers) == 4
    assert len(set(answers)) == 1


async def test_after_closing_it_begins_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = UnifiedLLMClient(mock_mode=True)
    await client.chat_completion(PROMPT)
    await client.close()
    await client.close()
    monkeypatch.setenv("SANDBOX_CHAIN", "vllm")
    assert client.get_available_models() == ["qwen"]
    await client.chat_completion(PROMPT)
    assert [one.provider for one in await recorded(client)] == ["anthropic", "vllm"]
    await client.close()


def test_the_program_s_own_client_costs_nothing_to_import(tmp_path: Path) -> None:
    code = """
import asyncio, os, sys, warnings
warnings.simplefilter("error")
from sandbox import llm_client, backend_manager, BaseAgent, LLMBackend, LiteLLMConfig
heavy = {"pydantic", "aiohttp", "sqlite3", "anthropic", "boto3", "openai", "httpx2"} & set(sys.modules)
assert not heavy, heavy
os.environ["SANDBOX_MODE"] = "mock"
ask = [{"role": "user", "content": "hi"}]
print(len(asyncio.run(llm_client.chat_completion(ask, "haiku"))) > 0)
print(asyncio.run(backend_manager.switch_backend(LLMBackend.VLLM))["success"])
print(asyncio.run(llm_client.chat_completion(ask)) != "")
print(asyncio.run(backend_manager.get_metrics())["overview"]["total_calls"])
"""
    environment = {"SANDBOX_DATA_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[3],
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["True", "True", "True", "2"]
    assert "Warning" not in ran.stderr, ran.stderr


# --- configuration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"models": {}}, r"models is \{\}; give each tier"),
        ({"models": {"big": " "}}, "give each tier the id of a model"),
        ({"models": {"big": "m"}}, "default_tier is 'sonnet': use one of big"),
        ({"default_tier": "sonet"}, r"default_tier is 'sonet': did you mean 'sonnet'\?"),
        ({"temperature": 2.5}, "temperature is 2.5; it must be a number from 0 to 2"),
        ({"temperature": True}, "temperature is True"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": None}, "timeout is None"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"endpoint": "http://api.example.com"}, "use https, plain http would send the API key unencrypted"),
        ({"endpoint": "ftp://x"}, "endpoint is 'ftp://x'; it must be an address"),
        ({"temprature": 1}, r"a backend has no 'temprature': did you mean 'temperature'\?"),
    ],
)
def test_changes_are_checked_and_made_whole_or_not_at_all(changes: dict[str, Any], complaint: str) -> None:
    config = LiteLLMConfig()
    before = config.backend("anthropic")
    with pytest.raises(InputError, match=complaint):
        config.update("anthropic", **{"max_tokens": 5, **changes} if "max_tokens" not in changes else changes)
    assert config.backend("anthropic") is before


def test_changes_that_are_right() -> None:
    config = LiteLLMConfig()
    config.update("vllm", models={"llama": "meta/llama-3", "qwen": "Qwen/Qwen3"}, default_tier="llama", timeout=5)
    assert config.tiers("vllm") == ["llama", "qwen"]
    assert config.model("llama") == "claude-3-5-sonnet-20241022", "anthropic has no llama, and answers by its default"
    config.switch("VLLM")
    assert (config.active, config.model(None), config.model("qwen")) == (LLMBackend.VLLM, "meta/llama-3", "Qwen/Qwen3")
    assert config.tier_of("Qwen/Qwen3") == "qwen"
    assert config.tier_of("nobody") is None
    assert LiteLLMConfig().tiers("vllm") == ["qwen"], "one configuration's changes are its own"


async def test_a_changed_model_is_asked(client: UnifiedLLMClient) -> None:
    await client.runtime()
    client.engine.reconfigure(LLMBackend.VLLM, models={"qwen": "Qwen/Qwen3-8B"})
    await client.chat_completion(PROMPT, "qwen", backend="vllm")
    assert [one.model for one in await recorded(client)] == ["Qwen/Qwen3-8B"]
