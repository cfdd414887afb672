"""What is particular to OpenAI's Responses API: items, flat tools, and streams that tell everything several times."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from providers import errors
from providers.dialects import dialect
from providers.dialects.base import Quirks
from providers.dialects.forms import RESPONSE_ITEMS
from providers.types import (
    Completion,
    GenerationRequest,
    ReasoningDelta,
    StreamEvent,
    StreamFinished,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
)
from tests.providers.dialects.recorded import decode, drain
from tests.providers.dialects.test_requests import SCHEMA, SCHEMA_FORMAT, TIME, TURNS, WEATHER, sent

NAME = "openai_responses"
RESPONSES = dialect(NAME)
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}


def asked(body: dict[str, Any]) -> GenerationRequest:
    return RESPONSES.decode_request(orjson.dumps({"model": "m", **body})).request


# --- requests -------------------------------------------------------------------------------------------------------


def test_plain_and_full() -> None:
    assert sent(NAME, GenerationRequest("Hi")) == {"model": "m", "input": "Hi"}
    request = GenerationRequest(
        "Hi",
        system="Be kind",
        temperature=0.5,
        top_p=0.9,
        max_tokens=70,
        stop="END",
        seed=3,
        response_format=SCHEMA_FORMAT,
        tools=[WEATHER, TIME],
        tool_choice={"type": "function", "function": {"name": "time"}},
        metadata={"parallel_tool_calls": False},
    )
    assert sent(NAME, request, stream=True) == {
        "model": "m",
        "input": "Hi",
        "instructions": "Be kind",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 70,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
        "tools": [
            {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA, "strict": False},
            {"type": "function", "name": "time", "parameters": {"type": "object", "properties": {}}, "strict": False},
        ],
        "tool_choice": {"type": "function", "name": "time"},
        "parallel_tool_calls": False,
        "stream": True,
    }


def test_quirks_are_data() -> None:
    request = GenerationRequest("Hi", temperature=0.5, top_p=0.5, max_tokens=1)
    quirks = Quirks(sampling=False, min_max_tokens=16, max_tokens_field="max_completion_tokens", extra_body={"a": 1})
    assert sent(NAME, request, quirks=quirks) == {"model": "m", "input": "Hi", "max_output_tokens": 16, "a": 1}


def test_a_vendor_without_schemas_is_told_in_words() -> None:
    request = GenerationRequest("Hi", system="Be kind", response_format=SCHEMA_FORMAT)
    body = sent(NAME, request, quirks=Quirks(json_schema=False))
    assert body["text"] == {"format": {"type": "json_object"}}
    assert body["instructions"].startswith("Be kind\n\nAnswer with one valid JSON value")
    assert orjson.dumps(SCHEMA).decode() in body["instructions"]


def test_a_conversation_becomes_items() -> None:
    messages = [{"role": "developer", "content": "Think"}, *TURNS]
    body = sent(NAME, GenerationRequest("Last", messages=messages, system="Be kind"))
    assert body["instructions"] == "Be kind"
    assert body["input"] == [
        {"role": "developer", "content": "Think"},
        {"role": "user", "content": "Weather and time?"},
        {"role": "assistant", "content": "Let me look."},
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": '{"x": 1}'},
        {"type": "function_call", "call_id": "b", "name": "time", "arguments": ""},
        {"type": "function_call_output", "call_id": "a", "output": "sunny"},
        {"type": "function_call_output", "call_id": "b", "output": "noon"},
        {"role": "user", "content": "And now?"},
        {"role": "user", "content": "Last"},
    ]
    again = asked(body)
    assert again.messages == [
        *({k: v for k, v in m.items() if k != "is_error"} for m in messages),
        {"role": "user", "content": "Last"},
    ]


PARTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "text", "text": "a"}, {"type": "input_text", "text": "a"}),
    (
        {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        {"type": "input_image", "image_url": "https://x/a.png", "detail": "auto"},
    ),
    (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
    ),
    (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    ),
    ({"type": "input_image", "file_id": "f"}, {"type": "input_image", "file_id": "f"}),
]


def test_parts_of_every_kind_and_back() -> None:
    request = GenerationRequest(messages=[{"role": "user", "content": [common for common, _ in PARTS]}])
    body = sent(NAME, request)
    assert body["input"] == [{"role": "user", "content": [own for _, own in PARTS]}]
    assert asked(body).messages == request.messages


def test_parts_of_an_assistants_turn_are_output() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]
    body = sent(NAME, GenerationRequest("Hi", messages=[{"role": "assistant", "content": parts}]))
    assert body["input"][0]["content"] == [{"type": "output_text", "text": "a"}, parts[1]]
    result = {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "sunny"}]}
    body = sent(NAME, GenerationRequest("Hi", messages=[result]))
    assert body["input"][0]["output"] == [{"type": "input_text", "text": "sunny"}]


def test_items_that_no_message_can_hold_come_back_where_they_were() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    items = [
        {"role": "user", "content": "a"},
        REASONING,
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        REASONING,
        search,
        {"role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
        REASONING,
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
        {"type": "item_reference", "id": "x"},
    ]
    request = asked({"input": items})
    assert [message.get(RESPONSE_ITEMS) for message in request.messages or ()] == [
        None, [REASONING], None, [REASONING, search], [REASONING], [items[-1]],
    ]  # fmt: skip
    assert sent(NAME, request)["input"] == items
    for other in ("openai_chat", "anthropic_messages", "ollama"):
        body = dialect(other).encode_request(request, model="m", stream=False, quirks=Quirks())
        assert b"gAAAA" not in body


def test_items_before_a_question_stay_before_it_and_other_formats_leave_them_out() -> None:
    called = {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"}
    given = {"type": "custom_tool_call_output", "call_id": "c1", "output": "secret"}
    items = [{"role": "user", "content": "a"}, REASONING, called, given, {"role": "user", "content": "b"}]
    request = asked({"input": items})
    assert sent(NAME, request)["input"] == items
    for other in ("openai_chat", "anthropic_messages", "bedrock_converse", "gemini"):
        body = orjson.loads(dialect(other).encode_request(request, model="m", stream=False, quirks=Quirks()))
        turns = body.get("messages") or body["contents"]
        assert {turn["role"] for turn in turns} == {"user"}
        assert b"secret" not in orjson.dumps(body)


def test_an_answers_reasoning_goes_back_with_the_turn() -> None:
    """What a caller does who keeps a conversation: the answer's text, calls and kept items as one message."""
    body = orjson.dumps(
        {
            "id": "resp_1", "model": "m", "status": "completed",
            "output": [REASONING, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}],
        }
    )  # fmt: skip
    answer = RESPONSES.decode_completion(body)
    assert answer.metadata == {RESPONSE_ITEMS: [REASONING]}
    assert (answer.reasoning_text, answer.stop) == (None, "tool_calls")
    (call,) = answer.tool_calls
    turn = {
        "role": "assistant",
        "content": answer.text,
        "tool_calls": [{"id": call.id, "type": "function", "function": {"name": call.name, "arguments": "{}"}}],
        **answer.metadata,
    }
    result = {"role": "tool", "tool_call_id": call.id, "content": "1"}
    assert [item.get("type") for item in sent(NAME, GenerationRequest(messages=[turn, result]))["input"]] == [
        "reasoning", "function_call", "function_call_output",
    ]  # fmt: skip
    assert RESPONSES.decode_completion(
        RESPONSES.encode_completion(answer, model="m", response_id="resp_1", created=0)
    ) == RESPONSES.decode_completion(body)


