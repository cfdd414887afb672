"""The Lab: recording a run, moving through it, and how soon a key is answered while events rush by."""

from __future__ import annotations

import gc
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

import orjson

from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.loader import Scenario, load
from sandbox.scenarios.recorder import record
from sandbox.scenarios.recording import LEVELS, FaultBegan, FaultEnded, Recording
from sandbox.scenarios.runner import run
from sandbox.scenarios.watching import Watch
from sandbox.tui.lab.drawing import drawn
from tests.benchmarks.report import Row, bound_row, ratio_row

REQUESTS_PER_SECOND = 25
"""Eight events each, ten times as fast as life: 2,000 events pass in a second."""
OUTAGE = f"""\
version: 1
name: rush
description: A hundred thousand events in ten minutes.
duration: 10m
providers:
  - {{name: bedrock, model: claude-3-sonnet, latency: {{p50: 800ms, p99: 2s}}, tokens_per_second: 60}}
  - {{name: openai, model: gpt-4-turbo, latency: 600ms, tokens_per_second: 60}}
traffic:
  - {{rate: {REQUESTS_PER_SECOND}/s, input_tokens: 400, output_tokens: 150}}
faults:
  - {{provider: bedrock, from: 2m, to: 6m, kind: http_error, status: 503}}
"""
KEYS = 60
"""A multiple of the number of levels, so that the list is at its end what it was at the start."""
PAUSE_S = 0.05
"""Between two keys."""


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenarios" / "rush.yaml"
        path.parent.mkdir()
        path.write_text(OUTAGE)
        scenario = load(path)
        recording, ratio = _recorded(scenario)
        return [ratio, *_moves(recording), *_live(recording), *_keys(Path(folder), recording)]


def _recorded(scenario: Scenario) -> tuple[Recording, Row]:
    """What recording costs beside running, taken in turns."""
    plain, with_it = [], []
    for _ in range(3):
        gc.collect()
        began = time.process_time()
        run(scenario)
        plain.append(time.process_time() - began)
        gc.collect()
        began = time.process_time()
        take = record(scenario)
        with_it.append(time.process_time() - began)
    requests = take.result.metrics["requests"] if take.result is not None else 0
    row = ratio_row(
        f"Lab, recording a run of {requests:,} requests",
        statistics.median(with_it),
        statistics.median(plain),
        "s",
        "running it",
        1.5,
    )
    return take.recording, row


def _moves(recording: Recording) -> list[Row]:
    """One step of the cursor: figures, row, a screenful of events, all columns."""
    times = [recording.ended_us * step // 500 for step in range(500)]
    began = time.perf_counter()
    for at_us in times:
        recording.figures(at_us)
        row = recording.row_at(recording.rows("all"), at_us)
        for position in range(max(0, row - 40), row + 1):
            recording.event(position)
    step = (time.perf_counter() - began) / len(times) * 1000
    began = time.perf_counter()
    recording.bins.columns(120, recording.ended_us)
    columns = (time.perf_counter() - began) * 1000
    return [
        bound_row(f"Lab, a step of the cursor over {len(recording):,} events", step, 5.0, "ms"),
        bound_row("Lab, adding the run up to 120 columns, once per width", columns, 30.0, "ms"),
    ]


def _live(recording: Recording) -> list[Row]:
    """The same events as a running gateway's: writing each of them down, and looking at the last five minutes."""
    every = [recording.event(position) for position in range(len(recording))]
    events = [event for event in every if not isinstance(event, (FaultBegan, FaultEnded))]
    watch = Watch(recording.ids, EPOCH_US)
    began = time.perf_counter()
    for event in events:
        watch(event)
    each = (time.perf_counter() - began) / len(events) * 1e6
    began = time.perf_counter()
    take, at_us = watch.look(events[-1].t_us, 300_000_000, 120, "sandbox")
    drawn(take, 120, take.recording.ended_us, take.recording.begin_us)
    take.recording.figures(at_us)
    look = (time.perf_counter() - began) * 1000
    return [
        bound_row("Lab, writing down an event of the running gateway", each, 20.0, "µs"),
        bound_row("Lab, a look at its last five minutes, five a second", look, 30.0, "ms"),
    ]


def _keys(folder: Path, recording: Recording) -> list[Row]:
    """The real program on a pseudo-terminal: from a key to the screen that it changes."""
    state = {"schema": 1, "room": "lab", "lab_scenario": "own/rush", "hints": False}
    (folder / "tui-state.json").write_bytes(orjson.dumps(state))
    markers = [f"of {len(recording.rows(level)):,}".encode() for level in LEVELS]
    screen = Screen(folder)
    try:
        screen.wait(markers[0], 60)
        screen.drain(1.0)
        rows = []
        for key, while_ in ((b" ", "2,000 events a second are played"), (b"r", "a run is worked out")):
            screen.press(key)
            # `v` lists other events each time; how many they are is on the screen then.
            waits = [screen.timed(b"v", markers[number % len(LEVELS)]) for number in range(1, KEYS + 1)]
            worst = statistics.quantiles(waits, n=20)[-1]
            rows.append(bound_row(f"Lab, key to repaint while {while_}, p95", worst, 50.0, "ms"))
            screen.press(b" ")
        return rows
    finally:
        screen.close()


class Screen:
    """The program as a person has it before him."""

    def __init__(self, folder: Path, columns: int = 160, lines: int = 48) -> None:
        import fcntl
        import termios

        environ = {
            **os.environ,
            "SANDBOX_DATA_DIR": str(folder),
            "SANDBOX_CONFIG_DIR": str(folder),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            # Measured is one process on a machine of its own; what measures it stays where it is pinned.
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            os.execve(sys.executable, [sys.executable, "-m", "sandbox"], environ)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, key: bytes) -> None:
        os.write(self._terminal, key)
        self.drain(0.2)

    def drain(self, seconds: float) -> None:
        """Read what is drawn for so long."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            if select.select([self._terminal], [], [], left)[0]:
                os.read(self._terminal, 1 << 20)

    def wait(self, marker: bytes, seconds: float = 5.0) -> None:
        seen, until = b"", time.perf_counter() + seconds
        while marker not in seen:
            left = until - time.perf_counter()
            assert left > 0, f"{marker!r} never appeared"
            if select.select([self._terminal], [], [], left)[0]:
                seen = seen[-len(marker) :] + os.read(self._terminal, 1 << 20)

    def timed(self, key: bytes, marker: bytes) -> float:
        """Milliseconds from a key to what it brings onto the screen."""
        began = time.perf_counter()
        os.write(self._terminal, key)
        self.wait(marker)
        took = (time.perf_counter() - began) * 1000
        self.drain(PAUSE_S)
        return took

    def close(self) -> None:
        os.kill(self._pid, signal.SIGTERM)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)
