"""Which row answers for a name and a moment, in the two catalogues that are shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from providers.errors import ConfigError
from providers.pricing import Catalogue, PriceRow, catalogue
from providers.pricing.catalogue import MEMO_LIMIT
from providers.pricing.names import fits, is_snapshot, plain
from providers.pricing.row import SERVICES
from providers.pricing.shipped import HERE
from providers.types import TokenUsage

REQUEST = TokenUsage(100, 50)


def us(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000


def total(prices: Catalogue, provider: str | None, model: str, usage: TokenUsage = REQUEST) -> Decimal | None:
    price = prices.price(provider, model, usage)
    return None if price is None else price.total


def known(prices: Catalogue, provider: str | None, model: str, at: int | None = None) -> PriceRow:
    row = prices.find(provider, model, at=at)
    assert row is not None, (provider, model)
    return row


# --- the prices of 2024 -------------------------------------------------------------------------------------------

SEED_PRICES = {
    "openai/gpt-4": ("30", "60"),
    "openai/gpt-4-turbo": ("10", "30"),
    "openai/gpt-3.5-turbo": ("0.5", "1.5"),
    "anthropic/claude-3-opus": ("15", "75"),
    "anthropic/claude-3-sonnet": ("3", "15"),
    "anthropic/claude-3-haiku": ("0.25", "1.25"),
    "anthropic/claude-3.5-sonnet": ("3", "15"),
    "bedrock/claude-3-opus": ("15", "75"),
    "bedrock/claude-3-sonnet": ("3", "15"),
    "bedrock/claude-3-haiku": ("0.25", "1.25"),
    "bedrock/claude-3.5-sonnet": ("3", "15"),
    "gemini/gemini-1.5-pro": ("3.5", "10.5"),
    "gemini/gemini-1.5-flash": ("0.35", "1.05"),
    "deepseek/deepseek-chat": ("0.14", "0.28"),
    "ollama/llama3": ("0", "0"),
}


@pytest.mark.parametrize("name", SEED_PRICES)
def test_the_prices_of_2024(name: str) -> None:
    provider, _, model = name.partition("/")
    row = known(catalogue("seeds-2024"), provider, model)
    assert (row.input, row.output) == tuple(map(Decimal, SEED_PRICES[name]))


def test_the_figures_of_2024_are_exact() -> None:
    prices = catalogue("seeds-2024")
    assert total(prices, None, "gpt-4") == Decimal("0.006000")
    assert total(prices, None, "claude-3-sonnet") == Decimal("0.001050")
    assert total(prices, None, "claude-3-haiku") == total(prices, None, "gemini-1.5-flash") == Decimal("0.0000875")


@pytest.mark.parametrize(
    "model",
    [
        "claude-2",
        "claude-2.1",
        "gpt-4o",
        "gpt-4-32k",
        "gpt-3.5-turbo-16k",
        "gemini-1.5-flash-8b",
        "gemini-pro",
        "gpt-4.1",
    ],
)
def test_what_the_documents_of_2024_do_not_price_is_unpriced(model: str) -> None:
    prices = catalogue("seeds-2024")
    for provider in (None, "openai", "azure_openai", "anthropic", "bedrock", "gemini"):
        assert prices.find(provider, model) is None
        assert prices.price(provider, model, REQUEST) is None


# --- names --------------------------------------------------------------------------------------------------------

SAME = [
    (
        "anthropic",
        "claude-3-sonnet",
        "claude-3-sonnet-20240229",
        "anthropic.claude-3-sonnet-20240229-v1:0",
        "Claude-3-Sonnet",
    ),
    ("bedrock", "claude-3-sonnet", "claude-3-sonnet-20240229", "anthropic.claude-3-sonnet-20240229-v1:0"),
    ("bedrock", "claude-3-haiku", "us.anthropic.claude-3-haiku-20240307-v1:0"),
    ("openai", "gpt-4-turbo", "gpt-4-turbo-preview", "gpt-4-turbo-2024-04-09", "openai/gpt-4-turbo"),
    ("azure_openai", "gpt-3.5-turbo", "gpt-35-turbo"),
    ("gemini", "gemini-1.5-flash", "models/gemini-1.5-flash", "gemini-1.5-flash-002"),
]


@pytest.mark.parametrize("catalogue_name", ["current", "seeds-2024"])
@pytest.mark.parametrize(("provider", "first", "others"), [(p, n[0], n[1:]) for p, *n in SAME])
def test_a_model_has_one_price_under_all_its_names(
    catalogue_name: str, provider: str, first: str, others: list[str]
) -> None:
    prices = catalogue(catalogue_name)
    row = known(prices, provider, first)
    for other in others:
        again = known(prices, provider, other)
        assert again.model == row.model
        assert (again.input, again.output) == (row.input, row.output)


def test_a_regional_profile_costs_its_premium() -> None:
    prices = catalogue()
    named = "anthropic.claude-haiku-4-5-20251001-v1:0"
    worldwide, regional = known(prices, "bedrock", f"global.{named}"), known(prices, "bedrock", f"us.{named}")
    assert (worldwide.input, worldwide.output) == (Decimal(1), Decimal(5))
    assert (regional.input, regional.output) == (Decimal("1.1"), Decimal("5.5"))
    # A bare name is the model in its own region.
    assert known(prices, "bedrock", "claude-haiku-4-5").model == regional.model
    profile = f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{named}"
    assert known(prices, "bedrock", profile).model == regional.model


@pytest.mark.parametrize("place", ["us", "eu", "apac", "jp", "au", "us-gov", "ca"])
@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "regional.anthropic.claude-sonnet-4-5"),
        ("amazon.nova-lite-v1:0", "nova-lite"),
        ("meta.llama3-3-70b-instruct-v1:0", "llama3-3-70b"),
    ],
)
def test_inference_profiles_cost_what_their_model_does_in_a_region(place: str, model: str, listed: str) -> None:
    prices = catalogue()
    row = known(prices, "bedrock", f"{place}.{model}")
    assert row.model == known(prices, "bedrock", model).model
    assert listed in row.model
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{place}.{model}"
    assert known(prices, "bedrock", arn) is not None
    assert known(prices, "bedrock", arn).input == row.input


def test_a_profile_of_ones_own_is_unpriced_until_it_is_named() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
    assert catalogue().find("bedrock", arn) is None


def test_dated_snapshots_have_their_own_price_where_they_have_one() -> None:
    prices = catalogue()
    assert total(prices, "openai", "gpt-4o-2024-08-06") == total(prices, "openai", "gpt-4o")
    assert total(prices, "openai", "gpt-4o-2024-05-13") == Decimal("0.00125")
    assert total(prices, "openai", "gpt-4o") == Decimal("0.00075")
    # A snapshot that the catalogue has never heard of costs what its family does.
    assert total(prices, "openai", "gpt-4o-2031-01-01") == total(prices, "openai", "gpt-4o")


def test_without_a_provider_the_vendor_itself_answers() -> None:
    prices = catalogue()
    for model, provider in {
        "gpt-4o": "openai",
        "claude-sonnet-4-5": "anthropic",
        "gemini-2.5-pro": "gemini",
        "deepseek-chat": "deepseek",
        "amazon.nova-lite-v1:0": "bedrock",
        "phi-4": "azure_openai",
    }.items():
        assert known(prices, None, model).provider == provider


@pytest.mark.parametrize("name", ["current", "seeds-2024"])
@pytest.mark.parametrize(
    "model", ["my-deployment", "llama3", "", "*", "   ", "gpt", "🎉", "a" * 10_000, "../../etc/passwd"]
)
def test_an_unknown_name_is_unpriced_and_never_free(name: str, model: str) -> None:
    prices = catalogue(name)
    for provider in (None, "openai", "azure_openai", "bedrock", "acme"):
        assert prices.find(provider, model) is None
        assert prices.price(provider, model, REQUEST) is None


def test_azure_has_openais_prices_under_its_own_name() -> None:
    row = known(catalogue(), "azure_openai", "gpt-4o")
    assert row.provider == "azure_openai"
    assert row.input == Decimal("2.5")
    assert known(catalogue(), "azure", "gpt-4o").input == row.input


def test_azures_own_row_does_not_borrow_openais_batch_rate() -> None:
    prices = catalogue()
    now = us(2026, 11, 4)
    assert prices.find("openai", "o1", at=now, service="batch") is not None
    assert prices.find("azure_openai", "o1", at=now) is not None
    assert prices.find("azure_openai", "o1", at=now, service="batch") is None


def test_patterns() -> None:
    assert fits("gpt-4", "gpt-4")
    assert not fits("gpt-4", "gpt-4o")
    assert fits("gpt-4*", "gpt-4o")
    assert fits("*-mini", "o3-mini")
    assert not fits("*-mini", "o3-mini-high")
    assert fits("*claude*", "us.anthropic.claude-3")
    assert fits("~^o[134]-mini$", "o3-mini")
    assert fits(["gemini-2.5-pro*", "~^(?!.*tts)"], "gemini-2.5-pro-001")
    assert not fits(["gemini-2.5-pro*", "~^(?!.*tts)"], "gemini-2.5-pro-tts")


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("us.anthropic.claude-3-sonnet-20240229-v1:0", "claude-3-sonnet"),
        ("regional.anthropic.claude-opus-5", "claude-opus-5"),
        ("claude-3.5-sonnet", "claude-3-5-sonnet"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4"),
        ("models/gemini-1.5-flash", "gemini-1-5-flash"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4-0613", "gpt-4-0613"),
        ("us.my-model", "us.my-model"),
    ],
)
def test_plain_names(name: str, family: str) -> None:
    assert plain(name) == family
    assert plain(family) == family


def test_a_snapshot_says_more_than_its_family() -> None:
    assert is_snapshot("gpt-4o-2024-08-06")
    assert is_snapshot("us.anthropic.claude-3-haiku")
    assert not is_snapshot("gpt-4o")
    assert not is_snapshot("claude-3.5-sonnet")


# --- dates --------------------------------------------------------------------------------------------------------


def test_a_price_changes_on_its_day() -> None:
    prices = catalogue()
    day = us(2025, 6, 10)
    before, after = known(prices, "openai", "o3", day - 1), known(prices, "openai", "o3", day)
    assert (before.input, before.output) == (Decimal(10), Decimal(40))
    assert (after.input, after.output) == (Decimal(2), Decimal(8))
    assert after.since == date(2025, 6, 10)


def test_a_price_changes_with_the_hour() -> None:
    prices = catalogue()
    rates = {
        (hour, minute): known(prices, "deepseek", "deepseek-chat", us(2026, 11, 4, hour, minute)).input
        for hour, minute in [(0, 29), (0, 30), (16, 29), (16, 30)]
    }
    assert list(rates.values()) == [Decimal("0.135"), Decimal("0.27"), Decimal("0.27"), Decimal("0.135")]


def test_without_a_time_the_catalogues_own_day_counts_not_the_future() -> None:
    prices = catalogue()
    announced = [row.model for row in prices.rows() if (row.since or date.min) > prices.date]
    assert announced == []
    later = {row.model for row in prices.rows(at=us(2027, 6, 1)) if (row.since or date.min) > prices.date}
    assert later, "the data holds prices that begin after its own day"


# --- self-hosted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["current", "seeds-2024"])
def test_self_hosted_models_cost_time_and_local_ones_nothing(name: str) -> None:
    prices = catalogue(name)
    row = known(prices, "vllm", "Qwen/Qwen2.5-7B-Instruct")
    assert row.hourly_usd == Decimal("0.16")
    assert row.model == "qwen/qwen2.5-7b-instruct"
    assert not row.local
    assert prices.price("vllm", "Qwen/Qwen2.5-7B-Instruct", REQUEST) is None
    timed = prices.price("vllm", "Qwen/Qwen2.5-7B-Instruct", REQUEST, busy_seconds=90)
    assert timed == (0, Decimal("0.004"), Decimal("0.004"))
    local = known(prices, "ollama", "llama3:8b")
    assert local.local
    assert prices.price("ollama", "llama3:8b", REQUEST) == (0, 0, 0)


def test_another_hourly_rate_is_another_version() -> None:
    prices = catalogue("seeds-2024")
    dearer = prices.with_hourly_rate(0.5).with_hourly_rate(Decimal("0.2"))
    timed = dearer.price("vllm", "qwen", REQUEST, busy_seconds=3600)
    assert timed is not None
    assert timed.total == Decimal("0.2")
    assert dearer.version == f"{prices.version}+vllm=0.2/h"
    assert total(dearer, "openai", "gpt-4") == total(prices, "openai", "gpt-4")
    unchanged = prices.price("vllm", "qwen", REQUEST, busy_seconds=3600)
    assert unchanged is not None
    assert unchanged.total == Decimal("0.16")
    with pytest.raises(ConfigError, match="hourly rate of vllm is -1"):
        prices.with_hourly_rate(-1)


# --- the catalogue as a whole -------------------------------------------------------------------------------------


def test_versions_and_names() -> None:
    assert catalogue().version == f"current-{catalogue().date}"
    assert catalogue("seeds-2024").version == "seeds-2024-2024-07-01"
    assert catalogue() is catalogue("current")
    with pytest.raises(ConfigError, match="no price catalogue 'sedes'; there are current and seeds-2024"):
        catalogue("sedes")


def test_listing() -> None:
    prices = catalogue()
    rows = list(prices.rows())
    assert len({(row.provider, row.model) for row in rows}) == len(rows) > 300
    assert {row.provider for row in rows} == {
        "openai", "anthropic", "gemini", "deepseek", "bedrock", "azure_openai", "vllm", "ollama", "mock",
    }  # fmt: skip
    assert all(row.source for row in rows)
    assert [row.model for row in prices.rows("deepseek")] == prices.models_of("deepseek")
    assert list(prices.rows("acme")) == []
    assert prices.models_of("google") == prices.models_of("gemini")
    assert not any(model.startswith("claude") for model in prices.models_of("gemini"))


def test_context_windows() -> None:
    assert catalogue("seeds-2024").context_window("openai", "gpt-4") == 8192
    assert catalogue().context_window("anthropic", "claude-3-sonnet-20240229") == 200_000
    assert catalogue().context_window("openai", "nobody-knows") is None
    row = known(catalogue(), "openai", "gpt-4o")
    assert row.max_output == 16_384


def test_invented_names_do_not_fill_the_memory() -> None:
    prices = Catalogue(json.loads((HERE / "seeds-2024.json").read_text()))
    for number in range(MEMO_LIMIT + 10):
        prices.price("openai", f"gpt-{number}-nobody", REQUEST)
    assert len(prices._memo) <= MEMO_LIMIT
    remembered = len(prices._memo)
    assert prices.find("openai", "g" * 100_000) is None
    assert len(prices._memo) == remembered
    assert total(prices, "openai", "gpt-4") == Decimal("0.006")


@pytest.mark.parametrize("name", ["current", "seeds-2024"])
def test_the_data_files_are_sound(name: str) -> None:
    """Every rate is exact to the picodollar for each token, every entry is found by its own id."""
    data = json.loads((HERE / f"{name}.json").read_text())
    prices = catalogue(name)
    for kind, provider in data["providers"].items():
        ids = [entry["id"] for entry in provider["models"]]
        assert len(ids) == len(set(ids))
        for entry in provider["models"]:
            assert entry["rows"], entry["id"]
            assert {row.get("service") for row in entry["rows"]} <= {None, *SERVICES}
            assert all(1 < Decimal(factor) < 2 for factor in entry.get("regions", {}).values())
            for row in entry["rows"]:
                for rates in (row, *row.get("tiers", ())):
                    for key, value in rates.items():
                        if isinstance(value, str) and key not in ("from", "hours", "service"):
                            assert 0 <= Decimal(value) <= 10_000
                            assert (Decimal(value) * 10**6) % 1 == 0, (entry["id"], key)
            assert known(prices, kind, entry["id"]).model == entry["id"]


def test_loading_and_asking_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from providers.pricing import catalogue, estimate_tokens\n"
        "from providers.types import TokenUsage\n"
        "catalogue().price('openai', 'gpt-4o', TokenUsage(10, 5), at=0)\n"
        "estimate_tokens('hello')\n"
        "heavy = {'tiktoken', 'genai_prices', 'pydantic', 'aiohttp', 'regex', 'tomllib', 'difflib', 'gzip'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE.parents[1])
    assert done.stdout.strip() == "[]"
