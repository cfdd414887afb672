"""Measures this program beside its floors in one run.

    python -m tests.benchmarks [engine] [parts] [scale] [scenarios] [wiretap] [serve] [start] [lab] [dynamodb] [redis]
        [--full]

Ratios carry over between machines, absolute times only orient. Figures of peers were measured elsewhere.
"""

from __future__ import annotations

import asyncio
import sys

from tests.benchmarks.report import Row, table
from tests.benchmarks.upstream import pin

GROUPS = ("engine", "parts", "scale", "scenarios", "wiretap", "serve", "start", "lab", "dynamodb", "redis")


def main(arguments: list[str]) -> int:
    full = "--full" in arguments
    wanted = [a for a in arguments if a != "--full"] or list(GROUPS)
    unknown = [a for a in wanted if a not in GROUPS]
    if unknown:
        print(f"unknown group {unknown[0]!r}: there are {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    pin(0)
    rows: list[Row] = []
    for group in wanted:
        print(f"measuring {group} …", file=sys.stderr)
        rows += _measure(group, full)
    print(table(rows))
    return 0 if all(row.met for row in rows) else 3


def _measure(group: str, full: bool) -> list[Row]:
    if group == "engine":
        from tests.benchmarks import engine

        return asyncio.run(engine.measure())
    if group == "parts":
        from tests.benchmarks import parts

        return asyncio.run(parts.measure())
    if group == "scale":
        from tests.benchmarks import scale

        rows = asyncio.run(scale.measure(requests=1_000_000 if full else 100_000))
        return rows + (asyncio.run(scale._reports(10_000_000)) if full else [])
    if group == "scenarios":
        from tests.benchmarks import scenarios

        return scenarios.measure(requests=1_000_000 if full else 100_000)
    if group == "wiretap":
        from tests.benchmarks import wiretap

        return asyncio.run(wiretap.measure())
    if group == "serve":
        from tests.benchmarks import serve

        return asyncio.run(serve.measure()) + (asyncio.run(serve.measure_long()) if full else [])
    if group == "lab":
        from tests.benchmarks import lab

        return lab.measure()
    if group == "dynamodb":
        from tests.benchmarks import dynamodb

        return asyncio.run(dynamodb.measure())
    if group == "redis":
        from tests.benchmarks import redis_cost

        return asyncio.run(redis_cost.measure())
    from tests.benchmarks import start

    return start.measure()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
