"""Breakers as others have them, to be compared with this program's own on the same outages.

Each takes the place of the breaker and of nothing else: retries, time limits and routing are the preset `sandbox`'s.
What this program does beside its breakers, taking a refused key or model out of rotation, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.errors import InputError
from providers.hints import did_you_mean
from sandbox.gateway.policies import PRESETS, Policy
from sandbox.scenarios.peers.litellm import Cooldown
from sandbox.scenarios.peers.resilience4j import CountedBreaker

PEERS: Final[Mapping[str, Policy]] = {
    "resilience4j": Policy(name="resilience4j", breaker_model=CountedBreaker, disables=False),
    "litellm": Policy(name="litellm", breaker_model=Cooldown, disables=False),
}
"""Further presets of scenarios, which no live gateway takes."""

NAMES: Final = (*PRESETS, *PEERS)


def policy_named(name: str) -> Policy:
    """A preset, or a peer's. Raises InputError naming the nearest."""
    found = PRESETS.get(name) or PEERS.get(name)
    if found is None:
        raise InputError(f"unknown preset {name!r}: {did_you_mean(name, NAMES)}there are {', '.join(NAMES)}")
    return found
