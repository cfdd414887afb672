"""What the screen asks, as the gateway is asked; and since when the day's spending counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from providers.clock import Clock
from sandbox.tui.reports import Ask

if TYPE_CHECKING:
    from providers.types import GenerationRequest
    from sandbox.gateway.call import CallOptions


def question(ask: Ask, request_id: str) -> tuple[GenerationRequest, CallOptions]:
    """The request and its options. Streams are kept too, so that the same question asked again shows the cache.

    Raises InputError for an unknown strategy, InvalidRequestError for a prompt that no provider could answer.
    """
    from providers.types import GenerationRequest
    from sandbox.gateway.call import CallOptions
    from sandbox.gateway.strategies import RoutingStrategy

    request = ask.request or GenerationRequest(prompt=ask.prompt, model=ask.model)
    return GenerationRequest.of(request), CallOptions(
        provider=ask.provider,
        strategy=RoutingStrategy.of(ask.strategy) if ask.strategy else None,
        no_cache=ask.no_cache,
        store_stream=True,
        request_id=request_id or None,
    )


def midnight_us(clock: Clock) -> int:
    """UTC microseconds of the last local midnight."""
    from datetime import datetime

    now = datetime.fromtimestamp(clock.time_us() / 1e6).astimezone()
    return int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1_000_000)
