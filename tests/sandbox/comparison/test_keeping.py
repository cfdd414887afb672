"""A comparison survives being written and read again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from providers.errors import InputError
from sandbox.comparison.keeping import read, written
from sandbox.comparison.question import Question
from sandbox.comparison.standings import Outcome, outcome
from tests.sandbox.comparison.support import Done, problem, sample


def made() -> Outcome:
    """Two prompts, two turns, an unpriced answer, a failure with waste, and a turn that never came."""
    samples = {
        (0, 0, 0): sample("0.00000000001", text="東京 🙂"),
        (0, 0, 1): sample("0.5", ms=1.25, ttft=None),
        (0, 1, 0): sample(None),
        (1, 0, 0): problem(waste="0.25", text="half an"),
        (1, 1, 0): sample("2"),
        (1, 1, 1): sample("3"),
    }
    return outcome(cast("Any", Done(Question(("Hi", "Bye"), repeat=2, system="be brief"), ["a", "b"], samples)))


def test_what_is_written_is_read_again_to_the_last_digit() -> None:
    assert read(written(made(), with_answers=True)) == made()


def test_without_answers_only_the_texts_are_gone() -> None:
    text = written(made(), with_answers=False)
    assert "東京" not in text
    assert "half an" not in text
    bare = read(text)
    for before, after in zip(made().overall, bare.overall, strict=True):
        assert after == replace(before, samples=tuple(replace(one, text="") for one in before.samples))


@pytest.mark.parametrize(
    ("was", "is_"),
    [
        ('"repeat":2', '"repeat":0'),
        ('"repeat":2', '"repeat":"often"'),
        ('"prompts":["Hi","Bye"]', '"prompts":[]'),
        ('"cost_usd":"0.5"', '"cost_usd":"dear"'),
        ('"contestants":[', '"contestants":[3,'),
    ],
)
def test_a_text_that_is_none_is_refused(was: str, is_: str) -> None:
    text = written(made(), with_answers=True)
    assert was in text
    with pytest.raises(InputError):
        read(text.replace(was, is_))
