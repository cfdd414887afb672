"""What may stand in place of a model: `provider/model`, fallbacks, a route; and streams that cannot begin anew."""

from __future__ import annotations

from typing import Any

import pytest

from providers.errors import InputError, InvalidRequestError, ServiceUnavailableError, StreamInterruptedError
from providers.types import GenerationRequest, StreamInterrupted, StreamRestarted
from sandbox.gateway.answers import cache_key
from sandbox.gateway.call import CallOptions
from sandbox.gateway.naming import Route, owned
from tests.sandbox.gateway.support import Bench, Scripted, collect, text_of, virtual

DOWN = ServiceUnavailableError("down", status=503)


class Serving(Scripted):
    """Serves exactly these models."""

    def __init__(self, clock: Any, *steps: Any, serves: str = "", **kwargs: Any) -> None:
        self.serves = serves.split()
        super().__init__(clock, *steps, **kwargs)

    def resolve_model(self, model: str) -> str | None:
        return model if model in self.serves else None


def bench(**changes: Any) -> Bench:
    made = Bench(**changes)
    for id, serves in (("openai", "gpt-4 gpt-4o-mini"), ("azure", "gpt-4"), ("vllm", "Qwen/Qwen2.5 openai/gpt-oss")):
        provider = Serving(made.clock, f"from {id}", kind=id, model=serves.split()[0], serves=serves)
        provider.models = tuple(provider.serves)  # type: ignore[attr-defined]
        made.gateway.register(id, provider)
    return made


def planned(made: Bench, model: str | None, **options: Any) -> list[tuple[str, str]]:
    plan = made.gateway.plan(GenerationRequest(prompt="hi", model=model), CallOptions(**options))
    return [(c.deployment.id, c.model_id) for c in plan.candidates]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/b", ("a", "b")), ("a/b/c", ("a", "b/c")), ("b", (None, "b")), ("x/b", (None, "x/b")), ("a/", ("a", ""))],
)
def test_a_provider_before_the_slash(name: str, expected: tuple[str | None, str]) -> None:
    assert owned(name, {"a"}.__contains__) == expected


@virtual
async def test_a_provider_with_its_model_is_asked_first_and_the_chain_after_it() -> None:
    assert planned(bench(), "azure/gpt-4")[:2] == [("azure", "gpt-4"), ("openai", "gpt-4")]
    assert planned(bench(), "vllm/Qwen/Qwen2.5")[0] == ("vllm", "Qwen/Qwen2.5")
    # A model with a slash of its own, one of which begins like another provider's id.
    assert planned(bench(), "Qwen/Qwen2.5")[0] == ("vllm", "Qwen/Qwen2.5")
    assert planned(bench(), "openai/gpt-oss")[0] == ("vllm", "openai/gpt-oss")


@virtual
async def test_with_fallbacks_only_those_listed_are_asked_in_their_order() -> None:
    made = bench()
    assert planned(made, "openai/gpt-4o-mini", fallbacks=("vllm/Qwen/Qwen2.5", "azure/gpt-4")) == [
        ("openai", "gpt-4o-mini"),
        ("vllm", "Qwen/Qwen2.5"),
        ("azure", "gpt-4"),
    ]
    # A plain model stands for everybody who serves it, and nobody comes twice.
    assert planned(made, "gpt-4", fallbacks=("azure/gpt-4", "openai/gpt-4o-mini")) == [
        ("openai", "gpt-4"),
        ("azure", "gpt-4"),
        ("openai", "gpt-4o-mini"),
    ]
    assert planned(made, None, fallbacks=("azure/gpt-4",)) == [("azure", "gpt-4")]


@pytest.mark.parametrize("wrong", ["azure/gpt-4o-mini", "gpt-5000", "nobody/gpt-4"])
@virtual
async def test_a_fallback_that_nobody_serves_is_refused_by_its_name(wrong: str) -> None:
    with pytest.raises(InputError, match=wrong.rpartition("/")[2]):
        planned(bench(), "gpt-4", fallbacks=(wrong,))


@virtual
async def test_a_failing_list_is_walked_to_its_end_and_no_further() -> None:
    made = Bench()
    first = made.add("openai", DOWN)
    made.add("anthropic", "never asked", model="claude")
    last = made.add("azure", "here", kind="openai")
    options = CallOptions(fallbacks=("azure/gpt-4o",))
    response = await made.gateway.generate(GenerationRequest(prompt="hi", model="openai/gpt-4"), options)
    assert (response.provider, response.model, response.requested_model) == ("azure", "gpt-4o", "openai/gpt-4")
    assert len(first.requests) >= 1
    assert len(last.requests) == 1
    made = Bench()
    made.add("openai", DOWN)
    made.add("anthropic", "never asked", model="claude")
    with pytest.raises(ServiceUnavailableError):
        await made.gateway.generate(
            GenerationRequest(prompt="hi", model="openai/gpt-4"), CallOptions(fallbacks=("openai/gpt-4o",))
        )
    assert {r.provider for r in made.records} == {"openai"}


ROUTES = {
    "smart": Route(("azure/gpt-4", "vllm/Qwen/Qwen2.5")),
    "turns": Route(("openai/gpt-4", "openai/gpt-4o-mini"), "round_robin"),
    "quick": Route(("openai/gpt-4", "openai/gpt-4o-mini", "azure/gpt-4"), "least_latency"),
    "partly": Route(("bedrock/claude", "azure/gpt-4")),
    "nothing": Route(("bedrock/claude",)),
    "gpt-4": Route(("azure/gpt-4",)),
}