def test_fields_of_the_format_itself_travel_on_and_a_gateways_own_do_not() -> None:
    own = {
        "reasoning": {"effort": "low"}, "store": False, "previous_response_id": "resp_0", "include": ["x"],
        "text": {"verbosity": "low"}, "metadata": {"k": "v"},
    }  # fmt: skip
    request = asked({"input": "Hi", "fallbacks": ["a/b"], "stream_options": {"include_obfuscation": False}, **own})
    assert request.metadata[NAME] == {**own, "fallbacks": ["a/b"]}
    assert sent(NAME, request) == {"model": "m", "input": "Hi", **own}
    assert sent("openai_chat", request) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    request = asked({"input": "Hi", "text": {"format": {"type": "json_object"}, "verbosity": "low"}})
    assert request.response_format == {"type": "json_object"}
    assert sent(NAME, request)["text"] == {"verbosity": "low", "format": {"type": "json_object"}}


def test_tools_that_the_vendor_runs_itself_survive() -> None:
    body = {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}, "input": "Hi"}
    request = asked(body)
    assert request.tool_choice is None
    assert sent(NAME, request) == {"model": "m", **body}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "input is missing; it must be a string or a list of items"),
        ({"input": []}, r"input is '\[\]'; it must be a string or a list of items"),
        ({"input": ""}, "the prompt is empty"),
        ({"input": 7}, "input is '7'; it must be a string or a list of items"),
        ({"input": ["a"]}, "input is .* it must be a string or a list of items"),
        ({"input": [{"content": "a"}]}, r"input\[0\].role is None; use 'user'"),
        ({"input": [{"role": "tool", "content": "a"}]}, r"input\[0\].role is 'tool'"),
        ({"input": [{"role": "user"}]}, r"input\[0\].content is missing"),
        ({"input": [{"role": "user", "content": 7}]}, r"input\[0\].content is '7'; it must be a string or a list"),
        ({"input": [{"type": 7}]}, r"input\[0\].type is 7"),
        ({"input": [{"type": "function_call", "call_id": "a"}]}, r"input\[0\] is a function_call without a name"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": 7}]}, "arguments is '7'; it must be a string"),
        ({"input": [{"type": "function_call_output", "call_id": "a"}]}, r"input\[0\].output is missing"),
        ({"input": "a", "max_output_tokens": "x"}, "max_output_tokens is 'x'; it must be a number"),
        ({"input": "a", "text": {"format": {"type": "xml"}}}, "text.format.type is 'xml'; use 'text'"),
        ({"input": "a", "tools": [{"type": "function"}]}, "a function tool has no name"),
        ({"input": "a", "tool_choice": "any"}, "tool_choice is 'any'"),
        ({"input": "a", "temperature": 3}, "between 0 and 2"),
    ],
)
def test_a_body_that_is_no_such_request_is_refused_in_one_sentence(body: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=says):
        asked(body)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"role": "user", "content": [{"type": "video_url", "video_url": {}}]}, r"messages\[0\] has a part of type"),
        ({"role": "user", "content": [{"type": "file", "file": 7}]}, r"messages\[0\] has a file part without file"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "no image_url.url"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_in_one_sentence(message: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=says):
        sent(NAME, GenerationRequest(messages=[message]))


# --- answers --------------------------------------------------------------------------------------------------------


def response(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "m", "status": "completed", "output": list(output), **fields}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": list(parts)}


def output(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], **fields}


