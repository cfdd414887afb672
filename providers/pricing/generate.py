"""Writes `current.json` from the offline data of the genai-prices library: for maintainers, never imported at run time.

    python -m providers.pricing.generate --date 2026-11-04

The date is the day of the data: the newest day that the library's own notes mention as past. One model stands on one
line, so that a change of prices reads as a change of lines.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from providers.pricing.names import Pattern, fits

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, MatchLogic, ModelInfo, ModelPrice, PriceVariant, Provider

HERE = Path(__file__).parent
SOURCE = "genai-prices"

PROVIDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "openai": ("openai", ()),
    "anthropic": ("anthropic", ()),
    "gemini": ("google", ()),
    "deepseek": ("deepseek", ()),
    "bedrock": ("aws", ()),
    "azure_openai": ("azure", ("openai", "anthropic", "deepseek")),
}
"""Ours: theirs, and whose rows apply where it has none. A name without a provider is looked up in this order."""

RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
}

ELSEWHERE = {"gemini": ("claude",)}
"""Models listed under a provider of ours which does not serve them: Claude on Vertex is not the Gemini API."""

_FREE = {"id": "*", "match": ["*"], "local": True, "rows": [{"input": "0", "output": "0"}]}
SELF_HOSTED: dict[str, dict[str, Any]] = {
    "vllm": {
        "source": "rented RTX 3090, Vast.ai",
        "models": [{"id": "*", "match": ["*"], "rows": [{"hourly_usd": "0.16"}]}],
    },
    "ollama": {"source": "local", "models": [_FREE]},
    "mock": {"source": "local", "models": [_FREE]},
}

RETIRED: dict[str, list[dict[str, Any]]] = {
    "bedrock": [
        {
            "id": "anthropic.claude-v2",
            "match": ["*anthropic.claude-v2*", "claude-2", "claude-2.0", "claude-2.1"],
            "window": 200000,
            "max_output": 4096,
            "rows": [{"input": "8", "output": "24"}],
        },
        {
            "id": "anthropic.claude-instant-v1",
            "match": ["*anthropic.claude-instant*", "claude-instant*"],
            "window": 100000,
            "max_output": 4096,
            "rows": [{"input": "0.8", "output": "2.4"}],
        },
    ]
}
"""Models that old programs still name and the library leaves out; the vendor's last on-demand list price."""

OPENAI_REGIONS = ("us", "eu", "au", "ca", "jp", "in", "sg", "kr", "gb", "ae")
"""What the names of OpenAI's regional addresses begin with."""

REGIONAL: dict[str, list[tuple[Pattern, dict[str, str]]]] = {
    "anthropic": [("~^claude-((opus|sonnet)-4-[678]|(fable|mythos|haiku|opus|sonnet)-[5-9])", {"us": "1.1"})],
    "openai": [("~^gpt-(5\\.[4-9]|[6-9])", dict.fromkeys(OPENAI_REGIONS, "1.1"))],
}
"""What binding an answer to a region multiplies the rates by, which the library does not have.

Anthropic: 1.1 for `inference_geo: us`, which models from Claude Opus 4.6 on know
(https://platform.claude.com/docs/en/about-claude/pricing). OpenAI: 10 % on the regional addresses for models released
from March 5, 2026, on (https://developers.openai.com/api/docs/guides/data-residency). Bedrock's regional profiles are
models of their own in the library."""

VARIANTS: dict[str, dict[str, str]] = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast"},
}
"""Our classes of service: what the library calls them."""
SPEEDS = {"fast": {"speed": "fast"}}
"""Likewise, where a vendor calls a class of service a speed."""

