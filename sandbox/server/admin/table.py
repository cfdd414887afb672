"""Every path of the admin API but the one of the events, which has no end."""

from __future__ import annotations

from typing import Final

from sandbox.server.admin.operations import OPERATIONS, Operation
from sandbox.server.admin.rooms import ROOMS

EVERYTHING: Final[tuple[Operation, ...]] = (*OPERATIONS, *ROOMS)