def test_an_answer_of_every_kind_of_item() -> None:
    note = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 2}
    body = response(
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "a"}]},
        {"type": "reasoning", "id": "s", "summary": [], "content": [{"type": "reasoning_text", "text": "b"}]},
        {"type": "web_search_call", "id": "w"},
        message(output("Hi", annotations=[note]), output(" there"), {"type": "refusal", "refusal": "no"}),
        {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"x":1}'},
    )
    answer = RESPONSES.decode_completion(orjson.dumps(body))
    assert (answer.text, answer.reasoning_text, answer.finish_reason, answer.stop) == (
        "Hi there",
        "ab",
        "completed",
        "tool_calls",
    )
    assert answer.tool_calls == [ToolCall("c", "f", '{"x":1}')]
    assert answer.metadata["refusal"] == "no"
    assert answer.metadata["annotations"] == [
        {"type": "url_citation", "url_citation": {k: v for k, v in note.items() if k != "type"}}
    ]
    assert [item["type"] for item in answer.metadata[RESPONSE_ITEMS]] == ["reasoning", "reasoning", "web_search_call"]
    again = RESPONSES.encode_completion(answer, model="m", response_id="resp_1", created=0)
    assert RESPONSES.decode_completion(again) == answer


@pytest.mark.parametrize(
    ("fields", "finish", "stop"),
    [
        ({}, "completed", "stop"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "max_output_tokens",
            "length",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "content_filter",
        ),
        ({"status": "incomplete", "incomplete_details": None}, "incomplete", "other"),
    ],
)
def test_why_an_answer_ended(fields: dict[str, Any], finish: str, stop: str) -> None:
    answer = RESPONSES.decode_completion(orjson.dumps(response(message(output("a")), **fields)))
    assert (answer.finish_reason, answer.stop) == (finish, stop)


