"""How many descriptors (sockets, files) this process may have open. A stream through a gateway needs two.

Many systems start programs with a soft limit of 1,024 for the sake of old ones that use `select`, and let those that do
not raise it themselves.
"""

from __future__ import annotations

import sys
from typing import Final

ENOUGH: Final = 65_536
"""What is asked for at most, also where the system would give more."""
MODEST: Final = 10_240
"""What macOS grants at most, whatever it says."""


def limit() -> int | None:
    """How many may be open now; None where there is no such limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """Let this process have as many as the system allows, up to `ENOUGH`; what it has already is not taken away."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (ENOUGH, MODEST):
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft == resource.RLIM_INFINITY or soft >= most:
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            continue
        return
