"""Token numbers normalised once: input includes cached reads and writes, output includes reasoning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from providers.types import RawUsage, TokenUsage

MAX_COUNT: Final = 2**53
"""No count reaches it; sums of smaller ones can be written as JSON and read exactly by everyone."""

MAX_WORD: Final = 64
"""Characters. No vendor's word for a class of service or a region is as long."""
_STANDARD: Final = frozenset(
    ("", "default", "standard", "auto", "on_demand", "unspecified", "traffic_type_unspecified", "standard_only")
)


def count(source: Mapping[str, Any] | None, name: str) -> int | None:
    """A token count as sent; None where it is absent or no count."""
    if source is None:
        return None
    value = source.get(name)
    if type(value) is int:
        return value if 0 <= value < MAX_COUNT else None
    if type(value) is float and value.is_integer() and 0 <= value < MAX_COUNT:
        return int(value)
    return None


def word(source: Mapping[str, Any], name: str) -> str | None:
    """A short word as sent; None where it is absent or no word."""
    value = source.get(name)
    return value if type(value) is str and len(value) <= MAX_WORD else None


def tier_of(sent: str | None) -> str | None:
    """The class of service that a vendor's word means: batch, flex, priority, fast, or a word of its own.

    None is the standard one, under whatever name: OpenAI's default, Anthropic's standard, Vertex's ON_DEMAND.
    """
    if sent is None or sent in _STANDARD:
        return None
    tier = sent.lower()
    return None if tier in _STANDARD else tier.removeprefix("on_demand_")


def usage_with_cache_inside(raw: RawUsage, total: int | None = None) -> TokenUsage | None:
    """For vendors whose input count includes the cached tokens (OpenAI and its kin, Ollama)."""
    if raw.input_tokens is None and raw.output_tokens is None:
        return None
    given, written = raw.input_tokens or 0, raw.output_tokens or 0
    reasoning = raw.reasoning_tokens or 0
    if total is None:
        if reasoning > written:
            written += reasoning
    else:
        # Gemini's compatible API and xAI count reasoning in the total alone.
        hidden = total - given - written
        if hidden > 0:
            written += hidden
            reasoning = max(reasoning, hidden)
    return TokenUsage(
        given,
        written,
        given + written,
        # Azure's Grok streams report more cached tokens than the prompt has.
        min(raw.cached_input_tokens or 0, given),
        min(raw.cache_write_tokens or 0, given),
        min(reasoning, written),
        service_tier=tier_of(raw.service_tier),
    )


def usage_with_cache_outside(raw: RawUsage) -> TokenUsage | None:
    """For vendors whose input count leaves the cached tokens out (Anthropic)."""
    if raw.input_tokens is None and raw.output_tokens is None:
        return None
    cached, kept = raw.cached_input_tokens or 0, raw.cache_write_tokens or 0
    written = raw.output_tokens or 0
    return TokenUsage(
        input_tokens=(raw.input_tokens or 0) + cached + kept,
        output_tokens=written,
        cached_input_tokens=cached,
        cache_write_tokens=kept,
        reasoning_tokens=min(raw.reasoning_tokens or 0, written),
        cache_write_1h_tokens=min(raw.cache_write_1h_tokens or 0, kept),
        service_tier=tier_of(raw.service_tier),
        region=raw.region,
    )
