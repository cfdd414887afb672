"""Reports: what is in them is what came of the run, whatever the scenario's texts hold."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from providers.errors import InputError
from sandbox.scenarios.builtin import names, scenario
from sandbox.scenarios.faults import faults_of
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.report import as_json, markdown, write
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse
from sandbox.scenarios.telling import clock_time, compared, fault_text, recovery_us, short_time

OUTAGE = """
version: 1
name: short
description: A | in a text does not break the table.
seed: 3
duration: 40s
preset: happyos
providers:
  - {name: bedrock, model: claude-3-sonnet, latency: 400ms}
  - {name: openai, model: gpt-4-turbo, latency: 500ms}
traffic:
  - {rate: 1/s, input_tokens: 1000, output_tokens: 100}
faults:
  - {provider: bedrock, from: 5s, to: 20s, kind: http_error, status: 503, after: 100ms}
expect:
  - {metric: availability, min: 1}
  - {breaker: bedrock, opens_within: 1s, of: 5s}
"""


def loaded(text: str = OUTAGE) -> Scenario:
    return check(parse(text, Path("short.yaml")))


def test_one_run_as_markdown() -> None:
    """The requests at 5, 6 and 7 fail after 0.1 s: open at 7.1, which is later than the second expectation allows.

    Closed again by the one at 38, so bedrock is asked 5 + 3 + 2 times.
    """
    outage = loaded()
    text = markdown(outage, [run(outage)])
    lines = text.splitlines()
    assert lines[0] == "# short"
    assert "| bedrock | 503 | from 00:05.000 to 00:20.000 |" in lines
    assert "| availability | 100.00 % |" in lines
    assert "| bedrock | 10 | 3 | 7 |" in lines
    assert "| 00:07.100 | bedrock | closed | open | 3 failures in a row |" in lines
    assert "### Expectations: 1 of 2" in lines
    assert "- ✓ availability ≥ 1: 1" in lines
    assert "- ✗ breaker bedrock opens within 1, of 5: 2.1" in lines
    assert "## Compared" not in lines


def test_several_runs_begin_with_their_comparison() -> None:
    outage = loaded()
    runs = [run(outage, preset=name) for name in ("happyos", "unified")]
    text = markdown(outage, runs)
    assert text.index("## Compared") < text.index("## Preset happyos") < text.index("## Preset unified")
    rows = [line for line in text.splitlines() if line.startswith(("| happyos |", "| unified |"))]
    assert rows == [f"| {' | '.join(compared(outage, one))} |" for one in runs]
    assert as_json(outage, runs)["runs"] == [one.as_dict() for one in runs]


@pytest.mark.parametrize("name", names())
def test_every_table_is_whole(name: str) -> None:
    one = scenario(name)
    width = 0
    for line in markdown(one, [run(one)]).splitlines():
        cells = line.count("|") if line.startswith("|") else 0
        assert not (width and cells) or cells == width
        width = cells
        assert "None" not in line


def test_the_form_follows_the_ending(tmp_path: Path) -> None:
    outage = loaded()
    result = run(outage)
    write(tmp_path / "r.md", outage, [result])
    assert (tmp_path / "r.md").read_text() == markdown(outage, [result])
    write(tmp_path / "r.json", outage, [result])
    assert orjson.loads((tmp_path / "r.json").read_bytes()) == orjson.loads(orjson.dumps(result.as_dict()))
    with pytest.raises(InputError, match=r"r\.txt: a report ends in \.md or \.json"):
        write(tmp_path / "r.txt", outage, [result])
    with pytest.raises(InputError, match="cannot write the report to"):
        write(tmp_path / "none" / "r.md", outage, [result])


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("kind: http_error, status: 503", "503"),
        ("kind: http_error, status: 503, probability: 0.5", "503 in 50 %"),
        ("kind: http_error, status: 503, probability: {from: 0, to: 1}", "503 in 0 → 100 %"),
        ("kind: rate_limit, retry_after: 20s", "429, wait 20 s"),
        ("kind: rate_limit", "429"),
        ("kind: quota, requests: 50, per: 1m", "429 beyond 50 requests per 60 s"),
        ("kind: timeout", "no answer"),
        ("kind: stream_cut, after_tokens: 40", "cut after 40 tokens"),
        ("kind: latency, times: 4", "latency ×4"),
        ("kind: latency, add: 2s, times: 2", "latency ×2 +2 s"),
        ("kind: latency, add: {from: 0s, to: 4s}", "latency, add 0 → 4"),
        ("kind: slow_stream, tokens_per_second: 5", "5 tokens/s"),
    ],
)
def test_a_fault_in_words(fault: str, text: str) -> None:
    (timed,) = faults_of(parse(f"faults: [{{provider: openai, from: 1s, to: 2s, {fault}}}]", Path("f.yaml")))
    assert fault_text(timed) == text


def test_times_in_words() -> None:
    assert clock_time(92_050_000) == "01:32.050"
    assert clock_time(3_725_000_000) == "62:05.000"
    assert short_time(92_050_000) == "1:32"


def test_recovery_counts_from_the_end_of_the_fault() -> None:
    outage = loaded(OUTAGE.replace("40s", "60s"))
    result = run(outage)
    # Open at 7.1, so the first request at or after 37.1, the one at 38, is let through and answered at 38.4.
    assert recovery_us(outage, result) == 18_400_000
    assert recovery_us(outage, run(outage, preset="unified")) is None
