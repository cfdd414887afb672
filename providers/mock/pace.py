"""How fast a simulated provider answers: not at all in tests, or as the real one does."""

from __future__ import annotations

from math import exp
from typing import Final, NamedTuple, Protocol

from providers.mock.writer import Dice


class Timing(NamedTuple):
    """When an answer comes."""

    first_token: float
    """Seconds to the first token."""
    tokens_per_second: float | None
    """None: an answer is whole at its first token."""


class Pace(Protocol):
    def timing(self, provider: str, model: str, dice: Dice) -> Timing | None:
        """The timing of one answer; None: all at once, without sleeping."""
        ...


class Instant:
    """Everything at once."""

    def timing(self, provider: str, model: str, dice: Dice) -> Timing | None:
        return None


class Profile(NamedTuple):
    first_token: float
    """Median seconds to the first token."""
    tokens_per_second: float


PROFILES: Final = {
    "openai": Profile(0.42, 85.0),
    "azure_openai": Profile(0.36, 75.0),
    "anthropic": Profile(0.60, 70.0),
    "bedrock": Profile(0.70, 60.0),
    "deepseek": Profile(0.95, 38.0),
    "gemini": Profile(0.45, 110.0),
    "vllm": Profile(0.12, 95.0),
    "ollama": Profile(0.28, 30.0),
    "mock": Profile(0.08, 120.0),
}
"""Plausible figures for a small model of each provider in a quiet hour. They are a stage set, not a measurement."""
SPREAD: Final = 0.25
"""How much the first token varies: about two thirds of the answers come within a quarter of the median."""


class Realistic:
    """Each provider at its own speed, with jitter that belongs to the request and so repeats."""

    def timing(self, provider: str, model: str, dice: Dice) -> Timing | None:
        profile = PROFILES.get(provider) or PROFILES["mock"]
        # The sum of three even draws is close enough to a normal one: mean 1.5, deviation 0.5.
        normal = (dice.unit() + dice.unit() + dice.unit() - 1.5) * 2.0
        rate = profile.tokens_per_second * (0.85 + 0.3 * dice.unit())
        return Timing(profile.first_token * exp(SPREAD * normal), rate)


PACES: Final[dict[str, Pace]] = {"instant": Instant(), "realistic": Realistic()}
