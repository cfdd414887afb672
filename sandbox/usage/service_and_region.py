"""The schema's third step: what else a price goes by: caches of an hour, class of service, region, the name priced by.

Only columns with constant defaults, which SQLite adds without reading a row: no check among them, which it would try on
every one. Older records said nothing of these, so the sums of older roll-ups are right as they begin: 0.
"""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE usage ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE usage ADD COLUMN service_tier TEXT",
    "ALTER TABLE usage ADD COLUMN region TEXT",
    "ALTER TABLE usage ADD COLUMN priced_as TEXT NOT NULL DEFAULT ''",
    *(
        f"ALTER TABLE rollup ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0"
        for column in ("answered_write_1h", "answered_special", "answered_renamed")
    ),
)
