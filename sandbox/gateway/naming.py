"""What may stand in place of a model's name: `provider/model`, or a route, which is a list of such names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """A chain under a name of its own."""

    models: tuple[str, ...]
    """Models, or `provider/model`; nobody else is asked."""
    strategy: str | None = None
    """None: in the order of the list."""


def owned(name: str, known: Callable[[str], bool]) -> tuple[str | None, str]:
    """The provider that a name begins with, where it is a known one, and the model.

    Many models have a slash of their own, such as Qwen/Qwen2.5-7B-Instruct.
    """
    owner, slash, model = name.partition("/")
    return (owner, model) if slash and known(owner) else (None, name)
