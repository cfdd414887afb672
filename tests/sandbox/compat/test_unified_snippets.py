"""Every Python example of the document of the unified client, run with only its imports changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

import sandbox
from sandbox import BaseAgent, llm_client
from sandbox.compat.base_agent import AgentConfig
from tests.sandbox.compat.snippets import needs_seeds, run, snippets

pytestmark = needs_seeds

PROMPT = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
async def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> AsyncIterator[None]:
    monkeypatch.setenv("SANDBOX_MODE", "mock")
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    yield
    # The program's own client forgets the settings of this test.
    await llm_client.close()


def example(beginning: str) -> str:
    """The one example that holds this text."""
    [found] = [block for block in snippets("002") if beginning in block]
    return found


async def test_an_agent() -> None:
    names: dict[str, Any] = {}
    await run(example("class MyAgent"), names)
    assert await names["MyAgent"]().process("What is the capital of France?")


async def test_the_client_by_itself() -> None:
    names: dict[str, Any] = {}
    await run(example("custom_function"), names)
    assert await names["custom_function"]()


async def test_streaming() -> None:
    names: dict[str, Any] = {"llm_client": llm_client}
    await run(example("stream_example"), names)
    printed = await run("await stream_example()", names)
    assert len(printed) > 20


async def test_switching(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await run(example("Switch backend"), {}) == "Switched to vllm\n"
    assert llm_client.get_available_models() == ["qwen"]
    monkeypatch.setattr("providers.base.BaseLLMProvider.health_check", _sick)
    await sandbox.backend_manager.switch_backend("anthropic", skip_health_check=True)
    assert (await run(example("Switch backend"), {})).startswith("Switch failed: vllm is not well")


async def test_a_batch() -> None:
    names: dict[str, Any] = {"llm_client": llm_client, "message_list": [PROMPT] * 5}
    await run(example("batch_requests"), names)
    assert len(await names["batch_requests"]()) == 5


async def test_an_agent_before_and_after() -> None:
    class Agent(BaseAgent):
        client = SimpleNamespace(messages=SimpleNamespace(create=lambda **given: given))

    names: dict[str, Any] = {"message": "hi", "system_prompt": "be kind"}
    names["self"] = Agent(AgentConfig(model="haiku", max_tokens=20))
    await run(example("self.client.messages.create"), names)
    assert names["response"]["model"] == "haiku"
    await run(example("system_prompt=system_prompt"), names)
    assert isinstance(names["response"], str)


def test_no_example_is_left_out() -> None:
    assert len(snippets("002")) == 7


async def _sick(*_: Any, **__: Any) -> Any:
    from providers.base import HealthReport

    return HealthReport(False, 3.0, "ConnectionFailedError: nobody is there", False)
