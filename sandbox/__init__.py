"""See, offline, what an LLM application does when its providers misbehave, and what that costs.

Names are exported lazily (PEP 562), so that importing the package costs nothing until one is used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own constant, without the 10 ms of importing typing
if TYPE_CHECKING:
    from typing import Any

    from sandbox.compat.aws_adapter import AWSLLMAdapter
    from sandbox.compat.backend_manager import BackendManager, backend_manager
    from sandbox.compat.base_agent import AgentConfig, BaseAgent
    from sandbox.compat.cost_calculator import LLMCostCalculator
    from sandbox.compat.litellm_config import LiteLLMConfig, LLMBackend
    from sandbox.compat.provider_factory import LLMProviderFactory
    from sandbox.compat.router import LLMRouter
    from sandbox.compat.unified_client import UnifiedLLMClient, llm_client
    from sandbox.costs.tracker import CostTracker
    from sandbox.gateway.call import CallOptions
    from sandbox.gateway.gateway import Gateway
    from sandbox.gateway.strategies import RoutingStrategy
    from sandbox.runtime import Runtime
    from sandbox.settings.loading import load as load_settings
    from sandbox.settings.model import Settings

__version__ = "0.1.0"

_EXPORTS = {
    "AWSLLMAdapter": "sandbox.compat.aws_adapter",
    "AgentConfig": "sandbox.compat.base_agent",
    "BackendManager": "sandbox.compat.backend_manager",
    "BaseAgent": "sandbox.compat.base_agent",
    "CallOptions": "sandbox.gateway.call",
    "CostTracker": "sandbox.costs.tracker",
    "Gateway": "sandbox.gateway.gateway",
    "LLMBackend": "sandbox.compat.litellm_config",
    "LLMCostCalculator": "sandbox.compat.cost_calculator",
    "LLMProviderFactory": "sandbox.compat.provider_factory",
    "LLMRouter": "sandbox.compat.router",
    "LiteLLMConfig": "sandbox.compat.litellm_config",
    "RoutingStrategy": "sandbox.gateway.strategies",
    "Runtime": "sandbox.runtime",
    "Settings": "sandbox.settings.model",
    "UnifiedLLMClient": "sandbox.compat.unified_client",
    "backend_manager": "sandbox.compat.backend_manager",
    "llm_client": "sandbox.compat.unified_client",
    "load_settings": "sandbox.settings.loading:load",
}

__all__ = [
    "AWSLLMAdapter",
    "AgentConfig",
    "BackendManager",
    "BaseAgent",
    "CallOptions",
    "CostTracker",
    "Gateway",
    "LLMBackend",
    "LLMCostCalculator",
    "LLMProviderFactory",
    "LLMRouter",
    "LiteLLMConfig",
    "RoutingStrategy",
    "Runtime",
    "Settings",
    "UnifiedLLMClient",
    "__version__",
    "backend_manager",
    "llm_client",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    place = _EXPORTS.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return __all__
