from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli import columns
from sandbox.cli.comparing import Progress
from sandbox.cli.output import Stream
from sandbox.comparison.question import Cell, Question
from sandbox.comparison.run import Began, Ended, Wrote
from sandbox.core.tables import fitting, text_width
from tests.fake_clock import FakeClock
from tests.sandbox.comparison.support import contestant, sample

from .conftest import Cli


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("SANDBOX_MOCK__PACE", "instant")
    monkeypatch.setenv("SANDBOX_RETRY__RETRIES", "0")


def test_answers_figures_and_what_is_simulated(cli: Cli) -> None:
    ran = cli("compare", "Why?", "--models", "gpt-4o,claude-haiku-4-5")
    assert ran.code == 0
    head, rows = ran.out.split("\nmodel ")[1].splitlines()[0], ran.out
    assert "30 days at 1,000/day" in head
    assert "── 1 gpt-4o\n" in rows
    assert "── 2 claude-haiku-4-5\n" in rows
    assert "★ cheapest · ⚡ fastest" in rows
    assert "~$0.000" in rows
    assert "~ simulated: answers, tokens and times are made up" in ran.err
    assert "only the prices are real (current-" in ran.err


def test_turns_have_a_spread_and_volumes_a_month_each(cli: Cli) -> None:
    line = ["compare", "Why?", "--models", "gpt-4o,ollama", "--repeat", "2", "--requests-per-day", "100,1000"]
    told = cli(*line).out
    _, _, spread = told.partition("\nspread over 2 turns\n")
    header, big, small, *_ = spread.splitlines()
    assert header.split() == ["model", "cost", "first", "text", "total", "tok/s"]
    assert (big.split()[0], small.split()[:2]) == ("gpt-4o", ["llama3.2", "~$0"])
    _, _, months = told.partition("\n30 days, by requests a day\n")
    header, big, small = months.splitlines()[:3]
    assert header.split() == ["model", "100", "1,000"]
    name, some, many = big.replace("~$", "").split()
    assert (name, small.split()) == ("gpt-4o", ["llama3.2", "~$0", "~$0"])
    assert Decimal(many) / Decimal(some) == pytest.approx(Decimal(10), rel=Decimal("0.02"))
    assert "30 days, by" not in cli(*line[:-1], "100").out


def test_each_providers_own_model_unless_told_otherwise(cli: Cli) -> None:
    items = cli("compare", "Why?", "--json").json["items"]
    assert [item["provider"] for item in items] == [
        "azure_openai", "openai", "anthropic", "bedrock", "deepseek", "gemini", "vllm", "ollama",
    ]  # fmt: skip


def test_the_month_is_thirty_days_of_the_cost_of_one_request(cli: Cli) -> None:
    shown = cli("compare", "Why?", "--models", "gpt-4o", "--requests-per-day", "7,123", "--json").json
    (item,) = shown["items"]
    assert shown["requests_per_day"] == [7, 123]
    months = {one["requests_per_day"]: Decimal(one["cost_usd"]) for one in item["monthly"]}
    assert months == {n: Decimal(item["cost_usd"]) * n * 30 for n in (7, 100, 123, 1_000, 10_000, 100_000)}


def test_a_column_that_fails_leaves_the_others(cli: Cli) -> None:
    ran = cli("compare", "Why?", "--models", "gpt-4o,bedrock", "--fail", "bedrock=503")
    assert ran.code == 0
    assert "ServiceUnavailableError" in ran.out
    assert "claude-haiku-4-5: ServiceUnavailableError" in ran.err
    assert "gpt-4o" in ran.out


def test_nobody_answering_is_a_failure(cli: Cli) -> None:
    ran = cli("compare", "Why?", "--models", "gpt-4o", "--fail", "azure_openai=401", "--json")
    assert ran.code == 1
    assert "no model answered" in ran.err
    first = ran.out.splitlines()[0]
    assert '"AuthenticationError"' in first


