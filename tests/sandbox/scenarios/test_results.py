"""Figures that are counted while a run goes by."""

from __future__ import annotations

from array import array
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from sandbox.scenarios.results import percentiles


@given(st.lists(st.one_of(st.integers(0, 100), st.integers(0, 100_000), st.integers(0, 5_000_000_000)), max_size=300))
def test_percentiles_are_the_nearest_ranks(latencies: list[int]) -> None:
    ordered = sorted(latencies)
    found = percentiles(array("q", latencies))
    if not latencies:
        assert found == (None, None, None, None)
        return
    for share, value in zip((0.50, 0.95, 0.99, 1.0), found, strict=True):
        assert value == ordered[ceil(share * len(ordered)) - 1] / 1000