@virtual
async def test_a_route_is_asked_for_as_a_model() -> None:
    made = bench(routes=ROUTES)
    assert planned(made, "smart") == [("azure", "gpt-4"), ("vllm", "Qwen/Qwen2.5")]
    assert planned(made, "smart", fallbacks=("gpt-4o-mini",))[-1] == ("openai", "gpt-4o-mini")
    response = await made.gateway.generate(GenerationRequest(prompt="hi", model="smart"))
    assert (response.provider, response.model, response.requested_model) == ("azure", "gpt-4", "smart")
    # A route may take a model's own name; inside of it the name means the model.
    assert planned(made, "gpt-4") == [("azure", "gpt-4")]
    assert len(planned(made, "quick")) == 3


@virtual
async def test_a_route_orders_by_its_own_strategy_unless_told_another() -> None:
    made = bench(routes=ROUTES)
    seen = [(await made.gateway.generate(GenerationRequest(prompt="hi", model="turns"))).model for _ in range(3)]
    assert seen == ["gpt-4", "gpt-4o-mini", "gpt-4"]
    assert planned(made, "turns", strategy="priority")[0] == ("openai", "gpt-4")


@virtual
async def test_a_route_passes_over_providers_that_are_not_here_and_is_refused_without_any() -> None:
    made = bench(routes=ROUTES)
    assert planned(made, "partly") == [("azure", "gpt-4")]
    with pytest.raises(InputError, match="bedrock/claude"):
        planned(made, "nothing")


@virtual
async def test_a_provider_that_the_list_does_not_have_cannot_lead_it() -> None:
    with pytest.raises(InputError, match="none of those that the request lists"):
        planned(bench(routes=ROUTES), "smart", provider="openai")


@virtual
async def test_the_models_that_may_be_asked_for() -> None:
    names = dict(bench(routes={"smart": ROUTES["smart"]}).gateway.router.models())
    assert next(iter(names.items())) == ("smart", None)
    assert names["gpt-4"] == "openai"
    assert names["Qwen/Qwen2.5"] == "vllm"


def test_what_changes_an_answer_is_part_of_its_key() -> None:
    def key(request: GenerationRequest, **more: Any) -> str:
        return cache_key(request, preset="sandbox", mode="mock", provider=None, **more)

    plain = GenerationRequest(prompt="hi", model="gpt-4")

    def with_extras(**extras: Any) -> GenerationRequest:
        return GenerationRequest(prompt="hi", model="gpt-4", metadata={"openai_chat": extras, "trace": "abc"})

    assert key(plain) == key(with_extras()) == key(with_extras(user="u1")) == key(with_extras(user="u2", store=True))
    others = {
        key(plain),
        key(with_extras(reasoning_effort="low")),
        key(with_extras(reasoning_effort="high")),
        key(GenerationRequest(prompt="hi", model="gpt-4", metadata={"parallel_tool_calls": False})),
        key(plain, fallbacks=("azure/gpt-4",)),
        key(plain, fallbacks=("azure/gpt-4", "x")),
    }
    assert len(others) == 6


# --- streams whose reader cannot discard ------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["fail", "restart", "continue"])
@virtual
async def test_a_reader_that_cannot_discard_is_told_of_the_end_and_nobody_starts_anew(policy: str) -> None:
    made = Bench()
    made.add("openai", ("one two", "<cut>"))
    other = made.add("azure", "anew", kind="openai")
    seen: list[Any] = []
    with pytest.raises(StreamInterruptedError) as raised:
        async for event in made.gateway.stream("hi", CallOptions(stream_policy=policy, restarts=False)):  # type: ignore[arg-type]
            seen.append(event)
    assert raised.value.partial_text == "one two"
    assert isinstance(seen[-1], StreamInterrupted)
    assert not any(isinstance(event, StreamRestarted) for event in seen)
    assert other.requests == []
    assert [r.error_type for r in made.records] == ["StreamInterruptedError"]


@virtual
async def test_going_on_passes_over_those_who_could_only_start_anew() -> None:
    made = Bench()
    made.add("openai", ("one two", "<cut>"))
    other = made.add("azure", "anew", kind="openai")
    made.add("anthropic", "three", model="claude", prefills=True)
    events = await collect(made.gateway.stream("hi", CallOptions(stream_policy="continue", restarts=False)))
    assert text_of(events) == "one twothree"
    assert other.requests == []
    assert not any(isinstance(event, StreamRestarted) for event in events)
    skipped = next(e for e in made.events if type(e).__name__ == "CandidateSkipped")
    assert (skipped.provider, skipped.reason) == ("azure", "prefill")  # type: ignore[attr-defined]


@virtual
async def test_a_model_that_refuses_to_go_on_is_not_asked_anew() -> None:
    made = Bench()
    made.add("openai", ("one two", "<cut>"))
    refusing = made.add("anthropic", InvalidRequestError("no prefill"), "anew", model="claude", prefills=True)
    with pytest.raises(StreamInterruptedError):
        await collect(made.gateway.stream("hi", CallOptions(stream_policy="continue", restarts=False)))
    assert len(refusing.requests) == 1
