"""Daily quotas: what is left, when it comes back, what survives another preset and another start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.errors import RateLimitError
from sandbox.gateway.quotas import DayQuota, Quotas
from sandbox.runtime import Runtime
from sandbox.settings import Settings
from tests.fake_clock import FakeClock

DAY = 86_400.0


def settings(folder: Path, *, chain: list[str], **quotas: int) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": folder,
            "cache": {"backend": "off"},
            "chain": chain,
            "providers": {id: {"requests_per_day": quota} for id, quota in quotas.items()},
        }
    )


async def answered_by(runtime: Runtime) -> str:
    return (await runtime.gateway.generate("Why do circuit breakers trip?")).provider


def test_a_quota_is_there_again_at_midnight() -> None:
    clock = FakeClock()
    clock.now = DAY - 10
    quota = DayQuota(2, clock)
    for _ in range(2):
        assert quota.wait() == 0
        quota.take()
    assert quota.wait() == 10
    clock.now = DAY - 1
    assert quota.wait() == 1
    clock.now = DAY
    assert quota.wait() == 0
    quota.take(5)
    clock.now = DAY - 5
    assert quota.wait() > 0, "a clock that was set back gives nobody a second day"


def test_a_changed_quota_counts_what_went_before() -> None:
    quotas = Quotas(FakeClock())
    first = quotas.of("openai", 2)
    assert first is not None
    first.take(2)
    changed = quotas.of("openai", 3)
    assert changed is not None
    assert changed.wait() == 0
    assert quotas.of("anthropic", None) is None


async def test_the_next_provider_answers_and_then_nobody(tmp_path: Path) -> None:
    clock = FakeClock()
    clock.now = DAY / 2
    async with Runtime.of(
        settings(tmp_path, chain=["openai", "anthropic"], openai=2, anthropic=1), clock=clock
    ) as runtime:
        assert [await answered_by(runtime) for _ in range(3)] == ["openai", "openai", "anthropic"]
        with pytest.raises(RateLimitError) as refused:
            await answered_by(runtime)
        assert refused.value.retry_after == pytest.approx(DAY / 2, abs=60)
        clock.now = DAY
        assert await answered_by(runtime) == "openai"


async def test_another_preset_begins_no_new_day(tmp_path: Path) -> None:
    async with Runtime.of(settings(tmp_path, chain=["openai", "anthropic"], openai=1)) as runtime:
        assert await answered_by(runtime) == "openai"
        runtime.use_preset("greenlang")
        assert await answered_by(runtime) == "anthropic"


async def test_another_start_begins_no_new_day(tmp_path: Path) -> None:
    given: Any = settings(tmp_path, chain=["openai", "anthropic"], openai=2)
    for expected in (["openai"], ["openai", "anthropic"]):
        async with await Runtime.open(given) as runtime:
            assert [await answered_by(runtime) for _ in expected] == expected
