"""The plugin in somebody else's test suite."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PLUGIN = "sandbox.scenarios.pytest_plugin"
# Where the program was installed before it had a plugin, pytest is told of it.
LOADED = [] if any(one.value == PLUGIN for one in entry_points(group="pytest11")) else ["-p", PLUGIN]

OUTAGE = """\
version: 1
name: outage
duration: 30s
preset: happyos
providers:
  - {name: bedrock, model: claude-3-sonnet, latency: 400ms}
  - {name: openai, model: gpt-4-turbo, latency: 500ms}
traffic:
  - {rate: 1/s}
faults:
  - {provider: bedrock, from: 5s, to: 20s, kind: http_error, status: 503, after: 100ms}
expect:
  - {metric: availability, min: 1}
  - {breaker: bedrock, opens_within: 2s, of: 5s}
"""
FAILS = "scenario outage, seed 0, preset happyos: 1 of 2 expectations do not hold"
"""Three failures in a row have come at 7.1 s, which is 2.1 s after the fault began."""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "checks").mkdir()
    (pytester.path / "checks" / "outage.yaml").write_text(OUTAGE)
    return pytester


def ran(suite: pytest.Pytester, test: str) -> pytest.RunResult:
    (suite.path / "checks" / "test_it.py").write_text(test)
    return suite.runpytest_subprocess(*LOADED, "-p", "no:cacheprovider", "checks")


def test_a_result_of_a_file_beside_the_test(suite: pytest.Pytester) -> None:
    result = ran(
        suite,
        """
def test_outage(replay_scenario):
    result = replay_scenario("outage.yaml")
    assert result.metrics["availability"] == 1
    assert [one.to_state for one in result.transitions] == ["open"]

def test_policy_and_seed(replay_scenario):
    result = replay_scenario("outage.yaml", preset="litellm", seed=5, replicas=2)
    assert (result.preset, result.seed, result.fleet.replicas) == ("litellm", 5, 2)
    assert replay_scenario("outage.yaml", fidelity="wire").fidelity == "wire"
""",
    )
    result.assert_outcomes(passed=2)


def test_what_does_not_hold_is_listed_with_what_was(suite: pytest.Pytester) -> None:
    result = ran(suite, "def test_outage(replay_scenario):\n    replay_scenario('outage.yaml').check()\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{FAILS}", "*✗ breaker bedrock opens within 2, of 5: 2.1"])
    result.stdout.no_fnmatch_line("*✗ availability*")


def test_built_in_scenarios_and_chained_checks(suite: pytest.Pytester) -> None:
    result = ran(
        suite,
        "def test_one(replay_scenario):\n    assert replay_scenario('one-500').check().metrics['retries'] == 1\n",
    )
    result.assert_outcomes(passed=1)


def test_a_test_with_a_loop_of_its_own(suite: pytest.Pytester) -> None:
    result = ran(
        suite,
        """
import asyncio

def test_within_a_loop(replay_scenario):
    async def main():
        return replay_scenario("one-500").check()
    assert asyncio.run(main()).metrics["requests"] == 60
""",
    )
    result.assert_outcomes(passed=1)


def test_what_cannot_be_run_says_why(suite: pytest.Pytester) -> None:
    result = ran(suite, "def test_it(replay_scenario):\n    replay_scenario('total-outtage')\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*there is no scenario 'total-outtage': did you mean 'total-outage'*"])


def test_scenario_files_are_tests(suite: pytest.Pytester) -> None:
    (suite.path / "good.scenario.yaml").write_text(OUTAGE.replace("opens_within: 2s", "opens_within: 3s"))
    (suite.path / "bad.scenario.yaml").write_text(OUTAGE)
    (suite.path / "broken.scenario.yaml").write_text(OUTAGE.replace("rate: 1/s", "rate: fast"))
    (suite.path / "other.yaml").write_text("no: scenario")
    result = suite.runpytest_subprocess(*LOADED, "-p", "no:cacheprovider", "-v")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["bad.scenario.yaml::bad FAILED*", "good.scenario.yaml::good PASSED*"])
    result.stdout.fnmatch_lines([FAILS, "  ✗ breaker bedrock opens within 2, of 5: 2.1"])
    result.stdout.fnmatch_lines(["*broken.scenario.yaml:9: traffic[[]0[]].rate is 'fast': a rate is *"])
    result.stdout.no_fnmatch_line("*runner.py*")


def test_loading_it_imports_nothing_of_the_program() -> None:
    """It is loaded in every run of pytest, in suites that never use it too."""
    code = f"import sys; import {PLUGIN}; print(*(m for m in sys.modules if m.startswith(('sandbox', 'providers'))))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert sorted(printed) == ["sandbox", "sandbox.scenarios", PLUGIN]


def test_pytest_is_told_of_it() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"llm-failover-sandbox": PLUGIN}
