"""The JavaScript clients: one process that asks everything, its outcomes in the same form as Python's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import orjson

from tests.clients.outcome import FAULT_HEADER, PROMPT, SYSTEM, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Form, Outcome

FOLDER = Path(__file__).parent / "node"

Job = tuple[str, Form, str | None]
"""Speaker, form, fault."""


def absent() -> str | None:
    """Why the JavaScript clients cannot be run here; None where they can."""
    if shutil.which("node") is None:
        return "node is not on this machine"
    if not (FOLDER / "node_modules" / "openai").is_dir():
        return f"the npm packages are not installed: npm install --no-package-lock --prefix {FOLDER.name}"
    return None


def outcomes(
    url: str, jobs: Sequence[Job], *, openai: str = "/openai/v1", anthropic: str = "/anthropic"
) -> list[Outcome]:
    """`openai`, `anthropic`: where these clients find their API behind the address."""
    order = {
        "url": url,
        "openaiPath": openai,
        "anthropicPath": anthropic,
        "prompt": PROMPT,
        "system": SYSTEM,
        "header": FAULT_HEADER,
        "tool": {"name": TOOL_NAME, "description": TOOL_ABOUT, "parameters": TOOL_SCHEMA},
        "jobs": [{"speaker": speaker, "form": form, "fault": fault} for speaker, form, fault in jobs],
    }
    done = subprocess.run(
        ["node", "ask.mjs"], cwd=FOLDER, input=orjson.dumps(order), capture_output=True, timeout=110, check=False
    )
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(jobs):
        raise RuntimeError(
            f"node ended with {done.returncode} after {len(lines)} of {len(jobs)}: {done.stderr.decode()}"
        )
    return [Outcome(**orjson.loads(line)) for line in lines]