@pytest.mark.parametrize(
    ("fields", "cls"),
    [
        ({"error": {"code": "server_error", "message": "x"}}, errors.ServiceUnavailableError),
        ({"error": {"code": "rate_limit_exceeded", "message": "x"}}, errors.RateLimitError),
        ({"error": {"code": "insufficient_quota", "message": "x"}}, errors.QuotaExhaustedError),
        ({"error": {"code": "invalid_image_url", "message": "x"}}, errors.InvalidRequestError),
        ({"error": {"code": "invalid_prompt", "message": "x"}}, errors.InvalidRequestError),
        (
            {"error": {"code": "invalid_prompt", "message": "flagged as potentially violating our usage policy"}},
            errors.ContentFilterError,
        ),
        ({"error": {"code": "image_content_policy_violation", "message": "x"}}, errors.ContentFilterError),
        ({"error": {"code": "context_length_exceeded", "message": "x"}}, errors.ContextLengthError),
        ({"error": {"code": "vector_store_timeout", "message": "x"}}, errors.ProviderTimeoutError),
        ({"error": {"code": "of_next_year", "message": "x"}}, errors.ServiceUnavailableError),
        ({"error": None}, errors.ServiceUnavailableError),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_failed_response_is_its_error_and_is_billed(
    fields: dict[str, Any], cls: type[errors.ProviderError], streamed: bool
) -> None:
    body = response(status="failed", usage={"input_tokens": 3, "output_tokens": 1}, **fields)
    if streamed:
        _, error = drain(RESPONSES.decoder(), events({"type": "response.failed", "response": body}))
    else:
        with pytest.raises(errors.ProviderError) as caught:
            RESPONSES.decode_completion(orjson.dumps(body))
        error = caught.value
    assert type(error) is cls
    assert error.billed == TokenUsage(3, 1)
    assert error.message == (fields["error"] or {}).get("message", "the provider ended the answer with status 'failed'")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (response(status="queued"), "not finished: its status is 'queued'"),
        (response(status="in_progress"), "not finished"),
        ({"id": "x", "choices": []}, "the answer has no output"),
        (response({"type": "function_call", "name": 7}), "not a response"),
        (response(message({"type": "output_text"})), "not a response"),
        (response(status=7), "not a response"),
    ],
)
def test_what_is_no_answer_is_malformed(body: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.MalformedResponseError, match=says):
        RESPONSES.decode_completion(orjson.dumps(body))


# --- streams --------------------------------------------------------------------------------------------------------


def events(*told: dict[str, Any]) -> list[bytes]:
    return [b"event: %s\ndata: %s\n\n" % (str(e.get("type")).encode(), orjson.dumps(e)) for e in told]


CREATED = {"type": "response.created", "response": response(status="in_progress")}
PART = {"item_id": "x", "output_index": 0, "content_index": 0}
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": message()}
DELTA = {"type": "response.output_text.delta", "delta": "Hi", **PART}
TEXT_DONE = {"type": "response.output_text.done", "text": "Hi", **PART}
PART_DONE = {"type": "response.content_part.done", "part": output("Hi"), **PART}
ITEM_DONE = {"type": "response.output_item.done", "output_index": 0, "item": message(output("Hi"))}
COMPLETED = {"type": "response.completed", "response": response(message(output("Hi")))}


