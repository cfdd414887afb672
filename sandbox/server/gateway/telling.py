"""What an answer tells beside its content: the `x-sandbox-…` headers, and the comment that ends a stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from providers.errors import ProviderError
from providers.types import AttemptRecord, LLMResponse
from sandbox.core.figures import UNPRICED, decimal

KEEP_ALIVE = b": keep-alive\n\n"


def headers(response: LLMResponse, took_ms: float) -> dict[str, str]:
    """Of a whole answer. `took_ms`: from the request's arrival here to now."""
    return {
        "content-type": "application/json",
        **identity(response.request_id),
        "x-sandbox-provider": response.provider,
        "x-sandbox-mode": response.mode,
        "x-sandbox-attempts": str(attempts_made(response.attempts)),
        "x-sandbox-failovers": str(response.failovers),
        "x-sandbox-cost": decimal(response.cost_usd) or UNPRICED,
        "x-sandbox-cached": "true" if response.cached else "false",
        "x-sandbox-overhead-ms": f"{overhead_ms(response.attempts, took_ms):.3f}",
    }


def stream_headers(content_type: str, ident: str, provider: str | None, mode: str) -> dict[str, str]:
    """Of a stream, of which the rest is known at its end. `provider` None: nobody has answered yet."""
    told = {
        "content-type": content_type,
        # Proxies on the way must not hold a stream back.
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
        **identity(ident),
        "x-sandbox-mode": mode,
    }
    if provider:
        told["x-sandbox-provider"] = provider
    return told


def failure_headers(error: ProviderError, ident: str, took_ms: float) -> dict[str, str]:
    told = {
        **identity(ident),
        "x-sandbox-attempts": str(attempts_made(error.attempts)),
        "x-sandbox-overhead-ms": f"{overhead_ms(error.attempts, took_ms):.3f}",
        "x-sandbox-error": type(error).__name__,
    }
    if error.attempts:
        told["x-sandbox-provider"] = error.attempts[-1].provider
    return told


def identity(ident: str) -> dict[str, str]:
    """The request's id under the names that the vendors' clients look for too."""
    return {"x-sandbox-request-id": ident, "x-request-id": ident, "request-id": ident}


def summary(response: LLMResponse, took_ms: float) -> bytes:
    """The comment at the end of a stream, which clients that know nothing of it pass over."""
    return _comment(
        {
            "request_id": response.request_id,
            "provider": response.provider,
            "model": response.model,
            "requested_model": response.requested_model,
            "mode": response.mode,
            "attempts": attempts_made(response.attempts),
            "failovers": response.failovers,
            "cost_usd": decimal(response.cost_usd),
            "waste_usd": decimal(response.waste_usd),
            "cached": response.cached,
            "ttft_ms": None if response.ttft_ms is None else round(response.ttft_ms, 3),
            "latency_ms": round(response.latency_ms, 3),
            "overhead_ms": round(overhead_ms(response.attempts, took_ms), 3),
        }
    )


def failure_summary(error: ProviderError, ident: str) -> bytes:
    return _comment({"request_id": ident, "error": type(error).__name__, "attempts": attempts_made(error.attempts)})


def attempts_made(records: Iterable[AttemptRecord]) -> int:
    return sum(record.outcome != "skipped" for record in records)


def overhead_ms(records: Iterable[AttemptRecord], took_ms: float) -> float:
    """What a request took here beyond its attempts: this program's own work, and its waits between retries."""
    return max(0.0, took_ms - sum(record.latency_ms for record in records))


def _comment(value: dict[str, Any]) -> bytes:
    return b": x-sandbox " + orjson.dumps(value) + b"\n\n"
