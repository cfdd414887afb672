"""Answers from the cache of nearly the same question: for whom, for what, what is said, what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from providers.errors import ServiceUnavailableError
from providers.pricing import catalogue
from providers.types import GenerationRequest
from sandbox.cache.memory import MemoryCacheStore
from sandbox.cache.semantic import Embedding, HashingEmbedder, SemanticIndex
from sandbox.core.events import CacheHit, ComponentFailed
from sandbox.gateway.call import CallOptions
from tests.sandbox.gateway.support import Bench, collect, virtual

ASKED = "Why do circuit breakers trip when a provider is down?"
ALIKE = "why do circuit breakers trip, when a provider is down"


def bench(embedder: Any = None, **options: Any) -> Bench:
    made = Bench(**options)
    made.gateway._keeping.use(MemoryCacheStore(made.clock))
    made.gateway._keeping._similar = SemanticIndex(
        embedder or HashingEmbedder(), threshold=0.95, entries=10, clock=made.clock
    )
    made.add("openai", "an answer", model="gpt-4")
    return made


@virtual
async def test_a_hit_says_that_it_is_another_questions_answer() -> None:
    made = bench()
    first = await made.gateway.generate(ASKED)
    second = await made.gateway.generate(ALIKE)
    assert (first.cached, second.cached, second.text) == (False, True, first.text)
    assert second.metadata["similarity"] > 0.95
    assert second.cost_usd == 0
    assert second.saved_usd == first.cost_usd
    [hit] = [event for event in made.events if isinstance(event, CacheHit)]
    assert hit.similarity == second.metadata["similarity"]
    third = await made.gateway.generate(ASKED)
    assert third.cached
    assert "similarity" not in third.metadata, "the very same question"


def request(prompt: str | None = ALIKE, **fields: Any) -> GenerationRequest:
    return GenerationRequest(prompt, **fields)


TURNS: Sequence[dict[str, Any]] = [
    {"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": ALIKE},
]  # fmt: skip
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


@pytest.mark.parametrize(
    "other",
    [
        request(tenant_id="zen"),
        request(model="gpt-4"),
        request(temperature=0.9),
        request(max_tokens=7),
        request(system="Be brief."),
        request(response_format="json"),
        request(tools=[TOOL]),
        request(None, messages=TURNS),
        request(ALIKE + " 3"),
        request("Why do circuit breakers not trip when a provider is down?"),
        request("Tell me about sourdough bread."),
    ],
    ids=lambda one: str([name for name in one.__slots__ if getattr(one, name) not in (None, ALIKE, "default", {})]),
)
@virtual
async def test_all_else_must_be_the_same(other: GenerationRequest) -> None:
    made = bench()
    await made.gateway.generate(ASKED)
    assert not (await made.gateway.generate(other)).cached


@virtual
async def test_a_message_is_as_good_as_a_prompt_and_a_stream_is_answered_too() -> None:
    made = bench()
    await made.gateway.generate(ASKED)
    message = GenerationRequest(messages=[{"role": "user", "content": ALIKE}])
    assert (await made.gateway.generate(message)).cached
    *_, last = await collect(made.gateway.stream(ALIKE + "!"))
    assert last.response.cached  # type: ignore[union-attr]


@virtual
async def test_what_the_cache_has_no_more_is_no_answer() -> None:
    made = bench()
    await made.gateway.generate(ASKED, CallOptions(cache_ttl=5))
    await made.clock.sleep(6)
    assert not (await made.gateway.generate(ALIKE)).cached


class Paid:
    """A vendor's embedder."""

    name, longest = "openai/text-embedding-3-small", 4000

    def __init__(self, error: Exception | None = None, seconds: float = 0.0, clock: Any = None) -> None:
        self.error, self.seconds, self.clock = error, seconds, clock
        self.asked = 0

    async def embed(self, text: str) -> Embedding:
        self.asked += 1
        if self.clock is not None:
            await self.clock.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        vector = (await HashingEmbedder().embed(text)).vector
        return Embedding(vector, "openai", "text-embedding-3-small", 50_000)


@virtual
async def test_a_vendors_vector_is_paid_for() -> None:
    paid = Paid()
    made = bench(paid, prices=catalogue("current"))
    await made.gateway.generate(ASKED)
    hit = await made.gateway.generate(ALIKE)
    assert hit.cached
    assert [record.waste_cost for record in made.records] == [Decimal("0.001")] * 2, "50,000 tokens at 0.02 a million"
    assert hit.waste_usd == Decimal("0.001")
    await made.gateway.generate(ASKED)
    assert paid.asked == 2, "the same question needs no vector"


@virtual
async def test_an_embedder_in_trouble_is_passed_over_with_one_warning() -> None:
    made = bench(Paid(ServiceUnavailableError("no vectors today")))
    for _ in range(3):
        assert (await made.gateway.generate(GenerationRequest(ALIKE, seed=_))).text == "an answer"
    [failed] = [event for event in made.events if isinstance(event, ComponentFailed)]
    assert (failed.component, "no vectors today" in failed.message) == ("semantic cache", True)


@virtual
async def test_a_slow_embedder_holds_nobody_up_for_long() -> None:
    made = bench()
    slow = Paid(seconds=30.0, clock=made.clock)
    made.gateway._keeping._similar.embedder = slow  # type: ignore[union-attr]
    answer = await made.gateway.generate(ASKED)
    assert answer.text == "an answer"
    assert answer.latency_ms == pytest.approx(2000)