MAX_OUTPUT: dict[str, list[tuple[Pattern, int]]] = {
    "openai": [
        ("~^gpt-4($|-0)", 8192),
        ("~^gpt-(4-turbo|3\\.5)", 4096),
        ("~^(ft:)?gpt-4o-2024-05-13", 4096),
        ("~^(ft:)?gpt-4o(-mini)?($|-2024|-search)", 16384),
        ("~^gpt-4\\.1", 32768),
        ("~^gpt-5(\\.[12])?($|-(mini|nano|pro|codex))", 128000),
        ("~^o1-(mini|preview)", 65536),
        ("~^o[134]", 100000),
    ],
    "anthropic": [
        ("~^claude-(2|3-(opus|sonnet|haiku))", 4096),
        ("~^claude-3-5", 8192),
        ("~^claude-(3-7|sonnet-4-[05]|haiku-4-5|opus-4-5)", 64000),
        ("~^claude-opus-4-[01]", 32000),
    ],
    "gemini": [
        ("~^gemini-(1\\.|2\\.0|(flash|pro)-1\\.5)", 8192),
        ("~^gemini-(2\\.5-(pro|flash)(-lite)?$|3-(pro|flash)-preview)", 65536),
    ],
    "deepseek": [("deepseek-chat", 8192), ("deepseek-reasoner", 65536)],
    "bedrock": [
        ("~claude-(3-(opus|sonnet|haiku))", 4096),
        ("~claude-3-5", 8192),
        ("~claude-(3-7|sonnet-4-[25]|haiku-4-5|opus-4-5)", 64000),
        ("~claude-opus-4-[12]", 32000),
        ("~amazon\\.nova-(micro|lite|pro)", 10000),
        ("~titan-text-(express|lite)", 8192),
    ],
    "azure_openai": [("~^o1-(mini|preview)", 65536), ("~^o[134]", 100000)],
}
"""Longest answers by the vendors' model pages, which the library does not have; for the rest it is unknown."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m providers.pricing.generate", description="Write current.json.")
    parser.add_argument("--date", required=True, type=date.fromisoformat, help="the day of the data, YYYY-MM-DD")
    parser.add_argument("--output", type=Path, default=HERE / "current.json")
    options = parser.parse_args(arguments)
    try:
        text = render(catalogue_data(options.date))
    except ImportError:
        sys.stderr.write("genai-prices is not installed: pip install '.[dev]'\n")
        return 1
    options.output.write_text(text, encoding="utf-8")
    return 0


def catalogue_data(day: date) -> dict[str, Any]:
    """The whole catalogue as plain data."""
    import genai_prices
    from genai_prices.data_snapshot import get_snapshot

    theirs = {provider.id: provider for provider in get_snapshot().providers}
    providers: dict[str, Any] = {}
    for kind, (their_id, also) in PROVIDERS.items():
        provider = theirs[their_id]
        models = [*_models(kind, provider), *RETIRED.get(kind, [])]
        providers[kind] = {"source": (provider.pricing_urls or [""])[0], "also": list(also), "models": models}
    providers.update(SELF_HOSTED)
    return {
        "name": "current",
        "date": day.isoformat(),
        "source": f"{SOURCE} {genai_prices.__version__}, MIT, https://github.com/pydantic/genai-prices",
        "providers": providers,
    }


def render(data: dict[str, Any]) -> str:
    """JSON with one model on each line."""

    def line(value: Any) -> str:
        return orjson.dumps(value).decode()

    out = ["{"]
    out += [f"{line(key)}:{line(value)}," for key, value in data.items() if key != "providers"]
    out.append('"providers":{')
    blocks = []
    for kind, provider in data["providers"].items():
        facts = "".join(f"{line(k)}:{line(v)}," for k, v in provider.items() if k != "models" and v)
        models = ",\n".join(line(model) for model in provider["models"])
        blocks.append(f'{line(kind)}:{{{facts}"models":[\n{models}\n]}}')
    out.append(",\n".join(blocks))
    return "\n".join([*out, "}}", ""])


def _models(kind: str, provider: Provider) -> Iterator[dict[str, Any]]:
    left_out: list[str] = []
    for model in provider.models:
        if model.id.startswith(ELSEWHERE.get(kind, ("\0",))):
            continue
        rows = list(_rows(model))
        if not rows:
            left_out.append(model.id)
            continue
        entry: dict[str, Any] = {"id": model.id, "match": _patterns(model.match)}
        if model.context_window:
            entry["window"] = model.context_window
        if longest := next((n for pattern, n in MAX_OUTPUT.get(kind, ()) if fits(pattern, model.id)), None):
            entry["max_output"] = longest
        if premiums := next((of for pattern, of in REGIONAL.get(kind, ()) if fits(pattern, model.id)), None):
            entry["regions"] = premiums
        entry["rows"] = rows
        if taken := [name for name in left_out if any(fits(pattern, name) for pattern in entry["match"])]:
            raise ValueError(f"{kind}/{model.id} would price {taken}, which have no price for tokens")
        yield entry


def _rows(model: ModelInfo) -> Iterator[dict[str, Any]]:
    """The rows of a model in the library's order, where the last one in force wins; none without a price for tokens."""
    prices = model.prices if isinstance(model.prices, list) else [_always(model.prices)]
    for conditional in prices:
        rates = _rates(conditional.prices)
        if rates is None:
            return
        yield {**_when(conditional.constraint), **rates}
    for service, when in [*VARIANTS.items(), *SPEEDS.items()]:
        variants = [variant for variant in model.price_variants or () if variant.when == when]
        # The library's first one in force wins, ours the last.
        for variant in reversed(variants):
            yield {"service": service, **_when(variant.constraint), **_overlaid(prices, variant)}


