"""A request that cannot be served is refused in one sentence, whatever it holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import InvalidRequestError
from providers.types import MAX_MODEL_CHARS, GenerationRequest

HALF = "caf\ud83d"


def refusal(**fields: Any) -> str:
    fields.setdefault("prompt", "Hi")
    with pytest.raises(InvalidRequestError) as caught:
        GenerationRequest(**fields).check()
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    return caught.value.message


@pytest.mark.parametrize("field", ["prompt", "system", "model", "tenant_id", "agent_id"])
@pytest.mark.parametrize("value", [5, b"Hi", ["Hi"], object(), True])
def test_what_is_no_text(field: str, value: object) -> None:
    said = refusal(**{field: value})
    assert said.startswith(f"{field} is ")
    assert "must be text" in said


@pytest.mark.parametrize("field", ["tenant_id", "agent_id"])
def test_who_asks_is_always_known(field: str) -> None:
    assert f"{field} is None" in refusal(**{field: None})
    assert f"{field} is ''" in refusal(**{field: ""})
    assert f"{field} is ' '" in refusal(**{field: " "})


@pytest.mark.parametrize(
    "fields",
    [
        *({field: HALF} for field in ("prompt", "system", "model", "tenant_id", "agent_id", "stop", "tool_choice")),
        {"stop": ["a", HALF]},
        {"messages": [{"role": "user", "content": HALF}]},
        {"messages": [{"role": HALF, "content": "Hi"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": HALF}]}]},
        {"messages": [{"role": "user", "content": "Hi", "name": HALF}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": HALF}}]}]},
        {"tools": [{"function": {"description": HALF}}]},
        {"tools": [{HALF: 1}]},
        {"response_format": {"type": HALF}},
    ],
)
def test_half_characters_are_refused_wherever_they_are(fields: dict[str, Any]) -> None:
    said = refusal(**fields)
    assert "is not valid Unicode text" in said
    assert next(iter(fields)) in said
    said.encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "warm"),
        ("temperature", True),
        ("temperature", float("nan")),
        ("temperature", 2.1),
        ("temperature", 1j),
        ("top_p", False),
        ("top_p", float("nan")),
        ("top_p", [1]),
        ("timeout", "5"),
        ("timeout", True),
        ("timeout", float("nan")),
        ("timeout", 0),
        ("timeout", -1),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("max_tokens", 0),
        ("max_tokens", "10"),
        pytest.param("max_tokens", 10**5000, id="more digits than Python writes"),
        ("seed", 2**63),
        ("seed", -(2**63) - 1),
        ("seed", 1.0),
        ("seed", False),
        ("stop", 5),
        ("stop", {"a"}),
        ("stop", ["a", 5]),
        ("messages", "Hi"),
        ("messages", {"role": "user"}),
        ("messages", 5),
        ("messages", ["Hi"]),
        ("messages", [{"content": "Hi"}]),
        ("messages", [{"role": "user", "content": 5}]),
        ("messages", [{"role": "user", "content": {"type": "text"}}]),
        ("messages", [{"role": "user", "content": ["Hi"]}]),
        ("messages", [{"role": "user", "content": [{"type": "text", "text": 5}]}]),
        ("messages", [{"role": "user", "content": "Hi", "extra": object()}]),
        ("messages", [{"role": "assistant", "tool_calls": 5}]),
        ("messages", [{"role": "assistant", "tool_calls": [5]}]),
        ("messages", [{"role": "assistant", "tool_calls": [{"function": "f"}]}]),
        ("tools", "search"),
        ("tools", {"type": "function"}),
        ("tools", [5]),
        ("tools", [{1: 2}]),
        ("tools", [{"function": {"parameters": {"enum": {1, 2}}}}]),
        ("tools", [{"function": {"parameters": {"maximum": float("inf")}}}]),
        ("tools", [{"function": {"parameters": {"maximum": 10**30}}}]),
        ("response_format", 5),
        ("response_format", {"type": b"json"}),
        ("tool_choice", ["auto"]),
        ("tool_choice", {"function": object()}),
        ("metadata", None),
        ("metadata", 5),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(field: str, value: object) -> None:
    assert field in refusal(**{field: value})


def test_the_value_is_shortened() -> None:
    assert "..." in refusal(temperature="x" * 10_000)


def test_what_contains_itself_ends() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "nested" in refusal(tools=[{"function": endless}])


def test_long_model_names() -> None:
    GenerationRequest("Hi", model="m" * MAX_MODEL_CHARS).check()
    assert "513 characters; the limit is 512" in refusal(model="m" * (MAX_MODEL_CHARS + 1))


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "Grüße 🙂"},
        {"prompt": None, "messages": [{"role": "user", "content": "é"}]},
        {"prompt": None, "messages": ({"role": "assistant", "content": None, "tool_calls": None},)},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url"}]}]},
        {"temperature": 1, "top_p": 0.5, "seed": -(2**63), "max_tokens": 1, "timeout": 0.1},
        {"seed": 2**63 - 1, "stop": "\n", "tool_choice": "auto", "response_format": "json"},
        {"stop": ("a", "b"), "tools": [{"function": {"parameters": {"maximum": 2.5, "enum": [None, True]}}}]},
        {"tools": (), "messages": []},
    ],
)
def test_what_is_right_passes(fields: dict[str, Any]) -> None:
    GenerationRequest(**{"prompt": "Hi", **fields}).check()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(HALF),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [f for f in GenerationRequest.__slots__ if f != "metadata"]


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_nothing_but_a_refusal_comes_out(fields: dict[str, Any]) -> None:
    request = GenerationRequest(**{"prompt": "Hi", **fields})
    try:
        request.check()
    except InvalidRequestError:
        return
    request.chat()
    request.last_user_text().encode()
    request.stop_list()
    request.wants_json()


def test_a_number_that_is_too_large_says_how_large_it_may_be() -> None:
    assert refusal(max_tokens=2**63).endswith(
        "it must be at least 1, a whole number of at most 9,223,372,036,854,775,807"
    )
