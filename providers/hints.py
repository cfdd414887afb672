"""Names the nearest valid value for one that is not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(value: str, valid: Iterable[str], *, cutoff: float = 0.6) -> str:
    """`did you mean 'x'? ` with its trailing space, or nothing when no valid value is near."""
    near = get_close_matches(value, [str(v) for v in valid], 1, cutoff)
    return f"did you mean {near[0]!r}? " if near else ""
