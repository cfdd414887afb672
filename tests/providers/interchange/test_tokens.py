"""Token numbers by every vendor's names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import API_DIALECTS
from providers.interchange import tokens
from providers.types import TokenUsage


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, TokenUsage(9, 2)),
        ({"input_tokens": 9, "output_tokens": 2}, TokenUsage(9, 2)),
        (
            {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 5},
            TokenUsage(9, 7, reasoning_tokens=5),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4},
             "completion_tokens_details": {"reasoning_tokens": 5}},
            TokenUsage(9, 7, cached_input_tokens=4, reasoning_tokens=5),
        ),
        (
            {"input_tokens": 9, "output_tokens": 2, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 10},
            TokenUsage(119, 2, cached_input_tokens=100, cache_write_tokens=10),
        ),
        ({"completion_tokens": 2.0}, TokenUsage(0, 2)),
        ({}, None),
        ({"cost": 0.01, "prompt_tokens": "nine", "completion_tokens": True}, None),
        ({"prompt_tokens": 9, "prompt_tokens_details": "x"}, TokenUsage(9, 0)),
    ],
)  # fmt: skip
def test_numbers_are_read_by_every_name(raw: dict[str, Any], usage: TokenUsage | None) -> None:
    assert tokens.read(raw) == usage


COUNT = st.integers(0, 10**6)


@given(st.sampled_from(sorted(API_DIALECTS)), COUNT, COUNT, COUNT, COUNT, COUNT)
def test_what_is_written_is_read_back(api: str, plain: int, read: int, wrote: int, out: int, thought: int) -> None:
    # Google's names have none for what is written to a cache.
    wrote = 0 if "Content" in api else wrote
    numbers = {
        "input_tokens": plain + read + wrote, "output_tokens": out + thought, "cached_input_tokens": read,
        "cache_write_tokens": wrote, "reasoning_tokens": thought,
    }  # fmt: skip
    back = tokens.read(tokens.written(numbers, api))
    assert back is not None
    assert {name: getattr(back, name) for name in numbers} == numbers
