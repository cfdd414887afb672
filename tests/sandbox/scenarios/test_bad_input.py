"""Whatever is wrong with a scenario file: one sentence with file, line and key, and what would be right."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.errors import ScenarioError
from sandbox.scenarios.loader import check, load
from sandbox.scenarios.runner import run
from sandbox.scenarios.schema import MAX_DRAIN
from sandbox.scenarios.source import MAX_SIZE, parse

FILE = Path("f.yaml")

FULL = yaml.safe_load("""
version: 1
name: full
description: Every field that there is.
seed: 1
duration: 60s
prices: seeds-2024
preset: sandbox
policy:
  strategy: priority
  retry: {when: always, retries: 1, base_delay: 1s, factor: 2, max_delay: 8s, jitter: none, max_retry_after: 5s}
  breaker:
    mode: window
    failure_threshold: 5
    window: 60s
    failure_rate: 0.5
    minimum_calls: 10
    recovery_timeout: 30s
    backoff_multiplier: 1
    max_recovery_timeout: 300s
    half_open_permits: 1
    success_threshold: 1
    slow_call_seconds: 5s
    slow_call_rate: 0.5
  streaming: {policy: fail, first_text: 10s, silence: 15s, max_stream: 600s}
  deadline: 60s
  attempt_timeout: 30s
  max_candidates: 2
  failover_on_content_filter: true
  cache: false
providers:
  - name: openai
    model: gpt-4
    id: one
    latency: {p50: 1s, p99: 2s}
    tokens_per_second: 50
    context_window: 8000
    prefills: true
    requests_per_minute: 100
    tokens_per_minute: 10000
    weight: 1
traffic:
  - from: 0s
    to: 60s
    rate: 1/s
    arrival: uniform
    prompt: hello
    model: gpt-4
    input_tokens: 10
    output_tokens: 10
    tenant: acme
    agent: helper
    stream: false
    max_tokens: 10
faults:
  - {provider: one, from: 1s, to: 2s, kind: http_error, status: 503, retry_after: 1s, probability: 0.5, after: 50ms}
  - {provider: one, from: 1s, to: 2s, kind: latency, add: {from: 0s, to: 1s}, times: 2}
expect:
  - {metric: availability, min: 0.5, max: 1, equals: 1}
  - {breaker: one, opens_within: 1s, of: 1s}
  - {breaker: one, stays: closed}
  - {provider: one, max_attempts: 5, min_attempts: 1, from: 1s, to: 2s}
