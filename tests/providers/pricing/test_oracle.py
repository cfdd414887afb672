"""The shipped `current` catalogue against the library it comes from: every model, many usages and moments.

Costs are equal to the last digit, or the difference has a name in `RULES`, and every name there is needed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers.pricing import catalogue
from providers.pricing.generate import ELSEWHERE, HERE, PROVIDERS, RETIRED, SOURCE, SPEEDS, VARIANTS, main
from providers.pricing.row import SERVICES, PriceRow
from providers.types import TokenUsage

genai_prices = pytest.importorskip("genai_prices", reason="the library that the catalogue comes from is not installed")
Usage = genai_prices.Usage
get_snapshot = pytest.importorskip("genai_prices.data_snapshot").get_snapshot

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)
FAR = datetime(2030, 1, 1, tzinfo=UTC)
MOMENTS = [
    datetime(2024, 6, 1, 12, tzinfo=UTC),
    datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 13, tzinfo=UTC),
    datetime(2026, 9, 12, 2, 30, tzinfo=UTC),
    datetime(2026, 11, 4, 8, tzinfo=UTC),
    datetime(2026, 11, 4, 18, tzinfo=UTC),
    datetime(2027, 2, 1, tzinfo=UTC),
]
USAGES = {
    "plain": TokenUsage(1200, 340),
    "one token": TokenUsage(1, 0),
    "cached and written": TokenUsage(90_000, 5_000, cached_input_tokens=60_000, cache_write_tokens=20_000),
    "written for an hour": TokenUsage(10_000, 100, cache_write_tokens=4_000, cache_write_1h_tokens=1_500),
    "all cached": TokenUsage(50_000, 7, cached_input_tokens=50_000),
    "reasoning": TokenUsage(700, 9_000, reasoning_tokens=8_123),
    "at 100k": TokenUsage(100_000, 10),
    "at 200k": TokenUsage(200_000, 100),
    "beyond 200k": TokenUsage(200_001, 100, cached_input_tokens=1),
    "beyond 272k": TokenUsage(272_001, 999, cache_write_tokens=100_000, cache_write_1h_tokens=100_000),
    "everything": TokenUsage(
        900_000, 64_000, cached_input_tokens=300_000, cache_write_tokens=5_000, cache_write_1h_tokens=777,
        reasoning_tokens=60_000,
    ),
}  # fmt: skip

RULES = {
    "no output rate": (
        "An answer of a model that has a rate for prompts alone is unpriced; the library says that it is free.",
        "the project's rule that an unknown price is unpriced, never 0",
    ),
    "service without rates": (
        "A class of service that the vendor lists no rates for is unpriced; the library takes the standard ones.",
        "the same rule; Anthropic's priority tier, for one, is bought in advance: platform.claude.com, service tiers",
    ),
    "service before its first day": (
        "A class of service is unpriced before the day from which its rates are known; the library takes others.",
        "the start dates of the library's own variants",
    ),
    "regional premium": (
        "An answer bound to a region costs 1.1 times the list price; the library has no such context.",
        "platform.claude.com, pricing, data residency; developers.openai.com, data residency",
    ),
    "retired": (
        "Models that the library has dropped keep the vendor's last list price; the library does not find them.",
        "the on-demand price lists of AWS up to 2025",
    ),
    "more cached than prompt": (
        "Cached tokens beyond the prompt are not billed; the library refuses such counts.",
        "a vendor's stream is known to report them: openai-compatible Grok on Azure",
    ),
}
"""What may differ from the library, and whose word that is."""


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def theirs(model: Any, provider: Any, usage: TokenUsage, moment: datetime) -> tuple[Decimal, Decimal, Decimal]:
    counted = Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )
    context = {}
    if usage.service_tier is not None:
        words = SPEEDS if provider.id == "anthropic" and usage.service_tier in SPEEDS else VARIANTS
        context = words.get(usage.service_tier, {"service_tier": usage.service_tier})
    price = model.calc_price(counted, provider, genai_request_timestamp=moment, price_context=context or None)
    return price.input_price, price.output_price, price.total_price


def listed() -> Iterator[tuple[str, Any, Any]]:
    """Every model with a price for tokens: our provider, theirs, the model."""
    providers = {provider.id: provider for provider in get_snapshot().providers}
    retired = {entry["id"] for entries in RETIRED.values() for entry in entries}
    for kind, (their_id, _) in PROVIDERS.items():
        for row in catalogue().rows(kind):
            if row.model not in retired:
                yield kind, providers[their_id], next(m for m in providers[their_id].models if m.id == row.model)


def rule_for(kind: str, model: str, usage: TokenUsage, moment: datetime) -> str | None:
    """The rule by which our price may differ from the library's; None: by none."""
    prices, at = catalogue(), microseconds(moment)
    if prices.find(kind, model, at=at, service=usage.service_tier) is None:
        later = prices.find(kind, model, at=microseconds(FAR), service=usage.service_tier)
        return "service without rates" if later is None else "service before its first day"
    row = prices.find(kind, model, at=at, service=usage.service_tier)
    assert row is not None, (kind, model, usage)
    if row.output is None and usage.output_tokens:
        return "no output rate"
    return "regional premium" if usage.region is not None and row.regions else None


