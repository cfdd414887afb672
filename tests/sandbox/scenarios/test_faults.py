"""Faults of scenario files: their windows, their ramps, and what is said of those that are wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from providers.errors import ScenarioError
from providers.faults import Fault
from sandbox.core.virtual import VirtualClock, run_virtual
from sandbox.scenarios.loader import load_schedule

FILE = """\
version: 1
name: brownout
seed: 7
faults:
  - {provider: bedrock, from: 60s, to: 180s, kind: http_error, status: 503, after: 50ms}
  - {provider: bedrock, from: 2m, kind: latency, add: 200ms, probability: 0.5}
  - provider: openai
    from: 10s
    to: 20s
    kind: slow_stream
    tokens_per_second: {from: 40, to: 20}
  - {provider: openai, from: 10s, to: 20s, kind: latency, add: {from: 0ms, to: 1s}}
  - {provider: ollama, from: 30s, kind: quota, requests: 2, per: 60s}
"""


def test_a_fault_holds_from_its_first_microsecond_to_before_its_last(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(FILE)

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        await clock.sleep(5)  # time counts from the schedule's start, not from the clock's
        schedule = load_schedule(tmp_path / "s.yaml", clock)
        down, late = Fault("http_error", status=503, after=0.05), Fault("latency", add=0.2, probability=0.5)
        for until, expected in [
            (0, []),
            (59.999999, []),
            (60, [down]),
            (120, [down, late]),
            (179.999999, [down, late]),
            (180, [late]),
            (100_000, [late]),
        ]:
            await clock.sleep(until - schedule.now_us / 1e6)
            assert schedule.active("bedrock") == expected
        assert schedule.active("anthropic") == []
        schedule.start()
        assert schedule.active("bedrock") == []

    run_virtual(main())


def test_a_ramp_is_even_over_its_window(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(FILE)

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        schedule = load_schedule(tmp_path / "s.yaml", clock)
        seen = []
        for at in (10, 15, 19.5):
            await clock.sleep(at - clock.monotonic())
            slow, late = schedule.active("openai")
            seen.append((slow.tokens_per_second, late.add))
        assert seen == [(40, pytest.approx(0)), (30, pytest.approx(0.5)), (21, pytest.approx(0.95))]

    run_virtual(main())


def test_a_quota_counts_in_windows_from_the_faults_start(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(FILE)

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        schedule = load_schedule(tmp_path / "s.yaml", clock)
        await clock.sleep(42)
        (quota,) = schedule.active("ollama")
        waits = [schedule.quota_wait("ollama", quota) for _ in range(3)]
        assert waits == [None, None, pytest.approx(48)]
        await clock.sleep(48)
        assert schedule.quota_wait("ollama", quota) is None

    run_virtual(main())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- 1", r"s\.yaml:1: a scenario is a mapping that begins with `version: 1`"),
        ("", r"s\.yaml: a scenario is a mapping"),
        ("version: 2", r"s\.yaml:1: version is 2; it must be 1"),
        ("name: x", r"s\.yaml:1: version is None; it must be 1"),
        ("version: 1\nfalts: []", r"s\.yaml:2: falts is no key of a scenario; did you mean 'faults'\? the keys are"),
        ("version: 1\nfaults: 3", r"s\.yaml:2: faults must be a list of faults"),
        ("version: 1\nfaults:\n  - 503", r"s\.yaml:3: faults\[0\] must be a mapping such as"),
        ("version: 1\nfaults:\n  - {kind: auth}", r"s\.yaml:3: faults\[0\]\.provider is None; it must name a provider"),
        (
            "version: 1\nfaults:\n  - provider: openai\n    kind: http_eror",
            r"s\.yaml:4: faults\[0\]\.kind: unknown fault 'http_eror': did you mean 'http_error'\?",
        ),
        (
            "version: 1\nfaults:\n  - provider: openai\n    kind: http_error\n    status: 200",
            r"s\.yaml:5: faults\[0\]\.status: status is '200'; it must be an HTTP error status",
        ),
        (
            "version: 1\nfaults:\n  - provider: openai\n    kind: http_error\n    stauts: 500",
            r"s\.yaml:5: faults\[0\]\.stauts: http_error has no 'stauts'; did you mean 'status'\?",
        ),
        (
            "version: 1\nfaults: [{provider: a, kind: auth, from: soon}]",
            r"s\.yaml:2: faults\[0\]\.from is 'soon'; it must be a time such as 90s or 5m",
        ),
        (
            "version: 1\nfaults: [{provider: a, kind: auth, from: 9s, to: 9s}]",
            r"s\.yaml:2: faults\[0\]\.to is '9s', which is not after from \('9s'\)",
        ),
        (
            "version: 1\nfaults: [{provider: a, kind: latency, add: {from: 1s, to: 2s}}]",
            r"faults\[0\]\.add runs from one value to another, so the fault needs a `to`",
        ),
        (
            "version: 1\nfaults: [{provider: a, kind: latency, to: 5s, add: {fro: 1s, to: 2s}}]",
            r"faults\[0\]\.add must be a number, or \{from: …, to: …\}",
        ),
        (
            "version: 1\nfaults: [{provider: a, kind: http_error, to: 5s, status: {from: 500, to: 900}}]",
            r"faults\[0\]\.status\.to: status is '900'",
        ),
        ("version: 1\nname: [", r"s\.yaml:\d: not YAML: "),
        ("version: 1\nname: !!python/object:os.system x", r"s\.yaml:2: not YAML: could not determine a constructor"),
        ("version: 1\nseed: 1\nseed: 2", r"s\.yaml:3: seed stands here twice"),
        (
            "a: &a [x,x,x]\nb: &b [*a,*a,*a]\n"
            + "".join(
                f"{chr(99 + i)}: &{chr(99 + i)} [" + ",".join(f"*{chr(98 + i)}" for _ in range(9)) + "]\n"
                for i in range(9)
            ),
            r"s\.yaml: more than 200,000 values",
        ),
    ],
)
def test_a_complaint_names_file_line_and_key(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(text)

    async def main() -> None:
        with pytest.raises(ScenarioError, match=complaint):
            load_schedule(tmp_path / "s.yaml", VirtualClock(asyncio.get_running_loop()))

    run_virtual(main())


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe")

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        with pytest.raises(ScenarioError, match=r"cannot read .*none\.yaml: No such file"):
            load_schedule(tmp_path / "none.yaml", clock)
        with pytest.raises(ScenarioError, match=r"s\.yaml is not UTF-8 text"):
            load_schedule(tmp_path / "s.yaml", clock)

    run_virtual(main())
