"""The index of questions: what counts as nearly the same, what never does, and that it is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import ServiceUnavailableError
from sandbox.cache.semantic import Embedding, HashingEmbedder, SemanticIndex, must_be_equal
from tests.fake_clock import FakeClock

ASKED = "Why do circuit breakers trip when a provider is down?"


def index(threshold: float = 0.9, entries: int = 100, clock: FakeClock | None = None) -> SemanticIndex:
    return SemanticIndex(HashingEmbedder(), threshold=threshold, entries=entries, clock=clock or FakeClock())


async def similarity(one: str, other: str) -> float:
    there = index(threshold=-1)
    first, second = await there.question("s", one), await there.question("s", other)
    assert first is not None
    assert second is not None
    there.keep(first, "key", ttl=60)
    match = there.nearest(second)
    return 0.0 if match is None else match.similarity


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (ASKED, True),
        ("why do circuit breakers trip when a provider is down", True),
        ("Why do the circuit breakers trip when a provider is down?", True),
        ("Why do fuses blow?", False),
        ("What is the capital of France?", False),
        ("Do providers who are down trip, and why circuit breakers?", False),
    ],
)
async def test_what_is_worded_alike_is_alike(other: str, alike: bool) -> None:
    assert (await similarity(ASKED, other) >= 0.88) is alike


async def test_two_questions_about_one_document_are_not_one_question() -> None:
    document = "Employees hand in their reports within a month, and managers pass them on to finance. " * 2
    there = index(threshold=0.95)
    for length in range(len(document)):
        first, second = document[:length] + "Who approves the hotel?", document[:length] + "How long is it kept?"
        known, asked = await there.question("s", first), await there.question("s", second)
        assert known is not None
        assert asked is not None
        there.keep(known, "key", ttl=60)
        assert there.nearest(asked) is None
    assert await there.question("s", document * 2 + "Who approves the hotel?") is None, "too much to be told apart"


async def test_order_matters() -> None:
    there, back = "How do I get from Paris to London?", "How do I get from London to Paris?"
    assert await similarity(there, back) < 0.95


async def test_the_most_like_wins_and_the_threshold_holds() -> None:
    there = index(threshold=0.8)
    for key, text in (("near", ASKED.lower()), ("nearer", ASKED), ("far", "Why do fuses blow?")):
        question = await there.question("s", text)
        assert question is not None
        there.keep(question, key, ttl=60)
    asked = await there.question("s", ASKED + " Please.")
    assert asked is not None
    match = there.nearest(asked)
    assert match is not None
    assert match.key in ("near", "nearer")
    assert 0.8 <= match.similarity < 1
    strict = index(threshold=1.0)
    strict.keep(asked, "key", ttl=60)
    other = await strict.question("s", ASKED)
    assert other is not None
    assert strict.nearest(other) is None


async def test_only_within_a_space_and_for_its_time() -> None:
    clock = FakeClock()
    there = index(clock=clock)
    question = await there.question("acme", ASKED)
    assert question is not None
    there.keep(question, "key", ttl=10)
    elsewhere = await there.question("zen", ASKED)
    assert elsewhere is not None
    assert there.nearest(elsewhere) is None
    assert there.nearest(question) is not None
    clock.now += 10
    assert there.nearest(question) is None
    assert len(there) == 0, "and is forgotten then"


async def test_it_is_bounded_and_keeps_what_is_asked_for() -> None:
    there = index(entries=3)
    questions = [
        await there.question(f"space-{number % 2}", f"question about topic{'abcdef'[number]}") for number in range(4)
    ]
    for number, question in enumerate(questions[:3]):
        assert question is not None
        there.keep(question, f"key-{number}", ttl=60)
    assert questions[0] is not None
    assert there.nearest(questions[0]) is not None
    assert questions[3] is not None
    there.keep(questions[3], "key-3", ttl=60)
    assert len(there) == 3
    assert there.nearest(questions[0]) is not None, "asked for not long ago"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Refund order 17", "Refund order 18", False),
        ("Refund order 17", "refund the order 17!", True),
        ("Is it safe?", "Is it not safe?", False),
        ("Why does it trip?", "Why doesn't it trip?", False),
        ("Answer with sources", "Answer without sources", False),
        ("Explain HTTP2", "Explain HTTP3", False),
        ("Explain it", "Please explain it", True),
    ],
)
def test_words_in_which_like_questions_may_not_differ(one: str, other: str, same: bool) -> None:
    assert (must_be_equal(one) == must_be_equal(other)) is same


@given(st.text(max_size=200))
async def test_any_text_is_most_like_itself(text: str) -> None:
    there = index(threshold=0.999)
    question = await there.question("s", text)
    if question is not None:
        there.keep(question, "key", ttl=60)
        match = there.nearest(question)
        assert match is not None
        assert match.similarity == pytest.approx(1)


async def test_a_vector_that_says_nothing_is_no_question() -> None:
    class Odd:
        name, longest = "odd", 100

        def __init__(self, *values: float) -> None:
            self.values = values

        async def embed(self, text: str) -> Embedding:
            if not self.values:
                raise ServiceUnavailableError("no vectors today")
            return Embedding(self.values)

    for values in ((0.0, 0.0), (float("nan"), 1.0), (float("inf"), 1.0)):
        there = SemanticIndex(Odd(*values), threshold=0.5, entries=3, clock=FakeClock())
        assert await there.question("s", "x") is None
    with pytest.raises(ServiceUnavailableError):
        await SemanticIndex(Odd(), threshold=0.5, entries=3, clock=FakeClock()).question("s", "x")
