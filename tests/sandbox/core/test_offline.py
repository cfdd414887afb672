"""Mock and replay mode stay on this machine. In processes of their own, because a hook cannot be removed again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.core.offline import is_local

ROOT = Path(__file__).parents[3]
HEAD = """
import asyncio, socket, sys
from sandbox.core import offline
def outside(mark):
    for reach in (
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=0.01),
        lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
        lambda: socket.getaddrinfo("api.openai.com", 443),
        lambda: socket.gethostbyname("api.openai.com"),
    ):
        try:
            reach()
        except offline.OfflineViolation as error:
            print(mark, error)
def inside(mark):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()
    socket.socketpair()[0].close()
    print(mark, "loopback")
"""


def python(folder: Path, body: str) -> list[str]:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("SANDBOX_")},
        "PYTHONPATH": str(ROOT),
        "SANDBOX_DATA_DIR": str(folder / "data"),
        "SANDBOX_CONFIG_DIR": str(folder / "config"),
    }
    done = subprocess.run(
        [sys.executable, "-c", HEAD + body],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        cwd=folder,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_only_this_machine_is_reached_until_it_is_allowed(tmp_path: Path) -> None:
    said = python(
        tmp_path,
        """
offline.stay_offline(); offline.stay_offline()
outside("closed"); inside("closed")
offline.allow_network()
try:
    # An address that cannot be connected to, so that nothing is sent.
    socket.socket().connect(("192.0.2.1", -1))
except OverflowError:
    print("open")
""",
    )
    assert len([line for line in said if line.startswith("closed") and "was refused" in line]) == 5
    assert sum("'192.0.2.1'" in line for line in said) == 3
    assert said[-2:] == ["closed loopback", "open"]


@pytest.mark.parametrize(("mode", "closed"), [("mock", True), ("replay", True), ("live", False)])
def test_the_command_line_keeps_the_promise_of_its_mode(tmp_path: Path, mode: str, closed: bool) -> None:
    said = python(
        tmp_path,
        f"""
from sandbox.cli.app import run
from sandbox.runtime import Runtime
from providers.errors import ConfigError
async def opened(settings, **_):
    print(settings.mode, offline.is_offline())
    if offline.is_offline():
        outside("refused"); inside("allowed")
    raise ConfigError("seen enough")
Runtime.open = opened
run(["ask", "Hi", "--mode", {mode!r}], open_ui=lambda session: 0)
print(offline.is_offline())
""",
    )
    assert said[0] == f"{mode} {closed}"
    assert said[1:-1] == [] or (len(said[1:-1]) == 6 and said[-2] == "allowed loopback")
    assert (len(said) == 8) is closed
    assert said[-1] == "False"


@pytest.mark.parametrize("mode", ["mock", "live"])
def test_the_screens_engine_does_too(tmp_path: Path, mode: str) -> None:
    said = python(
        tmp_path,
        f"""
from pathlib import Path
from sandbox.settings import Settings
from sandbox.tui.engine import Engine
async def opened(settings, clock):
    print(offline.is_offline())
    raise OSError("seen enough")
engine = Engine(Settings(mode={mode!r}, data_dir=Path("data")), opener=opened)
engine.start(); engine.close()
""",
    )
    assert said == [str(mode == "mock")]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in (None, "", "localhost", b"LOCALHOST", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::")),
        *((host, False) for host in ("10.0.0.1", "::2", "localhost.evil.example", "127.0.0.1.evil.example", b"a", 5)),
    ],
)
def test_what_is_local(host: object, local: bool) -> None:
    assert is_local(host) is local
