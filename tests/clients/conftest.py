from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """Vendors' clients leave sockets to the garbage collector: here, where that is allowed, and in no later test."""
    yield
    gc.collect()
