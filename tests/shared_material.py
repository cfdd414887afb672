"""Finds the recorded provider traffic that conformance tests use; it is no part of this project and may be absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def wire_dir() -> Path | None:
    """The folder `wire/` of recorded exchanges, or None where this machine has none."""
    named = os.environ.get("SANDBOX_TEST_MATERIAL")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared"
    folder = root / "wire"
    return folder if folder.is_dir() else None


needs_wire = pytest.mark.skipif(
    wire_dir() is None, reason="the recorded provider traffic is not on this machine (set SANDBOX_TEST_MATERIAL)"
)
