"""The self-test tells what works and what does not."""

from __future__ import annotations

import pytest

from providers import selftest
from providers.errors import ServiceUnavailableError
from providers.factory import KINDS
from providers.mock.provider import MockProvider


def test_every_kind_works_offline(capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest.main([]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said if line.startswith("✓")] == [f"✓ {kind}" for kind in KINDS]
    assert not [line for line in said if line.startswith("✗")]
    assert said[-1] == f"{len(KINDS)} of {len(KINDS)} providers work"


@pytest.mark.parametrize("error", [ServiceUnavailableError("out of order"), selftest.CheckFailed("no text")])
def test_what_does_not_work_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object) -> str:
        raise error

    monkeypatch.setattr(selftest, "check", broken)
    assert selftest.main(["openai"]) == 1
    assert f"✗ openai: {type(error).__name__}: {error}" in capsys.readouterr().out


async def test_an_answer_without_a_cost_fails_the_check() -> None:
    class Unpriced(MockProvider):
        def price_of(self, *_: object, **__: object) -> None:  # type: ignore[override]
            return None

    with pytest.raises(selftest.CheckFailed, match="no cost"):
        await selftest.check(Unpriced())


def test_a_kind_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest.main(["opnai"]) == 2
    assert "'opnai'" in capsys.readouterr().err
