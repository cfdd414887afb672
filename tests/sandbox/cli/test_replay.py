"""`sandbox replay` and `sandbox scenarios`, as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.core.trace import read
from tests.sandbox.cli.test_schemas import check

from .conftest import Cli

OUTAGE = """\
version: 1
name: outage
description: The first one is down.
duration: 30s
providers:
  - {name: anthropic, model: claude-3-sonnet, latency: {p50: 400ms, p99: 1s}}
  - {name: openai, model: gpt-4-turbo, latency: 500ms, tokens_per_second: 100}
traffic:
  - {rate: 4/s, arrival: poisson, stream: true}
  - {rate: 2/s}
faults:
  - {provider: anthropic, from: 5s, to: 20s, kind: http_error, status: 503, probability: 0.9}
expect:
  - {metric: availability, min: 0.99}
  - {breaker: anthropic, opens_within: 5s, of: 5s}
"""


@pytest.fixture
def outage(home: Path) -> str:
    (home / "outage.yaml").write_text(OUTAGE)
    return str(home / "outage.yaml")


def test_a_run_is_told_to_a_person(cli: Cli, outage: str) -> None:
    ran = cli("replay", outage)
    assert ran.code == 0
    assert "outage · seed 0 · preset sandbox" in ran.out
    assert "closed → open" in ran.out
    assert "✓ availability ≥ 0.99: 1" in ran.out
    assert ran.err.startswith("trace ")


def test_a_run_as_json_is_the_same_every_time(cli: Cli, outage: str) -> None:
    first, second = cli("replay", outage, "--json").json, cli("replay", outage, "--json").json
    check("replay", first)
    del first["wall_seconds"], second["wall_seconds"]
    assert first == second
    assert first["requests"] == first["succeeded"] + first["failed"]


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_gives_the_same_bytes(cli: Cli, outage: str, tmp_path: Path, hash_seed: str) -> None:
    here = cli("replay", outage, "--trace", str(tmp_path / "here.jsonl"), "--json").json
    there = subprocess.run(
        [sys.executable, "-m", "sandbox", "replay", outage, "--trace", str(tmp_path / "there.jsonl"), "--json"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "Pacific/Chatham", "LC_ALL": "C"},
        capture_output=True,
        check=True,
    )
    assert json.loads(there.stdout)["trace_sha256"] == here["trace_sha256"]
    assert (tmp_path / "here.jsonl").read_bytes() == (tmp_path / "there.jsonl").read_bytes()


def test_a_long_name_does_not_touch_its_figures(cli: Cli) -> None:
    assert "\n  azure_openai  " in cli("replay", "rate-limit-storm").out


def test_the_wire_tells_the_same_story(cli: Cli, outage: str) -> None:
    fast, true = cli("replay", outage, "--json").json, cli("replay", outage, "--fidelity", "wire", "--json").json
    check("replay", true)
    assert true["fidelity"] == "wire"
    assert true["breaker_transitions"] == fast["breaker_transitions"]
    assert true["cost_usd"] == fast["cost_usd"]
    assert "preset sandbox · on the wire" in cli("replay", outage, "--fidelity", "wire").out


def test_a_fleet_of_gateways(cli: Cli, outage: str) -> None:
    ran = cli("replay", outage, "--replicas", "4", "--breakers", "shared", "--json").json
    check("replay", ran)
    assert ran["fleet"]["replicas"] == 4
    assert ran["fleet"]["provider"] == "anthropic"
    told = cli("replay", outage, "--replicas", "4").out
    assert "fleet         4 replicas, local breakers: anthropic turned away in " in told
    compared = cli("replay", outage, "--replicas", "4", "--preset", "sandbox", "--preset", "litellm").out
    assert "litellm: 4 replicas, local breakers: anthropic" in compared
    wrong = cli("replay", outage, "--replicas", "101")
    assert (wrong.code, "replicas is 101; it must be 1 to 100" in wrong.err) == (2, True)


def test_the_breakers_of_others_are_listed_and_compared(cli: Cli, outage: str) -> None:
    printed = subprocess.run([sys.executable, "-m", "sandbox", "replay", "--help"], capture_output=True, check=True)
    assert "the breakers of others: resilience4j, litellm" in " ".join(printed.stdout.decode().split())
    runs = cli("replay", outage, "--preset", "resilience4j", "--preset", "litellm", "--json").json
    check("replay-comparison", runs)
    assert [run["preset"] for run in runs["runs"]] == ["resilience4j", "litellm"]


def test_a_report_is_written_in_the_form_of_its_ending(cli: Cli, outage: str, tmp_path: Path) -> None:
    path = tmp_path / "r.md"
    assert cli("replay", outage, "--report", str(path)).code == 0
    assert path.read_text().startswith("# outage\n")
    as_json = tmp_path / "r.json"
    shown = cli("replay", outage, "--report", str(as_json), "--json").json
    assert {**json.loads(as_json.read_bytes()), "wall_seconds": 0} == {**shown, "wall_seconds": 0}
    wrong = cli("replay", outage, "--report", str(tmp_path / "r.txt"))
    assert wrong.code == 2
    assert "a report ends in .md or .json" in wrong.err


def test_a_trace_is_read_back_as_events(cli: Cli, outage: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    shown = cli("replay", outage, "--trace", str(path), "--json").json
    with path.open("rb") as lines:
        events = list(read(lines))
    assert sum(type(event).__name__ == "AttemptStarted" for event in events) == shown["attempts"]
    assert [event.t_us for event in events] == sorted(event.t_us for event in events)


def test_policies_side_by_side(cli: Cli, outage: str) -> None:
    ran = cli("replay", outage, "--preset", "happyos", "--preset", "unified", "--json")
    check("replay-comparison", ran.json)
    assert [run["preset"] for run in ran.json["runs"]] == ["happyos", "unified"]
    assert len({run["requests"] for run in ran.json["runs"]}) == 1  # the same traffic
    told = cli("replay", outage, "--preset", "happyos", "--preset", "unified").out
    assert "policy" in told.splitlines()[1]


def test_a_check_that_fails_exits_with_3(cli: Cli, outage: str) -> None:
    assert cli("replay", outage, "--check").code == 0
    Path(outage).write_text(OUTAGE.replace("min: 0.99", "min: 1.01"))
    ran = cli("replay", outage, "--check")
    assert ran.code == 3
    assert "✗ availability ≥ 1.01: 1" in ran.out
    assert cli("replay", outage).code == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["replay", "bedrock-brownot"], "did you mean 'bedrock-brownout'?"),
        (["replay", "none.yaml"], "cannot read none.yaml: No such file"),
        (["replay", "outage.yaml", "--preset", "hapyos"], "unknown preset 'hapyos': did you mean 'happyos'?"),
        (["replay", "outage.yaml", "--preset", "happyos", "--preset", "unified", "--trace", "x"], "name one --preset"),
        (["replay", "outage.yaml", "--trace", "no/such/folder/x"], "cannot write the trace to no/such/folder/x"),
        (["replay", "outage.yaml", "--speed", "3"], "speed"),
        (["replay", "outage.yaml", "--seed", "x"], "seed"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(cli: Cli, outage: str, line: list[str], complaint: str) -> None:
    ran = cli(*line)
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err
    assert ran.err.count("\n") == 1


def test_the_built_in_scenarios_are_listed_shown_and_valid(cli: Cli, tmp_path: Path) -> None:
    listed = cli("scenarios", "list", "--json").json
    check("scenarios-list", listed)
    name = listed["items"][0]["name"]
    assert name in cli("scenarios", "list").out
    assert cli("scenarios", "show", name).out.startswith("version: 1\n")
    checked = cli("scenarios", "validate", "--json")
    check("scenarios-validate", checked.json)
    assert (checked.code, len(checked.json["items"])) == (0, len(listed["items"]))


def test_a_fault_s_key_that_changes_nothing_is_told(cli: Cli, outage: str) -> None:
    sentence = "outage.yaml:12: faults[0].after: it changes nothing for stream_cut, only for auth, "
    assert cli("scenarios", "validate", outage, "--json").json["items"][0]["notes"] == []
    Path(outage).write_text(OUTAGE.replace("kind: http_error, status: 503", "kind: stream_cut, after: 3s"))
    ran = cli("scenarios", "validate", outage, "--json")
    check("scenarios-validate", ran.json)
    assert ran.json["items"][0]["notes"][0].startswith(str(Path(outage).parent / sentence))
    assert ran.json["items"][0]["ok"]
    assert sentence in cli("scenarios", "validate", outage).out
    ran = cli("replay", outage, "--json")
    assert (ran.code, ran.err.count(sentence)) == (0, 1)


@pytest.fixture
def own(home: Path) -> Path:
    """The folder in which the Lab keeps scenarios, with one that is called as a built-in one is."""
    folder = home / "data" / "scenarios"
    folder.mkdir(parents=True)
    for name in ("outage", "one-500"):
        (folder / f"{name}.yaml").write_text(OUTAGE.replace("name: outage", f"name: {name}"))
    (folder / "json-one.json").write_text(
        '{"version": 1, "name": "json-one", "duration": "1s", "traffic": [{"rate": 1}]}'
    )
    return folder


def test_your_own_scenarios_are_listed_shown_and_valid(cli: Cli, own: Path) -> None:
    listed = cli("scenarios", "list", "--json").json
    check("scenarios-list", listed)
    mine = {item["name"]: item["file"] for item in listed["items"] if item["own"]}
    assert mine == {
        "own/json-one.json": str(own / "json-one.json"),
        "own/one-500": str(own / "one-500.yaml"),
        "own/outage": str(own / "outage.yaml"),
    }
    assert "own/outage" in cli("scenarios", "list").out
    assert cli("scenarios", "show", "outage").out == OUTAGE
    (own / "bad.yaml").write_text("version: 2")
    ran = cli("scenarios", "list", "--json")
    assert len(ran.json["items"]) == len(listed["items"])
    assert "left out: " in ran.err
    assert "bad.yaml:1: version is 2; it must be 1" in ran.err
    ran = cli("scenarios", "validate")
    assert ran.code == 3
    assert ran.out.count("✗") == 1
    assert ran.err == ""


@pytest.mark.parametrize("name", ["outage", "own/outage", "json-one", "own/json-one.json"])
def test_your_own_scenario_is_replayed_by_its_name(cli: Cli, own: Path, name: str) -> None:
    ran = cli("replay", name, "--json", "--preset", "happyos", "--preset", "litellm")
    assert ran.code == 0
    assert ran.json["scenario"] == name.removeprefix("own/").removesuffix(".json")


def test_a_name_of_both_is_the_built_in_one_and_says_so(cli: Cli, own: Path) -> None:
    ran = cli("replay", "one-500", "--json")
    assert "one-500 is the built-in one; your own is own/one-500" in ran.err
    assert ran.json["virtual_seconds"] == 60
    ran = cli("replay", "own/one-500", "--json")
    assert "built-in" not in ran.err
    assert ran.json["virtual_seconds"] < 40


def test_a_name_near_to_one_of_your_own(cli: Cli, own: Path) -> None:
    for wrong, right in (("outag", "outage"), ("own/outag", "own/outage")):
        ran = cli("replay", wrong)
        assert (ran.code, ran.out) == (2, "")
        assert f"there is no scenario '{wrong}': did you mean '{right}'?" in ran.err


def test_a_broken_settings_file_has_no_part_in_built_in_scenarios(cli: Cli, home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text("nonsense = [")
    assert cli("replay", "one-500").code == 0
    assert cli("replay", "mine").code == 2
    assert "config.toml" in cli("replay", "mine").err


def test_a_wrong_file_fails_validation(cli: Cli, outage: str) -> None:
    Path(outage).write_text(OUTAGE.replace("rate: 2/s", "rate: 0/s"))
    ran = cli("scenarios", "validate", outage)
    assert ran.code == 3
    assert "outage.yaml:10: traffic[1].rate is '0/s'; it must be greater than 0" in ran.out
    assert cli("replay", outage).err.count("\n") == 1


def test_the_json_schema_takes_what_the_loader_takes(cli: Cli, outage: str, home: Path) -> None:
    import yaml
    from jsonschema import Draft202012Validator

    schema = cli("scenarios", "schema").json
    validator = Draft202012Validator(schema)
    validator.validate(yaml.safe_load(OUTAGE))
    for wrong in ("kind: http_eror", "kind: auth, status: 3", "knd: x"):
        text = OUTAGE.replace("kind: http_error, status: 503", wrong)
        assert not validator.is_valid(yaml.safe_load(text))
    cli("scenarios", "schema", "--output", str(home / "schema.json"))
    assert json.loads((home / "schema.json").read_text()) == schema


def test_a_scenario_from_a_trace(cli: Cli, outage: str, home: Path) -> None:
    trace = home / "What Happened.jsonl"
    assert cli("replay", outage, "--trace", str(trace)).code == 0
    made = cli("scenarios", "from-log", str(trace))
    assert made.code == 0
    assert made.out.startswith("version: 1\nname: what-happened\ndescription: 'Made from What Happened.jsonl: ")
    assert made.err.startswith("18")
    assert made.err.rstrip().endswith("2 providers, 1 fault")
    path = home / "again.yaml"
    again = cli("scenarios", "from-log", str(trace), "--output", str(path), "--name", "again")
    assert (again.code, again.out) == (0, "")
    assert cli("replay", str(path), "--check").code == 0


def test_a_scenario_from_the_usage_log(cli: Cli, home: Path) -> None:
    none = cli("scenarios", "from-log", "--since", "90m")
    assert none.code == 2
    assert "the usage log of the last 90m: there is no request in it that a provider had to answer" in none.err
    for _ in range(3):
        assert cli("ask", "hello", "--no-cache", "--fail", "openai=503").code == 0
    made = cli("scenarios", "from-log", "--since", "90m", "--output", str(home / "made.yaml"))
    assert made.code == 0
    assert made.err.startswith("3 requests: ")
    ran = cli("replay", str(home / "made.yaml"), "--json").json
    assert ran["requests"] == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.jsonl"], "cannot read none.jsonl: No such file or directory"),
        (["{outage}"], "outage.yaml: not a trace: the first line must be its JSON header"),
        (["--since", "soon"], "--since is 'soon': a duration is a number of seconds"),
        (["{trace}", "--name", "Not A Name"], "name is 'Not A Name'"),
        (["{trace}", "--output", "/none/x.yaml"], "--output /none/x.yaml: no such file or directory"),
    ],
)
def test_what_no_scenario_can_be_made_of(
    cli: Cli, outage: str, home: Path, arguments: list[str], sentence: str
) -> None:
    trace = home / "trace.jsonl"
    cli("replay", outage, "--trace", str(trace))
    ran = cli("scenarios", "from-log", *(one.format(outage=outage, trace=trace) for one in arguments))
    assert ran.code == 2
    assert sentence in ran.err


def test_a_wrong_file_is_one_sentence(cli: Cli, home: Path) -> None:
    (home / "bad.yaml").write_text(OUTAGE.replace("rate: 4/s", "rate: fast"))
    ran = cli("replay", str(home / "bad.yaml"))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"sandbox: {home}/bad.yaml:9: traffic[0].rate is 'fast': ")
    assert ran.err.count("\n") == 1


def test_a_scenario_that_cannot_end_says_so(cli: Cli, home: Path) -> None:
    endless = OUTAGE.replace(
        "duration: 30s", "duration: 30s\npolicy: {deadline: 10d, attempt_timeout: 10d, streaming: {first_text: 10d}}"
    )
    (home / "endless.yaml").write_text(endless.replace("http_error, status: 503", "timeout"))
    ran = cli("replay", str(home / "endless.yaml"))
    assert "requests were still under way long after the end, and were cut off" in ran.err
    assert cli("replay", str(home / "endless.yaml"), "--json").json["cut"] > 50
