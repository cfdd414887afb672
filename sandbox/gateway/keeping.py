"""The answers that are kept: found by the question itself or, where that is wanted, by one that is nearly the same."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal

from providers.pricing import Catalogue
from providers.redaction import redact
from providers.types import GenerationRequest, LLMResponse, TokenUsage, content_text
from sandbox.cache.base import CacheStore, CacheUnavailable
from sandbox.cache.semantic import Question, SemanticIndex, must_be_equal
from sandbox.core.bus import Bus
from sandbox.core.events import ComponentFailed
from sandbox.gateway.answers import cache_key, pack, prompt_hash, unpack
from sandbox.gateway.call import Call
from sandbox.gateway.policies import Policy

logger = logging.getLogger(__name__)

EMBEDDING_S = 2.0
"""Longest wait for the vector of a question; then it is not compared with others."""


class Keeping:
    """A gateway's use of a cache. One that fails is passed over, with one warning."""

    def __init__(
        self,
        store: CacheStore | None,
        *,
        ttl: float,
        policy: Policy,
        mode: str,
        bus: Bus,
        prices: Catalogue,
        similar: SemanticIndex | None = None,
    ) -> None:
        """`ttl`: seconds that an answer is kept unless its request says otherwise."""
        self._prices = prices
        self._store = store
        self._ttl = ttl
        self._policy = policy
        self._mode = mode
        self._bus = bus
        self._similar = similar
        self._warned: set[str] = set()

    def use(self, store: CacheStore | None) -> None:
        """Keep answers there from now on."""
        self._store = store
        self._warned.clear()

    def key(self, call: Call) -> str | None:
        """What the answer is kept under; None where none is looked for. Raises TypeError or ValueError."""
        if self._store is None or not self._policy.cache or call.options.no_cache:
            return None
        key = self._key_of(call, call.request)
        call.prompt_hash = prompt_hash(key)
        return key

    async def find(self, call: Call, key: str) -> LLMResponse | None:
        store = self._store
        if store is None:
            return None
        try:
            value = await store.get(key)
            if value is not None or self._similar is None:
                return None if value is None else unpack(value)
        except Exception as error:
            self._failed(call, "cache", error)
            return None
        return await self._like(call, store, self._similar)

    async def keep(self, call: Call, key: str, response: LLMResponse) -> None:
        store = self._store
        if store is None:
            return
        ttl = self._ttl if call.options.cache_ttl is None else call.options.cache_ttl
        try:
            await store.set(key, pack(response), ttl=ttl)
        except Exception as error:
            self._failed(call, "cache", error)
            return
        if self._similar is not None and call.question is not None:
            self._similar.keep(call.question, key, ttl=ttl)

    async def _like(self, call: Call, store: CacheStore, similar: SemanticIndex) -> LLMResponse | None:
        """The kept answer to the question most like this one, if that is like enough."""
        text = single_turn(call.request)
        if text is None:
            return None
        # All that changes an answer is equal, but for the rest of the text.
        same = replace(call.request, prompt=must_be_equal(text) or "-", messages=None)
        try:
            async with call.clock.timeout(min(EMBEDDING_S, call.deadline.remaining())):
                question = call.question = await similar.question(self._key_of(call, same), text)
            self._pay(call, question)
            match = None if question is None else similar.nearest(question)
            if question is None or match is None:
                return None
            value = await store.get(match.key)
        except Exception as error:
            self._failed(call, "semantic cache", error)
            return None
        found = None if value is None else unpack(value)
        if found is None:
            similar.forget(question.space, match.key)
            return None
        found.metadata["similarity"] = match.similarity
        return found

    def _pay(self, call: Call, question: Question | None) -> None:
        """A vendor's vector costs a little, whatever comes of it."""
        if question is not None and question.embedding.kind is not None:
            paid = question.embedding
            usage = TokenUsage(paid.tokens, 0, paid.tokens)
            price = self._prices.price(question.embedding.kind, paid.model, usage, at=call.clock.time_us())
            call.waste += Decimal(0) if price is None else price.total

    def _key_of(self, call: Call, request: GenerationRequest) -> str:
        options = call.options
        provider = f"{options.provider} alone" if options.pinned else options.provider
        return cache_key(
            request, preset=self._policy.name, mode=self._mode, provider=provider, fallbacks=options.fallbacks
        )

    def _failed(self, call: Call, component: str, error: Exception) -> None:
        if component in self._warned:
            return
        self._warned.add(component)
        message = redact(str(error) if isinstance(error, CacheUnavailable) else f"{type(error).__name__}: {error}")
        logger.warning("the %s is passed over: %s", component, message)
        if self._bus.active:
            self._bus.publish(ComponentFailed(call.clock.time_us(), call.id, component, message))


def single_turn(request: GenerationRequest) -> str | None:
    """The text of a plain question; None for a conversation, for one with tools and for what is more than text."""
    if request.tools:
        return None
    if request.messages is None:
        return request.prompt
    asked = [message for message in request.messages if message.get("role") not in ("system", "developer")]
    if len(asked) != 1 or len(request.messages) != 1 or asked[0].get("role") != "user":
        return None
    content = asked[0].get("content")
    return content_text(content) if isinstance(content, str) else None
