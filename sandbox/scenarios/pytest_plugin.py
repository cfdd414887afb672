"""Scenarios in a test suite: the fixture `replay_scenario`, and files `*.scenario.yaml` that are tests themselves.

pytest loads this by its entry point in every run, so nothing of the program is imported before it is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from sandbox.scenarios.results import Result

T = TypeVar("T")

ENDING: Final = ".scenario.yaml"


class ReplayScenario(Protocol):
    def __call__(
        self,
        scenario: str | Path,
        *,
        preset: str | None = None,
        seed: int | None = None,
        fidelity: Literal["provider", "wire"] = "provider",
        replicas: int | None = None,
        breakers: Literal["local", "shared"] = "local",
    ) -> Result:
        """Run a built-in scenario, or a file beside the test; `.check()` of the result fails for what does not hold."""
        ...


@pytest.fixture
def replay_scenario(request: pytest.FixtureRequest) -> ReplayScenario:
    """Runs a scenario in virtual time: `replay_scenario("outage.yaml", preset="happyos").check()`."""
    beside = request.path.parent

    def replay(scenario: str | Path, **options: Any) -> Result:
        return _apart(lambda: _run(_place(scenario, beside), **options))

    return replay


def _place(scenario: str | Path, beside: Path) -> str:
    """A name stays one; a file is looked for beside the test first, then where pytest was started."""
    near = beside / scenario
    return str(near if near.is_file() else scenario)


def _run(scenario: str, preset: str | None = None, **options: Any) -> Result:
    from sandbox.scenarios.builtin import scenario as named
    from sandbox.scenarios.runner import run

    return run(named(scenario), preset=preset, **options)


def _apart(call: Callable[[], T]) -> T:
    """A run has an event loop of its own; where a test's loop is running, that is on another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


# --- files that are tests -------------------------------------------------------------------------------------------


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    return ScenarioFile.from_parent(parent, path=file_path) if file_path.name.endswith(ENDING) else None


class ScenarioFile(pytest.File):
    def collect(self) -> Iterator[ScenarioItem]:
        yield ScenarioItem.from_parent(self, name=self.path.name.removesuffix(ENDING))


class ScenarioItem(pytest.Item):
    """Passes where every expectation of its file holds."""

    def runtest(self) -> None:
        _run(str(self.path)).check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from providers.errors import InputError

        if isinstance(excinfo.value, (AssertionError, InputError)):
            # What is wrong is in the file; the program's own lines would only hide it.
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, 0, f"scenario {self.name}"
