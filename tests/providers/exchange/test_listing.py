"""A fixture file in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from providers.exchange import FixtureLibrary, load
from providers.exchange.listing import Listed, files, listed, stamp_of, streamed
from tests.shared_material import needs_wire, wire_dir


def put(folder: Path, name: str = "openai/case.json", **document: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"model": "m", "messages": [{"role": "user", "content": "Who mends Fuses?"}]}
    path.write_bytes(
        orjson.dumps(
            {
                "version": 1,
                "provider": "openai",
                "api": "chat.completions",
                "recorded": {"at": None, "from": "live"},
                "request": {"path": "/v1/chat/completions", "body": body},
                "response": {"status": 200, "headers": {"content-type": "application/json"}, "body": "{}"},
                "expected": {"text": "An electrician.", "input_tokens": 9, "output_tokens": 3},
                **document,
            }
        )
    )
    return path


def of(folder: Path, **document: Any) -> Listed:
    return listed("openai/case.json", put(folder, **document))


def test_a_line_says_what_a_list_shows(tmp_path: Path) -> None:
    row = of(tmp_path)
    assert (row.case, row.provider, row.api, row.status, row.origin) == (
        "case", "openai", "chat.completions", 200, "live",
    )  # fmt: skip
    assert (row.input_tokens, row.output_tokens) == (9, 3)
    assert not row.failed
    assert not row.stream
    assert row.problem is None


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", True), ("OPENAI", True), ("completions", True), ("fuses", True), ("electrician mends", True),
        ("200 live", True), ("plain", True), ("stream", False), ("fuses anthropic", False),
    ],
)  # fmt: skip
def test_every_word_must_be_in_it(words: str, found: bool, tmp_path: Path) -> None:
    assert of(tmp_path).holds(words) is found


@pytest.mark.parametrize(
    ("document", "failed", "status"),
    [
        ({"response": {"status": 429, "body": "{}"}}, True, 429),
        ({"response": None, "error": "timeout"}, True, None),
        ({"response": {"status": 200, "body": "data: {"}, "error": "connection_reset"}, True, 200),
    ],
)
def test_failures_are_told_from_answers(document: dict[str, Any], failed: bool, status: int, tmp_path: Path) -> None:
    row = of(tmp_path, **document)
    assert (row.failed, row.status) == (failed, status)


@pytest.mark.parametrize("text", ["{not json", "[]", '{"provider": "openai"}', '{"version": 99}'])
def test_a_broken_file_is_a_line_with_its_sentence(text: str, tmp_path: Path) -> None:
    path = put(tmp_path)
    path.write_text(text)
    row = listed("openai/case.json", path)
    assert row.problem is not None
    assert "case.json" in row.problem
    assert row.holds("broken openai")
    assert not row.failed or row.status is None


def test_a_file_that_is_gone_is_a_line_too(tmp_path: Path) -> None:
    row = listed("openai/case.json", tmp_path / "openai" / "case.json")
    assert row.problem is not None
    assert row.stamp == (0, 0)


def test_the_stamp_changes_with_the_content(tmp_path: Path) -> None:
    path = put(tmp_path)
    before = stamp_of(path)
    assert before == listed("openai/case.json", path).stamp
    put(tmp_path, note="changed")
    assert stamp_of(path) != before


def test_files_are_named_in_order_and_an_earlier_folder_wins(tmp_path: Path) -> None:
    own, packaged = tmp_path / "own", tmp_path / "packaged"
    put(packaged, "openai/b.json")
    put(packaged, "openai/a.json")
    put(packaged, "anthropic/z.json")
    mine = put(own, "openai/b.json")
    found = dict(files(FixtureLibrary([own, packaged])))
    assert list(found) == ["anthropic/z.json", "openai/a.json", "openai/b.json"]
    assert found["openai/b.json"] == mine


def test_whether_it_streams_is_told_without_an_answer(tmp_path: Path) -> None:
    body = {"model": "m", "stream": True, "messages": []}
    asked = load(put(tmp_path, request={"path": "/v1", "body": body}, response=None, error="timeout"))
    assert streamed(asked)
    asked.request.body["stream"] = False
    assert not streamed(asked)


@needs_wire
def test_real_traffic_is_listed_without_a_problem() -> None:
    folder = wire_dir()
    assert folder is not None
    rows = [listed(name, path) for name, path in files(FixtureLibrary([folder]))]
    assert len(rows) == 128
    assert [row.name for row in rows if row.problem] == []
    assert sum(row.stream for row in rows) > 30
    assert all(row.api for row in rows)
