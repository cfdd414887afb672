"""Questions embedded by a provider, for a cache that answers those that mean nearly the same."""

from __future__ import annotations

from providers.vendors.embeddings import MODELS, embed
from providers.vendors.wire import WireProvider
from sandbox.cache.semantic import Embedding


class ProviderEmbedder:
    """Asks a live provider for each question that is not in the cache; that takes as long as it takes, and costs."""

    def __init__(self, provider: WireProvider, *, model: str | None = None) -> None:
        self._provider = provider
        self._model = model or MODELS[provider.kind]

    @property
    def name(self) -> str:
        return f"{self._provider.kind}/{self._model}"

    async def embed(self, text: str) -> Embedding:
        vector = await embed(self._provider, text, model=self._model)
        return Embedding(vector.values, self._provider.kind, self._model, vector.tokens)
