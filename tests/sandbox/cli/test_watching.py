"""`replay --watch`: again on every save, with what came out differently; a broken file is waited for."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.cli.output import Output
from sandbox.cli.watching import POLL, watch
from sandbox.scenarios.loader import load
from sandbox.scenarios.results import Result
from sandbox.scenarios.runner import run
from tests.fake_clock import FakeClock

from .conftest import Cli

OUTAGE = """\
version: 1
name: watched
duration: 30s
preset: happyos
providers:
  - {name: bedrock, model: claude-3-sonnet, latency: 400ms}
  - {name: openai, model: gpt-4-turbo, latency: 500ms}
traffic:
  - {rate: 1/s, input_tokens: 1000, output_tokens: 100}
faults:
  - {provider: bedrock, from: 5s, to: 20s, kind: http_error, status: 503, after: 100ms}
expect:
  - {metric: availability, min: 1}
  - {breaker: bedrock, opens_within: 3s, of: 5s}
"""


class Editor(FakeClock):
    """Time in which somebody edits: one step for each pause, and at the end Ctrl-C."""

    def __init__(self, *steps: Callable[[], object] | None) -> None:
        super().__init__()
        self.steps = list(steps)
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.steps:
            raise KeyboardInterrupt
        step = self.steps.pop(0)
        if step is not None:
            step()


def watched(path: Path, clock: Editor, presets: tuple[str | None, ...] = (None,)) -> tuple[int, str]:
    """How many turns were taken, and what was said."""
    turns = 0

    def turn() -> list[Result]:
        nonlocal turns
        turns += 1
        loaded = load(path)
        return [run(loaded, preset=preset) for preset in presets]

    err = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        watch(path, turn, Output(io.StringIO(), err), clock)
    assert set(clock.pauses) == {POLL}
    return turns, err.getvalue()


def saver(path: Path, text: str) -> Callable[[], None]:
    count = 0

    def save() -> None:
        nonlocal count
        count += 1
        path.write_text(text)
        # Editors save seconds apart, tests do not.
        os.utime(path, ns=(count, path.stat().st_mtime_ns + count))

    return save


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "watched.yaml").write_text(OUTAGE)
    return tmp_path / "watched.yaml"


def test_a_run_for_every_save_and_none_without(path: Path) -> None:
    turns, said = watched(path, Editor(None, None, saver(path, OUTAGE), None))
    assert turns == 2
    assert said.count(f"watching {path}; Ctrl-C ends") == 2
    assert "happyos: nothing changed" in said


def test_what_came_out_differently(path: Path) -> None:
    """503s at 5, 6 and 7 open the breaker, so that 5-29 fail over: 25; those at 5 and 6 alone do not: 2."""
    _, said = watched(path, Editor(saver(path, OUTAGE.replace("to: 20s", "to: 7s"))))
    assert "happyos, against the run before:" in said
    assert "  failovers 25 → 2" in said
    assert "  ✓ → ✗ breaker bedrock opens within 3, of 5: 2.1 → never" in said
    assert "  breaker transitions 1 → 0" in said
    assert "  attempts at bedrock 8 → 30" in said
    assert "  p50 latency 500 ms → 400 ms" in said


def test_expectations_come_and_go(path: Path) -> None:
    changed = OUTAGE.replace("  - {metric: availability, min: 1}\n", "  - {metric: retries, max: 0}\n")
    _, said = watched(path, Editor(saver(path, changed)))
    assert "  ✓ retries ≤ 0: 0 (new)" in said
    assert "  availability ≥ 1 (gone)" in said


def test_a_broken_file_shows_its_sentence_and_is_waited_for(path: Path) -> None:
    broken = OUTAGE.replace("rate: 1/s", "rate: fast")
    steps = [saver(path, broken), path.unlink, None, saver(path, OUTAGE)]
    turns, said = watched(path, Editor(*steps))
    assert turns == 4
    assert f"{path}:9: traffic[0].rate is 'fast': a rate is a number" in said
    assert f"cannot read {path}: No such file or directory" in said
    assert "happyos: nothing changed" in said  # against the last run that there was


def test_several_policies_are_compared_each_with_itself(path: Path) -> None:
    _, said = watched(path, Editor(saver(path, OUTAGE.replace("500ms", "600ms"))), ("happyos", "sandbox"))
    assert "happyos, against the run before:" in said
    assert "sandbox, against the run before:" in said


def test_ctrl_c_ends_with_130(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "replay", str(path), "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("watching "):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "watched · seed 0 · preset happyos" in out
    assert err.endswith("sandbox: interrupted\n")


def test_watching_checks_nothing(cli: Cli, path: Path) -> None:
    ran = cli("replay", str(path), "--watch", "--check")
    assert ran.code == 2
    assert "--watch ends with Ctrl-C alone, so that --check would have nothing to say" in ran.err
