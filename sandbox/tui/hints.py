"""Sentences for newcomers, each shown once, when its moment has come."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sandbox.tui.story import RequestStory


class Hint(NamedTuple):
    name: str
    text: str
    when: frozenset[str]
    """Facts that must hold."""
    done: str
    """The fact that shows it was understood, after which it is not shown again."""


HINTS: tuple[Hint, ...] = (
    Hint("send", "Press Enter to send the suggested prompt, or type your own.", frozenset({"opened"}), "asked"),
    Hint("break", "Press f to break the first provider and send again.", frozenset({"answered"}), "broken"),
    Hint("again", "It is broken now: press r to send again.", frozenset({"broken"}), "failed_over"),
    Hint(
        "breaker", "Another provider answered. Send a few times more (r) and the breaker opens.",
        frozenset({"failed_over"}), "breaker_opened",
    ),
    Hint(
        "heal", "Its breaker is open: it is passed over until the next probe. F heals it.",
        frozenset({"breaker_opened"}), "healed",
    ),
)  # fmt: skip


class Guide:
    """Which hint is due. What has happened once counts for ever, so a hint never comes back."""

    def __init__(self, seen: Iterable[str] = ()) -> None:
        self.seen = set(seen)
        self._known: set[str] = set()

    def learn(self, facts: Collection[str]) -> None:
        """Take note of what holds now."""
        self._known.update(facts)
        for hint in HINTS:
            if hint.done in self._known:
                self.seen.add(hint.name)

    def look(self, moment: Collection[str]) -> None:
        """Take note of everything that holds at this moment."""
        if "broken" in self._known and "broken" not in moment:
            self._known.add("healed")
        self.learn(moment)

    def due(self) -> str:
        """The text of the hint to show now; empty: none."""
        for hint in HINTS:
            if hint.name not in self.seen:
                return hint.text if hint.when <= self._known else ""
        return ""


def milestones(story: RequestStory) -> set[str]:
    """What a story has taught, as facts for the guide."""
    from sandbox.tui.story import BreakerMove

    facts = {"asked"}
    if story.status == "done":
        facts.add("answered")
        if story.failovers:
            facts.add("failed_over")
    if any(isinstance(step, BreakerMove) and step.state == "open" for step in story.steps):
        facts.add("breaker_opened")
    return facts
