"""This program's own providers, live against the fakes: what they read is what they read in mock mode."""

from __future__ import annotations

import pytest

from providers.errors import ConnectionFailedError, ProviderError, RateLimitError, ServiceUnavailableError
from providers.exchange import FixtureLibrary
from providers.factory import create
from providers.mock.simulated import Simulation
from providers.types import GenerationRequest, StreamFinished
from tests.sandbox.server.support import PROMPT, tapped

BASES = {
    "openai": "/openai/v1",
    "azure_openai": "/azure",
    "anthropic": "/anthropic",
    "deepseek": "/deepseek",
    "vllm": "/vllm/v1",
    "ollama": "/ollama",
    "gemini": "/gemini",
}


def live(kind: str, url: str, **options):
    return create(
        kind, base_url=url + BASES[kind], api_key="sk-not-a-key", mock_mode=False, transport_kind="aiohttp", **options
    )


async def finished(provider, ask: GenerationRequest):
    events = [event async for event in provider.stream_attempt(ask, provider.model_id)]
    assert isinstance(events[-1], StreamFinished)
    return events[-1].completion


@pytest.mark.parametrize("kind", BASES)
async def test_over_the_wire_as_in_process(kind):
    ask = GenerationRequest(prompt=PROMPT, max_tokens=300)
    async with tapped(seed=5) as rig, live(kind, rig.tap.url) as provider:
        simulation = Simulation(seed=5, library=FixtureLibrary([]))
        async with create(kind, simulation=simulation) as simulated:
            for wired, mocked in (
                (await provider.attempt(ask, provider.model_id), await simulated.attempt(ask, simulated.model_id)),
                (await finished(provider, ask), await finished(simulated, ask)),
            ):
                assert wired.text == mocked.text
                assert wired.usage == mocked.usage
                assert wired.finish_reason == mocked.finish_reason
                assert wired.metadata.get("request_id") == mocked.metadata.get("request_id")
        assert {entry["provider"] for entry in await rig.journal()} == {kind}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("503", ServiceUnavailableError), ("429:3", RateLimitError), ("stream_cut:4", ConnectionFailedError)],
)
@pytest.mark.parametrize("kind", BASES)
async def test_a_fault_is_the_same_error(kind, fault, expected):
    ask = GenerationRequest(prompt=PROMPT)
    async with tapped() as rig, live(kind, rig.tap.url) as provider:
        await rig.provoke(kind, fault)
        with pytest.raises(ProviderError) as caught:
            await finished(provider, ask)
    assert type(caught.value) is expected
    assert caught.value.retry_after == (3.0 if expected is RateLimitError else None)
