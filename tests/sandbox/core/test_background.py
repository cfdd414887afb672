"""The worker thread: order, batches, failures, endings."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox.core.background import BatchWorker

ROOT = Path(__file__).parents[3]
WAIT_S = 10.0
"""Far more than any of this takes: a test that reaches it has failed."""


def worker(batches: list[list[int]], *, linger: float = 0.0, limit: int = 100) -> BatchWorker[int]:
    return BatchWorker("test-worker", batches.append, linger=linger, limit=limit)


def test_what_is_put_comes_out_in_order_and_in_batches_of_the_limit() -> None:
    batches: list[list[int]] = []
    work = worker(batches, linger=WAIT_S, limit=10)
    for number in range(25):
        work.put(number)
    work.stop().result(WAIT_S)
    assert [number for batch in batches for number in batch] == list(range(25))
    assert max(map(len, batches)) <= 10
    assert len(batches) == 3


def test_a_call_comes_after_what_was_put_and_ends_the_lingering() -> None:
    batches: list[list[int]] = []
    work = worker(batches, linger=WAIT_S)
    work.put(1)
    assert work.call(lambda: list(batches)).result(WAIT_S / 2) == [[1]]
    work.put(2)
    assert work.waiting == 1
    assert work.call(lambda: list(batches)).result(WAIT_S / 2) == [[1], [2]]
    assert work.waiting == 0
    work.stop().result(WAIT_S)


def test_items_gather_while_a_batch_is_handled() -> None:
    going, go = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def handle(batch: list[int]) -> None:
        going.set()
        assert go.wait(WAIT_S)
        batches.append(batch)

    work = BatchWorker[int]("test-worker", handle, linger=0.001, limit=100)
    work.put(0)
    assert going.wait(WAIT_S)
    for number in range(1, 50):
        work.put(number)
    go.set()
    work.stop().result(WAIT_S)
    assert batches == [[0], list(range(1, 50))]


def test_a_failure_is_logged_and_the_next_batch_is_handled(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def handle(batch: list[int]) -> None:
        if batch == [13]:
            raise RuntimeError("unlucky")
        seen.extend(batch)

    work = BatchWorker[int]("test-worker", handle, linger=0.0, limit=1)
    for number in (1, 13, 2):
        work.put(number)
    work.stop().result(WAIT_S)
    assert seen == [1, 2]
    assert "unlucky" in caplog.text


def test_a_call_hands_its_error_to_who_waits() -> None:
    work = worker([])
    with pytest.raises(ZeroDivisionError):
        work.call(lambda: 1 // 0).result(WAIT_S)
    assert work.call(lambda: 7).result(WAIT_S) == 7
    work.stop().result(WAIT_S)


def test_it_starts_again_after_its_end() -> None:
    batches: list[list[int]] = []
    work = worker(batches)
    work.stop().result(WAIT_S)
    for number in range(20):
        work.put(number)
        work.stop().result(WAIT_S)
    assert [number for batch in batches for number in batch] == list(range(20))


def test_nothing_is_lost_while_it_starts_and_ends() -> None:
    batches: list[list[int]] = []
    work = worker(batches)
    endings = []
    for number in range(2000):
        work.put(number)
        if number % 3 == 0:
            endings.append(work.stop())
    for ending in endings:
        ending.result(WAIT_S)
    work.stop().result(WAIT_S)
    assert [number for batch in batches for number in batch] == list(range(2000))


def test_a_tick_comes_when_it_is_due_and_once() -> None:
    ticks: list[int] = []
    ticked = threading.Event()

    def tick() -> None:
        ticks.append(1)
        ticked.set()

    work = BatchWorker[int]("test-worker", lambda _: None, linger=0.0, limit=1, tick=tick)
    work.tick_in(0.0)
    work.put(1)
    assert ticked.wait(WAIT_S)
    work.call(lambda: None).result(WAIT_S)
    assert ticks == [1]
    work.call(lambda: work.tick_in(3600)).result(WAIT_S)
    work.stop().result(WAIT_S)
    assert ticks == [1]


def test_a_crowd_does_not_linger() -> None:
    handled = threading.Event()
    work = BatchWorker[int]("test-worker", lambda _: handled.set(), linger=2 * WAIT_S, limit=1000, crowd=50)
    for number in range(50):
        work.put(number)
    assert not handled.is_set()
    work.put(50)
    assert handled.wait(WAIT_S)
    work.stop().result(WAIT_S)


def test_what_waits_is_handled_when_the_interpreter_exits(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = (
        "import pathlib\n"
        "from sandbox.core.background import BatchWorker\n"
        f"out = pathlib.Path({str(out)!r})\n"
        "work = BatchWorker('w', lambda batch: out.write_text(repr(batch)), linger=60.0, limit=100)\n"
        "work.put(1)\n"
        "work.put(2)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, check=True, timeout=60)
    assert out.read_text() == "[1, 2]"
