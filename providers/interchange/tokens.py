"""Token numbers as aimock's fixtures carry them: by the names of whichever vendor the fixture is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from providers.types import TokenUsage

_GOOGLES: Final = frozenset({"generateContent", "streamGenerateContent"})
_OUTSIDE: Final = frozenset({"messages", "converse", "converse-stream", "invoke", "invoke-stream"})
"""APIs whose input tokens leave out what was read from a cache or written to one."""


def written(usage: Mapping[str, Any], api: str) -> dict[str, Any]:
    """Normalised numbers, by the names that `api` has for them."""
    read, wrote = usage["cached_input_tokens"], usage["cache_write_tokens"]
    inside, out, thought = usage["input_tokens"], usage["output_tokens"], usage["reasoning_tokens"]
    if api in _GOOGLES:
        return _without_zeros(
            {
                "promptTokenCount": inside,
                "candidatesTokenCount": out - thought,
                "totalTokenCount": inside + out,
                "cachedContentTokenCount": read,
                "thoughtsTokenCount": thought,
            }
        )
    if api in _OUTSIDE:
        counted = _without_zeros(
            {
                "input_tokens": inside - read - wrote,
                "output_tokens": out,
                "cache_read_input_tokens": read,
                "cache_creation_input_tokens": wrote,
            }
        )
        return counted | _details_of(0, 0, thought)
    names = ("input", "output") if api == "responses" else ("prompt", "completion")
    found: dict[str, Any] = {
        f"{names[0]}_tokens": inside,
        f"{names[1]}_tokens": out,
        "total_tokens": inside + out,
    }
    return found | _details_of(read, wrote, thought)


def _details_of(read: int, wrote: int, thought: int) -> dict[str, Any]:
    """By these names for every API: aimock takes objects under no others."""
    found: dict[str, Any] = {}
    if read or wrote:
        found["prompt_tokens_details"] = _without_zeros({"cached_tokens": read, "cache_write_tokens": wrote})
    if thought:
        found["completion_tokens_details"] = {"reasoning_tokens": thought}
    return found


def _without_zeros(numbers: dict[str, int]) -> dict[str, Any]:
    """Without the details that say nothing; the first two say something even when they are 0."""
    return {name: number for place, (name, number) in enumerate(numbers.items()) if number or place < 2}


def read(raw: Mapping[str, Any]) -> TokenUsage | None:
    """Normalised numbers, by whatever names they come; None where there is none."""
    inside = _first(raw, "prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens")
    out = _first(raw, "completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens")
    if inside is None and out is None:
        return None
    prompt = _details(raw, "prompt_tokens_details", "input_tokens_details")
    answer = _details(raw, "completion_tokens_details", "output_tokens_details")
    cached = _first(prompt, "cached_tokens") or _first(raw, "cachedContentTokenCount") or 0
    wrote = _first(prompt, "cache_write_tokens") or 0
    thought = _first(answer, "reasoning_tokens") or 0
    total = inside or 0
    # Anthropic's names say that these come on top.
    for name in ("cache_read_input_tokens", "cache_creation_input_tokens"):
        total += _first(raw, name) or 0
    cached += _first(raw, "cache_read_input_tokens") or 0
    wrote += _first(raw, "cache_creation_input_tokens") or 0
    # And Google's, that thoughts are beside the answer.
    beside = _first(raw, "thoughtsTokenCount") or 0
    return TokenUsage(
        total, (out or 0) + beside, cached_input_tokens=cached, cache_write_tokens=wrote,
        reasoning_tokens=thought + beside,
    )  # fmt: skip


def _first(raw: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = raw.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15:
            return int(value)
    return None


def _details(raw: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((raw[name] for name in names if isinstance(raw.get(name), Mapping)), {})
