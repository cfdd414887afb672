"""`sandbox costs`: filters, series, drilling down, what-if, recommendations and exports, as a user would ask."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli import schemas
from sandbox.cli.output import Stream
from sandbox.cli.progress import Progress
from tests.sandbox.cli.conftest import Cli
from tests.sandbox.cli.test_schemas import check


@pytest.fixture
def asked(cli: Cli) -> Cli:
    cli("ask", "hello", "--tenant", "acme", "--agent", "reader", "--model", "gpt-4")
    cli("ask", "hello", "--tenant", "acme", "--agent", "reader", "--model", "gpt-4")
    cli("ask", "hello", "--tenant", "acme", "--agent", "writer", "--model", "gpt-4o-mini")
    cli("ask", "hello", "--tenant", "zen", "--fail", "azure_openai=503")
    return cli


def total(cli: Cli, *line: str) -> dict[str, Any]:
    ran = cli("costs", "--json", *line)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.json["total"]
    return found


@pytest.mark.parametrize(
    ("line", "requests"),
    [
        ((), 4),
        (("--tenant", "acme"), 3),
        (("--tenant", "acme", "--agent", "writer"), 1),
        (("--model", "gpt-4"), 2),
        (("--provider", "openai"), 1),
        (("--provider", "openai", "--tenant", "acme"), 0),
        (("--since", "all"), 4),
    ],
)
def test_filters_narrow_it_down(asked: Cli, line: tuple[str, ...], requests: int) -> None:
    assert total(asked, *line)["requests"] == requests


def test_the_document_says_what_was_looked_at_and_how_the_month_stands(asked: Cli) -> None:
    shown = asked("costs", "--tenant", "acme", "--json").json
    assert (shown["tenant"], shown["agent"], shown["mode"]) == ("acme", None, "mock")
    month = shown["month"]
    assert month["spent_usd"] == shown["total"]["cost_usd"]
    assert Decimal(month["projected_usd"]) >= Decimal(month["spent_usd"])
    assert asked("costs", "--since", "all", "--json").json["since"] is None


def test_a_series_has_every_hour(asked: Cli) -> None:
    items = asked("costs", "--by", "hour", "--since", "5h", "--json").json["items"]
    assert len(items) in (6, 7)
    assert sum(item["requests"] for item in items) == 4
    assert len({item["hour"] for item in items}) == len(items)


def test_drilling_down_ends_at_requests(asked: Cli) -> None:
    assert "--tenant NAME --by agent goes deeper" in asked("costs", "--by", "tenant").err
    assert "--agent NAME --by model goes deeper" in asked("costs", "--tenant", "acme", "--by", "agent").err
    ran = asked("costs", "--tenant", "acme", "--agent", "reader", "--by", "request", "--json")
    check("costs-requests", ran.json)
    assert [item["cached"] for item in ran.json["items"]] == [True, False]
    text = asked("costs", "--by", "request", "--limit", "1")
    assert len(text.out.splitlines()) == 2
    assert "sandbox explain" in text.err


def test_what_it_would_have_cost_elsewhere(asked: Cli) -> None:
    shown = asked("costs", "--what-if", "claude-3-haiku, gpt-4", "--tenant", "acme", "--json").json
    check("costs-what-if", shown)
    assert shown["requests"] == 2
    haiku, same = shown["items"]
    assert Decimal(haiku["cost_usd"]) < Decimal(shown["actual_usd"])
    assert Decimal(haiku["difference_usd"]) == Decimal(haiku["cost_usd"]) - Decimal(shown["actual_usd"])
    assert haiku["estimated"]
    assert same["target"] == "gpt-4"
    text = asked("costs", "--what-if", "claude-3-haiku")
    assert "as it was" in text.out
    assert "an estimate, for" in text.err


def test_other_prices_for_the_same_models(asked: Cli) -> None:
    shown = asked("costs", "--catalogue", "seeds-2024", "--model", "gpt-4", "--json").json
    check("costs-what-if", shown)
    assert shown["catalogue"].startswith("seeds-2024")
    assert [item["target"] for item in shown["items"]] == ["the same models"]
    dated = asked("costs", "--as-of", "2024-06-01", "--what-if", "gpt-4", "--json").json
    assert dated["as_of"] == "2024-06-01"


def test_nobody_is_recommended_who_cannot_be_asked(asked: Cli, tmp_path: Path) -> None:
    def cheaper(*line: str) -> list[str]:
        items = asked(*line, "costs", "--recommend", "--json").json["items"]
        return [item["sentence"] for item in items if item["kind"] == "cheaper_model"]

    assert cheaper() != []
    config = tmp_path / "alone.toml"
    config.write_text('chain = ["ollama"]\n')
    assert cheaper("--config", str(config)) == []


def test_recommendations(asked: Cli) -> None:
    shown = asked("costs", "--recommend", "--json").json
    check("costs-recommend", shown)
    kinds = [item["kind"] for item in shown["items"]]
    assert {"cheaper_model", "cache_saved", "failover"} <= set(kinds)
    text = asked("costs", "--recommend")
    assert "could have gone to" in text.out
    assert "the cache answered 1 of 4 requests" in text.out


def test_a_budget_that_will_not_do_is_among_them(asked: Cli) -> None:
    asked("budget", "set", "0.00001", "--tenant", "acme")
    sentences = [item["sentence"] for item in asked("costs", "--recommend", "--json").json["items"]]
    assert any("the budget of tenant acme is used up" in sentence for sentence in sentences)


def test_an_export_has_every_request_and_its_sums(asked: Cli, home: Path) -> None:
    ran = asked("costs", "--export", "csv", "out.csv", "--summary", "--json")
    check("costs-export", ran.json)
    assert (ran.json["records"], ran.json["summary_path"]) == (4, "out.summary.csv")
    rows = list(csv.DictReader((home / "out.csv").read_text().splitlines()))
    assert [row["tenant_id"] for row in rows] == ["acme", "acme", "acme", "zen"]
    sums = list(csv.DictReader((home / "out.summary.csv").read_text().splitlines()))
    assert sums[0]["requests"] == "4"
    ran = asked("costs", "--export", "json", "out.json", "--tenant", "acme")
    assert "3 requests written to out.json" in ran.err
    body = json.loads((home / "out.json").read_bytes())
    assert (body["mode"], body["simulated"], len(body["items"])) == ("mock", True, 3)
    assert sum(Decimal(item["estimated_cost"]) for item in body["items"]) == Decimal(
        total(asked, "--tenant", "acme")["cost_usd"]
    )


def test_an_export_replaces_no_file_unasked_and_leaves_nothing_half_done(asked: Cli, home: Path) -> None:
    (home / "out.csv").write_text("mine")
    ran = asked("costs", "--export", "csv", "out.csv")
    assert (ran.code, (home / "out.csv").read_text()) == (2, "mine")
    assert "--export out.csv: there is such a file; name another one, or replace it with --force" in ran.err
    assert asked("costs", "--export", "csv", "out.csv", "--force").code == 0
    assert (home / "out.csv").read_text().startswith("timestamp,")
    (home / "all.summary.csv").write_text("mine")
    assert asked("costs", "--export", "csv", "all.csv", "--summary").code == 2
    assert not (home / "all.csv").exists()
    assert not list(home.glob(".*.part"))


def test_no_text_of_others_is_a_formula_in_a_spreadsheet(cli: Cli, home: Path) -> None:
    cli("ask", "hello", "--tenant", "=cmd|' /C calc'!A0", "--agent", "@SUM(A1)")
    cli("costs", "--export", "csv", "out.csv", "--summary")
    for name in ("out.csv", "out.summary.csv"):
        cells = [cell for row in csv.reader((home / name).read_text().splitlines()) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]
    [row] = csv.DictReader((home / "out.csv").read_text().splitlines())
    assert row["tenant_id"] == "'=cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--what-if", "cluade-3-haiku"], "did you mean 'claude-3-haiku'"),
        (["--what-if", " , "], "--what-if is empty"),
        (["--what-if", "gpt-4", "--recommend"], "--what-if and --recommend are two questions"),
        (["--as-of", "2024-06-01", "--export", "csv", "x.csv"], "--as-of and --export are two questions"),
        (["--recommend", "--by", "request"], "--recommend and --by request"),
        (["--as-of", "yesterday"], "--as-of is 'yesterday'; write a day"),
        (["--as-of", "2025-02-29"], "--as-of is '2025-02-29'"),
        (["--as-of", "2025-W01-1"], "--as-of is '2025-W01-1'; write a day as YYYY-MM-DD"),
        (["--as-of", "20250101"], "--as-of is '20250101'"),
        (["--catalogue", "seeds"], "seeds-2024"),
        (["--uptime", "soon"], "--uptime is 'soon'"),
        (["--uptime", "1h", "--provider", "openai"], "openai is not paid by the hour"),
        (["--uptime", "1h", "--by", "request"], "--uptime and --by request"),
        (["--force"], "--force belongs to --export"),
        (["--summary"], "--summary belongs to --export"),
        (["--limit", "0"], "--limit is 0"),
        (["--by", "request", "--limit", "99999999999999999999"], "it must be 1 to 100,000"),
        (["--export", "xml", "x.xml"], "csv"),
        (["--export", "csv"], "--export"),
        (["--export", "csv", "missing/x.csv"], "--export missing/x.csv: no such file or directory"),
        (["--export", "csv", "."], "that is a folder"),
        (["--since", "0h"], "--since is '0h'"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(cli: Cli, line: list[str], words: str) -> None:
    ran = cli("costs", *line)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_nothing_asked_is_nothing_shown(cli: Cli, home: Path) -> None:
    for line in ((), ("--by", "request"), ("--what-if", "gpt-4"), ("--tenant", "nobody")):
        ran = cli("costs", *line)
        assert (ran.code, ran.out) == (0, "")
        assert "mock mode, in the last 24h" in ran.err
    assert "nothing to recommend" in cli("costs", "--recommend").err
    assert cli("costs", "--export", "json", "none.json").code == 0
    assert json.loads((home / "none.json").read_bytes())["items"] == []


def test_every_shape_of_costs_is_published() -> None:
    assert {name for name in schemas.NAMES if name.startswith("costs")} == {
        "costs",
        "costs-requests",
        "costs-what-if",
        "costs-recommend",
        "costs-machine",
        "costs-export",
    }


def test_the_bill_of_a_machine_is_shared_out(cli: Cli) -> None:
    for tenant in ("acme", "zen"):
        assert cli("ask", f"hello {tenant}", "--provider", "vllm", "--tenant", tenant).code == 0
    shown = cli("costs", "--uptime", "24h", "--by", "tenant", "--json").json
    check("costs-machine", shown)
    assert (shown["bill_usd"], shown["hourly_usd"], shown["provider"]) == ("3.84", "0.16", "vllm")
    assert {item["tenant"] for item in shown["items"]} == {"acme", "zen"}
    assert sum(Decimal(item["share_usd"]) for item in shown["items"]) == Decimal("3.84")
    text = cli("costs", "--uptime", "24h", "--by", "agent")
    assert "vllm up 24.00 hours at ~$0.16" in text.err
    nothing = cli("costs", "--uptime", "recorded", "--json").json
    assert (nothing["uptime_hours"], nothing["bill_usd"]) == (0, "0")


def test_uptime_records_that_cannot_be_read_are_told(cli: Cli, home: Path) -> None:
    cli("ask", "hello")
    (home / "data" / "uptime.db").unlink(missing_ok=True)
    (home / "data" / "uptime.db").mkdir()
    ran = cli("costs", "--uptime", "recorded")
    assert ran.code == 1
    assert "the uptime records" in ran.err


# --- the way it has come ---------------------------------------------------------------------------------------------


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_alone_and_wiped_at_the_end() -> None:
    screen, file = Screen(), io.StringIO()
    for out in (screen, file):
        with Progress(Stream(out), 1000, "requests") as progress:
            for done in range(0, 1001, 5):
                progress(done)
    assert file.getvalue() == ""
    lines = screen.getvalue().split("\r")
    assert any(line.endswith("50 % of 1,000 requests") for line in lines)
    assert lines[-1] == ""
    assert lines[-2].strip() == ""
    assert len(lines) < 220, "one for each percent, not for each call"


def test_more_than_the_whole_is_the_whole() -> None:
    screen = Screen()
    with Progress(Stream(screen), 10, "requests") as progress:
        progress(25)
    assert "100 % of 10 requests" in screen.getvalue()
