"""Conversations that began with one vendor and go on with another, which refuses what the first one takes."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from providers.types import GenerationRequest
from tests.providers.dialects.test_requests import sent

# --- what was refused before ----------------------------------------------------------------------------------------

REFUSALS: list[dict[str, Any]] = [
    {"role": "assistant", "content": None, "refusal": "I cannot."},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["beside", "as a part"])
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai_chat", "m"),
        ("openai_responses", "m"),
        ("openai_completions", "m"),
        ("anthropic_messages", "claude-haiku-4-5"),
        ("bedrock_converse", "amazon.nova-lite-v1:0"),
        ("bedrock_invoke", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("bedrock_invoke", "meta.llama3-8b-instruct-v1:0"),
        ("gemini", "gemini-2.5-flash"),
        ("ollama", "m"),
    ],
)
def test_an_answer_that_was_refused_is_part_of_the_conversation_everywhere(
    name: str, model: str, refusal: dict[str, Any]
) -> None:
    ask = {"role": "user", "content": "Do it."}
    body = orjson.dumps(sent(name, GenerationRequest(messages=[ask, refusal, ask]), model=model))
    assert body.count(b"I cannot.") == 1
    assert (b"refusal" in body) is (name in ("openai_chat", "openai_responses"))


# --- ids of calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ident", ["functions.weather:0", "a|b", "ü", "", "x" * 65])
@pytest.mark.parametrize(
    ("name", "model", "call", "result"),
    [
        ("anthropic_messages", "claude-haiku-4-5", ("id",), ("tool_use_id",)),
        ("bedrock_invoke", "anthropic.claude-3-haiku-20240307-v1:0", ("id",), ("tool_use_id",)),
        ("bedrock_converse", "amazon.nova-lite-v1:0", ("toolUse", "toolUseId"), ("toolResult", "toolUseId")),
    ],
)
def test_another_vendors_id_of_a_call_becomes_one_that_is_taken(
    name: str, model: str, call: tuple[str, ...], result: tuple[str, ...], ident: str
) -> None:
    function = {"name": "weather", "arguments": "{}"}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"id": ident, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": ident, "content": "sunny"},
    ]
    turns = sent(name, GenerationRequest(messages=messages), model=model)["messages"]
    used, given = turns[1]["content"][0], turns[2]["content"][0]
    for step in call:
        used = used[step]
    for step in result:
        given = given[step]
    assert used == given
    assert re.fullmatch("[A-Za-z0-9_-]{1,64}", used)


def test_an_id_that_is_taken_stays_as_it_is_and_two_stay_apart() -> None:
    ids = ["toolu_01-A", "a.b", "a:b"]
    calls = [{"id": ident, "type": "function", "function": {"name": "f", "arguments": "{}"}} for ident in ids]
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": calls}]
    used = sent("anthropic_messages", GenerationRequest(messages=messages), model="m")["messages"][1]["content"]
    assert used[0]["id"] == "toolu_01-A"
    assert len({block["id"] for block in used}) == 3


# --- what a tool shows ----------------------------------------------------------------------------------------------

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


def looked(*results: Any) -> GenerationRequest:
    """A turn in which tools were called together, with their results, and a question after it."""
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "look", "arguments": "{}"}} for n in range(2)]
    told = [{"role": "tool", "tool_call_id": f"c{n}", "content": result} for n, result in enumerate(results)]
    ask = {"role": "user", "content": "Hi"}
    return GenerationRequest(messages=[ask, {"role": "assistant", "content": None, "tool_calls": calls}, *told, ask])


def test_openai_takes_only_text_of_a_tool_so_the_user_shows_the_rest() -> None:
    text = {"type": "text", "text": "see"}
    messages = sent("openai_chat", looked([text, IMAGE], [IMAGE]))["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert [message["content"] for message in messages[2:5]] == [[text], "", [IMAGE, IMAGE]]
    unanswered = GenerationRequest(messages=looked([IMAGE], "ok").messages[:-1])  # type: ignore[index]
    assert sent("openai_chat", unanswered)["messages"][-1] == {"role": "user", "content": [IMAGE]}
    plain = looked([text], "ok")
    assert sent("openai_chat", plain)["messages"] == plain.messages


@pytest.mark.parametrize(("model", "inside"), [("gemini-3-pro", True), ("gemini-2.5-flash", False)])
def test_gemini_takes_what_a_tool_shows_since_its_third_generation(model: str, inside: bool) -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    contents = sent("gemini", looked(["see", IMAGE], "ok"), model=model)["contents"]
    results = [one["functionResponse"] for one in contents[2]["parts"]]
    assert [result.get("parts") for result in results] == [[part] if inside else None, None]
    assert contents[3:] == [*([] if inside else [{"role": "user", "parts": [part]}]), contents[0]]
    unanswered = GenerationRequest(messages=looked([IMAGE], "ok").messages[:-1])  # type: ignore[index]
    last = sent("gemini", unanswered, model=model)["contents"][-1]["parts"]
    assert (part in last) is not inside


def test_gemini_refuses_empty_texts_so_none_are_sent() -> None:
    said = ["Hi", "", None, [{"type": "text", "text": ""}], ["", "Go on"]]
    messages = [{"role": role, "content": content} for content in said for role in ("user", "assistant")]
    body = sent("gemini", GenerationRequest(messages=[{"role": "system", "content": ""}, *messages]))
    assert "systemInstruction" not in body
    turns = [(turn["role"], turn["parts"]) for turn in body["contents"]]
    assert turns == [(role, [{"text": text}]) for text in ("Hi", "Go on") for role in ("user", "model")]


# --- who begins -----------------------------------------------------------------------------------------------------

CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "1"}


@pytest.mark.parametrize(
    ("name", "model", "greeting", "calling"),
    [
        ("openai_chat", "m", "assistant", "assistant"),
        ("anthropic_messages", "m", "user", "user"),
        ("bedrock_converse", "amazon.nova-lite-v1:0", "user", "user"),
        ("bedrock_converse", "mistral.mistral-7b-instruct-v0:2", "user", "user"),
        ("gemini", "gemini-2.5-flash", "model", "user"),
    ],
)
def test_the_user_says_something_first_where_the_assistant_may_not(
    name: str, model: str, greeting: str, calling: str
) -> None:
    greet = {"role": "assistant", "content": "How may I help?"}
    for first, role in ((greet, greeting), (CALLING, calling)):
        rest = [RESULT] if first is CALLING else []
        body = sent(name, GenerationRequest("Hi", messages=[first, *rest]), model=model)
        turns = body.get("messages") or body["contents"]
        assert turns[0]["role"] == role
        assert turns[1 if role == "user" else 0]["role"] in ("assistant", "model")


def test_gemini_takes_a_call_only_after_another_side_so_turns_of_the_model_are_one() -> None:
    said = {"role": "assistant", "content": "Let me look."}
    contents = sent(
        "gemini", GenerationRequest("Hi", messages=[{"role": "user", "content": "a"}, said, CALLING, RESULT])
    )
    roles = [turn["role"] for turn in contents["contents"]]
    assert roles == ["user", "model", "user", "user"]
    assert [next(iter(part)) for part in contents["contents"][1]["parts"]] == ["text", "functionCall"]
