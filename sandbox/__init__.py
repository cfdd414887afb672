"""See, offline, what an LLM application does when its providers misbehave, and what that costs.

Names are exported lazily (PEP 562), so that importing the package costs nothing until one is used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own constant, without the 10 ms of importing typing
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "Gateway": "sandbox.gateway.gateway",
    "LLMCostCalculator": "sandbox.compat.cost_calculator",
    "LLMProviderFactory": "sandbox.compat.provider_factory",
    "LLMRouter": "sandbox.compat.router",
    "RoutingStrategy": "sandbox.gateway.strategies",
    "Runtime": "sandbox.runtime",
    "Settings": "sandbox.settings.model",
    "load_settings": "sandbox.settings.loading:load",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    place = _EXPORTS.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return __all__
