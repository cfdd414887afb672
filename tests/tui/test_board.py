"""The provider strip: what it says of each provider, and how it fits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.events import (
    AttemptSucceeded,
    BreakerClosed,
    BreakerForced,
    BreakerHalfOpened,
    BreakerOpened,
    ProviderDisabled,
    ProviderEnabled,
)
from sandbox.desks.lights import Light
from sandbox.tui.board import Board, strip_pieces

CHAIN = ("azure_openai", "openai", "anthropic", "bedrock", "deepseek", "gemini", "vllm", "ollama")


def board() -> Board:
    made = Board()
    made.set(Light(id) for id in CHAIN)
    return made


def shown(lights: list[Light], now_us: int, width: int) -> str:
    return "".join(text for _, line in strip_pieces(lights, now_us, width) for text, _ in line).rstrip()


def test_a_breaker_through_its_states() -> None:
    one = board()
    light = one.lights["openai"]
    assert light.shape == "closed"
    assert one.apply(BreakerOpened(1_000_000, "", "openai", "closed", "5 failures", 31_000_000))
    assert (light.shape, light.remaining_s(1_000_000), light.remaining_s(1_500_000)) == ("open", 30, 30)
    assert one.ticking()
    assert light.note(31_000_000) == "probe next"
    one.apply(BreakerHalfOpened(31_000_000, "", "openai", "open", "time passed", None))
    assert light.shape == "half_open"
    one.apply(BreakerClosed(32_000_000, "", "openai", "half_open", "probe succeeded", None))
    assert (light.shape, light.note(0), one.ticking()) == ("closed", "", False)
    one.apply(BreakerForced(33_000_000, "", "openai", "closed", "by hand", None, "forced_open"))
    assert (light.shape, light.note(0)) == ("open", "held")


def test_disabled_until_it_answers_or_is_enabled() -> None:
    one = board()
    light = one.lights["openai"]
    for back in (
        ProviderEnabled(2, "", "openai", None, "by hand"),
        AttemptSucceeded(2, "r", "openai", "gpt-4", 0, 1.0, None),
    ):
        assert one.apply(ProviderDisabled(1, "r", "openai", None, "no such key"))
        assert light.shape == "disabled"
        assert one.apply(back)
        assert light.shape == "closed"


def test_unknown_providers_change_nothing() -> None:
    assert not board().apply(BreakerOpened(1, "", "stranger", "closed", "x", 2))


def test_what_is_provoked_survives_another_preset() -> None:
    one = board()
    one.provoke({"openai": "503"})
    one.set([Light("openai"), Light("bedrock")])
    assert one.broken == ["openai"]
    one.provoke({})
    assert one.broken == []


def test_the_fullest_form_that_fits() -> None:
    lights = list(board().lights.values())
    assert shown(lights, 0, 158).startswith("● azure_openai  ● openai")
    assert len(shown(lights, 0, 78)) <= 78
    assert all(f"●{id[:2]}" in shown(lights, 0, 78).replace("● ", "●") for id in CHAIN)
    # What has something to say keeps its name.
    lights[3].state, lights[3].until_us = "open", 30_000_000
    assert "bedrock 30s" in shown(lights, 0, 58)


@given(
    st.lists(
        st.builds(
            Light,
            st.sampled_from(CHAIN),
            state=st.sampled_from(["closed", "open", "half_open", "forced_open", "disabled"]),
            until_us=st.none() | st.integers(0, 90_000_000),
            fault=st.none() | st.sampled_from(["503", "silent"]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(60, 200),
)
def test_every_provider_is_in_the_strip(lights: list[Light], width: int) -> None:
    pieces = strip_pieces(lights, 0, width)
    assert [id for id, _ in pieces] == [light.id for light in lights]
