"""Policies as data: what a preset decides about chain, retries, breakers and time limits. Times are seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from providers.attempts import RetryPolicy
from providers.clock import Clock
from providers.errors import InputError
from providers.hints import did_you_mean
from sandbox.gateway.breaker import Breaker, BreakerModel, BreakerPolicy, CircuitBreaker, OnChange
from sandbox.gateway.naming import Route

StreamPolicy = Literal["fail", "restart", "continue", "buffer"]

STANDARD_CHAIN = ("azure_openai", "openai", "anthropic", "bedrock", "deepseek", "gemini", "vllm", "ollama")

EQUIVALENTS: Mapping[str, tuple[str, ...]] = {
    "large": ("claude-3-opus", "gpt-4"),
    "medium": ("claude-3-sonnet", "claude-3.5-sonnet", "gpt-4-turbo", "gemini-1.5-pro", "deepseek-chat"),
    "small": ("claude-3-haiku", "gpt-3.5-turbo", "gemini-1.5-flash"),
    "large-now": ("claude-opus-4-5", "gpt-5.2", "gpt-5", "gpt-5.1", "claude-opus-4-1", "o3", "gemini-3-pro-preview"),
    "medium-now": (
        "claude-sonnet-4-5",
        "gpt-4.1",
        "gpt-4o",
        "gemini-2.5-pro",
        "deepseek-chat",
        "claude-sonnet-4",
        "claude-3.7-sonnet",
        "o4-mini",
        "o3-mini",
        "deepseek-reasoner",
    ),
    "small-now": (
        "claude-haiku-4-5",
        "gpt-4o-mini",
        "gpt-4.1-mini",
        "gpt-5-mini",
        "gemini-2.5-flash",
        "gpt-5-nano",
        "gpt-4.1-nano",
        "claude-3.5-haiku",
        "gemini-2.0-flash",
    ),
}
"""Models that stand in for each other, by tier; `-now` is today's generation. Ollama and vLLM answer with their own."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    policy: StreamPolicy = "fail"
    first_text: float = 10.0
    silence: float = 15.0
    max_stream: float = 600.0


@dataclass(frozen=True, slots=True)
class Policy:
    name: str = "sandbox"
    chain: tuple[str, ...] = STANDARD_CHAIN
    strategy: str = "priority"
    retry: RetryPolicy = RetryPolicy("last_candidate")
    breaker: BreakerPolicy = BreakerPolicy()
    breakers: Mapping[str, BreakerPolicy] = field(default_factory=dict)
    """Breakers of single providers that differ from `breaker`."""
    breaker_model: BreakerModel | None = None
    """Breakers of another kind, in place of the gateway's own and of both settings above."""
    disables: bool = True
    """A key or a model that was refused is out of rotation until it is re-tested."""
    deadline: float = 60.0
    attempt_timeout: float = 30.0
    max_candidates: int | None = None
    """Most candidates that one request may ask; those passed over do not count."""
    exact_first: bool = True
    """Candidates that serve the asked model come before those that answer with an equivalent."""
    cache: bool = True
    streaming: StreamLimits = StreamLimits()
    failover_on_content_filter: bool = False
    equivalents: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: EQUIVALENTS)
    routes: Mapping[str, Route] = field(default_factory=dict)
    """Chains with names of their own, which may be asked for as models."""

    def breaker_for(self, provider: str) -> BreakerPolicy:
        return self.breakers.get(provider, self.breaker)

    def new_breaker(self, provider: str, clock: Clock, on_change: OnChange, providers: Callable[[], int]) -> Breaker:
        """The breaker of one provider; `providers` says how many there are."""
        if self.breaker_model is not None:
            return self.breaker_model(clock, on_change, providers)
        return CircuitBreaker(self.breaker_for(provider), clock, on_change)


_CONSECUTIVE = BreakerPolicy("consecutive", failure_threshold=5, recovery_timeout=30.0)

PRESETS: Mapping[str, Policy] = {
    "sandbox": Policy(),
    "happyos": Policy(
        name="happyos",
        chain=("bedrock", "openai"),
        retry=RetryPolicy("last_candidate", retries=0),
        breaker=_CONSECUTIVE,
        breakers={"bedrock": replace(_CONSECUTIVE, failure_threshold=3)},
        exact_first=False,
        # gpt-4 on Bedrock is Claude 3 Sonnet there, not the model of gpt-4's own tier.
        equivalents={
            "medium": ("claude-3-sonnet", "gpt-4", "gpt-4-turbo", "claude-3.5-sonnet"),
            **{k: v for k, v in EQUIVALENTS.items() if k != "medium"},
        },
    ),
    "unified": Policy(
        name="unified",
        chain=("anthropic",),
        retry=RetryPolicy("always", retries=3),
        breaker=BreakerPolicy("off"),
        attempt_timeout=60.0,
        cache=False,
    ),
    "greenlang": Policy(
        name="greenlang",
        retry=RetryPolicy("always", retries=4),
        breaker=BreakerPolicy("consecutive", failure_threshold=5, recovery_timeout=60.0),
        attempt_timeout=60.0,
        max_candidates=3,
    ),
    "aiworld": Policy(
        name="aiworld",
        chain=("azure_openai", "openai", "anthropic", "deepseek", "ollama"),
        retry=RetryPolicy("always", retries=4),
    ),
}


def preset(name: str) -> Policy:
    """The named preset. Raises InputError naming the nearest."""
    try:
        return PRESETS[name]
    except KeyError:
        raise InputError(
            f"unknown preset {name!r}: {did_you_mean(name, PRESETS)}there are {', '.join(PRESETS)}"
        ) from None
