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
    done: frozenset[str]
    """The facts of which any shows that it was understood, after which it is not shown again."""


def _hint(name: str, text: str, when: str, done: str) -> Hint:
    return Hint(name, text, frozenset(when.split()), frozenset(done.split()))


HINTS: tuple[Hint, ...] = (
    _hint("send", "Press Enter to send the suggested prompt, or type your own.", "opened", "asked"),
    _hint("break", "Press f to break the first provider and send again.", "answered", "broken"),
    _hint("again", "It is broken now: press r to send again.", "broken", "failed_over"),
    _hint("lab", "Another provider answered, at its own price. Press 3 to replay an outage.",
          "failed_over", "lab breaker_opened"),
    _hint("breaker", "Send a few times more (r) and the breaker of the broken one opens.",
          "failed_over", "breaker_opened"),
    _hint("heal", "Its breaker is open: it is passed over until the next probe. F heals it.",
          "breaker_opened", "healed"),
    _hint("lab again", "All is well again. Press 3 to replay a whole outage, and watch it.", "healed", "lab"),
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
            if hint.done & self._known:
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