def test_a_file_of_prompts_makes_a_matrix(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("one\ntwo\n")
    ran = cli("compare", "--prompts", str(file), "--models", "gpt-4o,bedrock,ollama", "--fail", "bedrock=429")
    assert ran.code == 0
    matrix = ran.out.split("by prompt\n")[1]
    assert "RateLimitError" in matrix
    assert matrix.splitlines()[1].startswith("1  one ")
    shown = cli("compare", "--prompts", str(file), "--models", "gpt-4o,ollama", "--json").json
    assert [len(row["items"]) for row in shown["by_prompt"]] == [2, 2]
    assert shown["items"][0]["runs"] == []


def test_a_difference_word_by_word(cli: Cli) -> None:
    by_number = cli("compare", "Why?", "--models", "gpt-4o,claude-haiku-4-5", "--diff", "1,2").out
    by_name = cli("compare", "Why?", "--models", "gpt-4o,claude-haiku-4-5", "--diff", "gpt-4o,claude-haiku-4-5").out
    assert "[-gpt-4o-] {+claude-haiku-4-5+}" in by_number
    assert by_number.split("alike")[1] == by_name.split("alike")[1]


def test_exports(cli: Cli, tmp_path: Path) -> None:
    files = {form: tmp_path / form for form in ("csv", "json", "markdown", "html")}
    options = [word for form, path in files.items() for word in ("--export", form, str(path))]
    ran = cli("compare", "Why?", "--models", "gpt-4o", *options)
    assert ran.code == 0
    assert all(path.stat().st_size for path in files.values())
    assert files["html"].read_text().startswith("<!doctype html>")
    assert cli("compare", "Why?", "--models", "gpt-4o", *options, "--force").code == 0


@pytest.mark.parametrize(
    ("place", "sentence"), [("gone/a.csv", "no such file"), (".", "a folder"), ("taken", "--force")]
)
def test_a_place_that_cannot_be_written_to_is_told_before_anybody_is_paid(
    cli: Cli, tmp_path: Path, place: str, sentence: str
) -> None:
    (tmp_path / "taken").write_text("mine")
    ran = cli("compare", "Why?", "--models", "gpt-4o", "--export", "csv", str(tmp_path / place))
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert (tmp_path / "taken").read_text() == "mine"
    assert cli("costs", "--json").json["total"]["requests"] == 0


def test_an_estimate_asks_nobody(cli: Cli) -> None:
    shown = cli("compare", "Why?", "--models", "gpt-4o,ollama", "--repeat", "3", "--estimate", "--json").json
    assert [item["requests"] for item in shown["items"]] == [3, 3]
    assert Decimal(shown["total_usd"]) > 0
    assert "free" in cli("compare", "Why?", "--models", "ollama", "--estimate").out
    assert cli("costs", "--json").json["total"]["requests"] == 0


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["compare"], "give one prompt, or a file of them"),
        (["compare", "a", "--prompts", "b.txt"], "give one prompt, or a file of them"),
        (["compare", "a", "--repeat", "0"], "repeat is 0; it must be 1 to 100"),
        (["compare", "a", "--requests-per-day", "many"], "--requests-per-day is 'many'"),
        (["compare", "a", "--requests-per-day", "0"], "--requests-per-day is '0'"),
        (["compare", "a", "--models", "gpt-4o", "--diff", "1"], "--diff is '1'; name two"),
        (["compare", "a", "--models", "gpt-4o,ollama", "--diff", "gpt-4,ollama"], "did you mean 'gpt-4o'?"),
        (["compare", "a", "--confirm-above", "cheap"], "--confirm-above is 'cheap'"),
        (["compare", "a", "--fail", "nobody=503"], "unknown provider 'nobody'"),
        (["compare", ""], "the prompt is empty"),
        (["compare", "a", "--export", "pdf", "x"], "pdf"),
        (["compare", "a", "--force"], "--force belongs to --export"),
        (["compare", "a", "--models", ""], "--models is empty"),
        (["compare", "a", "--models", ","], "--models names nobody"),
    ],
)
def test_wrong_use(cli: Cli, line: list[str], sentence: str) -> None:
    ran = cli(*line)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert "Traceback" not in ran.err


