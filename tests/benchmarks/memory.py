"""How much memory a process has."""

from __future__ import annotations

import resource
from pathlib import Path


def resident_mb() -> float:
    try:
        return _pages("self")[0]
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def own_mb(process: int) -> float:
    """Of another process, without the files that it has mapped (such as the cache's), whose pages are the kernel's."""
    resident, shared = _pages(process)
    return resident - shared


def _pages(process: int | str) -> tuple[float, float]:
    """Resident, and of that shared with files, MB. Raises OSError where there is no /proc."""
    _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
    page = resource.getpagesize() / 2**20
    return int(resident) * page, int(shared) * page
