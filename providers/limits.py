"""What arguments of constructors must be: a wrong one is told where it is given, not where it is first used."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from providers.errors import InputError

T = TypeVar("T")

MAX_SECONDS: Final = 1e9
"""Longer times are refused, as in settings and scenarios: 30 years."""


def between(name: str, value: T, least: float, most: float, *, whole: bool = False) -> T:
    """The value, if it is a number between these. Raises InputError naming it."""
    kinds = int if whole else int | float
    # A value that is no number fails the comparison too.
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}; it must be a {'whole ' * whole}number from {least} to {most:,}")
    return value


def texts(**named: Any) -> None:
    """Raises InputError, which shows no value, where one is neither None nor text: it may be a credential."""
    for name, value in named.items():
        if value is not None and not isinstance(value, str):
            raise InputError(f"{name} is a {type(value).__name__}; it must be text")
