"""The faults of Redis: no request waits for it or fails for it, and every record arrives all the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sandbox.usage.records import to_usd
from tests.dynamo import servers
from tests.dynamo.stores import made
from tests.faults.runs import Outcome, Program, Row, counted
from tests.redis_server import RedisServer

PER_SECOND = 300.0
SLOW_S = 1.0
"""No answer may take this long while Redis is silent for two seconds. What it may is 0.05 s beyond its own time; the
rest is for a machine that runs the whole suite on two cores."""


def killed_and_restarted(folder: Path) -> Outcome:
    def play(program: Program, redis: RedisServer) -> None:
        program.wait_for(100)
        redis.kill()
        program.wait_for(250)
        # Empty: what it knew of breakers, turns and ledgers is gone.
        redis.restart()

    return _with_redis(folder, 500, play)


def silent(folder: Path) -> Outcome:
    def play(program: Program, redis: RedisServer) -> None:
        program.wait_for(100)
        redis.pause()
        time.sleep(2)
        redis.resume()

    return _with_redis(folder, 900, play)


def _with_redis(folder: Path, requests: int, play: Callable[[Program, RedisServer], None]) -> Outcome:
    url, table = servers.moto(), made(servers.moto(), folder)
    redis = RedisServer(folder / "redis").start()
    try:
        program = Program(folder, table, url, requests, PER_SECOND, REDIS_URL=redis.url)
        play(program, redis)
        answered = program.finish()
        outcome = counted(folder, table, url, sent=program.sent, answered=answered)
        [ledger] = redis.do("KEYS", "*:ledger:*:all")
        booked = to_usd(int(redis.do("HGET", ledger, "used")))
    finally:
        redis.stop()
    if program.slowest >= SLOW_S:
        outcome.wrong.append(f"an answer took {program.slowest:.2f} s")
    if outcome.spent_usd != booked:
        outcome.wrong.append(f"{booked} USD are booked in the ledger, and {outcome.spent_usd} were spent")
    return outcome


ROWS = (
    Row("Redis killed and restarted mid-load", killed_and_restarted),
    Row("Redis silent for two seconds", silent),
)
