"""Samples and contestants by hand, and gateways with the simulated providers or scripted ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from providers.types import TokenUsage
from sandbox.comparison.contestants import Contestant
from sandbox.comparison.question import Cell, Question
from sandbox.comparison.sample import Problem, Sample, Simulated
from sandbox.gateway.gateway import Gateway
from sandbox.runtime import Runtime
from sandbox.settings.model import Settings


def contestant(name: str, provider: str = "openai") -> Contestant:
    return Contestant(provider, name, name, name=name)


def sample(
    cost: str | None = "0.001",
    *,
    ms: float = 1000.0,
    ttft: float | None = 200.0,
    tokens: tuple[int, int] = (10, 40),
    text: str = "hello",
    provider: str = "openai",
    model: str = "gpt-4",
    mode: str = "live",
) -> Sample:
    return Sample(
        "r1", provider, model, model, text, TokenUsage(*tokens), None if cost is None else Decimal(cost),
        latency_ms=ms, ttft_ms=ttft, finish_reason="stop", attempts=1, simulated=Simulated.under(mode),
    )  # fmt: skip


def problem(kind: str = "RateLimitError", *, waste: str = "0", text: str = "") -> Sample:
    return Sample(
        "r2", "openai", "gpt-4", "gpt-4", text, waste_usd=Decimal(waste), attempts=4, problem=Problem(kind, "no luck")
    )


class Done:
    """A run that has come to its end."""

    def __init__(self, question: Question, names: list[str], samples: dict[tuple[int, int, int], Sample]) -> None:
        self.question = question
        self.contestants = tuple(contestant(name, "openai") for name in names)
        self.samples = {Cell(*key): value for key, value in samples.items()}
        self.gateway = _Priced()


class _Priced:
    mode = "live"

    class prices:
        version = "test-1"


@asynccontextmanager
async def simulated(folder: Path, **changes: Any) -> AsyncIterator[Gateway]:
    """The gateway of mock mode, with every provider."""
    settings = Settings.model_validate({"data_dir": folder, "mock": {"pace": "instant"}, **changes})
    async with await Runtime.open(settings) as runtime:
        yield runtime.gateway
