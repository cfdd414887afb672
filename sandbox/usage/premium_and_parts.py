"""The schema's second step: premiums, the parts of tokens and prompt hashes, in the records and in their sums.

A step once written must not change with the program, so it spells out what it needs of roll-ups as they were. The new
sums of an older database are made from its raw rows; of hours whose raw rows were deleted they stay 0.
"""

from __future__ import annotations

from collections.abc import Iterator

_PICO = 10**12
_DIMENSIONS = {"tenant": 1, "agent": 2, "provider": 4, "model": 8}
_WIDE = ("hour", "day")
_NARROW = ("ten_minutes", "hour", "six_hours", "day", "month")
_KINDS = {15: _WIDE, 13: _WIDE, 14: _WIDE, 12: _NARROW, 1: _NARROW, 2: _NARROW, 0: _NARROW}
"""The periods of each kind of roll-up, by the bits of the dimensions that it keeps."""
_STARTS = {
    "ten_minutes": "time",
    "hour": "time - time % 3600000000",
    "six_hours": "time - time % 21600000000",
    "day": "time - time % 86400000000",
    "month": "strftime('%s', time / 1000000, 'unixepoch', 'start of month') * 1000000",
}
_SUMS_BEFORE = (
    "requests", "succeeded", "cached", "prompt_tokens", "completion_tokens", "tokens", "cost_usd", "cost_pico",
    "waste_usd", "waste_pico", "saved_usd", "saved_pico", "unpriced", "failovers", "latency_us",
)  # fmt: skip
_SUMS = (
    "premium_usd", "premium_pico", "attempts", "estimated", "answered_prompt", "answered_completion",
    "answered_cached", "answered_write", "answered_reasoning",
)  # fmt: skip
_COUNT = "INTEGER NOT NULL DEFAULT 0 CHECK ({} BETWEEN 0 AND 1000000000000000)"
_READ = "min(cached_tokens, prompt_tokens)"
_ANSWERED = {
    "answered_prompt": "prompt_tokens",
    "answered_completion": "completion_tokens",
    "answered_cached": _READ,
    "answered_write": f"min(cache_write_tokens, prompt_tokens - {_READ})",
    "answered_reasoning": "min(reasoning_tokens, completion_tokens)",
}


def _statements() -> Iterator[str]:
    for column in ("cache_write_tokens", "reasoning_tokens"):
        yield f"ALTER TABLE usage ADD COLUMN {column} {_COUNT.format(column)}"
    yield "ALTER TABLE usage ADD COLUMN premium_cost_pico INTEGER DEFAULT 0"
    yield "ALTER TABLE usage ADD COLUMN prompt_hash TEXT NOT NULL DEFAULT ''"
    # Whole picodollars are exact in a double up to 9,000 dollars.
    yield """
        UPDATE usage SET premium_cost_pico = CASE WHEN json_valid(story)
            THEN CAST(round(json_extract(story, '$.premium_usd') * 1e12) AS INTEGER) END
        WHERE failovers > 0
        """
    for column in _SUMS:
        yield f"ALTER TABLE rollup ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0"
    sums = ", ".join(
        f"sum(CASE WHEN success AND NOT cached THEN {part} ELSE 0 END) AS {name}" for name, part in _ANSWERED.items()
    )
    yield f"""
        CREATE TEMP TABLE fresh AS
        SELECT mode, timestamp_us - timestamp_us % 600000000 AS time, tenant_id AS tenant, agent_id AS agent, provider,
            model, coalesce(sum(premium_cost_pico), 0) AS premium, sum(min(attempts, 1000000000000000)) AS attempts,
            sum(estimated_tokens) AS estimated, {sums}
        FROM usage GROUP BY 1, 2, 3, 4, 5, 6
        """  # noqa: S608 - constants
    for bits, grains in _KINDS.items():
        for grain in grains:
            yield _filled(bits, grain)
    yield "DROP TABLE fresh"


def _filled(bits: int, grain: str) -> str:
    """Gives every roll-up of a kind and a period its new sums."""
    names = ", ".join(name if bits & bit else "''" for name, bit in _DIMENSIONS.items())
    rest = f"((sum(premium) % {_PICO}) + {_PICO}) % {_PICO}"
    sums = ", ".join(
        (
            f"(sum(premium) - {rest}) / {_PICO}",
            rest,
            *(f"sum({name})" for name in ("attempts", "estimated", *_ANSWERED)),
        )
    )
    return f"""
        INSERT INTO rollup (kind, grain, mode, start_us, {", ".join((*_DIMENSIONS, *_SUMS_BEFORE, *_SUMS))})
        SELECT {bits}, '{grain}', mode, {_STARTS[grain]}, {names}, {", ".join("0" * len(_SUMS_BEFORE))}, {sums}
        FROM fresh WHERE true GROUP BY 3, 4, 5, 6, 7, 8
        ON CONFLICT DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _SUMS)}
        """  # noqa: S608 - constants


STATEMENTS = tuple(_statements())