def test_real_money_above_the_limit_needs_an_agreement(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    # Were it asked, this closed port would answer.
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    line = ["--mode", "live", "compare", "a", "--models", "gpt-4", "--max-tokens", "8000"]
    ran = cli(*line)
    assert ran.code == 2
    assert "may cost up to $0.48, which is more than $0.10; --yes goes on" in ran.err
    assert cli(*line, "--estimate").code == 0
    for agreed in (["--yes"], ["--confirm-above", "0.50"]):
        ran = cli(*line, *agreed)
        assert ran.code == 1, ran.err
        assert "ConnectionFailedError" in ran.err


def test_interrupting_ends_all_and_shows_what_has_come(home: Path) -> None:
    line = [sys.executable, "-m", "sandbox", "compare", "Why?", "--models", "gpt-4o,bedrock", "--fail", "bedrock=hang"]
    with subprocess.Popen(
        line,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell starts its background jobs with the signal ignored, and the tests may run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        for _ in range(600):
            if (home / "data").exists() or process.poll() is not None:
                break
            signal.sigtimedwait([], 0.05)
        signal.sigtimedwait([], 0.5)
        process.send_signal(signal.SIGINT)
        told, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "\ngpt-4o            azure_openai" in told.decode()
    assert "Cancelled: cancelled before the end of its answer" in complaint.decode()
    assert complaint.decode().endswith("sandbox: interrupted\n")


# --- the terminal ---------------------------------------------------------------------------------------------------


def test_texts_stand_side_by_side_as_far_as_there_is_room() -> None:
    texts = [("one", "aaa bbb " * 12), ("two", "ccc"), ("three", "漢字 " * 30)]
    wide = list(columns.side_by_side(texts, 110))
    assert wide[0].split() == ["one", "two", "three"]
    narrow = list(columns.side_by_side(texts, 40))
    assert [line for line in narrow if line in ("one", "two", "three")] == ["one", "two", "three"]
    for lines, width in ((wide, 110), (narrow, 40)):
        assert max(text_width(line) for line in lines) <= width


@pytest.mark.parametrize("text", ["", "a", "a  b", "x" * 25, "漢" * 25, "one two three four", "tab\there", "a\n\nb"])
@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    lines = list(columns.wrapped(text, width))
    assert "".join("".join(lines).split()) == "".join(text.split())
    if width > 1:
        assert all(text_width(line) <= width for line in lines)


def test_columns_of_a_table_go_in_their_order_until_the_rest_fits() -> None:
    head, rows = ("model", "in", "cost"), [("gpt-4o", "12", "$0.1")]
    assert fitting(head, rows, None, (1, 0)) == [0, 1, 2]
    assert fitting(head, rows, 16, (1, 0)) == [0, 1, 2]
    assert fitting(head, rows, 15, (1, 0)) == [0, 2]
    assert fitting(head, rows, 3, (1, 0)) == [2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_progress_on_a_terminal_and_nowhere_else() -> None:
    contestants = [contestant("gpt-4o"), contestant("claude")]
    shown: dict[bool, str] = {}
    for file in (Terminal(), io.StringIO()):
        clock: Any = FakeClock()
        progress = Progress(Stream(file, {}), clock, contestants, Question(("a",)))
        async with progress:
            for number in range(2):
                progress.tell(Began(Cell(0, number, 0), "r"))
            progress.tell(Wrote(Cell(0, 1, 0), "three words here"))
            progress.tell(Ended(Cell(0, 0, 0), sample()))
            for _ in range(5):
                await asyncio.sleep(0)
        shown[file.isatty()] = file.getvalue()
    assert shown[False] == ""
    assert "1 of 2 answers" in shown[True]
    assert "claude 2 words" in shown[True]
    assert shown[True].endswith("\r")
    assert "\x1b" not in shown[True]
