from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import BaseModel, ValidationError

from sandbox.settings import keys
from sandbox.settings.model import PROVIDER_IDS, ProviderSettings, Settings


def test_defaults_need_nothing() -> None:
    settings = Settings()
    assert settings.mode == "mock"
    assert settings.preset == "sandbox"
    assert settings.cache.ttl == 3600
    assert settings.cache.size_limit == 1024**3
    assert settings.usage.durability == "async"
    assert settings.streaming.first_text == 10
    assert settings.budget_limit is None


def test_the_standard_providers_exist_in_the_order_of_the_chain() -> None:
    settings = Settings(providers={"mine": {"kind": "vllm"}, "openai": {"model": "gpt-4"}})
    assert list(settings.providers) == [*PROVIDER_IDS, "mine"]
    assert settings.providers["openai"].kind == "openai"
    assert settings.providers["openai"].model == "gpt-4"
    assert settings.providers["mine"].kind == "vllm"


def test_the_mock_provider_needs_no_kind() -> None:
    assert Settings(providers={"mock": ProviderSettings()}).providers["mock"].kind == "mock"


def test_nothing_can_be_changed_after_loading() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().mode = "live"


def test_a_credential_shows_nowhere() -> None:
    secret = "sk-very-secret-value"
    settings = Settings(providers={"openai": ProviderSettings(api_key=secret)})
    assert secret not in repr(settings)
    assert secret not in settings.model_dump_json()
    with pytest.raises(ValidationError) as failure:
        Settings(providers={"openai": {"api_key": f"{secret}\nx"}})
    assert secret not in str(failure.value)


def test_a_pasted_credential_loses_its_blanks_and_an_empty_one_is_none() -> None:
    assert ProviderSettings(api_key="  key-1\n").api_key.get_secret_value() == "key-1"
    assert ProviderSettings(api_key="  ").api_key is None


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(30, 30), ("30", 30), ("250ms", 0.25), ("5m", 300), ("24 h", 86_400), ("1.5s", 1.5), ("30d", 2_592_000)],
)
def test_durations_are_seconds_or_text(given: object, seconds: float) -> None:
    assert Settings(deadline=given).deadline == seconds


@pytest.mark.parametrize(
    "given", [0, -1, True, "soon", "5 parsecs", "inf", float("nan"), float("inf"), "-3s", "9" * 400 + "d", []]
)
def test_what_is_no_duration_is_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        Settings(deadline=given)


@pytest.mark.parametrize(("given", "size"), [(1, 1), ("1", 1), ("2kB", 2000), ("500MB", 500_000_000), ("1 GiB", 2**30)])
def test_sizes_are_bytes_or_text(given: object, size: int) -> None:
    assert Settings(cache={"size_limit": given}).cache.size_limit == size


def test_money_is_exact() -> None:
    assert Settings(budget_limit=0.1).budget_limit == Decimal("0.1")
    assert ProviderSettings(hourly_rate="0.16").hourly_rate == Decimal("0.16")
    for wrong in (-1, "nan", "Infinity", True):
        with pytest.raises(ValidationError):
            Settings(budget_limit=wrong)


def test_a_truth_value_is_no_number() -> None:
    for wrong in ({"retry": {"retries": True}}, {"breaker": {"failure_rate": True}}, {"mock": {"seed": False}}):
        with pytest.raises(ValidationError):
            Settings.model_validate(wrong)


def _sections() -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = [Settings, ProviderSettings]
    found += [s for f in Settings.model_fields.values() if (s := keys.section_of(f)) is not None]
    return found


def test_every_field_is_described() -> None:
    missing = [
        f"{m.__name__}.{n}"
        for m in _sections()
        for n, f in m.model_fields.items()
        if not (f.description or "").endswith(".")
    ]
    assert missing == []
    assert all(m.__doc__ for m in _sections())
