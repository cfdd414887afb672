from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.app import run
from sandbox.cli.output import Output
from sandbox.settings.keys import FOREIGN_VARIABLES


@dataclass(slots=True)
class Ran:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with no settings, no keys and no data."""
    for name in os.environ:
        if name.startswith("SANDBOX_") or name in FOREIGN_VARIABLES or name == "NO_COLOR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SANDBOX_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(home: Path) -> Iterator[Cli]:
    """Runs a command line in this process, as `sandbox …` would."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def call(*arguments: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        code = run(arguments, open_ui=lambda session: 0, output=Output(out, err))
        return Ran(code, out.getvalue(), err.getvalue())

    yield call
    root.handlers = handlers
    root.setLevel(level)