def explained(rule: str | None, ours: Any, library: tuple[Decimal, Decimal, Decimal]) -> bool:
    """Whether a price is the library's, or differs in just the way that the rule says."""
    if rule is None:
        return bool(ours == library)
    if rule == "regional premium":
        return bool(ours == tuple(amount * Decimal("1.1") for amount in library))
    return ours is None


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: m.isoformat())
def test_every_model_costs_what_the_library_says(moment: datetime) -> None:
    prices = catalogue()
    equal: Counter[str] = Counter()
    for kind, provider, model in listed():
        for name, usage in USAGES.items():
            ours = prices.price(kind, model.id, usage, microseconds(moment))
            rule = rule_for(kind, model.id, usage, moment)
            assert explained(rule, ours, theirs(model, provider, usage, moment)), (kind, model.id, name, moment, rule)
            equal[name] += rule is None
    assert min(equal.values()) > 250
    assert equal["one token"] > equal["plain"], "embeddings have a rate for prompts alone"


def test_the_models_with_every_kind_of_rate_are_more_than_sixty() -> None:
    """Cached, written, reasoning and long prompts: equal to the last digit on all that are current."""
    current = [(k, p, m) for k, p, m in listed() if not m.deprecated and k != "deepseek"]
    usage, short = USAGES["everything"], replace(USAGES["everything"], input_tokens=305_000)
    writing, tiered, equal = 0, 0, 0
    for kind, provider, model in current:
        row = catalogue().find(kind, model.id)
        assert row is not None
        if row.cached_input is None or row.output is None:
            continue
        for each in (usage, short):
            ours = catalogue().price(kind, model.id, each, microseconds(NOW))
            assert ours == theirs(model, provider, each, NOW), (kind, model.id)
        equal += 1
        writing += row.cache_write is not None
        tiered += bool(row.tiers)
    assert equal >= 60
    assert writing >= 60
    assert tiered >= 30


@pytest.mark.parametrize("service", [*SERVICES, "reserved"])
def test_classes_of_service_are_the_librarys_variants(service: str) -> None:
    seen: Counter[str | None] = Counter()
    for moment in (MOMENTS[0], NOW, MOMENTS[-1]):
        for kind, provider, model in listed():
            for usage in USAGES.values():
                asked = replace(usage, service_tier=service)
                ours = catalogue().price(kind, model.id, asked, microseconds(moment))
                rule = rule_for(kind, model.id, asked, moment)
                assert explained(rule, ours, theirs(model, provider, asked, moment)), (kind, model.id, service, rule)
                seen[rule] += 1
    assert seen["service without rates"] > 0
    if service == "reserved":
        assert set(seen) == {"service without rates"}
    else:
        assert seen[None] > 100
        assert seen["service before its first day"] > 0


def test_every_rule_is_needed() -> None:
    """Without its rule each of these would be a difference that nobody can explain."""
    prices, at = catalogue(), microseconds(NOW)
    models = {(kind, model.id): (provider, model) for kind, provider, model in listed()}

    def pair(kind: str, name: str, usage: TokenUsage, moment: datetime = NOW) -> tuple[Any, Any]:
        provider, model = models[kind, name]
        return prices.price(kind, name, usage, microseconds(moment)), theirs(model, provider, usage, moment)

    found: dict[str, tuple[Any, Any]] = {
        "no output rate": pair("openai", "text-embedding-3-small", TokenUsage(1000, 1)),
        "service without rates": pair("anthropic", "claude-opus-5", TokenUsage(1000, 1, service_tier="priority")),
        "service before its first day": pair("openai", "o3", TokenUsage(1000, 1, service_tier="batch"), MOMENTS[0]),
        "regional premium": pair("anthropic", "claude-opus-5", TokenUsage(1000, 1, region="us")),
    }
    for rule, (ours, library) in found.items():
        assert library[2] >= 0
        assert ours != library, rule
        assert explained(rule, ours, library), rule
    for kind, entries in RETIRED.items():
        provider = next(p for p in get_snapshot().providers if p.id == PROVIDERS[kind][0])
        for entry in entries:
            assert prices.price(kind, entry["id"], TokenUsage(1000, 1), at) is not None
            assert provider.find_model(entry["id"]) is None, "the library knows it again: drop ours"
            found["retired"] = (entry["id"], None)
    provider, model = models["openai", "gpt-4o"]
    surplus = TokenUsage(1000, 1, cached_input_tokens=1500)
    ours = prices.price("openai", "gpt-4o", surplus, at)
    assert ours == prices.price("openai", "gpt-4o", replace(surplus, cached_input_tokens=1000), at)
    with pytest.raises(ValueError, match=r"cache_read_tokens|input_tokens"):
        theirs(model, provider, surplus, NOW)
    found["more cached than prompt"] = (ours, None)
    assert found.keys() == RULES.keys()
    assert all(sentence and source for sentence, source in RULES.values())


