from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli


def test_the_answer_alone_is_on_stdout(cli: Cli) -> None:
    text = cli("ask", "hello", "--json").json["text"]
    ran = cli("ask", "hello")
    assert ran.out == f"{text}\n"
    assert "cached, saved ~$" in ran.err


def test_a_streamed_answer_is_the_same_text(cli: Cli) -> None:
    assert cli("ask", "hello", "--no-cache", "--stream").out == cli("ask", "hello", "--no-cache").out


def test_the_story_of_a_failover(cli: Cli) -> None:
    ran = cli("ask", "hello", "--fail", "azure_openai=503", "--fail", "openai=401")
    *attempts, answer, hint = ran.err.splitlines()
    assert [line.split()[:2] for line in attempts] == [
        ["✗", "azure_openai"],
        ["✗", "azure_openai"],
        ["✗", "openai"],
        ["✓", "anthropic"],
    ]
    assert "503 ServiceUnavailableError" in attempts[0]
    assert "retry 1" in attempts[1]
    assert "AuthenticationError" in attempts[2]
    assert "for failing over)" in answer
    assert "~$" in answer
    assert hint.startswith("~ simulated; request ")


def test_the_hint_leads_to_the_explanation(cli: Cli) -> None:
    ran = cli("ask", "hello", "--fail", "azure_openai=503")
    command = ran.err.splitlines()[-1].partition(": sandbox ")[2].split()
    told = cli(*command)
    assert told.code == 0
    assert "azure_openai gpt-4o-mini: " in told.out
    assert "503 ServiceUnavailableError" in told.out
    assert "openai answered with gpt-4o-mini" in told.out


def test_a_provoked_failure_leaves_the_cache_alone(cli: Cli) -> None:
    cli("ask", "hello")
    assert cli("ask", "hello", "--fail", "azure_openai=503", "--json").json["cached"] is False
    assert cli("ask", "hello", "--no-cache", "--json").json["cached"] is False
    assert cli("ask", "hello", "--json").json["cached"] is True


def test_several_faults_on_one_provider(cli: Cli) -> None:
    ran = cli("ask", "hello", "--json", "--fail", "azure_openai=latency:0.05", "--fail", "azure_openai=503")
    assert [a["provider"] for a in ran.json["attempts"]][-1] == "openai"


def test_a_failure_is_one_sentence_after_its_attempts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_CHAIN", "openai")
    ran = cli("ask", "hello", "--fail", "openai=401")
    assert (ran.code, ran.out) == (1, "")
    lines = ran.err.splitlines()
    assert lines[0].startswith("✗ openai")
    assert lines[-1].startswith("sandbox: AuthenticationError: ")


def test_when_to_try_again_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_CHAIN", "openai")
    ran = cli("ask", "hello", "--fail", "openai=rate_limit:30")
    assert ran.code == 1
    assert "worth another try in 30.0 s" in ran.err
    assert cli("ask", "hello", "--json", "--fail", "openai=rate_limit:30").json["error"]["retry_after"] == 30


def test_a_stream_that_breaks_keeps_what_was_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_CHAIN", "openai")
    ran = cli("ask", "hello", "--stream", "--fail", "openai=stream_cut:3")
    assert ran.code == 1
    assert ran.out.strip()
    assert "sandbox: StreamInterruptedError: " in ran.err
    *events, failure = map(
        json.loads, cli("ask", "hello", "--stream", "--json", "--fail", "openai=stream_cut:3").out.splitlines()
    )
    assert events[-1]["event"] == "interrupted"
    assert events[-1]["partial_text"] == ran.out.strip("\n")
    assert failure["error"]["type"] == "StreamInterruptedError"


def test_a_restarted_stream_says_what_to_discard(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_STREAMING__POLICY", "restart")
    ran = cli("ask", "hello", "--stream", "--fail", "azure_openai=stream_cut:3")
    assert ran.code == 0
    assert "discard the above (StreamInterruptedError" in ran.err
    assert "openai gpt-4o-mini starts anew" in ran.err
    discarded, answer, _ = ran.out.split("\n")
    assert len(answer) > len(discarded) > 0


def test_the_plan_asks_nobody(cli: Cli) -> None:
    ran = cli("ask", "hello", "--dry-run", "--provider", "deepseek")
    assert ran.code == 0
    assert ran.out.splitlines()[1].split()[:2] == ["1", "deepseek"]
    assert "asked for by name" in ran.out
    assert cli("costs", "--json").json["total"]["requests"] == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--model", "gpt4"], "unknown model 'gpt4': did you mean 'gpt-4'?"),
        (["--provider", "opnai"], "unknown provider 'opnai': did you mean 'openai'?"),
        (["--strategy", "least_price"], "unknown strategy 'least_price': did you mean 'least_cost'?"),
        (["--preset", "hapyos"], "unknown preset 'hapyos': did you mean 'happyos'?"),
        (["--fail", "opnai=503"], "unknown provider 'opnai': did you mean 'openai'?"),
        (["--fail", "openai=timeuot"], "unknown fault 'timeuot': did you mean 'timeout'?"),
        (["--fail", "openai"], "--fail 'openai' is not of the form PROVIDER=KIND[:ARG]"),
        (["--mode", "live"], "set a provider's API key, or use --mode mock"),
        (["--trace", "no/such/folder/t.jsonl"], "cannot write the trace to no/such/folder/t.jsonl"),
    ],
)
def test_a_wrong_name_is_one_sentence_and_exit_code_2(cli: Cli, line: list[str], says: str) -> None:
    ran = cli("ask", "hello", *line)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_nothing_recorded_in_replay_mode_is_a_failure_of_the_work(cli: Cli) -> None:
    ran = cli("--mode", "replay", "ask", "nobody recorded this", "--json")
    assert ran.code == 1
    assert ran.json["error"]["type"] == "FixtureError"
    assert "the nearest is" in ran.json["error"]["message"]


def test_without_a_data_folder_the_answer_comes_all_the_same(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("in the way")
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(home / "file" / "data"))
    ran = cli("ask", "hello")
    assert ran.code == 0
    assert ran.out.strip()
    assert "sandbox: warning: " in ran.err
    assert "going on without cache and usage records" in ran.err


def test_a_key_in_the_environment_shows_nowhere(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "my-very-own-key-0123")
    for line in (
        ["ask", "hello", "--debug", "--fail", "azure_openai=503"],
        ["config", "show"],
        ["config", "show", "--json"],
        ["doctor"],
    ):
        ran = cli(*line)
        assert ran.code == 0, ran.err
        assert "my-very-own-key-0123" not in ran.out + ran.err