""")

FITS: dict[str, set[tuple[str, str]]] = {
    "wat": {
        *[("name", "name"), ("description", "description"), ("providers", "model"), ("providers", "id")],
        *[("traffic", key) for key in ("prompt", "model", "tenant", "agent")],
    },
    "-1": {("seed", "seed"), *[("expect", key) for key in ("min", "max", "equals")]},
    "True": {
        *[("policy", "failover_on_content_filter"), ("policy", "cache"), ("providers", "prefills")],
        ("traffic", "stream"),
    },
}
"""Where a value is right that is wrong elsewhere: the first key and the last."""


def places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if place:
        yield place
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*place, key))


def changed(place: tuple[str | int, ...], value: Any) -> str:
    document = copy.deepcopy(FULL)
    owner = document
    for step in place[:-1]:
        owner = owner[step]
    owner[place[-1]] = value
    return str(yaml.safe_dump(document, sort_keys=False))


def dotted(place: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def complaint(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        check(parse(text, FILE))
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 700
    return said


def test_the_whole_file_is_right() -> None:
    check(parse(yaml.safe_dump(FULL), FILE))


@pytest.mark.parametrize("wrong", ["wat", -1, True, [1, 2], {"a": 1}, float("inf"), float("nan")], ids=repr)
def test_a_value_of_a_wrong_kind_in_every_place(wrong: Any) -> None:
    for place in places(FULL):
        if (place[0], place[-1]) in FITS.get(str(wrong), ()):
            continue
        text = changed(place, wrong)
        said = complaint(text)
        # The place itself, or within it the key that should not be there.
        line = parse(text, FILE).line(*place)
        at = re.match(r"f\.yaml:(\d+): ([\w.\[\]]+)", said)
        assert at, said
        assert at[2].startswith(dotted(place)) or place[0] == "expect", (place, said)
        assert line is not None
        assert line <= int(at[1]) <= line + 1 or place[0] == "expect", (place, said)


def test_an_unknown_key_in_every_mapping() -> None:
    for place in [(), *places(FULL)]:
        owner = FULL
        for step in place:
            owner = owner[step]
        if not isinstance(owner, dict):
            continue
        nearly = f"{next(iter(owner))}x"
        text = changed((*place, nearly), 1)
        said = complaint(text)
        if place == ("faults", 1, "add"):
            assert "faults[1].add must be a number, or {from: …, to: …} to run from one to the other" in said
            continue
        at = f"f.yaml:{parse(text, FILE).line(*place, nearly)}: {dotted((*place, nearly))}"
        assert said.startswith((f"{at} ", f"{at}: ")), said
        assert "did you mean " in said


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("duration",), "0s", "f.yaml:5: duration is '0s'; it must be greater than 0"),
        (("duration",), "32d", "f.yaml:5: duration is '32d'; it must be less than or equal to 2678400"),
        (("traffic", 0, "rate"), 0, "traffic[0].rate is 0; it must be greater than 0"),
        (("traffic", 0, "rate"), "0/m", "traffic[0].rate is '0/m'; it must be greater than 0"),
        (("traffic", 0, "rate"), "1/fortnight", "rate is '1/fortnight': a rate is a number of requests a second"),
        (("traffic", 0, "to"), "61s", "traffic[0].to is 61 s, after the scenario's end (60 s)"),
        (("traffic", 0, "from"), "60s", "traffic[0].from is 60 s, at or after the end (60 s)"),
        (("traffic", 0, "to"), "0s", "traffic[0].to is 0 s, which is not after from (0 s)"),
        (("traffic",), [], "traffic is []; it must have at least 1 item"),
        (("faults", 0, "to"), "61s", "faults[0].to is 61 s, after the scenario's end (60 s); leave it out for no end"),
        (("faults", 0, "from"), "60s", "faults[0].to is '2s', which is not after from ('60s')"),
        (("faults", 0, "to"), "1s", "faults[0].to is '1s', which is not after from ('1s')"),
        (("faults", 0, "provider"), "onne", "'onne', which is not in the chain; did you mean 'one'? it has one"),
        (("faults", 0, "kind"), "http_eror", "unknown fault 'http_eror': did you mean 'http_error'?"),
        (("faults", 0, "status"), 200, "faults[0].status: status is '200'; it must be an HTTP error status"),
        (("faults", 0, "probability"), 1.5, "probability is '1.5'; it must be a probability between 0 and 1"),
        (("providers", 0, "name"), "opnai", "providers[0].name is 'opnai'; did you mean 'openai'? use one of "),
        (("providers", 0, "latency"), {"p50": "2s", "p99": "1s"}, "p99 (1 s) is less than p50 (2 s)"),
        (("providers", 0, "latency"), {"p50": "2s"}, "providers[0].latency: p99 is missing"),
        (("preset",), "happyo", "preset cannot be used: unknown preset 'happyo': did you mean 'happyos'?"),
        (("expect", 1, "breaker"), "on", "expect[1].breaker is 'on', which is not in the chain"),
        (("expect", 0, "metric"), "availabilty", "did you mean 'availability'? use availability, requests, "),
        (("expect", 1), {"breaker": "one", "max": 3}, "an expectation of a breaker takes closes_within, opens_within"),
        (("expect", 1), {"breaker": "one", "opens_within": 3}, "opens_within and closes_within need `of`"),
        (("expect", 1), {"min": 3}, "an expectation names one of metric, breaker and provider"),
        (("name",), "Not A Name", "name is 'Not A Name'; it must be small letters, digits and dashes"),
        (("traffic", 0, "rate"), 1e6, "traffic makes 60,000,000 requests; the limit is 10,000,000"),
    ],
)
def test_what_is_wrong_and_what_would_be_right(place: tuple[str | int, ...], value: Any, said: str) -> None:
    assert said in complaint(changed(place, value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f.yaml: a scenario is a mapping that begins with `version: 1`"),
        ("just text", "f.yaml:1: a scenario is a mapping"),
        ("version: 1\nname: [", "f.yaml:3: not YAML: did not find expected node content"),
        (
            "version: 1\nname: !!python/object/apply:os.system [ls]",
            "f.yaml:2: not YAML: could not determine a construct",
        ),
        ("version: 1\nname: !secret x", "f.yaml:2: not YAML: could not determine a constructor for the tag '!secret'"),
        ("version: 1\nname: &x [*x]", "f.yaml: nested too deeply, or with an alias within itself"),
        ("version: 1\nname: *nobody", "f.yaml:2: not YAML: found undefined alias"),
        ("version: 1\nversion: 1", "f.yaml:2: version stands here twice"),
        ("version: 1\n? [a, b]\n: 1", "f.yaml:2: not YAML: found unhashable key"),
        ("version: 1\n--- \nversion: 1", "f.yaml:2: not YAML: but found another document"),
        ("version: 1\nname: 2025-13-45", "f.yaml: not YAML: month must be in 1..12"),
        (f"version: {'[' * 5000}", "f.yaml:1: not YAML: exceeded maximum nesting depth"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{n}: &{n} [{','.join([f'*{p}'] * 10)}]\n" for p, n in zip("abcdefg", "bcdefgh", strict=True)),
            "f.yaml: more than 200,000 values",
        ),
    ],
)
def test_what_is_no_yaml_of_ours(text: str, said: str) -> None:
    assert complaint(text).startswith(said)


def test_ten_megabytes_are_no_scenario(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_bytes(b"version: 1\n# " + b"x" * 10_000_000)
    with pytest.raises(ScenarioError, match=r"long\.yaml is larger than 4 MiB; a scenario is a short text"):
        load(path)
    path.write_bytes(b"version: 1\nname: x\n# " + b"x" * (MAX_SIZE - 100))
    with pytest.raises(ScenarioError, match="duration is missing"):
        load(path)


# --- what is defined, although it looks wrong -----------------------------------------------------------------------


def test_overlapping_faults_are_defined() -> None:
    """The first listed one that ends an attempt wins; latencies add up. Requests at 0-5, 503 in [1, 4), 429 in [2, 5).

    At 1, 2 and 3: 503; at 4: 429. The delay of 100 ms in [3, 6) is on top of the 300 ms of an answer, at 5 only.
    """
    text = """
