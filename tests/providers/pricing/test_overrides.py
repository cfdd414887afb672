"""A user's own prices: what they change, and one clear sentence for each thing that cannot be meant."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from providers.errors import ConfigError
from providers.pricing import Catalogue, catalogue
from providers.types import TokenUsage

REQUEST = TokenUsage(1000, 1000)


def us(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prices.toml"


def load(file: Path, text: str, name: str = "current") -> Catalogue:
    file.write_text(text, encoding="utf-8")
    return catalogue(name, overrides=file)


def total(prices: Catalogue, provider: str, model: str, at: int | None = None) -> Decimal | None:
    price = prices.price(provider, model, REQUEST, at)
    return None if price is None else price.total


def test_a_users_price_wins_from_its_day_on(file: Path) -> None:
    prices = load(
        file,
        """
        [[price]]
        provider = "openai"
        model = "gpt-4o"
        from = 2026-12-01
        input = 2.25
        output = 9
        """,
    )
    shipped = total(catalogue(), "openai", "gpt-4o")
    assert shipped == Decimal("0.0125")
    assert total(prices, "openai", "gpt-4o", us(2026, 11, 30)) == shipped
    assert total(prices, "openai", "gpt-4o", us(2026, 12, 1)) == Decimal("0.01125")
    # The model's other names mean the same model, and its window stays.
    assert total(prices, "openai", "gpt-4o-2024-08-06", us(2026, 12, 1)) == Decimal("0.01125")
    row = prices.find("openai", "gpt-4o", at=us(2026, 12, 1))
    assert row is not None
    assert row.context_window == 128_000
    assert row.since == date(2026, 12, 1)
    assert row.source == str(file)
    # Without a time the newest row of the user's counts as begun.
    assert total(prices, "openai", "gpt-4o") == Decimal("0.01125")
    assert total(prices, "openai", "gpt-4o-mini") == total(catalogue(), "openai", "gpt-4o-mini")
    assert total(prices, "azure_openai", "gpt-4o") == shipped


def test_rows_of_several_days_need_not_be_in_order(file: Path) -> None:
    def row(day: str, rate: str) -> str:
        return f'[[price]]\nprovider = "acme"\nmodel = "rocket-1"\n{day}\ninput = {rate}\noutput = 0\n'

    prices = load(file, row("from = 2027-01-01", "3") + row("from = 2026-01-01", "2") + row("", "1"))
    found = [total(prices, "acme", "rocket-1", us(year, 6, 1)) for year in (2025, 2026, 2027)]
    assert found == [Decimal("0.001"), Decimal("0.002"), Decimal("0.003")]


def test_units_tiers_names_hours_and_batch(file: Path) -> None:
    prices = load(
        file,
        """
        [[price]]
        provider = "acme"
        model = "Rocket-1"
        names = ["rocket-1-*", "my-rocket"]
        unit = "per_thousand"
        input = 0.001
        output = "0.002"
        cached_input = 0.0005
        context_window = 32000
        max_output = 4000
        tiers = [{above = 5000, input = 0.002}]

        [[price]]
        provider = "acme"
        model = "rocket-1"
        batch = true
        input = 0.5
        output = 1

        [[price]]
        provider = "acme"
        model = "rocket-1"
        hours = "22:00-06:00"
        input = 0.1
        output = 0.1
        """,
    )
    noon = us(2026, 12, 1) + 12 * 3_600_000_000
    night = us(2026, 12, 1)
    for name in ("rocket-1", "ROCKET-1", "rocket-1-2026", "my-rocket"):
        assert total(prices, "acme", name, noon) == Decimal("0.003"), name
        assert total(prices, "acme", name, night) == Decimal("0.0002"), name
    batch = prices.price("acme", "rocket-1", TokenUsage(1000, 1000, service_tier="batch"), noon)
    assert batch is not None
    assert batch.total == Decimal("0.0015")
    long = prices.price("acme", "rocket-1", TokenUsage(5001, 0, cached_input_tokens=1), noon)
    assert long is not None
    # The tier's own input rate, and the base's cached rate, which it does not change.
    assert long.total == Decimal("0.0100005")
    assert prices.context_window("acme", "rocket-1") == 32_000
    assert prices.models_of("acme") == ["rocket-1"]
    assert [row.model for row in prices.rows("acme", at=noon)] == ["rocket-1"]


def test_a_pattern_means_every_listed_model_that_it_fits(file: Path) -> None:
    prices = load(file, '[[price]]\nprovider="azure"\nmodel="gpt-4o*"\ninput=1\noutput=1\n')
    for name in ("gpt-4o", "gpt-4o-mini", "gpt-4o-2024-05-13", "gpt-4o-2031-01-01"):
        row = prices.find("azure_openai", name)
        assert row is not None
        assert row.input == 1, name
        assert "*" not in row.model
    assert total(prices, "azure_openai", "gpt-4.1") == total(catalogue(), "azure_openai", "gpt-4.1")
    assert total(prices, "openai", "gpt-4o") == total(catalogue(), "openai", "gpt-4o")
    assert "gpt-4o*" not in prices.models_of("azure_openai")


def test_a_pattern_of_a_provider_of_ones_own_takes_any_name(file: Path) -> None:
    prices = load(file, '[[price]]\nprovider="acme"\nmodel="rocket-*"\ninput=1\noutput=1\n')
    row = prices.find("acme", "rocket-9")
    assert row is not None
    assert row.model == "rocket-9"
    assert prices.find("acme", "sled-1") is None
    assert prices.providers()[-1] == "acme"


def test_a_class_of_service_of_ones_own(file: Path) -> None:
    prices = load(
        file, '[[price]]\nprovider="bedrock"\nmodel="amazon.nova-lite*"\nservice="flex"\ninput=0.03\noutput=0.12\n'
    )
    flex = TokenUsage(1000, 1000, service_tier="flex")
    assert catalogue().price("bedrock", "us.amazon.nova-lite-v1:0", flex) is None
    price = prices.price("bedrock", "us.amazon.nova-lite-v1:0", flex)
    assert price is not None
    assert price.total == Decimal("0.00015")
    assert total(prices, "bedrock", "amazon.nova-lite-v1:0") == total(catalogue(), "bedrock", "amazon.nova-lite-v1:0")


def test_premiums_and_discounts_multiply_every_rate(file: Path) -> None:
    prices = load(
        file,
        """
        [[premium]]
        provider = "azure"
        model = "gpt-4o*"
        percent = 10

        [[premium]]
        provider = "anthropic"
        percent = -15

        [[premium]]
        provider = "anthropic"
        model = "claude-sonnet-4-5"
        region = "EU"
        percent = 20

        [[premium]]
        provider = "vllm"
        percent = 50
        """,
    )
    assert total(prices, "azure_openai", "gpt-4o") == Decimal("0.01375")
    assert total(prices, "azure_openai", "gpt-4.1") == total(catalogue(), "azure_openai", "gpt-4.1")
    assert total(prices, "openai", "gpt-4o") == Decimal("0.0125")
    for moment in (None, us(2026, 12, 1)):
        assert total(prices, "anthropic", "claude-3-haiku", moment) == Decimal("0.001275")
    listed = catalogue().find("anthropic", "claude-sonnet-4-5")
    row = prices.find("anthropic", "claude-sonnet-4-5")
    assert listed is not None
    assert row is not None
    assert listed.cache_write_1h is not None
    assert row.cache_write_1h == listed.cache_write_1h * Decimal("0.85")
    assert [tier.input for tier in row.tiers] == [tier.input * Decimal("0.85") for tier in listed.tiers if tier.input]

    def bound(model: str, region: str) -> Decimal | None:
        price = prices.price("anthropic", model, TokenUsage(1000, 1000, region=region))
        return None if price is None else price.total

    # 3 + 15 a million, less 15 %, and a fifth more in Europe; a region without a premium is not known to be free of it.
    assert bound("claude-sonnet-4-5", "eu") == Decimal("0.01836")
    assert bound("claude-sonnet-4-5", "us") is None
    # What is shipped for a region stays, and a model without premiums ignores the region.
    assert bound("claude-opus-5", "us") == Decimal("0.02805")
    assert bound("claude-3-haiku", "us") == Decimal("0.001275")
    timed = prices.price("vllm", "any", REQUEST, busy_seconds=3600)
    assert timed is not None
    assert timed.total == Decimal("0.24")


def test_an_azure_deployment_by_alias(file: Path) -> None:
    prices = load(file, '[aliases.azure]\nTeam-Chat = "gpt-4o"\n')
    assert total(prices, "azure_openai", "team-chat") == total(catalogue(), "azure_openai", "gpt-4o")
    assert total(prices, "openai", "team-chat") is None


def test_a_snapshot_of_the_users_own_leaves_the_family_alone(file: Path) -> None:
    prices = load(file, '[[price]]\nprovider="openai"\nmodel="gpt-4o-2031-01-01"\ninput=7\noutput=7\n')
    assert total(prices, "openai", "gpt-4o-2031-01-01") == Decimal("0.014")
    assert total(prices, "openai", "gpt-4o") == Decimal("0.0125")


def test_a_family_name_stands_for_the_vendors_long_one(file: Path) -> None:
    prices = load(file, '[[price]]\nprovider="aws"\nmodel="claude-3-sonnet"\ninput=1\noutput=1\n')
    for name in (
        "claude-3-sonnet",
        "anthropic.claude-3-sonnet-20240229-v1:0",
        "us.anthropic.claude-3-sonnet-20240229-v1:0",
    ):
        assert total(prices, "bedrock", name) == Decimal("0.002"), name
    assert total(prices, "anthropic", "claude-3-sonnet") == Decimal("0.018")


def test_an_hourly_rate_of_the_users_own(file: Path) -> None:
    prices = load(file, '[[price]]\nprovider="vllm"\nmodel="*"\nhourly_usd=0.32\n', "seeds-2024")
    timed = prices.price("vllm", "any", REQUEST, busy_seconds=1800)
    assert timed is not None
    assert timed.total == Decimal("0.16")
    settled = prices.with_hourly_rate(1).price("vllm", "any", REQUEST, busy_seconds=1800)
    assert settled is not None
    assert settled.total == Decimal("0.5")


def test_the_version_tells_one_file_from_another_and_a_change_is_seen(file: Path) -> None:
    row = '[[price]]\nprovider="acme"\nmodel="m"\ninput={}\noutput=1\n'
    first = load(file, row.format(1))
    assert catalogue(overrides=file) is first
    assert first.version.startswith(f"{catalogue().version}+")
    second = load(file, row.format(2))
    os.utime(file, ns=(1, 1))
    third = catalogue(overrides=file)
    assert third.version != first.version
    assert third.version == second.version
    assert total(third, "acme", "m") == Decimal("0.003")


def test_a_provider_that_looks_like_a_known_one_is_told(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    for provider in ("opnai", "acme"):
        load(file, f'[[price]]\nprovider="{provider}"\nmodel="m"\ninput=1\noutput=1\n')
    [told] = caplog.messages
    assert "no price list has a provider 'opnai': did you mean 'openai'?" in told


def row(extra: str = "", *, provider: str = 'provider = "acme"', rates: str = "input = 1\noutput = 2") -> str:
    return f'[[price]]\n{provider}\nmodel = "m"\n{rates}\n{extra}\n'


REFUSED = {
    "not toml": ("[[price]\n", r"prices\.toml: not TOML"),
    "not a table": ("price = 3\n", r"prices\.toml: prices are written as \[\[price\]\] tables"),
    "unknown top key": ("[[prices]]\n", r"there is no key 'prices'; did you mean 'price'\?"),
    "premiums of another kind": ("premium = 3\n", r"prices\.toml: premiums are written as \[\[premium\]\] tables"),
    "unknown key": (row("outptu = 3"), r"price 1: there is no key 'outptu'; did you mean 'output'\?"),
    "no provider": (row(provider=""), r"price 1: provider is missing"),
    "number for a name": (row(provider="provider = 3"), r"price 1: provider is 3; it must be a name in quotes"),
    "negative": (
        row(rates="input = -1\noutput = 2"),
        r"price 1 \(acme/m\): input is -1; it must be between 0 and 10000 USD",
    ),
    "absurd": (row(rates="input = 1\noutput = 30000"), r"output is 30000; it must be between 0 and 10000 USD"),
    "absurd by the unit": (
        row('unit = "per_thousand"', rates="input = 30"),
        r"input is 30; it must be between 0 and 10 USD",
    ),
    "not finite": (row(rates="input = nan"), r"input is NaN; it must be between"),
    "infinite": (row(rates="input = inf"), r"input is Infinity; it must be between"),
    "not a number": (row(rates='input = "cheap"'), r"input is 'cheap'; it must be a number of USD"),
    "a truth value": (row(rates="input = true"), r"input is True; it must be a number of USD"),
    "too fine": (row(rates="input = 0.0000001"), r"at most 6 decimals"),
    "unknown unit": (row('unit = "per_token"'), r"unit is 'per_token'; it must be per_million or per_thousand"),
    "unit of another kind": (row("unit = [1]"), r"unit is \[1\]; it must be"),
    "no price": (row(rates=""), r"price 1 \(acme/m\): there is no price; give input and output, or hourly_usd"),
    "half a price": (
        '[[price]]\nprovider="openai"\nmodel="gpt-4o"\ninput=1\n',
        r"price 1 \(openai/gpt-4o\): output is missing; the listed price is 10 USD per million tokens",
    ),
    "a week for a day": (row('from = "2025-W01-1"'), r"from is '2025-W01-1'; it must be a day such as 2026-12-01"),
    "two kinds of price": (row("hourly_usd = 1"), r"either hourly_usd or prices per token"),
    "bad day": (row('from = "soon"'), r"from is 'soon'; it must be a day such as 2026-12-01"),
    "a time for a day": (row("from = 2026-12-01T00:00:00Z"), r"from is '2026-12-01 00:00:00\+00:00'; it must be a day"),
    "bad hours": (row('hours = "noon"'), r"hours is 'noon'; it must be two times of day in UTC"),
    "empty hours": (row('hours = "08:00-08:00"'), r"hours is '08:00-08:00'"),
    "bad flag": (row("batch = 1"), r"batch is 1; it must be true or false"),
    "bad window": (row("context_window = 0"), r"context_window is 0; it must be a whole number of tokens"),
    "bad names": (row('names = "m2"'), r"names is 'm2'; it must be a list of names in quotes"),
    "a star inside": (row('names = ["a*b"]'), r"names has 'a\*b'; it must be a name, which may begin or end with \*"),
    "a regular expression": (row('names = ["~("]'), r"names has '~\('"),
    "falling tiers": (row("tiers = [{above = 9}, {above = 9}]"), r"tiers: above is 9 after 9; tiers must rise"),
    "tiers of another kind": (row("tiers = 3"), r"tiers is 3; it must be a list"),
    "unknown tier key": (row("tiers = [{over = 9}]"), r"tiers: there is no key 'over'"),
    "the same day twice": (
        row("from = 2026-12-01") * 2,
        r"price 2: acme/m already has a price from 2026-12-01, in price 1",
    ),
    "always twice": (row() * 2, r"price 2: acme/m already has a price for all dates, in price 1"),
    "one model under two names": (
        '[[price]]\nprovider="openai"\nmodel="gpt-4o"\ninput=1\noutput=1\n'
        '[[price]]\nprovider="openai"\nmodel="gpt-4o-2024-08-06"\ninput=2\noutput=1\n',
        r"price 2: openai/gpt-4o already has a price for all dates, in price 1",
    ),
    "a price of one token": (
        row(rates="input = 0.000002"),
        r"input is 0\.000002; it must be 0, or at least 0\.0001 USD per million tokens: is it the price of one token\?",
    ),
    "a price of one token by the unit": (
        row('unit = "per_thousand"', rates="input = 0.000000002"),
        r"input is 2E-9; it must be 0, or at least 0\.0000001 USD per thousand tokens",
    ),
    "unknown service": (row('service = "cheap"'), r"service is 'cheap'; it must be batch, flex, priority or fast"),
    "two services": (
        row('service = "flex"\nbatch = true'),
        r"service is 'flex', but batch is true; give one of the two",
    ),
    "absurd by the hour": (
        row(rates="hourly_usd = 5000"),
        r"price 1 \(acme/m\): hourly_usd is 5000; it must be between 0 and 1000 USD",
    ),
    "a pattern of nothing": (
        '[[price]]\nprovider="openai"\nmodel="gtp-4*"\ninput=1\n',
        r"prices\.toml:1: price 1 \(openai/gtp-4\*\): model is 'gtp-4\*', which fits no model of openai; "
        r"did you mean 'gpt-4'\? write the name of one that is not listed in full",
    ),
    "a pattern over a model that is priced": (
        '[[price]]\nprovider="openai"\nmodel="gpt-4o"\ninput=1\noutput=1\n\n'
        '[[price]]\nprovider="openai"\nmodel="gpt-4o*"\ninput=2\noutput=1\n',
        r"prices\.toml:7: price 2: openai/gpt-4o already has a price for all dates, in price 1; keep one of the two",
    ),
    "premium of nothing": (
        '[[premium]]\nprovider="azure_openai"\nmodel="gtp-4o"\npercent=10\n',
        r"premium 1 .*: model is 'gtp-4o', which fits no model of azure_openai; did you mean 'gpt-4o'\?",
    ),
    "premium of nobody": (
        '[[premium]]\nprovider="azrue_openai"\npercent=10\n',
        r"provider is 'azrue_openai', which has no prices; did you mean 'azure_openai'\?",
    ),
    "premium without a percentage": (
        '[[premium]]\nprovider="openai"\n',
        r"percent is missing; it must be a number such",
    ),
    "premium of nothing at all": (
        '[[premium]]\nprovider="openai"\npercent=0\n',
        r"percent is 0; it must be above -100",
    ),
    "premium that pays you": (
        '[[premium]]\nprovider="openai"\npercent=-100\n',
        r"percent is -100; it must be above -100",
    ),
    "absurd premium": (
        '[[premium]]\nprovider="openai"\npercent=1001\n',
        r"percent is 1001; it must be above -100 and at",
    ),
    "premium in words": (
        '[[premium]]\nprovider="openai"\npercent="ten"\n',
        r"percent is 'ten'; it must be a number such",
    ),
    "unknown premium key": ('[[premium]]\nprovider="openai"\npercnt=1\n', r"no key 'percnt'; did you mean 'percent'\?"),
    "the same premium twice": (
        '[[premium]]\nprovider="openai"\npercent=1\n' * 2,
        r"prices\.toml:4: premium 2 \(openai/\*\): openai/\* already has a premium everywhere, in premium 1; keep one",
    ),
    "alias to nothing": (
        '[aliases.azure_openai]\nchat = "gtp-4o"\n',
        r"aliases\.azure_openai\.chat is 'gtp-4o', which has no price",
    ),
    "alias of another kind": (
        "[aliases.azure_openai]\nchat = 4\n",
        r"aliases\.azure_openai\.chat is 4; it must be the name of a model",
    ),
    "aliases of another kind": ("aliases = 3\n", r"aliases are written as"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_sentence(file: Path, case: str) -> None:
    text, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message) as caught:
        load(file, text)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the price file .*nothing\.toml"):
        catalogue(overrides=tmp_path / "nothing.toml")
    with pytest.raises(ConfigError, match="cannot read the price file"):
        catalogue(overrides=tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        catalogue(overrides=latin)


def test_an_empty_file_changes_nothing_but_the_version(file: Path) -> None:
    prices = load(file, "")
    assert total(prices, "openai", "gpt-4o") == total(catalogue(), "openai", "gpt-4o")
    assert prices.date == catalogue().date
