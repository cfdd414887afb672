"""Markdown while it grows: what is shown at the end is what would be shown at once, and no piece makes it slower."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from sandbox.tui.markdown import GrowingMarkdown, blocks, inline

ANSWER = """# Breakers

A *circuit breaker* has **three** states, see [the docs](https://example.com/x) and `retry()`:

1. closed
2. open, which
   lasts a while
   - nested
3. half open

> quoted text
> goes on

```python
def f(x):
    return x * 2
```

| state | asks |
|-------|:----:|
| open  | no   |
| closed | `yes` |

---

The end.
"""


def shown(text: str, width: int = 60) -> list[str]:
    markdown = GrowingMarkdown()
    markdown.update(text, width)
    return [line.plain.rstrip() for line in markdown.lines]


def styles(text: str) -> list[tuple[str, str]]:
    return [(piece, style.strip()) for piece, style in inline(text)]


def test_the_kinds_of_blocks() -> None:
    kinds = [block.kind for block in blocks(ANSWER)]
    assert kinds == [
        "heading", "paragraph", "item", "item", "item", "item", "quote", "code", "table", "rule", "paragraph",
    ]  # fmt: skip


def test_how_it_looks() -> None:
    assert shown(ANSWER) == [
        "Breakers",
        "",
        "A circuit breaker has three states, see the docs",
        "(https://example.com/x) and retry():",
        "",
        "1. closed",
        "2. open, which lasts a while",
        "   ◦ nested",
        "3. half open",
        "",
        "▌ quoted text goes on",
        "",
        " def f(x):",
        "     return x * 2",
        "",
        "state  │ asks",
        "───────┼─────",
        "open   │ no",
        "closed │ yes",
        "",
        "─" * 60,
        "",
        "The end.",
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("plain", [("plain", "")]),
        ("a **b** c", [("a ", ""), ("b", "bold"), (" c", "")]),
        ("*i* and _j_", [("i", "italic"), (" and ", ""), ("j", "italic")]),
        ("**b *bi***", [("b ", "bold"), ("bi", "italic bold")]),
        ("`x*y*z`", [("x*y*z", "$text-accent")]),
        ("``a`b``", [("a`b", "$text-accent")]),
        ("~~old~~", [("old", "strike")]),
        ("snake_case_name 2*3*4", [("snake_case_name 2*3*4", "")]),
        ("\\*not\\*", [("*", ""), ("not", ""), ("*", "")]),
        ("[a](http://x)", [("a", "underline"), (" (http://x)", "$foreground-muted")]),
        ("![alt](pic.png)", [("alt", "underline"), (" (pic.png)", "$foreground-muted")]),
        ("open **still", [("open **still", "")]),
        ("open `still", [("open `still", "")]),
    ],
)
def test_inline_marks(text: str, pieces: list[tuple[str, str]]) -> None:
    assert styles(text) == pieces


def test_code_keeps_every_character_and_is_never_out_of_sight() -> None:
    lines = shown("```\n" + "x" * 100 + "\n\n\ty\n```", 40)
    assert "".join(line.strip() for line in lines[:3]) == "x" * 100
    assert lines[3:] == ["", "     y"]


def test_an_unclosed_fence_is_code_already() -> None:
    assert shown("text\n\n```python\nx = 1") == ["text", "", " x = 1"]


def test_a_wide_table_is_squeezed() -> None:
    rows = shown("| a | b |\n|---|---|\n| " + "word " * 20 + "| " + "more " * 20 + "|", 40)
    assert all(len(row) <= 40 for row in rows)
    assert "".join(rows).count("word") == 20


def test_highlighting_colours_and_keeps_the_text() -> None:
    markdown = GrowingMarkdown()
    markdown.update(ANSWER, 60)
    before = [line.plain for line in markdown.lines]
    assert markdown.has_code
    asked = []

    def paint(code: str, language: str) -> Content:
        asked.append((code, language))
        return Content(code).stylize("bold")

    markdown.highlight(paint)
    assert asked == [("def f(x):\n    return x * 2", "python")]
    assert [line.plain for line in markdown.lines] == before


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(20, 100))
def test_growing_ends_where_the_whole_does(sizes: list[int], width: int) -> None:
    growing = GrowingMarkdown()
    at = 0
    lines: list[Content] = []
    for size in sizes:
        at += size
        first = growing.update(ANSWER[:at], width)
        # Whoever shows the lines replaces those from `first` on.
        del lines[first:]
        lines += growing.lines[first:]
        assert [line.plain for line in lines] == [line.plain for line in growing.lines]
    whole = GrowingMarkdown()
    whole.update(ANSWER[:at], width)
    assert [line.plain for line in growing.lines] == [line.plain for line in whole.lines]


MARKS = st.sampled_from(
    ["# ", "- ", "1. ", "```", "```py", "|", "|-|-|", "> ", "---", "\n", "\n\n", "**", "*", "`", "_", "~~", "[a](b)",
     "\\", "  ", "word", "два", "寿司", "🙂", "\t"]
)  # fmt: skip


@given(st.lists(MARKS, max_size=40).map("".join), st.integers(10, 80))
def test_anything_can_be_shown_and_fits(text: str, width: int) -> None:
    growing = GrowingMarkdown()
    for end in range(0, len(text) + 1, 7):
        growing.update(text[:end], width)
    growing.update(text, width)
    assert all(line.cell_length <= width for line in growing.lines)
    at_once = GrowingMarkdown()
    at_once.update(text, width)
    assert [line.plain for line in growing.lines] == [line.plain for line in at_once.lines]


def test_another_text_or_width_begins_anew() -> None:
    markdown = GrowingMarkdown()
    markdown.update("one two", 60)
    assert markdown.update("other", 60) == 0
    assert [line.plain for line in markdown.lines] == ["other"]
    assert markdown.update("other", 30) == 0
    assert markdown.update("other", 30) == 1


def test_a_piece_costs_its_last_block_only() -> None:
    """Counted, not timed: the blocks before the last are not read again."""
    markdown = GrowingMarkdown()
    text = "A paragraph of some words.\n\n" * 500
    markdown.update(text, 60)
    before = markdown.lines[:900]
    first = markdown.update(text + "more", 60)
    assert first >= len(markdown.lines) - 4
    assert all(one is two for one, two in zip(before, markdown.lines, strict=False))


def test_marks_that_never_close_cost_nothing_much() -> None:
    import time

    began = time.perf_counter()
    shown("*`_[" * 4000)
    shown("`a" * 9000)
    assert time.perf_counter() - began < 5
