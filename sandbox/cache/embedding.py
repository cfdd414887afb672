"""Questions embedded by a provider, for a cache that answers those that mean nearly the same."""

from __future__ import annotations

from providers.base import BaseLLMProvider
from providers.clock import Clock
from providers.vendors.embeddings import MODELS, embed
from providers.vendors.wire import WireProvider
from sandbox.cache.semantic import Embedder, Embedding, HashingEmbedder, SemanticIndex
from sandbox.settings.backends import CacheSettings


class ProviderEmbedder:
    """Asks a live provider for each question that is not in the cache; that takes as long as it takes, and costs."""

    longest = 4000
    """Within what every vendor's model takes (Titan and OpenAI: about 8,000 tokens)."""

    def __init__(self, provider: WireProvider, *, model: str | None = None) -> None:
        self._provider = provider
        self._model = model or MODELS[provider.kind]

    @property
    def name(self) -> str:
        return f"{self._provider.kind}/{self._model}"

    async def embed(self, text: str) -> Embedding:
        vector = await embed(self._provider, text, model=self._model)
        return Embedding(vector.values, self._provider.kind, self._model, vector.tokens)


def index_of(cache: CacheSettings, provider: BaseLLMProvider | None, *, clock: Clock) -> SemanticIndex:
    """What compares questions as the settings say, by a provider's vectors or without one by their words."""
    embedder: Embedder = HashingEmbedder()
    if provider is not None:
        assert isinstance(provider, WireProvider)  # noqa: S101  of the kinds that the settings allow
        embedder = ProviderEmbedder(provider, model=cache.semantic_model)
    return SemanticIndex(embedder, threshold=cache.semantic_threshold, entries=cache.semantic_entries, clock=clock)