@pytest.mark.parametrize(
    "told",
    [
        [CREATED, ADDED, DELTA, TEXT_DONE, PART_DONE, ITEM_DONE, COMPLETED],
        [CREATED, ADDED, TEXT_DONE, PART_DONE, ITEM_DONE, COMPLETED],
        [CREATED, ADDED, PART_DONE, ITEM_DONE, COMPLETED],
        [CREATED, ITEM_DONE, COMPLETED],
        [CREATED, DELTA, COMPLETED],
        [DELTA, COMPLETED],
        [COMPLETED],
        [CREATED, {**PART_DONE, "type": "response.content_part.added"}, TEXT_DONE, ITEM_DONE, COMPLETED],
    ],
)
def test_a_text_counts_once_however_often_it_is_told(told: list[dict[str, Any]]) -> None:
    seen, error = drain(RESPONSES.decoder(), events(*told))
    assert error is None
    assert [e.text for e in seen if isinstance(e, TextDelta)] == ["Hi"]
    last = seen[-1]
    assert isinstance(last, StreamFinished)
    assert (last.completion.text, last.completion.stop, last.completion.model) == ("Hi", "stop", "m")


def test_the_same_words_in_two_parts_are_two_texts() -> None:
    second = {**DELTA, "content_index": 1}
    third = {**DELTA, "output_index": 1}
    completion, _ = decode(RESPONSES, events(CREATED, DELTA, TEXT_DONE, second, third, COMPLETED))
    assert completion.text == "HiHiHi"


CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": ""}
WHOLE_CALL = {**CALL, "arguments": '{"x":1}'}
CALL_ADDED = {"type": "response.output_item.added", "output_index": 1, "item": CALL}
CALL_PIECES = [
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": piece} for piece in ('{"x"', ":1}")
]
CALL_WHOLE = {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": '{"x":1}'}
CALL_DONE = {"type": "response.output_item.done", "output_index": 1, "item": WHOLE_CALL}


@pytest.mark.parametrize(
    "told",
    [
        [CALL_ADDED, *CALL_PIECES, CALL_WHOLE, CALL_DONE],
        [CALL_ADDED, CALL_WHOLE, CALL_DONE],
        [CALL_ADDED, CALL_DONE],
        [CALL_DONE],
        [{**CALL_ADDED, "item": WHOLE_CALL}, CALL_DONE],
        [],
    ],
)
def test_a_call_counts_once_however_often_it_is_told(told: list[dict[str, Any]]) -> None:
    seen, error = drain(
        RESPONSES.decoder(), events(CREATED, *told, {"type": "response.completed", "response": response(WHOLE_CALL)})
    )
    assert error is None
    last = seen[-1]
    assert isinstance(last, StreamFinished)
    assert last.completion.tool_calls == [ToolCall("c", "f", '{"x":1}')]
    assert last.completion.stop == "tool_calls"
    pieces = [event for event in seen if isinstance(event, ToolCallDelta)]
    assert (pieces[0].id, pieces[0].name) == ("c", "f")
    assert "".join(piece.arguments for piece in pieces) == '{"x":1}'


def test_calls_whose_pieces_come_in_turns_stay_apart() -> None:
    encoder = RESPONSES.encoder(model="m", response_id="r", created=0)
    told = [
        ToolCallDelta(0, "a", "f"), ToolCallDelta(0, arguments='{"x"'), ToolCallDelta(1, "b", "g", '{"y"'),
        ToolCallDelta(0, arguments=":1}"), ToolCallDelta(1, arguments=":2}"),
    ]  # fmt: skip
    body = encoder.start() + b"".join(encoder.event(event) for event in told)
    body += encoder.finish(Completion(None, None, None, "tool_calls"))
    completion, _ = decode(RESPONSES, [body])
    assert completion.tool_calls == [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}')]
    done = [orjson.loads(block.split(b"data: ")[1]) for block in body.split(b"\n\n") if b"output_item.done" in block]
    assert [item["item"]["arguments"] for item in done] == ['{"x":1}', '{"y":2}']


def written(*told: StreamEvent, finish: Completion) -> list[dict[str, Any]]:
    """The events that the encoder writes."""
    encoder = RESPONSES.encoder(model="m", response_id="r", created=0)
    body = encoder.start() + b"".join(encoder.event(event) for event in told) + encoder.finish(finish)
    return [orjson.loads(block.split(b"data: ")[1]) for block in body.split(b"\n\n") if block]


def test_a_text_is_closed_before_a_call_begins_and_the_answer_has_all_in_order() -> None:
    told = written(
        TextDelta("a"), ToolCallDelta(0, "c", "f", "{}"), TextDelta("b"),
        finish=Completion("ab", None, None, "tool_calls"),
    )  # fmt: skip
    items = [(e["type"].rpartition(".")[2], e["output_index"]) for e in told if "output_item" in e["type"]]
    assert items == [("added", 0), ("done", 0), ("added", 1), ("added", 2), ("done", 2), ("done", 1)]
    output = told[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message"]
    assert [event["item"] for event in told if event["type"] == "response.output_item.done"] == [
        output[0], output[2], output[1],
    ]  # fmt: skip
    assert len({item["id"] for item in output}) == 3


def test_citations_come_through_a_stream() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://x", "title": "X"}}
    said = Completion(
        "a", None, "completed", "stop", metadata={"annotations": [note, {"type": "file_path", "index": 1}]}
    )
    told = written(TextDelta("a"), finish=said)
    assert told[-1]["response"]["output"][0]["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "https://x", "title": "X"}, {"type": "file_path", "index": 1},
    ]  # fmt: skip
    completion, _ = decode(RESPONSES, events(*told))
    assert completion.metadata == said.metadata


@pytest.mark.parametrize(("sent_", "raw"), [(0, None), (7, 7)])
def test_a_zero_of_cache_writes_says_nothing(sent_: int, raw: int | None) -> None:
    usage = {"input_tokens": 9, "output_tokens": 1, "input_tokens_details": {"cache_write_tokens": sent_}}
    answer = RESPONSES.decode_completion(orjson.dumps(response(usage=usage)))
    assert answer.raw_usage.cache_write_tokens == raw
    assert answer.usage == TokenUsage(9, 1, cache_write_tokens=sent_)


def test_summaries_and_thinking_are_both_reasoning_and_come_once() -> None:
    summary = {"output_index": 0, "summary_index": 0}
    thought = {"output_index": 1, "content_index": 0}
    items: list[dict[str, Any]] = [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "e"},
        {"type": "reasoning", "id": "s", "summary": [], "content": [{"type": "reasoning_text", "text": "bc"}]},
    ]
    told = events(
        CREATED,
        {"type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""}, **summary},
        {"type": "response.reasoning_summary_text.delta", "delta": "a", **summary},
        {"type": "response.reasoning_summary_text.done", "text": "a", **summary},
        {"type": "response.reasoning_summary_part.done", "part": {"type": "summary_text", "text": "a"}, **summary},
        {"type": "response.output_item.done", "output_index": 0, "item": items[0]},
        {"type": "response.reasoning_text.delta", "delta": "b", **thought},
        {"type": "response.reasoning_text.delta", "delta": "c", **thought},
        {"type": "response.reasoning_text.done", "text": "bc", **thought},
        {"type": "response.output_item.done", "output_index": 1, "item": items[1]},
        {"type": "response.completed", "response": response(*items)},
    )
    seen, error = drain(RESPONSES.decoder(), told)
    assert error is None
    assert [e.text for e in seen if isinstance(e, ReasoningDelta)] == ["a", "b", "c"]
    last = seen[-1]
    assert isinstance(last, StreamFinished)
    assert (last.completion.reasoning_text, last.completion.text) == ("abc", None)
    assert last.completion.metadata == {RESPONSE_ITEMS: items}


def test_events_of_the_vendors_own_tools_and_of_next_year_change_nothing() -> None:
    told = events(
        CREATED,
        {"type": "response.queued", "response": response(status="queued")},
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "w"},
        {"type": "response.image_generation_call.partial_image", "partial_image_b64": "x"},
        {"type": "response.mcp_call_arguments.delta", "delta": "x"},
        {"type": "response.of_next_year"},
        DELTA,
        {"type": "response.output_text.annotation.added", "annotation": {}, **PART},
        COMPLETED,
    )
    completion, error = decode(RESPONSES, told)
    assert error is None
    assert completion.text == "Hi"


def test_an_incomplete_response_ends_cleanly_and_says_why() -> None:
    told = response(
        message(output("Hi")), status="incomplete", incomplete_details={"reason": "max_output_tokens"},
        usage={"input_tokens": 3, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 1}},
    )  # fmt: skip
    completion, error = decode(RESPONSES, events(CREATED, DELTA, {"type": "response.incomplete", "response": told}))
    assert error is None
    assert (completion.text, completion.finish_reason, completion.stop) == ("Hi", "max_output_tokens", "length")
    assert completion.usage == TokenUsage(3, 1, reasoning_tokens=1)