def _overlaid(prices: list[ConditionalPrice], variant: PriceVariant) -> dict[str, Any]:
    """A variant's rates over the list price that is in force from the same day on."""
    begin = getattr(variant.constraint, "start_date", None)
    base = prices[0].prices
    for conditional in prices:
        started = getattr(conditional.constraint, "start_date", None)
        if started is not None and begin is not None and started <= begin:
            base = conditional.prices
    return _rates(base, variant.prices) or {}


def _always(prices: ModelPrice) -> ConditionalPrice:
    from genai_prices.types import ConditionalPrice

    return ConditionalPrice(prices=prices)


def _when(constraint: object) -> dict[str, Any]:
    if constraint is None:
        return {}
    if (start := getattr(constraint, "start_date", None)) is not None:
        return {"from": start.isoformat()}
    begin, end = constraint.start_time, constraint.end_time  # type: ignore[attr-defined]
    if {begin.tzinfo, end.tzinfo} - {UTC, None}:
        raise ValueError(f"a time of day that is not UTC: {constraint}")
    return {"hours": f"{begin:%H:%M}-{end:%H:%M}"}


def _rates(prices: ModelPrice, overlay: ModelPrice | None = None) -> dict[str, Any] | None:
    """Rates with their tiers written out whole, or None where nothing is charged by text token."""
    stored: dict[str, Any] = {}
    for source in (prices, overlay):
        if source is not None:
            stored |= {key: value for key, value in source.__dict__.items() if value is not None}
    if not stored:
        return {"input": "0", "output": "0"}
    known = {ours: stored[theirs] for ours, theirs in RATES.items() if theirs in stored}
    if not known:
        return None
    rates: dict[str, Any] = {ours: _text(_at(value, 0)) for ours, value in known.items()}
    starts = sorted({tier.start for value in known.values() for tier in getattr(value, "tiers", ())})
    if starts:
        rates["tiers"] = [
            {"above": start, **{k: _text(_at(v, start + 1)) for k, v in known.items()}} for start in starts
        ]
    return rates


def _at(value: Any, prompt: int) -> Decimal:
    """A price at a prompt length."""
    if isinstance(value, Decimal):
        return value
    applicable: Decimal = value.base
    for tier in value.tiers:
        if prompt > tier.start:
            applicable = tier.price
    return applicable


def _text(rate: Decimal) -> str:
    text = format(rate, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _patterns(logic: MatchLogic) -> list[Pattern]:
    """The library's matching logic as our patterns, without those that a shorter one of the same entry covers."""
    parts = list(_flat(logic))
    contained = [p[1:-1] for p in parts if isinstance(p, str) and len(p) > 2 and p[0] == p[-1] == "*"]

    def covered(pattern: Pattern) -> bool:
        if not isinstance(pattern, str) or pattern[0] == "~":
            return False
        core = pattern.strip("*")
        whole = pattern[0] == pattern[-1] == "*"
        return any(text in core and not (whole and text == core) for text in contained)

    return [p for i, p in enumerate(parts) if not covered(p) and p not in parts[:i]]


def _flat(logic: Any) -> Iterable[Pattern]:
    fields = vars(logic)
    (name, value), *_ = fields.items()
    match name:
        case "or_":
            for part in value:
                yield from _flat(part)
        case "and_":
            if any("or_" in vars(part) for part in value):
                raise ValueError("alternatives within a conjunction have no pattern")
            yield [p for part in value for p in _flat(part) if isinstance(p, str)]
        case "equals":
            yield value.lower()
        case "starts_with":
            yield f"{value.lower()}*"
        case "ends_with":
            yield f"*{value.lower()}"
        case "contains":
            yield f"*{value.lower()}*"
        case "regex":
            yield f"~{value}"
        case _:
            raise ValueError(f"unknown matching logic {name}")


if __name__ == "__main__":
    sys.exit(main())
