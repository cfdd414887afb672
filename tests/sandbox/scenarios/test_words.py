"""Texts of a scenario's token counts, as the gateway would count them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.pricing import estimate_tokens
from providers.types import GenerationRequest
from sandbox.gateway.router import foreseen_tokens
from sandbox.scenarios.words import MAX_FILLED, filled, pieces, spoken


@given(st.integers(1, 5_000), st.data())
def test_any_beginning_of_an_answer_has_as_many_tokens_as_pieces(tokens: int, data: st.DataObject) -> None:
    taken = data.draw(st.integers(1, tokens))
    assert "".join(pieces(tokens)) == spoken(tokens)
    assert estimate_tokens("".join(pieces(tokens)[:taken])) == taken


@given(st.sampled_from(["Explain circuit breakers to a cook.", "x", "Summarise this ticket.", "Wie geht’s? 1,234"]))
def test_a_prompt_is_filled_up_to_its_tokens(prompt: str) -> None:
    for tokens in (40, 100, 399, 400, 401, 2_000, 60_000):
        text = filled(prompt, tokens)
        assert text.startswith(prompt)
        assert foreseen_tokens(GenerationRequest(prompt=text)) == tokens


@pytest.mark.parametrize("tokens", [0, 1, 10])
def test_a_longer_prompt_stays(tokens: int) -> None:
    assert filled("Explain circuit breakers to a cook.", tokens) == "Explain circuit breakers to a cook."


def test_what_no_model_takes_is_not_written() -> None:
    assert foreseen_tokens(GenerationRequest(prompt=filled("Hi", 10_000_000))) == MAX_FILLED
