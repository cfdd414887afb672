"""Hints come when their moment has come, once, and lead through the first minute."""

from __future__ import annotations

from sandbox.tui.breakage import KINDS, advice, fault_word
from sandbox.tui.hints import Guide, milestones
from sandbox.tui.story import fold
from tests.tui.test_story import DOWN, told


def test_the_first_minute_from_hint_to_hint() -> None:
    guide = Guide()
    assert guide.due() == ""
    guide.look({"opened"})
    assert "Enter" in guide.due()
    stories = [fold(events) for events in told({"one": [DOWN], "two": ["ok"]}, requests=3)]
    guide.learn({"asked"})
    assert guide.due() == ""
    guide.learn({"answered"})
    assert "Press f to break" in guide.due()
    guide.look({"opened", "broken"})
    assert "press r" in guide.due()
    guide.learn(milestones(stories[0]))
    guide.look({"opened", "broken"})
    assert "Press 3 to replay an outage" in guide.due()
    entered = Guide(guide.seen)
    entered.learn({"asked", "answered", "broken", "failed_over", "lab"})
    assert "the breaker of the broken one opens" in entered.due()
    guide.learn(milestones(stories[2]))
    guide.look({"opened", "broken"})
    assert "F heals" in guide.due()
    guide.look({"opened"})
    assert "Press 3 to replay a whole outage" in guide.due()
    guide.learn({"lab"})
    assert guide.due() == ""
    assert Guide(guide.seen).due() == ""
    again = Guide(guide.seen)
    again.look({"opened", "broken", "asked", "answered"})
    assert again.due() == ""


def test_every_kind_of_failure_can_be_provoked_and_named() -> None:
    from providers.faults import parse_fault

    words = [fault_word([parse_fault(kind.fault)]) for kind in KINDS]
    assert words[:4] == ["503", "500", "429", "429"]
    assert all(word and len(word) <= 9 for word in words)


def test_advice_fits_the_failure() -> None:
    def told_for(error: str, broken: tuple[str, ...] = (), wait: float | None = None, mode: str = "mock") -> str:
        return advice(error, broken=broken, retry_after_s=wait, mode=mode)

    assert "12 s" in told_for("CircuitBreakerOpenError", wait=12.0)
    assert "You broke openai: F heals it" in told_for("AllProvidersFailedError", ("openai",))
    assert "F heals them" in told_for("AllProvidersFailedError", ("a", "b"))
    assert "provider's key" in told_for("AuthenticationError", mode="live")
    assert "Change the prompt" in told_for("InvalidRequestError", ("openai",))
    assert told_for("SomethingNew")
