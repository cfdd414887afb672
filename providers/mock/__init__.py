"""The simulated side: a deterministic writer, a transport that answers with it, and a provider made of both.

Names are exported lazily (PEP 562): the writer's sentences and the dialects load when something is simulated.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from providers.mock.provider import MockProvider
    from providers.mock.simulated import SimulatedTransport, Simulation
    from providers.mock.writer import SyntheticWriter

_EXPORTS = {
    "MockProvider": "providers.mock.provider",
    "SimulatedTransport": "providers.mock.simulated",
    "Simulation": "providers.mock.simulated",
    "SyntheticWriter": "providers.mock.writer",
}

__all__ = ["MockProvider", "SimulatedTransport", "Simulation", "SyntheticWriter"]


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
