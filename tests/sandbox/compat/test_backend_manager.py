"""Switching, health, endpoint, costs, budget and metrics of the backends, as an administrator's API shows them."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers.clock import SYSTEM_CLOCK
from providers.errors import BudgetExceededError, ConfigError, InputError, InvalidRequestError
from providers.faults import Fault
from sandbox import BackendManager, LLMBackend, Runtime, UnifiedLLMClient
from sandbox.compat.backend_manager import as_numbers
from sandbox.core.events import BackendSwitched, BudgetThresholdCrossed, Event
from sandbox.settings import load
from tests.sandbox.compat.patient_clock import PatientClock

PROMPT = [{"role": "user", "content": "What is the capital of France?"}]
HOUR = 3600.0


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SANDBOX_MODE", "mock")


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
async def client(clock: PatientClock) -> AsyncIterator[UnifiedLLMClient]:
    async with UnifiedLLMClient(clock=clock) as made:
        yield made


@pytest.fixture
async def manager(client: UnifiedLLMClient) -> BackendManager:
    return BackendManager(engine=client.engine)


async def fail(manager: BackendManager, provider: str, fault: Fault | None) -> None:
    runtime = await manager.engine.runtime()
    runtime.faults.set(provider, [fault] if fault else [])


async def seen(manager: BackendManager) -> list[Event]:
    events: list[Event] = []
    (await manager.engine.runtime()).bus.subscribe(events.append)
    return events


# --- switching ------------------------------------------------------------------------------------------------------


async def test_a_switch_is_told_and_the_other_backend_answers(
    client: UnifiedLLMClient, manager: BackendManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sandbox")
    events = await seen(manager)
    result = await manager.switch_backend(LLMBackend.VLLM)
    assert (result["success"], result["backend"], result["previous_backend"]) == (True, "vllm", "anthropic")
    assert result["message"] == "switched from anthropic to vllm"
    assert result["health"]["healthy"]
    [event] = [one for one in events if isinstance(one, BackendSwitched)]
    assert (event.part, event.from_backend, event.to_backend) == ("llm", "anthropic", "vllm")
    [line] = [json.loads(one.message) for one in caplog.records if "backend_switched" in one.message]
    assert (line["from_backend"], line["to_backend"]) == ("anthropic", "vllm")
    await client.chat_completion(PROMPT, "haiku")
    assert (await manager.get_metrics())["by_backend"]["vllm"]["total_calls"] == 1
    again = await manager.switch_backend("vllm")
    assert (again["success"], again["message"]) == (True, "vllm was active already")
    assert (await manager.switch_backend("anthropic"))["backend"] == "anthropic"
    assert len([one for one in events if isinstance(one, BackendSwitched)]) == 2


async def test_a_backend_that_is_not_well_is_not_switched_to_unless_by_force(manager: BackendManager) -> None:
    await fail(manager, "vllm", Fault("http_error", status=503))
    result = await manager.switch_backend(LLMBackend.VLLM, skip_health_check=False)
    assert (result["success"], result["backend"], result["requested_backend"]) == (False, "anthropic", "vllm")
    assert result["message"].startswith("vllm is not well, so anthropic stays: ServiceUnavailableError")
    assert manager.active is LLMBackend.ANTHROPIC
    forced = await manager.switch_backend(LLMBackend.VLLM, skip_health_check=True)
    assert (forced["success"], forced["backend"], forced["health"]) == (True, "vllm", None)


async def test_a_backend_that_there_is_not(manager: BackendManager) -> None:
    for ask in (manager.switch_backend, manager.check_health):
        with pytest.raises(InputError, match=r"unknown backend 'antropic': did you mean 'anthropic'\?"):
            await ask("antropic")


async def test_which_backend_answers_now(manager: BackendManager) -> None:
    current = await manager.current_backend()
    assert current["backend"] == "anthropic"
    assert current["available_models"] == ["haiku", "sonnet", "opus"]
    assert current["models"]["haiku"] == "claude-3-haiku-20240307"
    assert (current["health"], current["mode"]) == (None, "mock")
    await manager.check_health("anthropic")
    assert (await manager.current_backend())["health"]["healthy"] is True


# --- health ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reachable", "authenticated", "error"),
    [
        (None, True, True, None),
        (Fault("auth"), True, False, "AuthenticationError"),
        (Fault("http_error", status=503), True, None, "ServiceUnavailableError"),
        (Fault("connection_reset"), False, None, "ConnectionFailedError"),
    ],
)
async def test_health_says_what_is_wrong(
    manager: BackendManager, fault: Fault | None, reachable: bool, authenticated: bool | None, error: str | None
) -> None:
    await fail(manager, "anthropic", fault)
    health = await manager.check_health()
    assert set(health) == {"anthropic", "vllm"}
    assert health["vllm"]["healthy"], "the other one is asked by itself"
    one = health["anthropic"]
    assert (one["healthy"], one["reachable"], one["authenticated"]) == (fault is None, reachable, authenticated)
    assert (one["last_error"] or "").startswith(error or "")
    assert set(one) >= {"backend", "fast_enough", "latency_ms", "model", "endpoint", "checked_at"}
    assert (await manager.check_health("anthropic"))["healthy"] is (fault is None)


# --- the endpoint ---------------------------------------------------------------------------------------------------


async def test_an_endpoint_is_set_at_run_time(client: UnifiedLLMClient, manager: BackendManager) -> None:
    result = await manager.set_vllm_endpoint("http://10.0.0.5:8000/")
    assert (result["success"], result["endpoint"], result["previous_endpoint"]) == (True, "http://10.0.0.5:8000", None)
    await manager.switch_backend("vllm")
    assert (await manager.current_backend())["endpoint"] == "http://10.0.0.5:8000"
    assert await client.chat_completion(PROMPT)
    assert (await manager.set_vllm_endpoint("http://10.0.0.6:8000"))["previous_endpoint"] == "http://10.0.0.5:8000"


@pytest.mark.parametrize(
    ("endpoint", "private"),
    [("file:///etc/passwd", True), ("http://169.254.169.254", True), ("http://10.0.0.5:8000", False), ("x", True)],
)
async def test_an_endpoint_that_must_not_be_called_changes_nothing(
    manager: BackendManager, endpoint: str, private: bool
) -> None:
    with pytest.raises(ConfigError, match=r"^endpoint is "):
        await manager.set_vllm_endpoint(endpoint, allow_private=private)
    assert manager.config.backend("vllm").endpoint is None


async def test_the_new_address_is_really_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live, on loopback: the first address is nobody's, the second a fake of the vendor."""
    from tests.sandbox.server.support import tapped

    monkeypatch.setenv("SANDBOX_MODE", "live")
    monkeypatch.setenv("VLLM_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("SANDBOX_RETRY__RETRIES", "0")
    async with tapped() as rig, UnifiedLLMClient() as client:
        manager = BackendManager(engine=client.engine)
        refused = await manager.switch_backend("vllm")
        assert (refused["success"], refused["health"]["reachable"]) == (False, False)
        await manager.set_vllm_endpoint(f"{rig.tap.url}/vllm/v1")
        assert (result := await manager.switch_backend("vllm"))["success"], result
        assert await client.chat_completion(PROMPT)
        assert {one["path"] for one in await rig.journal()} == {"/vllm/v1/chat/completions"}
        assert (await manager.get_costs())["mode"] == "live"


@pytest.mark.parametrize("transport", ["aiohttp", "sdk"])
@pytest.mark.parametrize(
    ("leads_to", "private", "why"),
    [
        ("127.0.0.1", False, "a private address; allow private addresses to use it"),
        ("10.0.0.5", False, "a private address; allow private addresses to use it"),
        ("169.254.169.254", True, "of the range in which clouds keep their metadata services"),
        ("127.0.0.1", True, None),
    ],
)
async def test_a_name_that_leads_elsewhere_later_is_judged_again(
    monkeypatch: pytest.MonkeyPatch, leads_to: str, private: bool, why: str | None, transport: str
) -> None:
    """DNS rebinding: a public address for the check, another one for the call."""
    from tests.sandbox.server.support import tapped

    answers = ["93.184.215.14", leads_to]
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def getaddrinfo(host: str | bytes, port: Any, **asked: Any) -> Any:
        if host != "llm.example.com":
            return await real(host, port, **asked)
        address = answers[0] if len(answers) == 1 else answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port or 0))]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("SANDBOX_MODE", "live")
    monkeypatch.setenv("VLLM_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("SANDBOX_PROVIDERS__VLLM__TRANSPORT", transport)
    monkeypatch.setenv("SANDBOX_RETRY__RETRIES", "0")
    async with tapped() as rig, UnifiedLLMClient() as client:
        manager = BackendManager(engine=client.engine)
        await manager.set_vllm_endpoint(f"http://llm.example.com:{rig.tap.port}/vllm/v1", allow_private=private)
        assert len(answers) == 1
        for _ in range(2):
            health = await manager.check_health("vllm")
            assert health["healthy"] is (why is None), health
            told = f"ConnectionFailedError: llm.example.com is at {leads_to}, and that is {why}"
            assert why is None or health["last_error"].startswith(told)
            # Another setting of it does not take the judge away.
            client.engine.reconfigure(LLMBackend.VLLM, models={"qwen": "Qwen/Qwen3-8B"})
        assert bool(await rig.journal()) is (why is None)


# --- costs and budget -----------------------------------------------------------------------------------------------


async def test_a_self_hosted_backend_costs_its_uptime(
    client: UnifiedLLMClient, manager: BackendManager, clock: PatientClock
) -> None:
    await manager.switch_backend("vllm")
    await clock.pass_(5 * HOUR)
    costs = await manager.get_costs()
    assert costs["vllm"] == costs["total"] == Decimal("0.8"), "5 h at 0.16 $, whether it was asked or not"
    await manager.switch_backend("anthropic")
    await clock.pass_(20 * HOUR)
    await client.chat_completion(PROMPT, "opus")
    costs = await manager.get_costs()
    assert costs["vllm"] == Decimal("0.8")
    assert costs["anthropic"] > 0
    assert costs["total"] == costs["anthropic"] + costs["vllm"]
    assert (costs["budget_limit"], costs["remaining"], costs["budget_used_percent"]) == (None, None, None)
    assert (costs["period"], costs["mode"]) == ("2025-01", "mock")


async def test_a_restart_loses_no_uptime(monkeypatch: pytest.MonkeyPatch, clock: PatientClock) -> None:
    monkeypatch.setenv("VLLM_HOURLY_RATE", "0.30")
    monkeypatch.setenv("SANDBOX_CHAIN", "vllm")
    for _ in range(2):
        async with BackendManager(clock=clock) as manager:
            await manager.get_costs()
            await clock.pass_(HOUR)
        clock.now += HOUR  # nothing of the program runs now
    async with BackendManager(clock=clock) as manager:
        assert (await manager.get_costs())["vllm"] == Decimal("0.6")


async def test_a_month_begins_with_nothing(manager: BackendManager, clock: PatientClock) -> None:
    clock.now = 30 * 24 * HOUR + 23 * HOUR  # January has an hour left
    await manager.switch_backend("vllm")
    await clock.pass_(3 * HOUR)
    costs = await manager.get_costs()
    assert (costs["period"], costs["vllm"]) == ("2025-02", Decimal("0.32"))


async def test_calls_to_a_backend_that_is_not_active_are_uptime_too(
    client: UnifiedLLMClient, manager: BackendManager, clock: PatientClock
) -> None:
    runtime = await manager.engine.runtime()
    provider = runtime.gateway.registry.get("vllm").provider
    real = provider.attempt

    async def attempt(request: Any, model_id: str) -> Any:
        clock.now += 900
        return await real(request, model_id)

    provider.attempt = attempt  # type: ignore[method-assign]
    await client.chat_completion(PROMPT, backend="vllm")
    await clock.pass_(HOUR)
    assert (await manager.get_costs())["vllm"] == Decimal("0.04")


async def test_the_shape_of_costs_under_a_budget(client: UnifiedLLMClient, manager: BackendManager) -> None:
    await client.chat_completion(PROMPT, "opus")
    result = await manager.set_budget(150.0)
    assert (result["success"], result["previous_budget_limit"], result["budget_limit"]) == (
        True,
        None,
        Decimal("150.0"),
    )
    costs = await manager.get_costs()
    assert list(costs)[:6] == ["anthropic", "vllm", "total", "budget_limit", "remaining", "budget_used_percent"]
    assert costs["remaining"] == 150 - costs["total"]
    assert costs["budget_used_percent"] == round(costs["total"] * 100 / 150, 4)
    numbers = json.loads(json.dumps(as_numbers(costs)))
    assert numbers["budget_limit"] == 150.0
    assert numbers["anthropic"] == float(costs["anthropic"])
    assert (await manager.set_budget(None))["budget_limit"] is None
    assert (await manager.set_budget(None))["previous_budget_limit"] is None


@pytest.mark.parametrize("limit", [-1, "soon", True, float("nan"), float("inf"), 1e12, [5]])
async def test_what_is_no_budget(manager: BackendManager, limit: Any) -> None:
    await manager.set_budget(5)
    with pytest.raises(InputError):
        await manager.set_budget(limit)
    assert (await manager.get_costs())["budget_limit"] == 5


async def test_alerts_come_at_75_and_90_and_100_percent_and_then_calls_are_blocked(
    client: UnifiedLLMClient, manager: BackendManager, clock: PatientClock
) -> None:
    events, told = await seen(manager), []
    manager.register_alert_callback(lambda tenant, threshold, used: told.append((tenant, threshold)))
    await manager.set_budget("1.60")
    await manager.switch_backend("vllm")
    await clock.pass_(7 * HOUR)
    assert told == []
    await clock.pass_(0.6 * HOUR)
    assert told == [(None, 0.75)], "the idle machine costs too, and the beat of a minute tells the budget"
    await clock.pass_(1.5 * HOUR)
    assert told == [(None, 0.75), (None, 0.9)]
    await clock.pass_(1 * HOUR)
    assert told == [(None, 0.75), (None, 0.9), (None, 1.0)]
    assert [one.threshold for one in events if isinstance(one, BudgetThresholdCrossed)] == [0.75, 0.9, 1.0]
    await manager.switch_backend("anthropic", skip_health_check=True)
    with pytest.raises(BudgetExceededError):
        await client.chat_completion(PROMPT)
    costs = await manager.get_costs()
    assert (costs["remaining"], costs["budget_used_percent"] >= 100) == (0, True)
    await manager.set_budget(3)
    assert await client.chat_completion(PROMPT), "a higher limit lets calls through again"


async def test_requests_of_a_busy_machine_cost_no_more_than_the_machine(
    client: UnifiedLLMClient, manager: BackendManager, clock: PatientClock
) -> None:
    """Each of many calls at a time is apportioned its seconds; the budget is to count the machine's once."""
    runtime = await manager.engine.runtime()
    await manager.set_budget(100)
    await manager.switch_backend("vllm")
    provider = runtime.gateway.registry.get("vllm").provider
    begun: list[Any] = []
    over = asyncio.Event()
    real = provider.attempt

    async def attempt(request: Any, model_id: str) -> Any:
        begun.append(request)
        await over.wait()
        return await real(request, model_id)

    provider.attempt = attempt  # type: ignore[method-assign]
    calls = [asyncio.create_task(client.chat_completion(PROMPT, timeout=86_400)) for _ in range(10)]
    while len(begun) < 10:
        await asyncio.sleep(0)
    clock.now += HOUR / 10
    over.set()
    await asyncio.gather(*calls)
    metrics = await manager.get_metrics()
    assert metrics["by_backend"]["vllm"]["cost"] == Decimal("0.16")
    assert (await manager.get_costs())["total"] == Decimal("0.016")
    assert (await runtime.budgets.check_budget()).used_usd == Decimal("0.016")


# --- metrics --------------------------------------------------------------------------------------------------------


async def test_metrics_by_backend_and_model(client: UnifiedLLMClient, manager: BackendManager) -> None:
    for tier in ("haiku", "haiku", "opus"):
        await client.chat_completion(PROMPT, tier)
    await client.chat_completion(PROMPT, backend="vllm", agent_id="a7")
    await fail(manager, "anthropic", Fault("http_error", status=400))
    with pytest.raises(InvalidRequestError):
        await client.chat_completion(PROMPT, "haiku")
    metrics = await manager.get_metrics()
    overview = metrics["overview"]
    assert (overview["total_calls"], overview["successful_calls"], overview["failed_calls"]) == (5, 4, 1)
    assert overview["error_rate"] == 0.2
    assert overview["total_tokens"] == overview["input_tokens"] + overview["output_tokens"] > 0
    assert {name: one["total_calls"] for name, one in metrics["by_backend"].items()} == {"anthropic": 4, "vllm": 1}
    assert {name: one["total_calls"] for name, one in metrics["by_model"].items()} == {"haiku": 3, "opus": 1, "qwen": 1}
    assert metrics["by_model"]["haiku"]["failed_calls"] == 1
    assert metrics["by_model"]["haiku"]["error_rate"] == pytest.approx(1 / 3, abs=1e-6)
    newest, before, *_ = metrics["recent_calls"]
    assert (newest["success"], newest["backend"], newest["tier"]) == (False, "anthropic", "haiku")
    assert (before["agent_id"], before["tier"], before["success"]) == ("a7", "qwen", True)
    assert "capital of France" not in json.dumps(as_numbers(metrics)), "prompts are on no page"
    assert len((await manager.get_metrics(recent=2))["recent_calls"]) == 2


async def test_metrics_outlive_the_program(clock: PatientClock) -> None:
    async with UnifiedLLMClient(clock=clock) as first:
        await first.chat_completion(PROMPT)
    async with BackendManager(clock=clock) as manager:
        metrics = await manager.get_metrics()
    assert metrics["overview"]["total_calls"] == 1
    assert metrics["by_backend"]["vllm"]["total_calls"] == 0, "a backend that was never asked is there all the same"


async def test_modes_are_never_mixed(monkeypatch: pytest.MonkeyPatch, client: UnifiedLLMClient) -> None:
    await client.chat_completion(PROMPT)
    monkeypatch.setenv("SANDBOX_MODE", "replay")
    async with BackendManager() as manager:
        assert (await manager.get_metrics())["overview"]["total_calls"] == 0
        assert (await manager.get_costs())["total"] == 0


# --- over a runtime of somebody else's -----------------------------------------------------------------------------


async def test_over_a_server_s_runtime(clock: PatientClock) -> None:
    settings = load(flags={"mode": "mock"}).settings
    async with Runtime.of(settings, clock=clock) as runtime:
        manager = BackendManager(runtime=runtime)
        await manager.start()
        assert (await manager.switch_backend("vllm"))["success"]
        await manager.set_vllm_endpoint("http://10.0.0.5:8000")
        assert runtime.settings.providers["vllm"].base_url == "http://10.0.0.5:8000"
        await clock.pass_(HOUR)
        assert (await manager.get_costs())["vllm"] == Decimal("0.16")
        assert [one.id for one in runtime.gateway.registry][:2] == ["azure_openai", "openai"], "the chain is as it was"
        await manager.close()
        assert await runtime.gateway.generate("hello"), "closing the manager closes nothing of the server's"


async def test_a_backend_that_is_not_configured_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-key")
    settings = load(flags={"mode": "live"}).settings
    async with Runtime.of(settings, clock=SYSTEM_CLOCK) as runtime:
        manager = BackendManager(runtime=runtime)
        health = await manager.check_health("vllm")
        assert (health["healthy"], health["last_error"]) == (False, "not configured: set VLLM_ENDPOINT")
        assert (await manager.switch_backend("vllm"))["success"] is False
        await manager.set_vllm_endpoint("http://127.0.0.1:9")
        assert "vllm" in runtime.gateway.registry, "an address is all that it needs"
        assert (await manager.check_health("vllm"))["reachable"] is False
        await manager.close()
