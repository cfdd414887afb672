from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from providers.errors import InputError
from sandbox.comparison.export import FORMS, exports, rendered, write
from sandbox.comparison.question import Question
from sandbox.comparison.standings import Outcome, outcome

from .support import Done, problem, sample

EVIL = '=HYPERLINK("https://evil.example","x")'
MARKUP = '<script>alert("x")</script><img src="https://evil.example/x.png">'


def made(*, prompts: tuple[str, ...] = ("Why?",), text: str = "Because | of\nthis.", repeat: int = 1) -> Outcome:
    question = Question(prompts, repeat=repeat)
    samples = {}
    for prompt in range(len(prompts)):
        for turn in range(repeat):
            samples[prompt, 0, turn] = sample("0.00125", text=text)
            samples[prompt, 1, turn] = sample(None, text="-1 is my answer", ms=500, mode="mock")
            samples[prompt, 2, turn] = problem()
    done: Any = Done(question, ["gpt|4", "new & <b>", "broken"], samples)
    return outcome(done)


def test_a_row_of_csv_for_each_answer() -> None:
    rows = list(csv.DictReader(io.StringIO(rendered("csv", made(prompts=("a", "b"), repeat=2), [10]).decode())))
    assert len(rows) == 12
    first, second, third = rows[0], rows[2], rows[4]
    assert (first["cost_usd"], first["text"], first["simulated"]) == ("0.00125", "Because | of\nthis.", "false")
    assert (second["cost_usd"], second["simulated"], second["text"]) == ("", "true", "'-1 is my answer")
    assert (third["status"], third["error_type"], third["cost_usd"]) == ("failed", "RateLimitError", "")


@pytest.mark.parametrize("text", [EVIL, "+1", "@SUM(A1)", "\t=1", "  =1", "-2+3", "\r=1"])
def test_no_cell_of_csv_is_a_formula(text: str) -> None:
    data = rendered("csv", made(prompts=(text,), text=text), [10]).decode()
    for row in csv.reader(io.StringIO(data, newline="")):
        assert not any(cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert f"'{text}" in next(csv.DictReader(io.StringIO(data, newline="")))["prompt"]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_needs_nothing_else_and_takes_nothing_for_markup() -> None:
    page = Page()
    page.feed(rendered("html", made(prompts=(MARKUP, "b"), text=MARKUP, repeat=2), [10]).decode())
    assert not {"script", "img", "link", "iframe", "b"} & set(page.tags)
    assert page.links == []
    shown = "".join(page.words)
    assert MARKUP in shown
    assert "new & <b>" in shown
    assert "30 days at 10 requests a day" in shown


def test_markdown_keeps_its_tables_whole() -> None:
    text = rendered("markdown", made(prompts=("a | b\nc", "d")), [10, 5_000]).decode()
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].startswith("|"):
            assert len({line.count("|") for line in lines}) == 1
    assert "5,000" in text
    assert "unpriced" in text
    assert "broken: RateLimitError (2 of 2): no luck" in text


def test_json_says_what_is_simulated_and_keeps_money_exact() -> None:
    document = json.loads(rendered("json", made(), [10]))
    real, made_up, failed = document["items"]
    assert real["cost_usd"] == "0.00125"
    assert {"requests_per_day": 10, "cost_usd": "0.375"} in real["monthly"]
    assert real["simulated"] == {"answer": False, "tokens": False, "times": False, "cost": False, "prices": False}
    assert made_up["simulated"] == {"answer": True, "tokens": True, "times": True, "cost": True, "prices": False}
    assert (made_up["cost_usd"], made_up["monthly"][0]["cost_usd"]) == (None, None)
    assert failed["error"]["type"] == "RateLimitError"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_written_and_a_bad_place_is_named(tmp_path: Path, form: Any) -> None:
    path = tmp_path / "out"
    write(path, form, made(), [10])
    assert path.read_bytes() == rendered(form, made(), [10])
    with pytest.raises(InputError, match=r"gone/out: no such file"):
        write(tmp_path / "gone" / "out", form, made(), [10])
    with pytest.raises(InputError, match="there is such a file"):
        write(path, form, made(), [10])


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    one, other = tmp_path / "a.csv", tmp_path / "b.html"
    with pytest.raises(ZeroDivisionError), exports([("csv", one), ("html", other)]):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with exports([("csv", one), ("html", other)]) as written:
        assert not one.exists()
        written(made(), [10])
    assert sorted(tmp_path.iterdir()) == [one, other]
    with pytest.raises(InputError, match="named twice"), exports([("csv", one), ("json", one)], overwrite=True):
        pass