FLAT = {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None, "sequence_number": 3}
NESTED = {"type": "error", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "slow down"}}


@pytest.mark.parametrize("event", [FLAT, NESTED])
@pytest.mark.parametrize("named", [True, False])
def test_an_error_event_is_its_error_flat_or_nested(event: dict[str, Any], named: bool) -> None:
    told = events(CREATED, DELTA, event)
    if not named:
        told[-1] = b"data: " + told[-1].split(b"data: ")[1]
    seen, error = drain(RESPONSES.decoder(), told)
    assert type(error) is errors.RateLimitError
    assert (error.code, error.message) == ("rate_limit_exceeded", "slow down")
    assert error.error_type == ("tokens" if event is NESTED else None)
    assert [e.text for e in seen if isinstance(e, TextDelta)] == ["Hi"]


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"])
def test_nothing_but_the_last_event_is_an_end(end: bytes) -> None:
    _, error = drain(RESPONSES.decoder(), [*events(CREATED, ADDED, DELTA, TEXT_DONE, PART_DONE, ITEM_DONE), end])
    assert type(error) is errors.StreamInterruptedError
    assert error.partial_text == "Hi"


def test_a_sentinel_before_the_last_event_is_not_waited_upon() -> None:
    decoder = RESPONSES.decoder()
    decoder.feed(b"".join(events(CREATED, DELTA)) + b"data: [DONE]\n\n")
    assert type(decoder.failure) is errors.StreamInterruptedError


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"delta": {"content": "a"}}]},
        {"type": 7},
        {"type": "response.output_text.delta", "delta": 7},
        {"type": "response.output_text.delta", "output_index": [], "delta": "a"},
        {"type": "response.output_item.done", "output_index": 0},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call"}},
        {"type": "response.completed"},
        {"type": "response.completed", "response": {"status": 7}},
        {"type": "response.created"},
    ],
)
def test_an_event_that_cannot_be_read_is_malformed(event: dict[str, Any]) -> None:
    seen, error = drain(RESPONSES.decoder(), [b"".join(events(CREATED, DELTA, event, COMPLETED))])
    assert type(error) is errors.MalformedResponseError
    assert [e.text for e in seen if isinstance(e, TextDelta)] == ["Hi"]


def test_a_failure_is_told_as_openai_tells_it() -> None:
    encoder = RESPONSES.encoder(model="m", response_id="r", created=0)
    body = encoder.start() + encoder.error(errors.ServiceUnavailableError("down"))
    told = [orjson.loads(block.split(b"data: ")[1]) for block in body.split(b"\n\n") if block]
    assert [event["type"] for event in told] == ["response.created", "response.in_progress", "error", "response.failed"]
    assert [event["sequence_number"] for event in told] == [0, 1, 2, 3]
    assert told[2]["error"] == {
        "message": "down", "type": "server_error", "param": None, "code": "server_is_overloaded",
    }  # fmt: skip
    assert (told[3]["response"]["status"], told[3]["response"]["error"]["message"]) == ("failed", "down")
    # Whoever ignores the first event learns the same from the last.
    _, error = drain(RESPONSES.decoder(), events(told[0], told[3]))
    assert type(error) is errors.ServiceUnavailableError
