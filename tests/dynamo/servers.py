"""Servers that speak DynamoDB, each a process of its own on a free loopback port, ended with this one."""

from __future__ import annotations

import atexit
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

NODE = Path(__file__).resolve().parents[1] / "clients" / "node"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")

# They end when their standard input does, which it does whatever becomes of this process.
_MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://127.0.0.1:%d" % server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
_DYNALITE = """
import dynalite from "dynalite"
const server = dynalite({createTableMs: 0, deleteTableMs: 0, updateTableMs: 0})
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`))
process.stdin.on("end", () => process.exit()).resume()
"""


@cache
def moto() -> str:
    """The address of moto's server."""
    return _started([sys.executable, "-c", _MOTO], None)


@cache
def dynalite() -> str:
    """The address of dynalite, which is stricter in some things and knows no transactions, TTL or recovery."""
    return _started(["node", "--input-type=module", "-e", _DYNALITE], NODE)


def no_dynalite() -> str | None:
    """Why dynalite cannot be run here; None where it can."""
    if shutil.which("node") is None:
        return "node is not on this machine"
    if not (NODE / "node_modules" / "dynalite").is_dir():
        return f"dynalite is not installed: npm install --no-package-lock --prefix {NODE.name}"
    return None


def _started(command: list[str], folder: Path | None) -> str:
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    atexit.register(_stop, process)
    for line in process.stdout:
        if found := _ADDRESS.search(line):
            return found[0]
    raise RuntimeError(f"{command[0]} did not start a server")


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
