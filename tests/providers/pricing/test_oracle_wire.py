"""From the vendors' own bytes to money: what our codecs read and price, against what the library reads and prices."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import orjson
import pytest

from providers.errors import ProviderError
from providers.pricing import catalogue
from providers.pricing.generate import PROVIDERS
from tests.providers.dialects.recorded import Recorded, recordings
from tests.shared_material import needs_wire

get_snapshot = pytest.importorskip("genai_prices.data_snapshot", reason="the library is not installed").get_snapshot

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)
FLAVOURS = {
    "openai_chat": "chat", "openai_responses": "responses", "anthropic_messages": "default", "gemini": "default",
    "bedrock_converse": "default", "bedrock_invoke": "anthropic",
}  # fmt: skip
"""What the library calls the APIs that it can read."""
HIDDEN_REASONING = (
    "Gemini's OpenAI-compatible API counts reasoning in the total alone. It is billed as output "
    "(ai.google.dev, pricing: output price including thinking tokens); the library leaves it out."
)


def model_of(recorded: Recorded, said: str | None) -> str | None:
    """The model by the answer's own word, or by the address: Bedrock's answers do not say."""
    _, _, rest = unquote(recorded.path).partition("/model/")
    return said or rest.rpartition("/")[0] or None


def outcome(recorded: Recorded) -> tuple[str, Any, Any]:
    """What became of one whole answer: a word for it, our price, and theirs."""
    kind, flavour = recorded.name.partition("/")[0], FLAVOURS.get(recorded.dialect.name)
    if kind not in PROVIDERS or flavour is None or recorded.status != 200 or recorded.streamed:
        return "out of scope", None, None
    provider = next(p for p in get_snapshot().providers if p.id == PROVIDERS[kind][0])
    try:
        completion = recorded.dialect.decode_completion(recorded.body)
        _, usage = provider.extract_usage(orjson.loads(recorded.body), api_flavor=flavour)
    except (ProviderError, ValueError):
        return "not read", None, None
    name = model_of(recorded, completion.model)
    model = provider.find_model(name) if name else None
    if model is None or name is None or completion.usage is None:
        return "no price there", None, None
    word = "priced"
    if (kind, flavour) == ("gemini", "chat") and completion.usage.reasoning_tokens:
        word, usage.output_tokens = HIDDEN_REASONING, completion.usage.output_tokens
    price = model.calc_price(usage, provider, genai_request_timestamp=NOW)
    ours = catalogue().price(kind, name, completion.usage, int(NOW.timestamp()) * 1_000_000)
    return word, ours, (price.input_price, price.output_price, price.total_price)


@needs_wire
def test_recorded_answers_cost_what_the_library_says() -> None:
    seen: Counter[str] = Counter()
    for recorded in recordings():
        word, ours, theirs = outcome(recorded)
        seen[word] += 1
        assert ours == theirs, recorded.name
    assert seen["priced"] >= 35
    assert seen["not read"] <= 2
    assert seen[HIDDEN_REASONING] >= 1, "the rule is not needed any more"
