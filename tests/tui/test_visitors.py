"""Requests of other programs as the screen keeps them: told apart, counted, bounded, and not written down."""

from __future__ import annotations

from decimal import Decimal

from sandbox.core.events import (
    AttemptStarted,
    BreakerOpened,
    ClientAnswered,
    ClientAsked,
    Event,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
)
from sandbox.tui.state import KEPT_ENTRIES, KEPT_OUTSIDE, Entry, UIState, encode_state
from sandbox.tui.visitors import MAX_WAITING, Visitors

COST, ZERO = Decimal("0.001"), Decimal(0)


def received(id: str) -> RequestReceived:
    return RequestReceived(1_000_000, id, "default", "default", "gpt-4o", "mock", False, 60.0)


def completed(id: str, failovers: int = 0) -> RequestCompleted:
    return RequestCompleted(
        2_000_000,
        id,
        "openai",
        "gpt-4o",
        "stop",
        3,
        4,
        False,
        Decimal("0.001"),
        Decimal(0),
        12.5,
        None,
        failovers,
        False,
    )


def asked(id: str, prompt: str = "Why?") -> ClientAsked:
    return ClientAsked(999_000, id, "chat.completions", prompt)


def taken(*events: Event, state: UIState | None = None) -> Visitors:
    visitors = Visitors(state or UIState())
    for event in events:
        visitors.take(event)
    return visitors


def test_only_what_a_client_asked_is_from_outside() -> None:
    state = UIState()
    visitors = taken(received("own"), completed("own"), asked("a"), received("a"), state=state)
    assert [(entry.request_id, entry.prompt, entry.outside) for entry in state.history] == [("a", "Why?", True)]
    assert visitors.latest is not None
    assert visitors.latest.notes == ("from outside, chat.completions",)


def test_what_became_of_them_is_counted() -> None:
    failed = RequestFailed(2_000_000, "c", "AllProvidersFailedError", "no", None, 3.0, 0)
    visitors = taken(
        *(event for id in "abcd" for event in (asked(id), received(id))),
        completed("a"),
        completed("b", failovers=1),
        failed,
    )
    counts = visitors.counts
    assert (counts.requests, counts.under_way, counts.failed, counts.failed_over) == (4, 1, 1, 1)
    visitors.forget()
    assert visitors.counts.requests == 0


def test_the_text_of_a_whole_answer_comes_after_its_end() -> None:
    state = UIState()
    visitors = taken(asked("a"), received("a"), completed("a"), state=state)
    before = visitors.changes
    visitors.take(ClientAnswered(2_000_001, "a", "Because."))
    assert visitors.changes > before
    run = visitors.run_of(state.history[0])
    assert run is not None
    assert run.story.text == state.history[0].answer == "Because."
    assert run.entry.status == "done"


def test_a_breaker_belongs_to_the_only_one_under_way() -> None:
    opened = BreakerOpened(1_500_000, "", "openai", "closed", "3 failures in a row", None)
    began = AttemptStarted(1_100_000, "a", "openai", "gpt-4o", 0, 0, "closed")
    alone = taken(asked("a"), received("a"), began, opened)
    assert alone.latest is not None
    assert len(alone.latest.story.steps) == 2
    among_others = taken(asked("a"), received("a"), began, asked("b"), received("b"), opened)
    assert all(not run.story.steps or len(run.story.steps) == 1 for run in [among_others.latest] if run)


def test_the_newest_are_kept_and_none_of_the_users_own_goes_for_them() -> None:
    state = UIState()
    for number in range(KEPT_ENTRIES):
        state.remember(Entry(f"own{number}", number, "mine"))
    visitors = Visitors(state)
    for number in range(KEPT_OUTSIDE + 50):
        visitors.take(asked(str(number)))
        visitors.take(received(str(number)))
    assert sum(entry.outside for entry in state.history) == KEPT_OUTSIDE
    assert sum(not entry.outside for entry in state.history) == KEPT_ENTRIES
    assert visitors.counts.requests == KEPT_OUTSIDE + 50
    # What is not followed any more is not called under way for ever.
    assert visitors.counts.under_way == KEPT_OUTSIDE


def test_requests_that_were_refused_before_the_gateway_are_not_kept_for_ever() -> None:
    visitors = taken(*(asked(str(number)) for number in range(MAX_WAITING + 10)))
    visitors.take(received("0"))
    assert visitors.counts.requests == 0
    visitors.take(received(str(MAX_WAITING)))
    assert visitors.counts.requests == 1


def test_nothing_of_other_programs_is_written_to_the_disk() -> None:
    state = UIState()
    taken(asked("a", "their secret"), received("a"), completed("a"), state=state)
    state.remember(Entry("own", 1, "mine"))
    written = encode_state(state, with_answers=True)
    assert b"their secret" not in written
    assert b"mine" in written
