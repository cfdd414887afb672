"""All rows of the fault table; a module of rows joins here."""

from __future__ import annotations

from tests.faults import dynamodb, redis
from tests.faults.runs import Row

ROWS: tuple[Row, ...] = (*redis.ROWS, *dynamodb.ROWS)
