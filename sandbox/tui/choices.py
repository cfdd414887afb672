"""What can be chosen, as rows for a chooser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sandbox.tui.reports import Opened


class Choice(NamedTuple):
    value: str
    """Empty: no particular one."""
    label: str
    detail: str = ""


_STRATEGIES = {
    "priority": "the order of the chain",
    "least_cost": "the cheapest for this prompt first",
    "least_latency": "the fastest so far first",
    "round_robin": "each in turn",
    "random": "any order",
    "weighted": "by the weights in the settings",
}
_PRESETS = {
    "sandbox": "every provider; one quick retry, then the next",
    "happyos": "two providers, no retries, over at once",
    "unified": "one backend, retries, no breaker",
    "greenlang": "by strategy, retries first, three providers at most",
    "aiworld": "five providers, retries first",
    "resilience4j": "its breaker in the place of ours, else as sandbox",
    "litellm": "its cooldown in the place of a breaker, else as sandbox",
}


def models(opened: Opened) -> list[Choice]:
    own: dict[str, list[str]] = {}
    for info in opened.providers:
        own.setdefault(info.model, []).append(info.id)
    named = [Choice(name, name, f"{', '.join(own[name])}'s own" if name in own else "") for name in opened.models]
    return [Choice("", "any", "each provider answers with its own"), *named]


def providers(opened: Opened) -> list[Choice]:
    chain = [Choice("", "chain", "in the order of the strategy")]
    return chain + [Choice(info.id, info.id, f"first, then the chain · {info.model}") for info in opened.providers]


def strategies(opened: Opened) -> list[Choice]:
    return [Choice(name, name, _STRATEGIES.get(name, "")) for name in opened.strategies]


def presets(opened: Opened) -> list[Choice]:
    return policies(opened.presets)


def policies(names: Iterable[str]) -> list[Choice]:
    """Presets by their names."""
    return [Choice(name, name, _PRESETS.get(name, "")) for name in names]
