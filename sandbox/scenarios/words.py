"""Texts of as many tokens as a scenario says, so that whoever counts them finds the scenario's own numbers.

A gateway that has only the text of a broken answer counts its tokens (`providers.pricing.estimate_tokens`): every piece
here is one of them, and so is every text made of pieces.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from providers.pricing import estimate_tokens
from providers.types import GenerationRequest
from sandbox.gateway.router import foreseen_tokens

_PIECE: Final = " word"
_LONGER: Final = " words"
"""A piece is a hair less than a token; every nineteenth makes up for it."""
_CYCLE: Final = 19
MAX_FILLED: Final = 150_000
"""Tokens to which a prompt is filled up; a longer one would only cost memory."""


def piece(number: int) -> str:
    """The text of one token, counted from 0."""
    return _LONGER if number % _CYCLE == _CYCLE - 1 else _PIECE


@lru_cache(64)
def pieces(tokens: int) -> list[str]:
    """An answer token by token; not to be changed."""
    return [piece(number) for number in range(tokens)]


@lru_cache(64)
def spoken(tokens: int) -> str:
    """An answer of so many tokens."""
    return "".join(pieces(tokens))


@lru_cache(64)
def filled(prompt: str, tokens: int) -> str:
    """The prompt, filled up to a request of `tokens` input tokens; as it is where it has more."""
    frame = foreseen_tokens(GenerationRequest(prompt="")) - estimate_tokens("")
    wanted = min(tokens, MAX_FILLED) - frame
    missing = wanted - estimate_tokens(prompt)
    if missing <= 0:
        return prompt
    tries = (prompt + _words(missing + more) + "s" * tail for tail in range(4) for more in (0, -1, 1))
    return next((text for text in tries if estimate_tokens(text) == wanted), prompt + _words(missing))


def _words(count: int) -> str:
    whole, rest = divmod(max(0, count), _CYCLE)
    return spoken(_CYCLE) * whole + spoken(rest)