@pytest.mark.parametrize(("kind", "region"), [("anthropic", "us"), ("openai", "eu")])
def test_a_region_multiplies_every_rate(kind: str, region: str) -> None:
    bound = 0
    for ours_kind, provider, model in listed():
        if ours_kind != kind:
            continue
        row: PriceRow | None = catalogue().find(kind, model.id, at=microseconds(NOW))
        assert row is not None
        for usage in USAGES.values():
            here = replace(usage, region=region)
            ours = catalogue().price(kind, model.id, here, microseconds(NOW))
            rule = rule_for(kind, model.id, here, NOW)
            assert explained(rule, ours, theirs(model, provider, usage, NOW)) or rule == "no output rate", model.id
        bound += bool(row.regions)
    assert bound > 10


def spellings(logic: Any) -> Iterator[str]:
    """Names that a model's matching logic surely takes."""
    for key, value in vars(logic).items():
        if key in ("or_", "and_"):
            for part in value:
                yield from spellings(part)
        elif key == "equals":
            yield value
        elif key == "starts_with":
            yield value
            yield f"{value}-2026-01-31"
        elif key == "contains":
            yield value
            yield f"us.{value}-v1:0"
        elif key == "ends_with":
            yield value


def test_names_mean_the_same_models() -> None:
    """Wherever the library finds a model that has a price for tokens, the catalogue finds the same one."""
    prices = catalogue()
    snapshot = get_snapshot()
    providers = {provider.id: provider for provider in snapshot.providers}
    differing, checked = [], 0
    for kind, (their_id, also) in PROVIDERS.items():
        provider = providers[their_id]
        homes = [provider, *(providers[PROVIDERS[k][0]] for k in also)]
        names = {name for home in homes for model in home.models for name in spellings(model.match)}
        for name in sorted(names):
            if name.startswith(ELSEWHERE.get(kind, "\0")):
                continue
            model = provider.find_model(name, all_providers=[home for home in homes if home is not provider])
            row = prices.find(kind, name)
            if model is None or model.id.startswith(ELSEWHERE.get(kind, "\0")):
                continue
            if row is None:
                assert theirs_has_no_token_price(model), (kind, name)
                continue
            checked += 1
            if row.model != model.id:
                differing.append((kind, name, row.model, model.id))
    # A name that is an entry's own id means that entry, even where an earlier entry's pattern takes it too.
    assert [d for d in differing if d[1] != d[2]] == []
    assert checked > 800


def theirs_has_no_token_price(model: Any) -> bool:
    prices = model.prices if not isinstance(model.prices, list) else model.prices[0].prices
    keys = {key for key, value in prices.__dict__.items() if value is not None}
    return bool(keys) and not keys & {"input_mtok", "output_mtok"}


def test_the_shipped_file_is_what_the_command_writes(tmp_path: Path) -> None:
    shipped = catalogue()
    assert shipped._data["source"].startswith(f"{SOURCE} ")
    if f" {genai_prices.__version__}," not in shipped._data["source"]:
        pytest.skip(f"the catalogue was written from another version: {shipped._data['source']}")
    written = tmp_path / "current.json"
    assert main(["--date", str(shipped.date), "--output", str(written)]) == 0
    assert written.read_text(encoding="utf-8") == (HERE / "current.json").read_text(encoding="utf-8")


def test_without_the_library_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert main(["--date", "2026-11-04", "--output", str(tmp_path / "x.json")]) == 1
    assert capsys.readouterr().err == "genai-prices is not installed: pip install '.[dev]'\n"
    assert not (tmp_path / "x.json").exists()
