from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.comparison.words import MOST_WORDS, alike, difference

TEXTS = st.text(st.sampled_from("ab c\n.,é漢"), max_size=40)


@given(TEXTS, TEXTS)
def test_the_parts_make_up_both_texts(left: str, right: str) -> None:
    parts = difference(left, right)
    assert "".join(part.text for part in parts if part.kind != "added") == left
    assert "".join(part.text for part in parts if part.kind != "removed") == right
    assert all(part.text for part in parts)
    assert (alike(parts) == 1.0) is (left == right)


def test_whole_words_differ() -> None:
    told = [(part.kind, part.text) for part in difference("the fast cat", "the fat cat")]
    assert told == [("same", "the "), ("removed", "fast"), ("added", "fat"), ("same", " cat")]


@pytest.mark.parametrize(("left", "right", "share"), [("", "", 1.0), ("a", "", 0.0), ("a b", "a c", 4 / 6)])
def test_how_much_is_alike(left: str, right: str, share: float) -> None:
    assert alike(difference(left, right)) == pytest.approx(share)


def test_what_is_too_long_to_compare_is_still_there() -> None:
    left, right = "x " * MOST_WORDS + "left", "x " * MOST_WORDS + "right"
    parts = difference(left, right)
    assert "".join(part.text for part in parts if part.kind != "added") == left
    assert parts[0].kind == "same"
