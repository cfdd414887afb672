"""What constructors are given wrongly is told at once, by the argument's name, and never shows a credential."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from providers import AnthropicProvider, BedrockProvider, GeminiProvider, MockProvider, OllamaProvider, OpenAIProvider
from providers.base import BaseLLMProvider
from providers.errors import InputError
from providers.limits import between
from providers.types import TokenUsage, money

CLASSES = [BaseLLMProvider, AnthropicProvider, BedrockProvider, GeminiProvider, MockProvider, OllamaProvider]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"timeout": "soon"}, "timeout is 'soon'; it must be a number from 0.001 to"),
        ({"timeout": 0}, "timeout is 0;"),
        ({"timeout": float("nan")}, "timeout is nan;"),
        ({"max_retries": -1}, "max_retries is -1; it must be a whole number from 0 to 1,000"),
        ({"max_retries": 1.5}, "max_retries is 1.5;"),
        ({"max_retries": True}, "max_retries is True;"),
        ({"base_delay": -0.1}, "base_delay is -0.1;"),
        ({"max_delay": None}, "max_delay is None;"),
        ({"max_connections": 0}, "max_connections is 0; it must be a whole number from 1"),
        ({"model": 5}, "model is a int; it must be text"),
        ({"base_url": b"http://x"}, "base_url is a bytes; it must be text"),
    ],
)
def test_a_provider_names_the_argument_that_is_wrong(
    cls: type[BaseLLMProvider], arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        cls(mock_mode=True, **arguments)


@pytest.mark.parametrize("cls", [BaseLLMProvider, OpenAIProvider, BedrockProvider])
def test_a_wrong_key_is_not_shown(cls: type[BaseLLMProvider]) -> None:
    with pytest.raises(InputError, match="api_key is a bytes; it must be text") as raised:
        cls(mock_mode=True, api_key=b"sk-canary")  # type: ignore[arg-type]
    assert "canary" not in str(raised.value)


def test_what_is_right_is_given_back() -> None:
    assert between("x", 0, 0, 1) == 0
    assert between("x", 1.0, 0, 1) == 1.0


@pytest.mark.parametrize("field", ["input_cost_usd", "output_cost_usd", "total_cost_usd"])
def test_a_usage_names_the_cost_that_is_no_number(field: str) -> None:
    for value in ("x", "", object()):
        with pytest.raises(ValueError, match=f"{field} is .*; it must be an amount of USD such as 0.25, or None"):
            TokenUsage(**{field: value})
    assert getattr(TokenUsage(**{field: 0.1}), field) == Decimal("0.1")
    assert getattr(TokenUsage(**{field: "0.1"}), field) == Decimal("0.1")


def test_a_usage_of_tokens_that_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="input_tokens is '5' and output_tokens 3; they must be whole numbers"):
        TokenUsage("5", 3)  # type: ignore[arg-type]


def test_money_that_is_none_stays_so() -> None:
    assert money(None) is None
    with pytest.raises(ValueError, match="the amount is 'x'"):
        money("x")
