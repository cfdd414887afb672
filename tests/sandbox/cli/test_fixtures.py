"""`sandbox fixtures list|show|verify|replay`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from providers.exchange import load
from providers.exchange.library import packaged_folder
from sandbox.cli.fixtures.showing import BAR, ROWS, timeline
from tests.shared_material import needs_wire, wire_dir

from .conftest import Cli
from .test_schemas import check

PACKAGED = sorted(packaged_folder().glob("*/*.json"))
PLAIN = packaged_folder() / "openai" / "chat-plain.json"


def changed(path: Path, folder: Path, case: str, **expected: Any) -> Path:
    """A copy of a fixture that expects something else."""
    document = json.loads(path.read_text())
    document["expected"].update(expected)
    folder.mkdir(parents=True, exist_ok=True)
    there = folder / f"{case}.json"
    there.write_text(json.dumps(document))
    return there


# --- list -------------------------------------------------------------------------------------------------------------


def test_the_list_has_everything_once(cli: Cli, home: Path) -> None:
    own = changed(PLAIN, home / "data" / "fixtures" / "openai", "chat-plain")
    changed(PLAIN, home / "data" / "fixtures" / "openai", "mine")
    shown = cli("fixtures", "list", "--json").json
    check("fixtures-list", shown)
    names = [item["name"] for item in shown["items"]]
    assert len(names) == len(set(names)) == len(PACKAGED) + 1
    by_name = {item["name"]: item for item in shown["items"]}
    assert by_name["openai/mine"]["own"] is True
    # One's own hides the packaged one of its name.
    assert (by_name["openai/chat-plain"]["own"], by_name["openai/chat-plain"]["file"]) == (True, str(own))
    assert by_name["anthropic/messages-plain"]["own"] is False
    ran = cli("fixtures", "list")
    assert all(name in ran.out for name in names)
    assert f"{len(names)} fixtures; your own are in {home / 'data' / 'fixtures'}" in ran.err


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (["openai/chat-tools*"], ["openai/chat-tools", "openai/chat-tools-stream"]),
        (["chat-refusal?*"], []),
        (["chat-refusa?"], ["openai/chat-refusal"]),
        (["cook", "--provider", "openai"], ["openai/circuit-breakers-plain", "openai/circuit-breakers-stream"]),
        (["cook stream", "--provider", "openai"], ["openai/circuit-breakers-stream"]),
        (["COOK", "--provider", "gemini", "--api", "generateContent"], ["gemini/circuit-breakers-plain"]),
    ],
)
def test_a_part_of_the_list(cli: Cli, line: list[str], names: list[str]) -> None:
    ran = cli("fixtures", "list", *line, "--json")
    assert ran.code == 0
    assert [item["name"] for item in ran.json["items"]] == names
    assert cli("fixtures", "list", *line).code == 0


def test_a_file_that_cannot_be_read_is_listed_with_the_reason(cli: Cli, home: Path) -> None:
    broken = home / "data" / "fixtures" / "openai" / "broken.json"
    broken.parent.mkdir(parents=True)
    broken.write_text('{\n"version": 1,\n"provider": 7\n}')
    item = next(i for i in cli("fixtures", "list", "--json").json["items"] if i["name"] == "openai/broken")
    assert item["problem"].startswith(f"{broken}, line 3: provider is '7'")
    check("fixtures-list", {"items": [item]})
    assert "line 3: provider is '7'" in cli("fixtures", "list", "broken").out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["list", "--provider", "opnai"], "--provider is 'opnai': did you mean 'openai'?"),
        (["list", "--api", "chat.completion"], "--api is 'chat.completion': did you mean 'chat.completions'?"),
        (
            ["show", "openai/chat-plian"],
            "there is no file and no fixture 'openai/chat-plian': did you mean 'openai/chat-plain'?",
        ),
        (["show", "chat-plain"], "'chat-plain' is the name of several fixtures: "),
        (["verify", "nothing-like-it"], "there is no file and no fixture 'nothing-like-it'"),
        (["replay"], "name at least one fixture"),
        (["replay", "empty"], "there is no fixture (*.json) in empty"),
        (["export", "opnai/chat-plain"], "did you mean 'openai/chat-plain'?"),
        (
            ["export", "openai/chat-plain", "--output", "no/such/folder.json"],
            "cannot write to no/such/folder.json: No such",
        ),
        (["import"], "name at least one file"),
        (["record", "hi", "--as", "../x"], "the name of a fixture is '../x'; it must be such as 'greeting-stream'"),
        (["record", "hi", "--provider", "opnai"], "unknown provider 'opnai': did you mean 'openai'?"),
        (["record", "hi", "--fail", "openai=timeuot"], "unknown fault 'timeuot': did you mean 'timeout'?"),
        (["record", ""], "the prompt is empty"),
    ],
)
def test_a_wrong_word_is_one_sentence_and_exit_code_2(cli: Cli, home: Path, line: list[str], says: str) -> None:
    (home / "empty").mkdir()
    ran = cli("fixtures", *line)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1


# --- show -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai/chat-stream", "openai/chat-stream.json", "chat-keep-alive-stream"])
def test_a_fixture_by_its_name(cli: Cli, name: str) -> None:
    assert cli("fixtures", "show", name).code == 0


def test_everything_of_a_fixture_is_shown(cli: Cli) -> None:
    ran = cli("fixtures", "show", "openai/chat-stream")
    exchange = load(packaged_folder() / "openai" / "chat-stream.json")
    assert exchange.response is not None
    for part in (
        "POST /v1/chat/completions", '"content": "When should a request fail over?"', "text/event-stream",
        "what is read in it", '"output_tokens": 34', "exact, but for temperature", "data: [DONE]",
    ):  # fmt: skip
        assert part in ran.out
    rows = [line for line in ran.out.splitlines() if " ms  +" in line]
    assert len(rows) <= ROWS
    assert rows[0].lstrip().startswith("922.000 ms  +922.000    " + "█" * BAR)
    assert "Fail" in rows[0]
    assert rows[-1].lstrip().startswith("1962.000 ms")


def test_a_failure_is_shown_as_one(cli: Cli) -> None:
    out = cli("fixtures", "show", "openai/chat-reset").out
    assert "no answer\nthen connection reset\n" in out
    assert "then timeout" in cli("fixtures", "show", "openai/chat-stall").out
    assert "bytes of framed events)" in cli("fixtures", "show", "bedrock/converse-stream-plain").out


@pytest.mark.parametrize(
    "name", ["openai/chat-stream", "openai/chat-reset", "bedrock/converse-stream-tools", "gemini/generate-json"]
)
def test_a_fixture_as_json(cli: Cli, name: str) -> None:
    shown = cli("fixtures", "show", name, "--json").json
    check("fixtures-show", shown)
    assert shown["exchange"]["version"] == 1
    chunks = (shown["exchange"]["response"] or {}).get("chunks", [])
    assert [piece["after_ms"] for piece in shown["timeline"]] == [chunk["after_ms"] for chunk in chunks]
    if chunks:
        assert shown["timeline"][-1]["at_ms"] == pytest.approx(sum(chunk["after_ms"] for chunk in chunks))


def test_many_pieces_share_rows_and_none_is_lost() -> None:
    exchange = load(packaged_folder() / "openai" / "chat-stream.json")
    assert exchange.response is not None
    whole = timeline(exchange, rows=len(exchange.response.chunks))
    for rows in (1, 2, 7, 31, 1000):
        few = timeline(exchange, rows=rows)
        assert len(few) <= rows
        assert sum(row.pieces for row in few) == len(exchange.response.chunks)
        assert "".join(row.text for row in few) == "".join(row.text for row in whole)
        assert sum(row.after for row in few) == pytest.approx(sum(row.after for row in whole))
        assert few[-1].at == whole[-1].at


# --- verify -----------------------------------------------------------------------------------------------------------


def test_the_whole_library_agrees(cli: Cli) -> None:
    ran = cli("fixtures", "verify", "--json")
    assert ran.code == 0
    check("fixtures-verify", ran.json)
    assert (ran.json["agreeing"], ran.json["differing"], ran.json["unreadable"]) == (len(PACKAGED), 0, 0)
    assert cli("fixtures", "verify").out == f"{len(PACKAGED)} agree, 0 differ, 0 cannot be read\n"


def test_a_difference_is_named_and_exits_with_3(cli: Cli, home: Path) -> None:
    wrong = changed(PLAIN, home / "kept", "wrong", text="Something else", output_tokens=7)
    ran = cli("fixtures", "verify", str(home / "kept"), str(PLAIN), "--json")
    assert ran.code == 3
    check("fixtures-verify", ran.json)
    differing, agreeing = ran.json["items"]
    assert (differing["file"], differing["result"], agreeing["result"]) == (str(wrong), "differs", "agrees")
    assert [d.split(" is ")[0] for d in differing["differences"]] == ["text", "output_tokens"]
    told = cli("fixtures", "verify", str(wrong))
    assert told.code == 3
    assert f"{wrong}: output_tokens is " in told.out
    assert "expected 7" in told.out


def test_a_file_that_cannot_be_read_exits_with_1_and_the_others_are_verified(cli: Cli, home: Path) -> None:
    (home / "broken.json").write_text('{"version": 1}')
    ran = cli("fixtures", "verify", "broken.json", "gone.json", str(PLAIN), "openai/chat-tools", "--json")
    assert ran.code == 1
    assert [item["result"] for item in ran.json["items"]] == ["unreadable", "unreadable", "agrees", "agrees"]
    assert ran.json["items"][0]["problem"].startswith("broken.json, line 1: provider is 'None'")
    wrong = changed(PLAIN, home / "kept", "wrong", text="Something else")
    assert cli("fixtures", "verify", "broken.json", str(wrong)).code == 3


@needs_wire
def test_unnumbered_recordings_are_verified_too(cli: Cli) -> None:
    ran = cli("fixtures", "verify", str(wire_dir()), "--json")
    assert (ran.code, ran.json["differing"], ran.json["unreadable"]) == (0, 0, 0)
    assert ran.json["agreeing"] >= 128


def test_a_fixture_is_replayed_by_its_name(cli: Cli) -> None:
    row = json.loads(cli("fixtures", "replay", "openai/chat-plain", "--json").out)
    check("fixtures-replay", row)
    assert (row["file"], row["ok"]) == (str(PLAIN), True)
