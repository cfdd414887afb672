"""What goes into the engine and what it reports beside the bus's events: plain data that may cross threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sandbox.desks.base import RoomReport
from sandbox.desks.lights import Light

if TYPE_CHECKING:
    from providers.faults import Fault
    from providers.types import GenerationRequest


@dataclass(frozen=True, slots=True)
class Ask:
    """One question as the screen asks it; the engine makes the request and the options of it."""

    prompt: str
    model: str | None = None
    provider: str | None = None
    strategy: str | None = None
    no_cache: bool = False
    request_id: str = ""
    request: GenerationRequest | None = None
    """A whole request in place of one made of prompt and model."""
    stream: bool = True
    recording: str = ""
    """The fixture whose request this is."""


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """What the screen may say about a provider."""

    id: str
    kind: str
    model: str
    provider: Any
    """The provider itself, to be asked for names and addresses only."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The gateway is ready, or has been built anew for another preset or mode."""

    mode: str
    preset: str
    presets: tuple[str, ...]
    strategy: str
    strategies: tuple[str, ...]
    providers: tuple[ProviderInfo, ...]
    lights: tuple[Light, ...]
    models: tuple[str, ...]
    deadline_s: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The gateway could not be opened, or not as asked."""

    message: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that never reached the gateway."""

    request_id: str
    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The text of an answer that came whole, so that no event brought its pieces."""

    request_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A request's task has ended; no event of it follows."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Estimated:
    """What a question would cost at most on each candidate, in the order in which they would be asked."""

    ask: Ask
    candidates: tuple[tuple[str, str, Decimal | None], ...]
    """Provider, model, USD; None is unpriced."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What this mode has cost since local midnight, waste included."""

    usd: Decimal


@dataclass(frozen=True, slots=True)
class Provoked:
    """The faults that are switched on, by provider."""

    faults: Mapping[str, tuple[Fault, ...]]


@dataclass(frozen=True, slots=True)
class Armed:
    """How many of the next exchanges with providers are recorded because someone asked for them."""

    count: int


@dataclass(frozen=True, slots=True)
class Noted:
    """A warning of some part of the program, for a person to see."""

    message: str


@dataclass(frozen=True, slots=True)
class Served:
    """What of the gateway can be reached from outside this program."""

    url: str = ""
    """Base address of the server, without `/v1`; empty: nothing listens."""
    port: int = 0
    clients: tuple[tuple[str, str], ...] = ()
    """The variables that point each client there."""
    asks_callers: bool = False
    """Whether callers need a key; otherwise any will do."""
    problem: str = ""
    """Why it does not listen although it was asked to, in one sentence."""


@dataclass(frozen=True, slots=True)
class Linked:
    """How the connection to a gateway elsewhere is."""

    problem: str = ""
    """Why there is none, in one sentence; empty: there is one."""
    again_us: int | None = None
    """When it is tried again, UTC microseconds."""


Report = (
    RoomReport
    | Served
    | Linked
    | Noted
    | Armed
    | Opened
    | Unavailable
    | Refused
    | Answered
    | Settled
    | Estimated
    | Spent
    | Provoked
)
