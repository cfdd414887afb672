from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from providers.errors import AuthenticationError, InputError, ServiceUnavailableError
from sandbox.comparison.contestants import choose
from sandbox.comparison.question import Cell, Question
from sandbox.comparison.run import Began, Discarded, Ended, Run, Update, Wrote
from sandbox.gateway.policies import Policy, StreamLimits
from tests.sandbox.gateway.support import Bench, virtual

from .support import simulated


def bench(*scripts: tuple[str, list[object]], **changes: object) -> Bench:
    made = Bench(Policy(), **changes)
    for id, steps in scripts:
        made.add(id, *steps, model="gpt-4" if id == "openai" else f"{id}-large")  # type: ignore[arg-type]
    return made


@virtual
async def test_all_are_asked_at_once_and_one_that_fails_ends_no_other() -> None:
    made = bench(
        ("openai", [(2.0, "a b c")]),
        ("anthropic", [AuthenticationError("no such key", status=401)]),
        ("bedrock", [(0.5, "x y")]),
    )
    gateway = made.gateway
    run = Run(gateway, Question(("hi",)), choose(gateway, ["openai", "anthropic", "bedrock"]))
    await run.go()
    assert made.clock.monotonic() == pytest.approx(2.0)
    one, two, three = (run.samples[Cell(0, number, 0)] for number in range(3))
    assert (one.text, one.latency_ms, one.ttft_ms, one.status) == ("a b c", 2000.0, 2000.0, "answered")
    assert (two.status, two.text, two.problem and two.problem.type) == ("failed", "", "AuthenticationError")
    assert (three.text, three.latency_ms) == ("x y", 500.0)


@virtual
async def test_nobody_answers_in_anothers_place() -> None:
    made = bench(("openai", [ServiceUnavailableError("down", status=503)]), ("anthropic", ["here"]))
    run = Run(made.gateway, Question(("hi",)), choose(made.gateway, ["openai"]))
    await run.go()
    sample = run.samples[Cell(0, 0, 0)]
    assert (sample.status, sample.provider, sample.attempts) == ("failed", "openai", 4)
    assert {event.provider for event in made.events if hasattr(event, "provider")} == {"openai"}


async def test_an_answer_that_the_cache_has_is_asked_for_again(tmp_path: Path) -> None:
    async with simulated(tmp_path) as gateway:
        question = Question(("hi",))
        for _ in range(2):
            kept = await gateway.generate(question.request(0, "gpt-4o"))
        assert kept.cached
        run = Run(gateway, question, choose(gateway, ["gpt-4o"]))
        await run.go()
        assert run.samples[Cell(0, 0, 0)].cost_usd
        assert run.samples[Cell(0, 0, 0)].attempts == 1


@virtual
async def test_no_more_than_allowed_are_under_way() -> None:
    made = bench(("openai", [(1.0, "a")]), ("anthropic", [(1.0, "b")]))
    under_way: set[Cell] = set()
    most = 0

    def told(update: Update) -> None:
        nonlocal most
        if isinstance(update, Began):
            under_way.add(update.cell)
            most = max(most, len(under_way))
        elif isinstance(update, Ended):
            under_way.discard(update.cell)

    question = Question(("p", "q", "r"), repeat=2, concurrency=3)
    run = Run(made.gateway, question, choose(made.gateway, ["openai", "anthropic"]), told=told)
    await run.go()
    assert most == 3
    assert set(run.samples) == set(question.cells(2))
    assert made.clock.monotonic() == pytest.approx(4.0)


@virtual
async def test_what_had_come_is_kept_when_it_is_cut_short() -> None:
    made = bench(("openai", [(0.1, "quick")]), ("anthropic", [("slow but", 5.0, "sure")]))
    run = Run(made.gateway, Question(("hi",)), choose(made.gateway, ["openai", "anthropic"]))
    task = asyncio.create_task(run.go())
    await made.clock.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.samples[Cell(0, 0, 0)].status == "answered"
    cut = run.samples[Cell(0, 1, 0)]
    assert (cut.status, cut.text) == ("cancelled", "slow but")
    assert len(made.records) == 2, "both are on the books"


