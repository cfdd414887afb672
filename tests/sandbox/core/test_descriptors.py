"""The limit of open descriptors: raised as far as the system lets it be, and never lowered."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from sandbox.core import descriptors

resource = pytest.importorskip("resource", reason="this system has no such limit")
INF = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "grants", "after"),
    [
        ((1024, 1_048_576), INF, 65_536),
        ((1024, 4096), INF, 4096),
        ((1024, INF), INF, 65_536),
        ((256, INF), 10_240, 10_240),
        ((256, INF), 100, 256),
        ((100_000, 1_048_576), INF, 100_000),
        ((20_000, INF), 10_240, 20_000),
        ((INF, INF), INF, INF),
    ],
)
def test_it_is_raised(monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], grants: int, after: int) -> None:
    now = before

    def give(which: int, wanted: tuple[int, int]) -> None:
        nonlocal now
        assert which == resource.RLIMIT_NOFILE
        assert wanted[1] == before[1]
        if grants != INF and wanted[0] > grants:
            raise ValueError("current limit exceeds maximum limit")
        now = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda which: now)
    monkeypatch.setattr(resource, "setrlimit", give)
    descriptors.raise_limit()
    assert now[0] == after
    assert descriptors.limit() == (None if after == INF else after)


def test_a_system_without_one_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    blocked: Any = None
    monkeypatch.setitem(sys.modules, "resource", blocked)
    descriptors.raise_limit()
    assert descriptors.limit() is None
