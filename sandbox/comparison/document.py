"""A comparison as plain data, for JSON: money stays Decimal, None is unpriced or unknown, times are milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from sandbox.comparison.estimate import Estimate, total, unpriced
from sandbox.comparison.sample import Sample
from sandbox.comparison.standings import Outcome, Spread, Standing
from sandbox.comparison.telling import volumes


def as_dict(outcome: Outcome, asked: Sequence[int]) -> dict[str, Any]:
    """The whole comparison; `asked` are volumes, requests a day, that the projections tell beside the usual ones."""
    at = volumes(asked)
    several = len(outcome.by_prompt) > 1
    return {
        "mode": outcome.mode,
        "catalogue": outcome.catalogue,
        "prompts": list(outcome.question.prompts),
        "repeat": outcome.question.repeat,
        "requests_per_day": list(asked),
        "items": [_standing(one, at, runs=not several) for one in outcome.overall],
        "by_prompt": [
            {"prompt": number, "items": [_standing(one, at, runs=True) for one in row]}
            for number, row in enumerate(outcome.by_prompt)
        ]
        if several
        else [],
    }


def estimate_dict(mode: str, catalogue: str, found: Sequence[Estimate]) -> dict[str, Any]:
    """What a comparison may cost, before anybody is asked."""
    return {
        "mode": mode,
        "catalogue": catalogue,
        "items": [
            {
                "name": one.contestant.name,
                "provider": one.contestant.provider,
                "model": one.contestant.model,
                "model_id": one.contestant.model_id,
                "requests": one.requests,
                "input_tokens": one.input_tokens,
                "output_tokens": one.output_tokens,
                "cost_usd": one.cost_usd,
                "free": one.free,
            }
            for one in found
        ],
        "total_usd": total(found),
        "unpriced": len(unpriced(found)),
    }


def _standing(one: Standing, at: Sequence[int], *, runs: bool) -> dict[str, Any]:
    shown = one.shown
    return {
        "name": one.contestant.name,
        "provider": one.contestant.provider,
        "model": one.contestant.model,
        "model_id": one.contestant.model_id,
        "served_by": list(one.served_by),
        "text": shown.text if runs and shown is not None else None,
        "asked": len(one.samples),
        "answered": len(one.answers),
        "whole": one.whole,
        "usage": {
            "input_tokens": _middle(one.input_tokens),
            "output_tokens": _middle(one.output_tokens),
            "cached_input_tokens": _middle(one.cached_input_tokens),
            "cache_write_tokens": _middle(one.cache_write_tokens),
            "reasoning_tokens": _middle(one.reasoning_tokens),
            "estimated": one.estimated,
        },
        "cost_usd": None if one.cost is None else one.cost.middle,
        "waste_usd": one.waste_usd,
        "spent_usd": one.spent_usd,
        "latency_ms": _rounded(one.latency_ms),
        "ttft_ms": _rounded(one.ttft_ms),
        "tokens_per_second": _rounded(one.rate),
        "spread": {
            "cost_usd": None if one.cost is None else {"low": one.cost.low, "high": one.cost.high},
            "latency_ms": _range(one.latency_ms),
            "ttft_ms": _range(one.ttft_ms),
            "tokens_per_second": _range(one.rate),
        },
        "cheapest": one.cheapest,
        "fastest": one.fastest,
        "monthly": [{"requests_per_day": volume, "cost_usd": one.monthly(volume)} for volume in at],
        "simulated": asdict(one.simulated),
        "error": None if one.problem is None else asdict(one.problem),
        "runs": [sample_dict(sample) for sample in one.samples] if runs else [],
    }


def sample_dict(one: Sample) -> dict[str, Any]:
    """One answer, or how it failed."""
    usage = one.usage
    return {
        "request_id": one.request_id,
        "status": one.status,
        "text": one.text,
        "provider": one.provider,
        "model": one.model,
        "model_id": one.model_id,
        "finish_reason": one.finish_reason,
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "cached_input_tokens": None if usage is None else usage.cached_input_tokens,
        "cache_write_tokens": None if usage is None else usage.cache_write_tokens,
        "reasoning_tokens": None if usage is None else usage.reasoning_tokens,
        "cost_usd": one.cost_usd,
        "waste_usd": one.waste_usd,
        "latency_ms": None if one.latency_ms is None else round(one.latency_ms, 3),
        "ttft_ms": None if one.ttft_ms is None else round(one.ttft_ms, 3),
        "tokens_per_second": None if one.rate is None else round(one.rate, 3),
        "attempts": one.attempts,
        "failovers": one.failovers,
        "error": None if one.problem is None else asdict(one.problem),
    }


def _middle(spread: Spread[float] | None) -> float | None:
    """A count of tokens: whole where it can be."""
    if spread is None:
        return None
    return int(spread.middle) if spread.middle.is_integer() else round(spread.middle, 3)


def _rounded(spread: Spread[float] | None) -> float | None:
    return None if spread is None else round(spread.middle, 3)


def _range(spread: Spread[float] | None) -> dict[str, float | Decimal] | None:
    return None if spread is None else {"low": round(spread.low, 3), "high": round(spread.high, 3)}