@virtual
async def test_a_stream_that_breaks_off_keeps_its_text_and_what_it_cost() -> None:
    made = bench(("openai", [("one two", "<cut>")]))
    run = Run(made.gateway, Question(("hi",)), choose(made.gateway, ["openai"]))
    await run.go()
    sample = run.samples[Cell(0, 0, 0)]
    assert (sample.status, sample.text) == ("failed", "one two")
    assert sample.problem is not None
    assert sample.problem.type == "StreamInterruptedError"
    assert sample.waste_usd > 0


@virtual
async def test_what_is_to_be_discarded_is_told() -> None:
    made = bench(("openai", [("one two", "<cut>"), "three"]), streaming=StreamLimits("restart"))
    told: list[Update] = []
    run = Run(made.gateway, Question(("hi",)), choose(made.gateway, ["openai"]), told=told.append)
    await run.go()
    shown = ""
    for update in told:
        if isinstance(update, Wrote):
            shown += update.text
        elif isinstance(update, Discarded):
            shown = ""
    sample = run.samples[Cell(0, 0, 0)]
    assert isinstance(told[-1], Ended)
    assert sample.text == shown


@virtual
async def test_the_unforeseen_fails_one_column_alone() -> None:
    made = bench(("openai", ["fine"]), ("anthropic", ["never"]))
    contestants = choose(made.gateway, ["openai", "anthropic"])
    stream = made.gateway.stream

    def odd(request: object, options: object) -> object:
        if getattr(options, "provider", "") == "anthropic":
            raise ZeroDivisionError("sk-ant-api03-0123456789abcdefghij")
        return stream(request, options)  # type: ignore[arg-type]

    made.gateway.stream = odd  # type: ignore[method-assign, assignment]
    run = Run(made.gateway, Question(("hi",)), contestants)
    await run.go()
    assert run.samples[Cell(0, 0, 0)].text == "fine"
    problem = run.samples[Cell(0, 1, 0)].problem
    assert problem is not None
    assert problem.type == "ZeroDivisionError"
    assert "0123456789" not in problem.message


async def test_the_cache_is_neither_asked_nor_filled(tmp_path: Path) -> None:
    async with simulated(tmp_path) as gateway:
        run = Run(gateway, Question(("hi",), repeat=2), choose(gateway, ["gpt-4o"]))
        await run.go()
        assert all(sample.cost_usd for sample in run.samples.values())
        answer = await gateway.generate("hi")
        assert not answer.cached


async def test_mock_says_what_is_simulated(tmp_path: Path) -> None:
    async with simulated(tmp_path) as gateway:
        run = Run(gateway, Question(("hi",)), choose(gateway, ["gpt-4o"]))
        await run.go()
    marks = run.samples[Cell(0, 0, 0)].simulated
    assert (marks.answer, marks.tokens, marks.times, marks.cost, marks.prices) == (True, True, True, True, False)


@virtual
async def test_a_question_is_checked_before_anybody_is_asked() -> None:
    made = bench(("openai", ["x"]))
    with pytest.raises(InputError, match="the prompt is empty"):
        Run(made.gateway, Question(("",)), choose(made.gateway, ["openai"]))
    assert made.records == []


async def test_a_budget_that_is_spent_refuses_each_column(tmp_path: Path) -> None:
    async with simulated(tmp_path, budget_limit="0.0001") as gateway:
        run = Run(gateway, Question(("hi",)), choose(gateway, ["gpt-4o", "ollama"]))
        await run.go()
    dear, free = run.samples[Cell(0, 0, 0)], run.samples[Cell(0, 1, 0)]
    assert dear.problem is not None
    assert dear.problem.type == "BudgetExceededError"
    assert (free.status, free.cost_usd) == ("answered", Decimal(0))
