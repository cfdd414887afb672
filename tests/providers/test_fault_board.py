"""A board of faults that follows another source, such as a scenario."""

from __future__ import annotations

from providers.faults import Fault, FaultBoard, parse_fault


class Source:
    def __init__(self, **faults: Fault) -> None:
        self.faults = faults
        self.asked: list[str] = []

    def active(self, provider: str) -> list[Fault]:
        return [self.faults[provider]] if provider in self.faults else []

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        self.asked.append(provider)
        return 3.0


def test_what_is_set_by_hand_comes_before_what_is_followed() -> None:
    board, own, other = FaultBoard(), parse_fault("503"), parse_fault("quota:5")
    source = Source(openai=other)
    assert list(board.active("openai")) == []
    board.follow(source)
    assert list(board.active("openai")) == [other]
    board.set("openai", own)
    assert list(board.active("openai")) == [own, other]
    assert list(board.active("gemini")) == []
    # Only what was set is shown, healed and counted here.
    assert board.get("openai") == (own,)
    assert board.all() == {"openai": (own,)}
    assert board.quota_wait("openai", other) == 3.0
    board.set("openai", None)
    assert list(board.active("openai")) == [other]
    board.follow(None)
    assert list(board.active("openai")) == []
    assert board.quota_wait("openai", other) is None
