"""Requests that are for the active backend: those that name a tier as their model, and all under the preset `unified`.

So a switch moves the traffic of programs that ask for `haiku` or `sonnet`, as it moves the agents of the unified
client: the active backend alone answers them, with its model of that tier.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from providers.errors import InputError
from sandbox.compat.backend_manager import BackendManager
from sandbox.compat.litellm_config import LLMBackend
from sandbox.server.gateway.asking import Asked

if TYPE_CHECKING:
    from sandbox.gateway.gateway import Gateway
    from sandbox.runtime import Runtime

UNIFIED: Final = "unified"


class Steering:
    """What is asked, as the active backend is to be asked it."""

    def __init__(self, runtime: Runtime, manager: BackendManager) -> None:
        self._runtime = runtime
        self._manager = manager
        self._gateway: Gateway | None = None
        """That was looked at last."""
        self.look()

    def __call__(self, asked: Asked) -> Asked:
        self.look()
        request, config = asked.request, self._manager.config
        policy = self._runtime.gateway.policy
        name = request.model or ""
        tier = name.strip().lower()
        # Somebody who gave a route such a name means that.
        if name not in policy.routes and any(tier in one.models for one in config.backends.values()):
            request.model = config.model(tier)
        elif policy.name != UNIFIED:
            return asked
        active = str(config.active)
        return asked._replace(options=replace(asked.options, provider=active, pinned=True, fallbacks=()))

    def look(self) -> None:
        """Another preset is another gateway."""
        if self._gateway is not self._runtime.gateway:
            self._gateway = self._runtime.gateway
            if self._gateway.policy.name == UNIFIED:
                self._register()

    def _register(self) -> None:
        """The preset's chain has one of them; both are to be there, as far as they are configured."""
        runtime = self._runtime
        for backend in LLMBackend:
            if backend not in runtime.gateway.registry:
                try:
                    runtime.reconfigure(backend, runtime.settings.providers[backend])
                except InputError:
                    continue
