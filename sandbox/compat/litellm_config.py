"""`LLMBackend` and `LiteLLMConfig` of the unified client: which backends there are, and what their tiers mean.

A tier is a name for a model that code can keep while the backend changes. A backend answers a tier that it has not with
its default one, so that a switch needs no change in any agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from providers.errors import InputError
from providers.hints import did_you_mean
from providers.limits import between

if TYPE_CHECKING:
    from sandbox.settings import Settings

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds that a call may take with all its retries."""
DEFAULT_TEMPERATURE: Final = 0.7
DEFAULT_MAX_TOKENS: Final = 1000


class LLMBackend(StrEnum):
    """Its values are provider ids too."""

    ANTHROPIC = "anthropic"
    VLLM = "vllm"

    @classmethod
    def of(cls, name: str) -> LLMBackend:
        """Raises InputError naming the nearest."""
        try:
            return cls(str(name).strip().lower())
        except ValueError:
            hint = did_you_mean(str(name).lower(), cls)
            raise InputError(f"unknown backend {name!r}: {hint}there are {', '.join(cls)}") from None


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """One backend. Raises InputError for what cannot be meant."""

    models: Mapping[str, str]
    """The vendor's model id of each tier."""
    default_tier: str
    """Answers calls that name no tier, or one that this backend has not."""
    endpoint: str | None = None
    """Address; None: the provider's own default."""
    temperature: float | None = DEFAULT_TEMPERATURE
    max_tokens: int | None = DEFAULT_MAX_TOKENS
    timeout: float = DEFAULT_TIMEOUT
    """Seconds for a call with all its retries."""

    def __post_init__(self) -> None:
        if not self.models or not all(
            isinstance(one, str) and one.strip() for pair in self.models.items() for one in pair
        ):
            raise InputError(f"models is {dict(self.models)!r}; give each tier the id of a model")
        if self.default_tier not in self.models:
            hint = did_you_mean(str(self.default_tier), self.models)
            raise InputError(f"default_tier is {self.default_tier!r}: {hint}use one of {', '.join(self.models)}")
        if self.temperature is not None:
            between("temperature", self.temperature, 0, 2)
        if self.max_tokens is not None:
            between("max_tokens", self.max_tokens, 1, 10_000_000, whole=True)
        between("timeout", self.timeout, 0.001, 86_400)


CLAUDE: Final = BackendConfig(
    {
        "haiku": "claude-3-haiku-20240307",
        "sonnet": "claude-3-5-sonnet-20241022",
        "opus": "claude-3-opus-20240229",
    },
    default_tier="sonnet",
)
QWEN: Final = BackendConfig({"qwen": "Qwen/Qwen2.5-7B-Instruct"}, default_tier="qwen")


def _standard() -> dict[LLMBackend, BackendConfig]:
    return {LLMBackend.ANTHROPIC: CLAUDE, LLMBackend.VLLM: QWEN}


@dataclass(slots=True)
class LiteLLMConfig:
    """The backends and which of them is active. Every change is checked first, and then made whole or not at all."""

    active: LLMBackend = LLMBackend.ANTHROPIC
    backends: dict[LLMBackend, BackendConfig] = field(default_factory=_standard)

    @classmethod
    def of(cls, settings: Settings) -> LiteLLMConfig:
        """As the settings describe it: `chain` begins with the active backend, `[providers.vllm]` says what it serves.

        Raises InputError.
        """
        chosen = [one for one in settings.chain or () if one in set(LLMBackend)]
        config = cls(LLMBackend(chosen[0]) if chosen else LLMBackend.ANTHROPIC)
        for backend in LLMBackend:
            provider = settings.providers[backend]
            if provider.base_url is not None:
                # Whether it may be called is judged where it is: a mode that asks nobody takes any.
                config.backends[backend] = replace(config.backends[backend], endpoint=provider.base_url)
        served = settings.providers[LLMBackend.VLLM].model
        if served is not None:
            config.update(LLMBackend.VLLM, models={QWEN.default_tier: served})
        return config

    def backend(self, backend: LLMBackend | str | None = None) -> BackendConfig:
        """One backend's configuration, or the active one's."""
        return self.backends[self.active if backend is None else LLMBackend.of(backend)]

    def switch(self, backend: LLMBackend | str) -> None:
        """Answer by another backend from now on. Raises InputError for one that there is not."""
        self.active = LLMBackend.of(backend)

    def update(self, backend: LLMBackend | str, **changes: Any) -> BackendConfig:
        """Change `models`, `default_tier`, `endpoint`, `temperature`, `max_tokens` or `timeout` of a backend.

        Raises InputError, and has then changed nothing.
        """
        chosen = LLMBackend.of(backend)
        known = BackendConfig.__dataclass_fields__
        for name in changes:
            if name not in known:
                raise InputError(f"a backend has no {name!r}: {did_you_mean(name, known)}it has {', '.join(known)}")
        if changes.get("endpoint") is not None:
            from providers.vendors.settings import checked_base_url

            own = chosen is LLMBackend.VLLM
            changes["endpoint"] = checked_base_url(changes["endpoint"], source="endpoint", plain_http=own)
        changed = replace(self.backends[chosen], **changes)
        self.backends[chosen] = changed
        return changed

    # --- tiers ----------------------------------------------------------------------------------------------------

    def tiers(self, backend: LLMBackend | str | None = None) -> list[str]:
        """The tiers of a backend, or of the active one."""
        return list(self.backend(backend).models)

    def model(self, tier: str | None = None, backend: LLMBackend | str | None = None) -> str:
        """The model id that answers a tier on a backend, by default on the active one.

        Raises InputError for a tier that no backend has.
        """
        one = self.backend(backend)
        if tier is None:
            return one.models[one.default_tier]
        known = dict.fromkeys(name for config in self.backends.values() for name in config.models)
        asked = tier.strip().lower() if isinstance(tier, str) else tier
        if asked not in known:
            hint = did_you_mean(str(asked), known)
            raise InputError(f"unknown model tier {tier!r}: {hint}there are {', '.join(known)}")
        return one.models.get(asked) or one.models[one.default_tier]

    def tier_of(self, model: str) -> str | None:
        """The tier whose model this is, on whichever backend."""
        for config in self.backends.values():
            for tier, id in config.models.items():
                if id == model:
                    return tier
        return None
