"""The sentence of each moment says who answers, what is the matter, and what it came to."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.core.pacing import Supervised
from sandbox.scenarios.builtin import names, scenario
from sandbox.scenarios.loader import check
from sandbox.scenarios.narration import narrate
from sandbox.scenarios.recorder import record
from sandbox.scenarios.source import parse


@pytest.mark.parametrize(
    ("seconds", "text", "mood"),
    [
        (20, "all is well; bedrock answers", "plain"),
        (61, "503 on bedrock since 1:00; its breaker is still closed; bedrock answers", "warn"),
        (
            80,
            "bedrock's breaker is open since 1:04; openai answers; why: 3 failures in a row; probe at 1:34",
            "warn",
        ),
        (187, "bedrock is probed since 3:06: one request is let through; openai answers", "warn"),
        (230, "all is well again since 3:09; bedrock answers", "good"),
        (
            310,
            "the end: 600 of 600 answered; 258 by another for ~$1.30 more; 5 of 5 expectations hold",
            "good",
        ),
    ],
)
def test_the_story_of_a_brownout(seconds: int, text: str, mood: str) -> None:
    told = narrate(record(scenario("bedrock-brownout")), seconds * 1_000_000)
    assert (told.text, told.mood) == (text, mood)


@pytest.mark.parametrize(
    ("name", "seconds", "text"),
    [
        ("every-provider-down", 130, "the breakers of openai, anthropic and gemini are open; nobody answers"),
        ("bad-key", 300, "openai is out of rotation since 1:00; anthropic answers"),
        ("cache-saves-the-day", 120, "503 on openai and 503 on anthropic since 1:00; no breaker is open"),
        ("cache-saves-the-day", 30, "all is well; the cache answers"),
        ("brownout", 121, "latency ×4 and 503 in 50 % on openai since 2:00"),
    ],
)
def test_other_troubles(name: str, seconds: int, text: str) -> None:
    assert narrate(record(scenario(name)), seconds * 1_000_000).text.startswith(text)


def test_where_there_is_little_room_the_first_clauses_stay() -> None:
    told = narrate(record(scenario("bedrock-brownout")), 80_000_000)
    assert told.within(200) == told.text
    assert told.within(78) == "bedrock's breaker is open since 1:04; openai answers; why: 3 failures in a row"
    assert told.within(60) == "bedrock's breaker is open since 1:04; openai answers"
    assert told.within(5) == "bedrock's breaker is open since 1:04"


@pytest.mark.parametrize("name", names())
def test_every_moment_has_a_sentence(name: str) -> None:
    take = record(scenario(name))
    for step in range(60):
        told = narrate(take, take.recording.ended_us * step // 59)
        assert told.clauses[0]
        assert told.mood in ("plain", "good", "warn", "bad")


def test_a_stopped_run_says_so() -> None:
    watch = Supervised()

    def pace(now_us: int, then_us: int) -> None:
        if then_us > 50_000_000:
            watch.stop()
        watch(now_us, then_us)

    take = record(scenario("bedrock-brownout"), pace=pace)
    assert narrate(take, take.recording.ended_us).text == "stopped at 0:50; r runs it again"
    assert narrate(take, 20_000_000).text == "all is well; bedrock answers"


def test_before_anybody_asks() -> None:
    take = record(
        check(
            parse(
                "version: 1\nname: late\nduration: 60s\nproviders: [{name: openai, model: gpt-4, latency: 20s}]\n"
                "traffic: [{rate: 1/s, from: 20s}]",
                Path("late.yaml"),
            )
        )
    )
    assert narrate(take, 10_000_000).text == "all is well; nothing is asked now"
    assert narrate(take, 30_000_000).text == "all is well; nothing has come back yet"
