from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import InputError
from sandbox.comparison.question import Cell, Question, read_prompts


@pytest.mark.parametrize(
    ("name", "text", "prompts"),
    [
        ("p.txt", "one\n\n  two  \r\nthree", ["one", "two", "three"]),
        ("p.txt", "a\nb\n---\n\nc\n---\n---\n", ["a\nb", "c"]),
        ("p.md", "\ufeffone", ["one"]),
        ("p.jsonl", '"one"\n\n{"prompt": "two\\nlines", "id": 7}\n', ["one", "two\nlines"]),
        ("p.txt", '{"prompt": "as it stands"}', ['{"prompt": "as it stands"}']),
    ],
)
def test_prompts_of_a_file(tmp_path: Path, name: str, text: str, prompts: list[str]) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode())
    assert read_prompts(file) == tuple(prompts)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("p.txt", b"\n \n", "holds no prompt"),
        ("p.txt", b"ok\n\xff", "is not UTF-8 text: byte 4"),
        ("p.jsonl", b'"a"\n{"prompt": 3}', 'line 2: write a text, or an object such as {"prompt": "Hi"}'),
        ("p.jsonl", b'"a"\n{', "line 2 is not JSON"),
        ("p.txt", b"x\n" * 1001, "holds 1,001 prompts; 1,000 can be compared"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_prompts(file)
    assert sentence in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_prompts(tmp_path / "nothing.txt")
    with pytest.raises(InputError, match="is a directory"):
        read_prompts(tmp_path)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        (Question(()), "no prompt"),
        (Question(("a",), repeat=0), "repeat is 0; it must be 1 to 100"),
        (Question(("a",), concurrency=65), "concurrency is 65"),
        (Question(("a", " ")), "prompt 2: the prompt is empty"),
        (Question(("a",), temperature=3.0), "temperature is 3.0; it must be between 0 and 2"),
    ],
)
def test_a_question_that_nobody_could_be_asked(question: Question, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        question.check()
    assert sentence in str(caught.value)


def test_models_are_asked_side_by_side_prompt_after_prompt() -> None:
    cells = list(Question(("a", "b"), repeat=2).cells(2))
    assert cells[:4] == [Cell(0, 0, 0), Cell(0, 1, 0), Cell(0, 0, 1), Cell(0, 1, 1)]
    assert len(cells) == len(set(cells)) == 8