version: 1
name: overlapping
duration: 6s
policy: {retry: {retries: 0}, breaker: {mode: "off"}}
providers:
  - {name: openai, model: gpt-4, latency: 300ms}
traffic: [{rate: 1/s}]
faults:
  - {provider: openai, from: 3s, to: 6s, kind: latency, add: 100ms}
  - {provider: openai, from: 1s, to: 4s, kind: http_error, status: 503}
  - {provider: openai, from: 2s, to: 5s, kind: rate_limit}
"""
    for fidelity in ("provider", "wire"):
        result = run(check(parse(text, FILE)), fidelity=fidelity)  # type: ignore[arg-type]
        assert result.errors_by_type == {"RateLimitError": 1, "ServiceUnavailableError": 3}
        assert (result.metrics["succeeded"], result.metrics["max_latency_ms"]) == (2, 400.0)


ENDLESS = """
version: 1
name: endless
duration: 10s
policy: {deadline: 1000000s, attempt_timeout: 1000000s, retry: {retries: 0}}
providers:
  - {name: openai, model: gpt-4}
traffic: [{rate: 1/s}]
faults:
  - {provider: openai, from: 5s, kind: timeout}
"""


def test_a_scenario_that_cannot_end_is_cut_at_the_bound() -> None:
    result = run(check(parse(ENDLESS, FILE)))
    assert (result.cut, result.virtual_seconds) == (5, 10 + MAX_DRAIN)
    assert result.errors_by_type == {"Cancelled": 5}
    assert (result.metrics["requests"], result.metrics["succeeded"]) == (10, 5)
    assert result.as_dict()["cut"] == 5
