"""What a recording asks of the gateway, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.errors import FixtureError
from providers.exchange import FixtureLibrary, load
from providers.factory import create
from providers.mock.simulated import Simulation
from sandbox.tui.conversation import Run
from sandbox.tui.fixtures.asked import ask_of, judged, query_of, sent, traced
from sandbox.tui.fixtures.shelf import Shelf, look_up
from sandbox.tui.reports import ProviderInfo
from sandbox.tui.state import Entry
from sandbox.tui.story import Attempt, RequestStory, Skip
from tests.tui.shelves import ANSWER, QUESTION, Shelves, chat


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    return Shelves(tmp_path / "packaged", tmp_path / "own")


def info(id: str = "openai", kind: str | None = None, **options: Any) -> ProviderInfo:
    provider = create(kind or id, simulation=Simulation(), **options)
    return ProviderInfo(id, kind or id, provider.model, provider)


def story(*steps: Any, text: str = "", **facts: Any) -> RequestStory:
    found = RequestStory("r", **{"status": "done", **facts})
    found.steps = list(steps)
    found.pieces = [text] if text else []
    return found


def attempt(outcome: Any = "ok", **facts: Any) -> Attempt:
    return Attempt(1, "openai", "gpt-4o-mini", 0, outcome=outcome, **facts)


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_recording_asks_its_own_provider_for_the_same_again(shelves: Shelves) -> None:
    exchange = load(shelves.stream("openai/s", chat(stream=True, temperature=0.5, max_tokens=9)), "openai/s.json")
    ask = ask_of(exchange, [info("anthropic"), info("mine", "openai")])
    assert (ask.provider, ask.stream, ask.no_cache, ask.recording) == ("mine", True, True, "openai/s.json")
    assert ask.prompt == QUESTION
    assert ask.request is not None
    assert (ask.request.temperature, ask.request.max_tokens, ask.request.model) == (0.5, 9, "gpt-4o-mini")


def test_what_it_asks_finds_it_again(shelves: Shelves) -> None:
    exchange = load(shelves.put("openai/p", chat(temperature=0.5, tools=[])), "openai/p.json")
    ask = ask_of(exchange, [info()])
    assert ask.request is not None
    query = query_of(info(), ask.request, "gpt-4o-mini", stream=ask.stream)
    assert query is not None
    assert look_up(FixtureLibrary([shelves.packaged]), query).found == "openai/p.json"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"provider": "groq"}, "no provider of the chain"),
        ({"api": "telepathy"}, "nothing here speaks 'telepathy'"),
        ({"api": "responses", "body": {"model": "gpt-4o-mini", "input": "Hi"}}, 'providers.openai.api = "responses"'),
        ({"body": {"model": "gpt-4o-mini", "messages": []}}, "asks what this program would not send"),
        ({"body": "no JSON at all"}, "asks what this program would not send"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(shelves: Shelves, document: dict[str, Any], why: str) -> None:
    body = document.pop("body", None)
    exchange = load(shelves.put("openai/p", body, **document), "openai/p.json")
    with pytest.raises(FixtureError, match=why.replace(".", r"\.")) as caught:
        ask_of(exchange, [info()])
    assert "press v" in str(caught.value) or "telepathy" in str(caught.value)


def test_each_provider_that_was_tried_is_looked_up_once(shelves: Shelves) -> None:
    shelves.stream("anthropic/a", {"x": 1}, api="messages")
    exchange = load(shelves.stream("openai/s"), "openai/s.json")
    tried = [Attempt(n, id, "any", 0) for n, id in enumerate(("openai", "openai", "anthropic", "gone"), 1)]
    infos = [info(), info("anthropic")]
    run = Run(Entry("r", 0, QUESTION), story(*tried))
    requests = sent(run, infos)
    assert [one.provider for one in requests] == ["openai", "anthropic"]
    one, other = traced(FixtureLibrary([shelves.packaged]), exchange, requests)
    assert one.lookup is not None
    assert one.lookup.found == "openai/s.json"
    assert one.differs == ()
    assert other.differs is None
    assert other.lookup is not None
    assert (other.lookup.found, other.lookup.nearest) == (None, "anthropic/a.json")
    assert other.lookup.differences


def test_a_provider_without_a_wire_format_is_not_looked_up() -> None:
    from providers.types import GenerationRequest

    without = ProviderInfo("one", "one", "m", object())
    assert query_of(without, GenerationRequest("hi"), "m", stream=True) is None


# --- judging --------------------------------------------------------------------------------------------------------


def test_an_answer_as_recorded_has_no_problem(shelves: Shelves) -> None:
    exchange = load(shelves.put("openai/p"))
    assert judged(exchange, story(attempt(), text=ANSWER, finish_reason="stop"), "openai") == []


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (story(attempt(), text="else", finish_reason="stop"), "text is 'else'"),
        (story(attempt(), text=ANSWER, finish_reason="length"), "finish_reason is 'length', expected 'stop'"),
        (
            story(attempt("failed", error_type="RateLimitError", message="slow")),
            "openai failed with RateLimitError: slow",
        ),
        (story(attempt("cancelled")), "openai: cancelled"),
        (story(Skip("openai", "m", "breaker_open", None, 0)), "openai was not asked: breaker open"),
        (story(status="failed", error_message="unknown model 'x'"), "openai was not asked: unknown model 'x'"),
    ],
)
def test_an_answer_that_went_another_way(shelves: Shelves, told: RequestStory, problem: str) -> None:
    assert judged(load(shelves.put("openai/p")), told, "openai")[0].startswith(problem)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (attempt("failed", status=429, error_type="RateLimitError", message="Slow down."), None),
        (
            attempt("failed", status=503, error_type="RateLimitError", message="Slow down."),
            "status is 503, expected 429",
        ),
        (attempt("failed", status=429, error_type="RateLimitError", message="No."), "error_message is 'No.'"),
        (attempt(), "openai answered, but a failure was recorded"),
    ],
)
def test_a_failure_is_to_fail_alike(shelves: Shelves, made: Attempt, problem: str | None) -> None:
    found = judged(load(shelves.failure("openai/f")), story(made), "openai")
    assert [one.startswith(problem or "?") for one in found] == ([] if problem is None else [True])


def test_a_break_after_text_is_an_interrupted_stream_to_the_gateway(shelves: Shelves) -> None:
    expected = {"error_class": "ConnectionFailedError", "error_message": "the recorded connection broke"}
    exchange = load(shelves.stream("openai/c", error="connection_reset", expected=expected))
    cut = attempt("failed", error_type="StreamInterruptedError", message="cut", first_text_us=5)
    assert judged(exchange, story(cut), "openai") == []
    before = attempt("failed", error_type="StreamInterruptedError", message="cut")
    assert judged(exchange, story(before), "openai")


# --- the shelf ------------------------------------------------------------------------------------------------------


def test_only_what_has_changed_is_read_again(shelves: Shelves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.exchange.library.packaged_folder", lambda: shelves.packaged)
    monkeypatch.setattr("sandbox.tui.fixtures.shelf.packaged_folder", lambda: shelves.packaged)
    shelves.put("openai/a")
    shelves.own("openai/b")
    shelf = Shelf(shelves.user)
    first = {row.name: row for row in shelf.rows(shelf.files(), {})}
    assert {name: row.own for name, row in first.items()} == {"openai/a.json": False, "openai/b.json": True}
    shelves.put("openai/a", note="changed")
    again = {row.name: row for row in shelf.rows(shelf.files(), first)}
    assert again["openai/b.json"] is first["openai/b.json"]
    assert again["openai/a.json"] is not first["openai/a.json"]


def test_what_came_with_the_program_is_never_deleted(shelves: Shelves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.exchange.library.packaged_folder", lambda: shelves.packaged)
    monkeypatch.setattr("sandbox.tui.fixtures.shelf.packaged_folder", lambda: shelves.packaged)
    path = shelves.put("openai/a")
    shelf = Shelf(shelves.user)
    (row,) = shelf.rows(shelf.files(), {})
    with pytest.raises(FixtureError, match="read only"):
        shelf.delete(row)
    assert path.exists()
