"""One request on its way: what it asked, what has happened to it so far, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from providers.attempts import Deadline
from providers.clock import Clock
from providers.redaction import redact
from providers.types import AttemptRecord, GenerationRequest
from sandbox.gateway.policies import StreamPolicy
from sandbox.gateway.strategies import RoutingStrategy

if TYPE_CHECKING:
    from sandbox.cache.semantic import Question
    from sandbox.gateway.router import Plan
    from sandbox.gateway.spending import Allowance


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call asks of the gateway beside its content."""

    provider: str | None = None
    """Ask this provider first, then the chain."""
    pinned: bool = False
    """Ask `provider` alone: nobody answers in its place."""
    fallbacks: tuple[str, ...] = ()
    """Names to ask after the model, in order: models, or `provider/model`. If there are any, nobody else is asked."""
    strategy: RoutingStrategy | None = None
    no_cache: bool = False
    cache_ttl: float | None = None
    """Seconds to keep the answer; None: the setting."""
    store_stream: bool = False
    """Keep a streamed answer too."""
    stream_policy: StreamPolicy | None = None
    restarts: bool = True
    """The caller can discard a text that it was shown. Where it cannot, a stream that would start anew fails."""
    request_id: str | None = None
    """None: a fresh one."""


DEFAULT_OPTIONS = CallOptions()


@lru_cache(maxsize=256)
def kept_name(model: str | None) -> str | None:
    """A model's name as events and records keep it: a key that somebody put in its place is in none of them."""
    return None if model is None else redact(model)


@dataclass(slots=True, eq=False)
class Call:
    id: str
    request: GenerationRequest
    options: CallOptions
    clock: Clock
    started: float
    """Monotonic seconds."""
    arrived_us: int
    deadline: Deadline
    stream: bool
    records: list[AttemptRecord] = field(default_factory=list)
    attempts: int = 0
    failovers: int = 0
    waste: Decimal = Decimal(0)
    plan: Plan | None = None
    allowance: Allowance | None = None
    """What its budgets let it pay for; None where there are none."""
    booked: bool = False
    """Its one outcome is on the books; whatever happens now changes nothing about it."""
    pieces: list[str] = field(default_factory=list)
    """Text that the caller has received of an unfinished stream."""
    prompt_hash: str = ""
    """Of the cache's key, where the cache is asked."""
    question: Question | None = None
    """As it is compared with others, where the cache looks for such."""
    wasted_input_tokens: int = 0
    wasted_output_tokens: int = 0
    """Tokens paid for in answers that were not used."""

    @property
    def shown(self) -> str:
        return "".join(self.pieces)

    def elapsed_ms(self) -> float:
        return (self.clock.monotonic() - self.started) * 1000.0
