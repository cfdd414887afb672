"""Makes a new exchange fit to be kept: without credentials, with what the real provider reads in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from providers.errors import FixtureError
from providers.exchange.cleaning import redacted
from providers.exchange.format import Exchange
from providers.exchange.listing import streamed
from providers.redaction import holds_key
from providers.vendors import conformance


def completed(exchange: Exchange, secrets: Sequence[str] = ()) -> Exchange:
    """A copy without credentials, with `expected` and `kind` as the real provider reads it.

    Raises FixtureError where a credential cannot be taken out. Runs an event loop of its own, so not to be called on
    one.
    """
    exchange = redacted(exchange, secrets)
    row = _read(exchange)
    if row is not None:
        if any(holds_key(text, secrets) for text in _texts(row)):
            raise FixtureError(
                f"the answer of {exchange.provider} spells a credential across several events, where it cannot be "
                "masked; it was not saved"
            )
        exchange.expected = {name: row[name] for name in conformance.COMPARED}
    exchange.kind = _kind(exchange, row or {})
    return exchange


def _read(exchange: Exchange) -> dict[str, Any] | None:
    """What the real provider makes of it; None for an API that none speaks."""
    try:
        return asyncio.run(conformance.replay(exchange))
    except FixtureError:
        return None


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _kind(exchange: Exchange, row: Mapping[str, Any]) -> str:
    """What sets the exchange apart from others of its API, for its name."""
    stream = "stream-" if streamed(exchange) else ""
    if exchange.error is not None:
        return f"{stream}{'reset' if exchange.error == 'connection_reset' else 'timeout'}"
    if exchange.response is not None and exchange.response.status >= 400:
        return f"error-{exchange.response.status}"
    if row.get("error_class"):
        return f"{stream}error"
    if row.get("tool_calls"):
        return f"{stream}tool"
    return stream.removesuffix("-") or "plain"
