"""What the rows of the fault table share: the program in processes, killed or not, and the count at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from providers.clock import SYSTEM_CLOCK, seeded
from sandbox.usage.base import UsageFilter
from sandbox.usage.dynamodb import AwsAccess, DynamoUsageStore
from tests.contract.usage_records import expected_breakdown, expected_totals

ROOT = Path(__file__).resolve().parents[2]
SAFE_AFTER_S = 0.1
"""A record is on the disk so long after the answer."""


@dataclass(slots=True)
class Outcome:
    """What came of one fault. `answered` counts the requests whose record must not be lost."""

    sent: int = 0
    answered: int = 0
    recorded: int = 0
    duplicated: int = 0
    lost: int = 0
    spent_usd: Decimal = Decimal(0)
    """By the records."""
    wrong: list[str] = field(default_factory=list)
    """What else is not as it should be, a sentence each."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fault: its name, and what plays it in a folder of its own."""

    name: str
    play: Callable[[Path], Outcome]


class Program:
    """`tests.faults.program` in a process; reads along what it answers, and when."""

    def __init__(self, folder: Path, table: str, url: str, requests: int, per_second: float, **environ: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SANDBOX_", "AWS_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.program", str(folder), table, url, str(requests), str(per_second)],
            cwd=ROOT,
            env=kept | {"HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"} | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._answered: list[tuple[str, float]] = []
        self.said = ""
        self.slowest = 0.0
        """Seconds that the slowest answer took, once it is done."""
        self._done = threading.Event()
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._listen)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("done "):
                self.slowest = float(line.split()[1])
                self._done.set()
            else:
                self._answered.append((line.strip(), time.monotonic()))
        self._done.set()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said += line

    def wait_for(self, answers: int) -> None:
        """Return when it has given so many answers. Raises TimeoutError."""
        until(lambda: len(self._answered) >= answers or self._process.poll() is not None)
        assert len(self._answered) >= answers, self.said

    def wait_until_done(self) -> None:
        assert self._done.wait(60), self.said

    def make_room(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("room\n")
        self._process.stdin.flush()

    def kill(self) -> list[str]:
        """Kill it with no warning; the ids whose answers were old enough then."""
        killed = time.monotonic()
        self._process.send_signal(signal.SIGKILL)
        self._end()
        return [id for id, at in self._answered if at < killed - SAFE_AFTER_S]

    def finish(self) -> list[str]:
        """Let it close its store and end; the ids it answered."""
        self.wait_until_done()
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        code = self._process.wait(60)
        self._end()
        assert code == 0, self.said
        return [id for id, _ in self._answered]

    @property
    def sent(self) -> int:
        return len(self._answered)

    def _end(self) -> None:
        self._process.wait(10)
        for reader in self._readers:
            reader.join(10)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


def until(holds: Callable[[], bool], *, within: float = 60.0) -> None:
    """Return when it holds. Raises TimeoutError."""
    ends = time.monotonic() + within
    while not holds():
        if time.monotonic() > ends:
            raise TimeoutError("that never came")
        time.sleep(0.01)


def counted(folder: Path, table: str, url: str, *, sent: int, answered: list[str]) -> Outcome:
    """Send what still waits, then count: each answer has one record, and the roll-ups say what the records say."""
    return asyncio.run(_counted(folder, table, url, sent, answered))


async def _counted(folder: Path, table: str, url: str, sent: int, answered: list[str]) -> Outcome:
    access = AwsAccess(region="eu-north-1", endpoint_url=url)
    store = DynamoUsageStore(table, access, folder=folder, clock=SYSTEM_CLOCK, draws=seeded(0))
    where = UsageFilter()
    outcome = Outcome(sent, len(answered))
    try:
        await store.flush()
        records = [record async for record in store.scan(where)]
        found = Counter(record.request_id for record in records)
        outcome.recorded = sum(1 for id in answered if found[id])
        outcome.lost = len(answered) - outcome.recorded
        outcome.spent_usd = sum((one.estimated_cost or Decimal(0) for one in records), Decimal(0))
        outcome.duplicated = sum(count - 1 for count in found.values())
        # Reads by hour and day alone, so that nothing but roll-ups answers.
        if await store.totals(where) != expected_totals(records, where):
            outcome.wrong.append("the sums are not those of the records")
        for by in ("tenant", "agent", "model", "hour", "day"):
            told: Any = await store.breakdown(where, by)  # type: ignore[arg-type]
            if told != expected_breakdown(records, where, by):  # type: ignore[arg-type]
                outcome.wrong.append(f"the sums by {by} are not those of the records")
        state = await store.spool_state()
        if state.depth:
            outcome.wrong.append(f"{state.depth} records are still in the spool")
    finally:
        await store.close()
    return outcome
