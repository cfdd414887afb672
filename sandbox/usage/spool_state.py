"""How the disk stands on which records wait for DynamoDB. By itself, because the store's own module is slow to load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SpoolState:
    """What health shows of the spool."""

    path: Path
    depth: int
    """Records that are not in the table yet."""
    oldest_us: int | None
    """When the oldest of them was made."""
    bytes: int
    limit_bytes: int
    sent: int
    """Records that this process has sent."""
    lost: int
    """Records that found the spool full."""
    problem: str | None
    """Why DynamoDB does not take records just now."""
    problem_since_us: int | None
