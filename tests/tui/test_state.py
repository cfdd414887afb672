"""What the screen remembers survives everything but a damaged disk, and no damage is ever lost silently."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from providers.clock import SYSTEM_CLOCK
from sandbox.tui.state import FILE_NAME, KEPT_ENTRIES, Entry, UIState, encode_state, load, write
from tests.tui.test_story import DOWN, told


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / FILE_NAME


def entry_of(prompt: str = "hello") -> Entry:
    from sandbox.tui.story import fold

    (events,) = told({"one": [DOWN], "two": ["the answer"]})
    entry = Entry("r0", events[0].t_us, prompt)
    entry.settle(fold(events), events)
    return entry


def saved(file: Path, state: UIState, *, with_answers: bool = False) -> UIState:
    assert write(file, encode_state(state, with_answers=with_answers)) is None
    back, notice = load(file, SYSTEM_CLOCK)
    assert notice is None
    return back


def test_everything_comes_back_but_the_answer(file: Path) -> None:
    state = UIState(theme="nord", prompt="draft", model="gpt-4", via="openai", lower="history", hints=False)
    state.hints_seen = ["send"]
    state.remember(entry_of())
    back = saved(file, state)
    (entry,) = back.history
    assert entry.answer is None
    entry.answer = "the answer"
    assert back == state
    story = entry.story()
    assert story.status == "done"
    assert story.failovers == 1
    assert [attempt.outcome for attempt in story.attempts] == ["failed", "failed", "ok"]


def test_answers_are_kept_by_opt_in_only(file: Path) -> None:
    state = UIState(history=[entry_of()])
    saved(file, state)
    assert b"the answer" not in file.read_bytes()
    assert saved(file, state, with_answers=True).history[0].story().text == "the answer"


def test_nobody_else_may_read_it(file: Path) -> None:
    saved(file, UIState(prompt="private"))
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir()] == [FILE_NAME]


def test_a_missing_file_is_a_fresh_start(file: Path) -> None:
    assert load(file, SYSTEM_CLOCK) == (UIState(), None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{not json",
        b"[]",
        b'{"schema": "one"}',
        b'{"schema": 1, "prompt": 5}',
        b'{"schema": 1, "history": [{"prompt": "no id"}]}',
        b'{"schema": 1, "history": [{"request_id": "r", "at_us": 1, "prompt": "p", "cost_usd": "many"}]}',
        b'{"schema": 1, "history": "none"}',
    ],
)
def test_a_damaged_file_is_set_aside_with_a_notice(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    state, notice = load(file, SYSTEM_CLOCK)
    assert state == UIState()
    assert notice is not None
    assert "damaged" in notice
    (aside,) = file.parent.iterdir()
    assert aside.name in notice
    assert aside.read_bytes() == content


def test_a_newer_file_is_set_aside_too(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(orjson.dumps({"schema": 99}))
    state, notice = load(file, SYSTEM_CLOCK)
    assert state == UIState()
    assert notice is not None
    assert "newer version" in notice


def test_a_request_that_ran_when_the_program_died_was_cancelled(file: Path) -> None:
    assert saved(file, UIState(history=[Entry("r", 1, "p", status="writing")])).history[0].status == "cancelled"


def test_two_screens_on_one_folder_keep_each_others_history(file: Path) -> None:
    one, other = (
        UIState(prompt=name, history=[Entry(f"{name}{number}", number, name) for number in (1, 3)]) for name in "ab"
    )
    saved(file, one)
    saved(file, other)
    back = saved(file, one)
    assert [row.request_id for row in back.history] == ["a1", "b1", "a3", "b3"]
    assert back.prompt == "a"
    assert saved(file, back) == back


def test_what_was_let_go_of_for_being_old_does_not_come_back(file: Path) -> None:
    state = UIState()
    for number in range(KEPT_ENTRIES + 2):
        state.remember(Entry(f"r{number}", number, "p"))
        if number in (0, KEPT_ENTRIES):
            saved(file, state)
    assert [row.at_us for row in saved(file, state).history] == list(range(2, KEPT_ENTRIES + 2))


@pytest.mark.parametrize("there", [b"{broken", b"[]", b'{"schema":1,"history":[3]}', b'{"schema":99,"history":[{}]}'])
def test_what_cannot_be_read_is_replaced(file: Path, there: bytes) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(there)
    assert saved(file, UIState(prompt="mine")).prompt == "mine"


def test_an_unwritable_folder_is_a_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    problem = write(blocked / FILE_NAME, b"{}")
    assert problem is not None
    assert "ends with this session" in problem


def test_a_failed_write_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(file, UIState(prompt="old"))

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    assert "No space left" in (write(file, encode_state(UIState(prompt="new"), with_answers=False)) or "")
    assert load(file, SYSTEM_CLOCK)[0].prompt == "old"
    assert [path.name for path in file.parent.iterdir()] == [FILE_NAME]


def test_the_history_is_bounded() -> None:
    state = UIState()
    for number in range(KEPT_ENTRIES + 5):
        state.remember(Entry(str(number), number, "p"))
    assert len(state.history) == KEPT_ENTRIES
    assert state.history[0].request_id == "5"


def test_rows_are_found_by_any_of_their_words() -> None:
    entry = Entry("r", 1, "Explain Circuit breakers", provider="openai", status="failed", error_type="RateLimitError")
    assert entry.matches("circuit OPENAI")
    assert entry.matches("ratelimit")
    assert entry.matches("")
    assert not entry.matches("circuit bedrock")
