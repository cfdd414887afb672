"""The examples of the documents that this project grew out of, run as they stand with only their imports changed."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
from typing import Any

import pytest

from tests.shared_material import wire_dir

_FOLDER = None if wire_dir() is None else wire_dir().parent / "seeds"  # type: ignore[union-attr]

needs_seeds = pytest.mark.skipif(
    _FOLDER is None or not _FOLDER.is_dir(), reason="the documents are not on this machine (set SANDBOX_TEST_MATERIAL)"
)

IMPORTS = (
    (r"from llm\.providers\.base_provider import (?=\()", "from providers.errors import "),
    (r"from llm\.providers\.base_provider import", "from providers import"),
    (r"from llm\.base_provider import", "from providers import"),
    (r"from llm\.providers(?:\.\w+)? import", "from providers import"),
    (r"from llm\.circuit_breaker import", "from providers.errors import"),
    (r"from llm import", "from sandbox import"),
    (r"from src\.(?:agents\.base\.base_agent|llm\.\w+|services\.infrastructure\.\w+) import", "from sandbox import"),
    (r"from backend\.infrastructure\.aws\.services\.llm_adapter import", "from sandbox import"),
    (r"from backend\.core\.llm\.cost_calculator import", "from sandbox import"),
)
"""Old import lines and the new ones."""


def document(number: str) -> str:
    """The document whose name begins with `number`."""
    assert _FOLDER is not None
    [path] = _FOLDER.glob(f"{number}_*.txt")
    return path.read_text("utf-8", "replace")


def snippets(number: str) -> list[str]:
    """The Python examples of a document, imports changed."""
    blocks = re.findall(r"```python\n(.*?)```", document(number), re.DOTALL)
    for old, new in IMPORTS:
        blocks = [re.sub(old, new, block) for block in blocks]
    return blocks


async def run(source: str, names: dict[str, Any]) -> str:
    """Execute an example among `names`, which it may add to; returns what it printed."""
    code = compile(source, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if "asyncio.run(" in source:
            await asyncio.to_thread(exec, code, names)
        else:
            # An example with `await` at its top level is a coroutine; one without has run when eval returns.
            result = eval(code, names)
            if inspect.isawaitable(result):
                await result
    return out.getvalue()
