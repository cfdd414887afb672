"""The providers of one runtime: each made once, as its settings say, the vendor or a simulation behind it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from providers import factory
from providers.base import BaseLLMProvider
from providers.clock import Clock, Randomness
from providers.errors import ConfigError, InputError
from providers.faults import FaultBoard
from providers.pricing import Catalogue
from providers.redaction import redact
from providers.vendors.recording import Recorder, Saved
from sandbox.core.offline import OFFLINE_MODES
from sandbox.gateway.policies import Policy
from sandbox.provider_options import provider_options
from sandbox.settings import Settings
from sandbox.settings.loading import secrets_of
from sandbox.settings.model import ProviderSettings

if TYPE_CHECKING:
    from providers.mock.simulated import Simulation

logger = logging.getLogger(__name__)

_KEYLESS = frozenset({"ollama", "vllm", "mock"})
"""Kinds that need an address rather than a credential."""


class Gathered(NamedTuple):
    """One provider of a chain."""

    id: str
    configured: ProviderSettings
    provider: BaseLLMProvider


class ProviderSet:
    """What mode and credentials allow of the kinds that there are; closed here, those that were replaced too."""

    def __init__(
        self,
        settings: Settings,
        *,
        prices: Catalogue,
        clock: Clock,
        draws: Randomness,
        saved: Callable[[Saved], None],
        failed: Callable[[str, str], None],
    ) -> None:
        """`saved` hears of each exchange that was recorded; `failed` of trouble, with its component."""
        self.faults = FaultBoard(clock)
        self.recorder = Recorder(
            settings.data_dir / "fixtures",
            always=settings.mode == "record",
            origin="wiretap" if settings.mode in OFFLINE_MODES else "live",
            secrets=tuple(secrets_of(settings)),
            saved=saved,
            failed=lambda sentence: failed("recorder", sentence),
            clock=clock,
        )
        self._prices = prices
        self._clock = clock
        self._draws = draws
        self._made: dict[str, BaseLLMProvider] = {}
        self._replaced: list[BaseLLMProvider] = []
        """Others have taken their place."""
        self._simulation: Simulation | None = None

    def of_chain(self, settings: Settings, policy: Policy) -> list[Gathered]:
        """The chain's providers that mode and settings allow. Raises ConfigError when there are none."""
        gathered = []
        for id in policy.chain:
            configured = settings.providers.get(id) or ProviderSettings(kind="mock" if id == "mock" else None)
            provider = self.of(settings, id, configured, named=settings.chain is not None)
            if provider is not None:
                gathered.append(Gathered(id, configured, provider))
        if not gathered:
            raise ConfigError(
                f"no provider of the chain ({', '.join(policy.chain)}) can be used in mode {settings.mode!r}: "
                "set a provider's API key, or use --mode mock, which needs none"
            )
        return gathered

    def of(self, settings: Settings, id: str, configured: ProviderSettings, *, named: bool) -> BaseLLMProvider | None:
        """The provider of an id; None where mode or settings leave it out. Raises ConfigError.

        `named`: somebody asked for it, so that it is there also without a credential.
        """
        kind = configured.kind or id
        if not configured.enabled or kind not in factory.KINDS:
            return None
        simulated = settings.mode in OFFLINE_MODES
        if not simulated and not named:
            known = configured.base_url if kind in _KEYLESS else settings.credential(id)
            if not known:
                return None
        if id not in self._made:
            self._made[id] = factory.create(
                kind,
                **provider_options(settings, id, configured),
                registered_as=id,
                prices=self._prices,
                clock=self._clock,
                draws=self._draws,
                faults=self.faults,
                recorder=self.recorder,
                **self._side(settings, simulated),
            )
        return self._made[id]

    def remake(self, settings: Settings, id: str, configured: ProviderSettings) -> BaseLLMProvider | None:
        """One in place of the provider of that id. Raises ConfigError, and has then changed nothing."""
        before = self._made.pop(id, None)
        try:
            provider = self.of(settings, id, configured, named=True)
        except InputError:
            if before is not None:
                self._made[id] = before
            raise
        if before is not None:
            self._replaced.append(before)
        return provider

    def forget_fixtures(self) -> None:
        """Files of recordings have changed: the next request finds them as they are now."""
        if self._simulation is not None and self._simulation.library is not None:
            self._simulation.library.forget()

    async def close(self) -> None:
        """Safe to call twice."""
        try:
            for provider in (*self._made.values(), *self._replaced):
                try:
                    await provider.close()
                except Exception as error:
                    logger.warning("closing provider %s failed: %s", provider.kind, redact(str(error)))
        finally:
            await self.recorder.close()

    def _side(self, settings: Settings, simulated: bool) -> dict[str, Any]:
        """Who is on the other end: the vendor, or a simulation that all providers share."""
        if not simulated:
            return {"mock_mode": False}
        if self._simulation is None:
            from providers.exchange import FixtureLibrary
            from providers.mock.simulated import Simulation

            self._simulation = Simulation(
                seed=settings.mock.seed,
                pace=settings.mock.pace or "instant",
                library=FixtureLibrary.standard(settings.data_dir / "fixtures"),
                fixtures_only=settings.mode == "replay",
                window_of=self._prices.context_window,
            )
        return {"mock_mode": True, "simulation": self._simulation}
