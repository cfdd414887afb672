"""The shipped `current` catalogue against the library it comes from: every model, several usages and moments."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from providers.pricing import catalogue
from providers.pricing.generate import ELSEWHERE, HERE, PROVIDERS, RETIRED, SOURCE, main
from providers.types import TokenUsage

genai_prices = pytest.importorskip("genai_prices", reason="the library that the catalogue comes from is not installed")
Usage = genai_prices.Usage
get_snapshot = pytest.importorskip("genai_prices.data_snapshot").get_snapshot

MOMENTS = [
    datetime(2024, 6, 1, 12, tzinfo=UTC),
    datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 13, tzinfo=UTC),
    datetime(2026, 9, 12, 2, 30, tzinfo=UTC),
    datetime(2026, 11, 4, 8, tzinfo=UTC),
    datetime(2026, 11, 4, 18, tzinfo=UTC),
    datetime(2027, 2, 1, tzinfo=UTC),
]
USAGES = [
    TokenUsage(1200, 340),
    TokenUsage(1, 0),
    TokenUsage(90_000, 5_000, cached_input_tokens=60_000, cache_write_tokens=20_000),
    TokenUsage(100_000, 10),
    TokenUsage(200_000, 100),
    TokenUsage(200_001, 100, cached_input_tokens=1),
    TokenUsage(900_000, 64_000, cached_input_tokens=300_000, cache_write_tokens=5_000, reasoning_tokens=60_000),
]


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def theirs(model: Any, provider: Any, usage: TokenUsage, moment: datetime, **context: str) -> tuple[Any, Any, Any]:
    counted = Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )
    price = model.calc_price(counted, provider, genai_request_timestamp=moment, price_context=context or None)
    return price.input_price, price.output_price, price.total_price


def listed() -> Iterator[tuple[str, Any, Any, str]]:
    """Every model with a price for tokens: our provider, theirs, the model, and a name that means it."""
    providers = {provider.id: provider for provider in get_snapshot().providers}
    retired = {entry["id"] for entries in RETIRED.values() for entry in entries}
    for kind, (their_id, _) in PROVIDERS.items():
        for row in catalogue().rows(kind):
            if row.model in retired:
                continue
            provider = providers[their_id]
            model = next(m for m in provider.models if m.id == row.model)
            yield kind, provider, model, row.model


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: m.isoformat())
def test_every_model_costs_what_the_library_says(moment: datetime) -> None:
    prices = catalogue()
    checked = 0
    for kind, provider, model, name in listed():
        for usage in USAGES:
            ours = prices.price(kind, name, usage, microseconds(moment))
            if ours is None:
                # No output rate is unpriced here and free there; that is all we may leave out.
                row = prices.find(kind, name, at=microseconds(moment))
                assert row is not None
                assert row.output is None
                continue
            assert ours == theirs(model, provider, usage, moment), (kind, name, usage, moment)
            checked += 1
    assert checked > 1500


def test_batch_rates_are_the_librarys_batch_variant() -> None:
    prices = catalogue()
    moment = datetime(2026, 11, 4, 12, tzinfo=UTC)
    checked = 0
    for kind, provider, model, name in listed():
        if prices.find(kind, name, at=microseconds(moment), batch=True) is None:
            continue
        for usage in USAGES:
            ours = prices.price(kind, name, usage, microseconds(moment), batch=True)
            if ours is not None:
                assert ours == theirs(model, provider, usage, moment, processing="batch"), (kind, name)
                checked += 1
    assert checked > 300


def test_one_hour_cache_writes_have_their_own_rate() -> None:
    provider = next(p for p in get_snapshot().providers if p.id == "anthropic")
    usage = TokenUsage(10_000, 100, cache_write_tokens=4_000)
    moment = datetime(2026, 11, 4, tzinfo=UTC)
    for row in catalogue().rows("anthropic", at=microseconds(moment)):
        model = next(m for m in provider.models if m.id == row.model)
        counted = Usage(input_tokens=10_000, output_tokens=100, cache_write_tokens=4_000, cache_write_1h_tokens=1_500)
        expected = model.calc_price(counted, provider, genai_request_timestamp=moment).total_price
        ours = catalogue().price("anthropic", row.model, usage, microseconds(moment), write_1h_tokens=1_500)
        assert ours is not None
        assert ours.total == expected, row.model


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
