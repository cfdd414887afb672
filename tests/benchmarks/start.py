"""Start and feel: whole processes, from exec to exit, and the UI's first paint on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.report import Row, bound_row


def measure(*, rounds: int = 7) -> list[Row]:
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "sandbox --version": [sys.executable, "-m", "sandbox", "--version"],
        "sandbox --help": [sys.executable, "-m", "sandbox", "--help"],
        "sandbox ask, mock, whole process": [sys.executable, "-m", "sandbox", "ask", "hello"],
    }
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "SANDBOX_DATA_DIR": folder, "SANDBOX_CONFIG_DIR": folder}
        seen: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(rounds + 1):
            for name, command in commands.items():
                extra = ["--no-cache"] if "ask" in command else []
                started = time.perf_counter()
                subprocess.run([*command, *extra], env=environ, check=True, capture_output=True)
                if turn:
                    seen[name].append(time.perf_counter() - started)
        median = {name: statistics.median(values) for name, values in seen.items()}
        paint, memory = zip(*(first_paint(environ) for _ in range(max(3, rounds // 2))), strict=True)
    floor = median["python -c pass"]

    def line(name: str, limit: float, peer: str) -> Row:
        return bound_row(name, median[name], limit, "s", peer, floor=floor, floor_name="python -c pass")

    return [
        line("sandbox --version", 0.06, "llm 0.80, litellm 8.6 s"),
        line("sandbox --help", 0.25, "oterm 1.3 s"),
        line("sandbox ask, mock, whole process", 0.4, "–"),
        bound_row(
            "UI, first paint",
            statistics.median(paint),
            0.6,
            "s",
            "bare Textual app 0.27, ten widgets 0.48 s",
            floor=floor,
            floor_name="python -c pass",
        ),
        bound_row("UI, resident memory when idle", statistics.median(memory), 90.0, "MB", "LiteLLM imported 161 MB"),
    ]


def first_paint(environ: dict[str, str], marker: bytes = b"Playground") -> tuple[float, float]:
    """Seconds until the room's name is on the screen, and the resident set in MB a moment later."""
    import fcntl
    import termios

    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            [sys.executable, "-m", "sandbox"],
            {**environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        seen, painted = b"", 0.0
        until = started + 20
        while time.perf_counter() < until:
            ready, _, _ = select.select([terminal], [], [], 0.05)
            if ready:
                seen += os.read(terminal, 65536)
            if not painted and marker in seen:
                painted = time.perf_counter() - started
                until = time.perf_counter() + 2
        assert painted, f"{marker!r} never appeared"
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return painted, pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        os.close(terminal)
