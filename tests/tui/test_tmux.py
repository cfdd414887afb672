"""The program as a person starts it, in a real terminal: from the first prompt to the prompt of the shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not on this machine")

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


class Terminal:
    """A shell in tmux, on a server of its own."""

    def __init__(self, socket: Path, columns: int, rows: int) -> None:
        self._socket = socket
        self.tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            str(columns),
            "-y",
            str(rows),
            "env -u COLUMNS -u LINES -u NO_COLOR PS1='shell> ' sh",
        )
        self.sees("shell>")

    def tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments], capture_output=True, text=True, check=True
        ).stdout

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", key)

    def types(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def sees(self, *texts: str) -> str:
        end = time.monotonic() + PATIENCE_S
        while True:
            shown = self.screen()
            if all(text in shown for text in texts):
                return shown
            assert time.monotonic() < end, f"never seen: {[t for t in texts if t not in shown]}\n{shown}"
            time.sleep(0.02)

    def close(self) -> None:
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], capture_output=True, check=False)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    # A socket's path may have about a hundred characters.
    folder = Path(os.environ.get("TMPDIR", "/tmp"))
    socket = folder / f"sandbox-tui-{os.getpid()}.sock"
    opened = Terminal(socket, 120, 30)
    yield opened
    opened.close()
    socket.unlink(missing_ok=True)


def start(terminal: Terminal, folder: Path) -> None:
    """Type what starts the program, with everything it writes in `folder`."""
    environment = {
        "SANDBOX_DATA_DIR": str(folder / "data"),
        "SANDBOX_CONFIG_DIR": str(folder / "config"),
        "SANDBOX_MOCK__PACE": "instant",
        "PYTHONPATH": str(CHECKOUT),
    }
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    terminal.types(f"cd {shlex.quote(str(folder))} && clear && {assignments} {sys.executable} -m sandbox; echo exit=$?")
    terminal.keys("Enter")


def test_the_fixtures_room(terminal: Terminal, tmp_path: Path) -> None:
    start(terminal, tmp_path)
    terminal.sees("MOCK · nothing leaves this machine", "● openai")
    terminal.keys("F6")
    terminal.sees("─ Fixtures ", "Request", "/ filter", "Enter replay")
    terminal.keys("/")
    terminal.sees("provider, api, status")
    terminal.types("openai circuit-breakers-stream")
    terminal.sees("2 of ")
    terminal.keys("Enter")
    terminal.sees("Enter replay")
    terminal.keys("G")
    terminal.sees("openai/circuit-breakers-stream.json")
    terminal.keys("Enter")
    terminal.sees("replayed: as recorded", "✓ the gateway made of it what was recorded")
    terminal.tmux("resize-window", "-x", "80", "-y", "24")
    terminal.sees("✓ the gateway made of it")
    terminal.keys("1")
    terminal.sees("replay of", "Picture the fuse box")
    terminal.keys("C-q")
    shown = terminal.sees("exit=0")
    assert "Traceback" not in shown


def test_the_lab(terminal: Terminal, tmp_path: Path) -> None:
    start(terminal, tmp_path)
    terminal.sees("MOCK · nothing leaves this machine", "● openai")
    terminal.keys("F3")
    terminal.sees("bedrock-brownout", "Space plays: Bedrock answers 503", "503 on bedrock", "0 of 23")
    terminal.keys("s", "Space")
    terminal.sees("▶ 0", "bedrock's breaker is open", "openai answers")
    terminal.keys("End")
    terminal.sees("the end: 600 of 600 answered", "5 of 5 expectations hold")
    terminal.tmux("resize-window", "-x", "80", "-y", "24")
    terminal.sees("the end: 600 of 600 answered", "half open → closed")
    terminal.keys("Home")
    terminal.sees("00:00.000 / 5:03")
    for _ in range(3):
        terminal.keys("S-Right")
    terminal.sees("bedrock's breaker is open since 1:04; openai answers")
    terminal.keys("f")
    terminal.sees("Break or heal at 01:31", "503 unavailable")
    terminal.keys("Enter")
    terminal.sees("changed by hand", "by hand: 503 on openai")
    terminal.keys("x")
    terminal.sees("exported")
    terminal.keys("C-q")
    shown = terminal.sees("exit=0")
    assert "Traceback" not in shown
    assert (tmp_path / "data" / "exports" / "bedrock-brownout-happyos.md").exists()


def test_a_whole_session(terminal: Terminal, tmp_path: Path) -> None:
    before = terminal.tmux("display", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}")
    start(terminal, tmp_path)
    terminal.sees("MOCK · nothing leaves this machine", "Explain circuit breakers to a cook.")

    terminal.sees("● azure_openai", "Nothing asked yet")
    terminal.types("What is a fuse?")
    terminal.keys("Enter")
    terminal.sees("✓ gpt-4o-mini", "cost ~$0.0", "stop", "Press f to break")

    terminal.keys("f")
    terminal.sees("Break a provider", "503 unavailable")
    terminal.keys("Enter")
    terminal.sees("azure_openai !503")
    terminal.keys("r")
    terminal.sees("✗ 503 unavailable", "↺ again after 50 ms", "openai       ✓ gpt-4o-mini", "↷1")
    for count in (3, 4):
        terminal.keys("r")
        terminal.sees(f"{count} · / filter")
        terminal.sees("▶ Send")
    terminal.sees("○ azure_openai !503", "breaker opened: 5 failures within 60 s")

    terminal.keys("C-q")
    terminal.sees("exit=0")
    assert terminal.tmux("display", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}") == before
    terminal.types("echo still $((40 + 2))")
    terminal.keys("Enter")
    shown = terminal.sees("still 42")
    assert "Traceback" not in shown
    assert "azure_openai" not in shown
    assert (tmp_path / "data" / "tui-state.json").is_file()
