"""What every provider of a scenario is, whatever it speaks: whose part it plays, and what it draws for each attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from providers import factory
from providers.base import BaseLLMProvider
from providers.clock import Clock
from providers.errors import ContextLengthError, InvalidRequestError
from providers.faults import Fault
from providers.pricing import Catalogue
from providers.types import GenerationRequest, Message
from sandbox.scenarios.draws import draw, lognormal
from sandbox.scenarios.faults import Schedule
from sandbox.scenarios.schema import ProviderPart, Spread


@dataclass(slots=True)
class Turn:
    """One request of the scenario, on its way through the gateway in the request's metadata."""

    index: int
    input_tokens: int
    output_tokens: int
    attempts: int = 0


TURN: Final = "scenario_turn"
"""Key of a request's metadata under which its Turn lies."""


class Drawn(NamedTuple):
    """One attempt's lot."""

    turn: Turn
    attempt: int
    """Counts the attempts of the request from 0."""
    faults: list[Fault]
    """Those of this moment whose draw fell on this attempt, in the order of the file."""
    first_token: float
    """Seconds to the first token, faults aside."""


class PartProvider(BaseLLMProvider):
    """Registered under the part's id, priced under its real name."""

    def __init__(
        self, part: ProviderPart, *, seed: int, schedule: Schedule, clock: Clock, prices: Catalogue, **vendor: Any
    ) -> None:
        """`vendor`: options of the real provider of that name, which knows its vendor's models and what they can do."""
        self.kind = part.name  # type: ignore[misc]  # this one's own, not the class's
        self._vendor = factory.create(part.name, model=part.model, clock=clock, **vendor)
        super().__init__(model=part.model, timeout=86_400.0, prices=prices, clock=clock)
        self.model_id = self._vendor.resolve_model(part.model) or part.model
        self.local = self._vendor.local  # type: ignore[misc]
        self.prefills = self._vendor.prefills if part.prefills is None else bool(part.prefills)  # type: ignore[misc]
        self._part = part
        self._seed = seed
        self._schedule = schedule
        window = part.context_window
        self._window = prices.context_window(part.name, self.model_id) if window is None else window

    def resolve_model(self, model: str) -> str | None:
        """It serves the model that the scenario gives it, by any of that model's names, and no other."""
        if model == self.model:
            return self._vendor.resolve_model(model) or model
        resolved = self._vendor.resolve_model(model)
        return resolved if resolved is not None and resolved == self._vendor.resolve_model(self.model) else None

    def _draw(self, request: GenerationRequest) -> Drawn:
        """Begin an attempt."""
        turn: Turn = request.metadata[TURN]
        attempt, turn.attempts = turn.attempts, turn.attempts + 1
        key = self._part.key
        faults = [
            fault
            for number, fault in self._schedule.numbered(key)
            if fault.probability >= 1.0
            or draw(self._seed, f"fault {number}", key, turn.index, attempt) < fault.probability
        ]
        latency = self._part.latency
        if isinstance(latency, Spread):
            unit = draw(self._seed, "latency", key, turn.index, attempt)
            latency = round(lognormal(latency.p50, latency.p99, unit) * 1e6) / 1e6
        return Drawn(turn, attempt, faults, latency)

    def _check_acceptable(self, turn: Turn, last: Message | None) -> None:
        """Raise what its model says to a prompt that it does not take; `last` is the prompt's last message."""
        window = self._window
        if window is not None and turn.input_tokens > window:
            raise ContextLengthError(
                f"the prompt has {turn.input_tokens} tokens; the context window has {window}",
                status=400,
                code="context_length_exceeded",
            )
        if last is not None and last.get("role") == "assistant" and self._part.prefills == "refused":
            raise InvalidRequestError("this model does not go on from an assistant's message", status=400)
