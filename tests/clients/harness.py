"""A wiretap in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@contextmanager
def running(*options: str) -> Iterator[str]:
    """`sandbox wiretap` on a free port; gives its address."""
    with TemporaryDirectory() as home:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SANDBOX_", "AWS_"))}
        environment = kept | {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home, "NO_COLOR": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "wiretap", "--port", "0", *options],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            said = ""
            for line in process.stderr:
                said += line
                if found := _ADDRESS.search(line):
                    yield found[0]
                    break
            else:
                raise RuntimeError(f"the wiretap did not start: {said}")
        finally:
            process.terminate()
            assert process.stderr is not None
            process.stderr.read()
            process.stderr.close()
            process.wait(10)
