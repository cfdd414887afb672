"""Google's own ways: both framings of a stream, signatures, spellings, schemas, and what its answers mean."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import errors
from providers.dialects import api_of, dialect, spoken
from providers.dialects.base import DecodedRequest, Quirks, StreamDecoder
from providers.dialects.gemini.framing import END, ArraySplitter
from providers.dialects.gemini.tools import json_schema_of
from providers.dialects.lines import MAX_PIECE
from providers.errors import MalformedResponseError, StreamInterruptedError
from providers.types import (
    Completion,
    GenerationRequest,
    StreamFinished,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
    UsageReported,
)
from tests.providers.dialects.recorded import cut, decode, drain

GEMINI = dialect("gemini")
PATH = "/v1beta/models/gemini-2.5-flash:generateContent"


def chunk(*parts: object, finish: object = None, usage: dict[str, int] | None = None, **fields: object) -> bytes:
    """One answer of a stream, or a whole one."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r1", **fields}
    if usage is not None:
        body["usageMetadata"] = usage
    return orjson.dumps(body)


def text(words: str, **fields: object) -> dict[str, object]:
    return {"text": words, **fields}


def sse(*chunks: bytes) -> bytes:
    return b"".join(b"data: " + one + b"\r\n\r\n" for one in chunks)


def array(*chunks: bytes) -> bytes:
    return b"[" + b"\n,\r\n".join(chunks) + b"\n]"


def texts(events: list[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDelta)]


USAGE = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}


# --- which dialect speaks -------------------------------------------------------------------------------------------


def test_the_path_tells_how_a_stream_is_framed() -> None:
    path = "/v1beta/models/m:streamGenerateContent"
    assert spoken("streamGenerateContent", f"{path}?alt=sse").name == "gemini"
    assert spoken("streamGenerateContent", path).name == "gemini_array"
    assert spoken("generateContent", "/v1beta/models/m:generateContent").name == "gemini"
    assert (api_of("gemini"), api_of("gemini", stream=True)) == ("generateContent", "streamGenerateContent")


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", False),
        ("/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini-2.5-flash", True),
        ("/gemini/v1beta/models/gemini%2D2.5:streamGenerateContent", "gemini-2.5", True),
        ("/v1beta/tunedModels/my-own:generateContent", "my-own", False),
        (
            "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
            "gemini-2.5-pro",
            True,
        ),
        ("/v1/projects/p/locations/l/endpoints/123:generateContent?%24alt=json%3Benum-encoding%3Dint", "123", False),
        ("", None, False),
    ],
)
def test_model_and_streaming_are_in_the_path(path: str, model: str | None, stream: bool) -> None:
    asked = GEMINI.decode_request(b'{"contents":[{"parts":[{"text":"Hi"}]}]}', path=path)
    assert (asked.request.model, asked.stream, asked.include_usage) == (model, stream, True)


# --- requests in ----------------------------------------------------------------------------------------------------


def read(path: str = PATH, **body: object) -> DecodedRequest:
    return GEMINI.decode_request(orjson.dumps({"contents": [{"parts": [{"text": "Hi"}]}], **body}), path=path)


def test_both_spellings_mean_the_same() -> None:
    """Names within arguments, results and schemas' properties are the caller's own and stay."""
    camel = {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "get_it", "args": {"max_size": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "get_it", "response": {"the_size": 2}}}]},
        ],
        "generationConfig": {
            "maxOutputTokens": 9, "topP": 0.5, "topK": 3, "stopSequences": ["END"],
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object", "properties": {"max_size": {"type": "integer"}}},
            "thinkingConfig": {"thinkingBudget": 0},
        },
        "tools": [{"functionDeclarations": [
            {"name": "get_it", "parametersJsonSchema": {"properties": {"max_size": {"type": "integer"}}}}
        ]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_it"]}},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    }  # fmt: skip
    snake = orjson.dumps(camel)
    for name in (
        "systemInstruction", "inlineData", "mimeType", "functionCall", "functionResponse", "generationConfig",
        "maxOutputTokens", "topP", "topK", "stopSequences", "responseMimeType", "responseJsonSchema", "thinkingConfig",
        "functionDeclarations", "parametersJsonSchema", "toolConfig", "functionCallingConfig", "allowedFunctionNames",
        "safetySettings",
    ):  # fmt: skip
        spelt = "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)
        snake = snake.replace(f'"{name}"'.encode(), f'"{spelt}"'.encode())
    one = GEMINI.decode_request(orjson.dumps(camel), path=PATH)
    assert GEMINI.decode_request(snake, path=PATH) == one
    request = one.request
    assert (request.system, request.max_tokens, request.top_p, request.stop) == ("Be kind.", 9, 0.5, ["END"])
    assert request.tool_choice == {"type": "function", "function": {"name": "get_it"}}
    assert request.tools is not None
    assert request.tools[0]["function"]["parameters"]["properties"] == {"max_size": {"type": "integer"}}
    user, call, result = request.chat()[1:]
    assert user["content"][1]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert orjson.loads(call["tool_calls"][0]["function"]["arguments"]) == {"max_size": 1}
    assert orjson.loads(result["content"]) == {"the_size": 2}
    assert result["tool_call_id"] == call["tool_calls"][0]["id"]
    again = orjson.loads(GEMINI.encode_request(request, model="gemini-3.8-flash", stream=False, quirks=Quirks()))
    assert again["safetySettings"] == camel["safetySettings"]
    assert again["generationConfig"] == camel["generationConfig"]
    assert again["tools"] == camel["tools"]
    assert again["toolConfig"] == camel["toolConfig"]


def test_one_object_stands_for_a_list_of_one() -> None:
    asked = GEMINI.decode_request(
        b'{"system_instruction":{"parts":{"text":"Be kind."}},"contents":{"parts":{"text":"Hi"}},'
        b'"tools":{"function_declarations":{"name":"f"}}}',
        path=PATH,
    )
    assert asked.request.system == "Be kind."
    assert asked.request.last_user_text() == "Hi"
    assert asked.request.tools == [{"type": "function", "function": {"name": "f"}}]


def test_google_schemas_become_plain_ones() -> None:
    theirs = {
        "type": "OBJECT", "required": ["name"], "propertyOrdering": ["name", "ages"],
        "properties": {
            "name": {"type": "STRING", "nullable": True, "maxLength": "40", "enum": ["A", "B"]},
            "ages": {"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "1"},
            "either": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}]},
            "type": {"type": "TYPE_UNSPECIFIED"},
        },
    }  # fmt: skip
    assert json_schema_of(theirs) == {
        "type": "object", "required": ["name"], "propertyOrdering": ["name", "ages"],
        "properties": {
            "name": {"type": ["string", "null"], "maxLength": 40, "enum": ["A", "B"]},
            "ages": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            "either": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
            "type": {},
        },
    }  # fmt: skip
    declared = read(tools=[{"functionDeclarations": [{"name": "f", "parameters": theirs}]}]).request.tools
    assert declared is not None
    assert declared[0]["function"]["parameters"] == json_schema_of(theirs)
    form = read(generationConfig={"responseMimeType": "application/json", "responseSchema": theirs}).request
    assert form.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": json_schema_of(theirs)},
    }


def test_a_schema_without_end_is_refused_and_a_number_without_end_is_kept() -> None:
    deep: dict[str, Any] = {}
    for _ in range(240):
        deep = {"items": deep}
    with pytest.raises(errors.InvalidRequestError, match="nested more than 100 levels"):
        read(tools=[{"functionDeclarations": [{"name": "f", "parameters": deep}]}])
    assert json_schema_of({"maxLength": "9" * 5000}) == {"maxLength": "9" * 5000}


def test_results_find_their_calls_without_ids() -> None:
    calls = [{"functionCall": {"name": "f", "args": {"n": n}}} for n in (1, 2)]
    results = [{"functionResponse": {"name": "f", "response": {"result": f"r{n}"}}} for n in (1, 2)]
    asked = read(contents=[{"parts": [text("Hi")]}, {"role": "model", "parts": calls}, {"parts": results}])
    _, answer, first, second = asked.request.chat()
    ids = [call["id"] for call in answer["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(m["tool_call_id"], m["content"]) for m in (first, second)] == [(ids[0], "r1"), (ids[1], "r2")]


def test_a_failed_call_is_told_as_an_error_both_ways() -> None:
    request = GenerationRequest(
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "no such file", "is_error": True},
        ]
    )
    sent = GEMINI.encode_request(request, model="gemini-2.5-flash", stream=False, quirks=Quirks())
    result = orjson.loads(sent)["contents"][2]["parts"][0]["functionResponse"]
    assert result == {"name": "f", "id": "c", "response": {"error": "no such file"}}
    back = GEMINI.decode_request(sent, path=PATH).request.chat()[2]
    assert (back["content"], back["is_error"]) == ("no such file", True)


def test_parts_without_a_common_form_are_handed_through() -> None:
    parts: list[dict[str, Any]] = [
        {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://bucket/film.mp4"}},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "mediaResolution": {"level": "LOW"}},
        {"inlineData": {"mimeType": "audio/mpeg", "data": "aGk="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/dog.jpeg?x=1"}},
    ]
    request = read(contents=[{"role": "user", "parts": parts}]).request
    content = request.chat()[0]["content"]
    assert content[:2] == parts[:2]
    assert content[2] == {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}}
    assert content[3] == {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}
    assert content[4]["image_url"]["url"] == "https://example.com/dog.jpeg?x=1"
    sent = orjson.loads(GEMINI.encode_request(request, model="m", stream=False, quirks=Quirks()))
    parts[2]["inlineData"]["mimeType"] = "audio/mp3"
    assert sent["contents"][0]["parts"] == parts


def test_tools_that_google_runs_itself_are_handed_through() -> None:
    asked = read(tools=[{"google_search": {}}, {"functionDeclarations": [{"name": "f"}]}], toolConfig={})
    sent = orjson.loads(GEMINI.encode_request(asked.request, model="m", stream=False, quirks=Quirks()))
    assert sent["tools"] == [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]


@pytest.mark.parametrize(
    ("config", "choice", "kept"),
    [
        ({"mode": "AUTO"}, "auto", False),
        ({"mode": "NONE"}, "none", False),
        ({"mode": "any"}, "required", False),
        ({"mode": "MODE_UNSPECIFIED"}, None, False),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, {"type": "function", "function": {"name": "f"}}, False),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, "required", True),
        ({"mode": "VALIDATED"}, "auto", True),
    ],
)
def test_how_functions_may_be_called(config: dict[str, Any], choice: object, kept: bool) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
    request = read(tools=tools, toolConfig={"functionCallingConfig": config}).request
    assert request.tool_choice == choice
    sent = orjson.loads(GEMINI.encode_request(request, model="m", stream=False, quirks=Quirks()))
    if kept:
        assert sent["toolConfig"] == {"functionCallingConfig": config}
    elif choice is None:
        assert "toolConfig" not in sent
    else:
        assert sent["toolConfig"]["functionCallingConfig"]["mode"] == config["mode"].upper()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"contents": []}, "contents is missing"),
        ({"contents": 7}, "contents is '7'; it must be a list of objects"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, r"contents\[0\].role is 'assistant'"),
        ({"contents": [{"parts": [{"text": 7}]}]}, r"contents\[0\] has a text that is not a string"),
        ({"contents": [{"parts": 7}]}, "parts is '7'"),
        ({"contents": [{"role": "model", "parts": [{"functionCall": 7}]}]}, "functionCall is '7'"),
        ({"contents": [{"parts": [{"functionResponse": {"response": 7}}]}]}, "response is '7'"),
        ({"generationConfig": 7}, "generationConfig is '7'"),
        ({"generationConfig": {"temperature": "hot"}}, "temperature is 'hot'"),
        ({"generationConfig": {"candidateCount": 2}}, "candidateCount is 2"),
        ({"generationConfig": {"responseMimeType": "text/html"}}, "responseMimeType is 'text/html'"),
        ({"generationConfig": {"responseSchema": []}}, "responseSchema is"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "a function declaration has no name"),
        ({"tools": [7]}, "tools is"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "mode is 'SOME'; use AUTO"),
        ({"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": 7}}}, "allowedFunctionNames must be"),
        ({"systemInstruction": "Be kind."}, "systemInstruction is 'Be kind.'"),
    ],
)
def test_a_wrong_request_is_refused_with_its_place(body: dict[str, Any], complaint: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=complaint):
        read(**body)


# --- requests out ---------------------------------------------------------------------------------------------------


def sent(model: str = "gemini-2.5-flash", **request: Any) -> dict[str, Any]:
    request.setdefault("prompt", "Hi")
    encoded = GEMINI.encode_request(GenerationRequest(**request), model=model, stream=False, quirks=Quirks())
    body: dict[str, Any] = orjson.loads(encoded)
    return body


def test_a_plain_request_is_no_more_than_its_turn() -> None:
    assert sent() == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


def test_results_of_calls_that_were_made_together_share_a_turn() -> None:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (1, 2)]
    contents = sent(
        prompt=None,
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": '{"two": 2}'},
            {"role": "user", "content": "And?"},
        ],
    )["contents"]
    assert [turn["role"] for turn in contents] == ["user", "model", "user", "user"]
    assert [part["functionResponse"]["response"] for part in contents[2]["parts"]] == [{"result": "one"}, {"two": 2}]


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"role": "tool", "tool_call_id": "c", "content": "x"}, r"messages\[1\] is the result of a call that no"),
        ({"role": "user", "content": [{"type": "video_url"}]}, r"messages\[1\] has a part of type 'video_url'"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, r"messages\[1\] has a file"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, r"messages\[1\] has an input_audio part"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}]},
            r"messages\[1\]: the arguments of tool call 'f'",
        ),
    ],
)
def test_what_gemini_cannot_be_asked(message: dict[str, Any], complaint: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=complaint):
        sent(prompt=None, messages=[{"role": "user", "content": "Hi"}, message])


def test_a_seed_fits_into_32_bits() -> None:
    for seed in (0, 7, 2**31 - 1, -(2**31)):
        assert sent(seed=seed)["generationConfig"]["seed"] == seed
    for seed in (2**31, 2**62, -(2**40)):
        assert 0 <= sent(seed=seed)["generationConfig"]["seed"] < 2**31


# --- signatures -----------------------------------------------------------------------------------------------------

SIGNED = [
    text("hm", thought=True),
    text("Let me look."),
    {"functionCall": {"name": "f", "args": {}, "id": "c0"}, "thoughtSignature": "sig-call"},
    {"functionCall": {"name": "g", "args": {}, "id": "c1"}},
]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3.8-flash"])
@pytest.mark.parametrize("streamed", [False, True])
def test_signatures_are_sent_back_where_they_came_from(streamed: bool, model: str) -> None:
    if streamed:
        body = sse(*(chunk(part) for part in SIGNED), chunk(text("", thoughtSignature="sig-text"), finish="STOP"))
        answer, _ = decode(GEMINI, [body])
    else:
        answer = GEMINI.decode_completion(chunk(*SIGNED, text("", thoughtSignature="sig-text"), finish="STOP"))
    assert answer.reasoning_text == "hm"
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in answer.tool_calls
    ]
    message = {
        "role": "assistant",
        "content": answer.text,
        "tool_calls": calls,
        "thought_signatures": answer.metadata["thought_signatures"],
    }
    turn = sent(model, prompt=None, messages=[{"role": "user", "content": "Hi"}, message])["contents"][1]
    assert turn["parts"] == [{**SIGNED[1], "thoughtSignature": "sig-text"}, *SIGNED[2:]]
    back = GEMINI.decode_request(orjson.dumps({"contents": [turn]}), path=PATH).request.chat()[0]
    signatures = sorted(back["thought_signatures"], key=str)
    assert signatures == sorted(message["thought_signatures"], key=str)
    request = GenerationRequest(messages=[message])
    assert b"thought_signatures" not in dialect("openai_chat").encode_request(
        request, model="m", stream=False, quirks=Quirks()
    )


def test_an_answer_keeps_its_signatures_when_it_is_written_again() -> None:
    answer = GEMINI.decode_completion(chunk(*SIGNED, text("", thoughtSignature="sig-text"), finish="STOP"))
    for name in ("gemini", "gemini_array"):
        encoder = dialect(name).encoder(model="m", response_id="r", created=0)
        back, _ = decode(dialect(name), [encoder.event(TextDelta("Let me look.")) + encoder.finish(answer)])
        assert sorted(back.metadata["thought_signatures"], key=str) == sorted(
            answer.metadata["thought_signatures"], key=str
        )
    whole = GEMINI.decode_completion(GEMINI.encode_completion(answer, model="m", response_id="r", created=0))
    assert sorted(whole.metadata["thought_signatures"], key=str) == sorted(
        answer.metadata["thought_signatures"], key=str
    )


def test_a_call_that_another_model_made_is_marked_where_a_signature_is_required() -> None:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (1, 2)]
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": calls}]
    newer = sent("gemini-3.8-flash", prompt=None, messages=messages)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in newer] == ["skip_thought_signature_validator", None]
    older = sent("gemini-2.5-flash", prompt=None, messages=messages)["contents"][1]["parts"]
    assert not any("thoughtSignature" in part for part in older)


# --- answers --------------------------------------------------------------------------------------------------------


def test_output_includes_thoughts_and_input_what_tools_read() -> None:
    usage = {
        "promptTokenCount": 100, "candidatesTokenCount": 10, "thoughtsTokenCount": 50, "toolUsePromptTokenCount": 7,
        "cachedContentTokenCount": 30, "totalTokenCount": 167,
    }  # fmt: skip
    answer = GEMINI.decode_completion(chunk(text("Hi"), finish="STOP", usage=usage))
    assert answer.usage == TokenUsage(107, 60, 167, cached_input_tokens=30, reasoning_tokens=50)
    assert (answer.raw_usage.input_tokens, answer.raw_usage.output_tokens) == (100, 10)
    assert (answer.raw_usage.cached_input_tokens, answer.raw_usage.reasoning_tokens) == (30, 50)


@pytest.mark.parametrize(
    ("finish", "word", "stop"),
    [
        ("STOP", "STOP", "stop"),
        ("MAX_TOKENS", "MAX_TOKENS", "length"),
        *((word, word, "content_filter") for word in (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"
        )),
        *((word, word, "other") for word in ("LANGUAGE", "MALFORMED_FUNCTION_CALL", "OTHER", "A_NEW_ONE")),
        (1, "STOP", "stop"),
        (2, "MAX_TOKENS", "length"),
        (3, "SAFETY", "content_filter"),
        (99, "99", "other"),
    ],
)  # fmt: skip
def test_finish_reasons(finish: object, word: str, stop: str) -> None:
    answer = GEMINI.decode_completion(chunk(text("Hi"), finish=finish))
    assert (answer.finish_reason, answer.stop) == (word, stop)
    assert answer.metadata.get("raw_finish_reason") == (finish if isinstance(finish, int) else None)
    streamed, _ = decode(GEMINI, [sse(chunk(text("Hi"), finish=finish))])
    assert (streamed.finish_reason, streamed.stop, streamed.metadata) == (word, stop, answer.metadata)


def test_an_answer_that_was_filtered_whole_has_no_text() -> None:
    body = b'{"candidates":[{"finishReason":"SAFETY","index":0}],"usageMetadata":{"promptTokenCount":5}}'
    answer = GEMINI.decode_completion(body)
    assert (answer.text, answer.stop) == (None, "content_filter")
    assert answer.usage == TokenUsage(5, 0)


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "OTHER", 1])
def test_a_blocked_prompt_is_a_content_filter_error_that_may_cost(reason: object) -> None:
    body = orjson.dumps({"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 9}})
    with pytest.raises(errors.ContentFilterError, match=f"blocked: {reason}") as caught:
        GEMINI.decode_completion(body)
    for error in (
        caught.value,
        drain(GEMINI.decoder(), [sse(body)])[1],
        drain(GEMINI.decoder(), [array(body)])[1],
        drain(GEMINI.decoder(), [body])[1],
    ):
        assert type(error) is errors.ContentFilterError
        assert (error.status, error.error_type, error.billed) == (200, str(reason), TokenUsage(9, 0))


def test_feedback_that_blocks_nothing_is_none() -> None:
    for feedback in ({}, {"safetyRatings": []}, {"blockReason": "BLOCK_REASON_UNSPECIFIED"}, {"blockReason": 0}):
        answer = GEMINI.decode_completion(chunk(text("Hi"), finish="STOP", promptFeedback=feedback))
        assert answer.text == "Hi"


def test_other_candidates_are_not_mixed_in() -> None:
    first, second = (
        {"content": {"parts": [{"text": words}]}, "finishReason": "STOP", "index": index}
        for index, words in enumerate(("one", "two"))
    )
    answer = GEMINI.decode_completion(orjson.dumps({"candidates": [second, first]}))
    assert answer.text == "one"


def test_a_call_without_an_id_gets_a_steady_one() -> None:
    body = chunk({"functionCall": {"name": "f", "args": {"x": 1}}}, {"functionCall": {"name": "f"}}, finish="STOP")
    answer = GEMINI.decode_completion(body)
    assert [(c.name, c.arguments) for c in answer.tool_calls] == [("f", '{"x":1}'), ("f", "{}")]
    assert len({c.id for c in answer.tool_calls}) == 2
    assert answer.stop == "tool_calls"
    events, _ = drain(GEMINI.decoder(), [sse(body)])
    assert [e.id for e in events if isinstance(e, ToolCallDelta)] == [c.id for c in answer.tool_calls]


# --- quotas ---------------------------------------------------------------------------------------------------------

PER_DAY = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
PER_MINUTE = {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}


@pytest.mark.parametrize(
    ("violations", "delay", "cls"),
    [
        ([PER_MINUTE], None, errors.RateLimitError),
        ([PER_MINUTE], "12s", errors.RateLimitError),
        # With a time it is a limit that lifts, whatever its name.
        ([PER_DAY, PER_MINUTE], "12s", errors.RateLimitError),
        ([PER_DAY], None, errors.QuotaExhaustedError),
    ],
)
def test_a_quota_is_gone_only_where_no_time_is_named(
    violations: list[dict[str, str]], delay: str | None, cls: type[errors.ProviderError]
) -> None:
    details: list[dict[str, Any]] = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}]
    if delay:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    message = "You exceeded your current quota, please check your plan and billing details."
    body = {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}
    error = GEMINI.decode_error(429, {}, orjson.dumps(body))
    assert type(error) is cls
    assert (error.retry_after, error.code, error.error_type) == (12.0 if delay else None, "429", "RESOURCE_EXHAUSTED")


# --- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framed", [sse, array])
def test_a_finish_reason_in_every_chunk_ends_nothing(framed: Any) -> None:
    """Gemini 1 sent STOP with each; only the end of the bytes, or of the array, is the end."""
    body = framed(*(chunk(text(words), finish="STOP", usage=USAGE) for words in ("Once ", "upon ", "a time")))
    decoder = GEMINI.decoder()
    events = decoder.feed(body)
    assert "".join(texts(events)) == "Once upon a time"
    assert decoder.finished is (framed is array)
    events += decoder.close()
    assert isinstance(events[-1], StreamFinished)
    assert events[-1].completion.text == "Once upon a time"


@pytest.mark.parametrize("framed", [sse, array])
@pytest.mark.parametrize("place", [30, 200])
def test_bytes_that_end_inside_an_event_were_cut_even_after_a_finish_reason(framed: Any, place: int) -> None:
    first = framed(chunk(text("Once "), finish="STOP", usage=USAGE)).removesuffix(b"\n]")
    rest = framed(chunk(text("upon a time"), finish="STOP", usage=USAGE)).removeprefix(b"[")[:place]
    between = b"\n,\r\n" if framed is array else b""
    _, error = drain(GEMINI.decoder(), [first + between + rest])
    assert isinstance(error, StreamInterruptedError)
    assert error.partial_text == "Once "


@pytest.mark.parametrize("framed", [sse, array])
def test_a_finish_reason_with_the_usage_after_text_without_one_ends_at_once(framed: Any) -> None:
    decoder = GEMINI.decoder()
    body = framed(chunk(text("Hel"), usage={"promptTokenCount": 4}), chunk(text("lo"), finish="STOP", usage=USAGE))
    events = decoder.feed(body.removesuffix(b"\n]"))
    assert isinstance(events[-1], StreamFinished)
    assert events[-1].completion.usage == TokenUsage(4, 2)
    assert decoder.feed(b"nonsense") == []


def test_usage_that_follows_the_finish_reason_is_waited_for() -> None:
    late = orjson.dumps({"usageMetadata": USAGE})
    answer, error = decode(GEMINI, [sse(chunk(text("Hel")), chunk(text("lo"), finish="STOP"), late)])
    assert error is None
    assert (answer.text, answer.usage) == ("Hello", TokenUsage(4, 2))


def test_usage_in_every_chunk_keeps_the_last_and_what_it_leaves_out() -> None:
    body = sse(
        chunk(text("a"), usage={"promptTokenCount": 4, "cachedContentTokenCount": 3, "totalTokenCount": 4}),
        chunk(text("b"), usage={"promptTokenCount": 4, "candidatesTokenCount": 1}),
        chunk(text("b"), usage={"promptTokenCount": 4, "candidatesTokenCount": 1}),
        chunk(text("c"), finish="STOP", usage={"candidatesTokenCount": 3, "thoughtsTokenCount": 5}),
    )
    events, _ = drain(GEMINI.decoder(), [body])
    reported = [event.usage for event in events if isinstance(event, UsageReported)]
    assert reported[-1] == TokenUsage(4, 8, cached_input_tokens=3, reasoning_tokens=5)
    assert len(reported) == 3


def test_an_array_that_is_closed_without_a_finish_reason_is_an_interruption() -> None:
    for body, said in ((array(chunk(text("Hel"))), "Hel"), (b"[]", ""), (b"[\n]", "")):
        _, error = drain(GEMINI.decoder(), [body])
        assert isinstance(error, StreamInterruptedError)
        assert error.partial_text == said


@pytest.mark.parametrize(
    "between", [b",7", b',"x"', b",null", b"x", b"}", b',{"candidates":7}', b",[]", b",{not json}", b",\xff"]
)
def test_an_element_that_is_no_answer_is_malformed_and_loses_nothing_before_it(between: bytes) -> None:
    decoder = GEMINI.decoder()
    events = decoder.feed(b"[" + chunk(text("Hello")) + between + b"," + chunk(text("more")))
    assert texts(events) == ["Hello"]
    assert type(decoder.failure) is MalformedResponseError


def test_an_error_in_the_middle_of_an_array_is_that_error() -> None:
    encoder = dialect("gemini_array").encoder(model="m", response_id="r", created=0)
    body = encoder.event(TextDelta("Hel")) + encoder.error(errors.RateLimitError("slow down", retry_after=3))
    assert len(orjson.loads(body)) == 2
    events, error = drain(GEMINI.decoder(), [body])
    assert texts(events) == ["Hel"]
    assert type(error) is errors.RateLimitError
    assert error.retry_after == 3
    first = dialect("gemini_array").encoder(model="m", response_id="r", created=0)
    assert isinstance(drain(GEMINI.decoder(), [first.error(errors.ServiceUnavailableError("x"))])[1],
                      errors.ServiceUnavailableError)  # fmt: skip


def test_each_framing_is_written_as_google_writes_it() -> None:
    answer = Completion(
        "Hello", None, None, "stop", TokenUsage(30, 12, cached_input_tokens=10, reasoning_tokens=4),
        tool_calls=[ToolCall("c", "f", '{"x":1}')],
    )  # fmt: skip
    events, bodies = [TextDelta("Hel"), ToolCallDelta(0, "c", "f"), TextDelta("lo")], {}
    for name in ("gemini", "gemini_array"):
        encoder = dialect(name).encoder(model="gemini-2.5-flash", response_id="r", created=0)
        assert encoder.start() == b""
        bodies[name] = b"".join(encoder.event(event) for event in events) + encoder.finish(answer)
    lines = bodies["gemini"].split(b"\r\n\r\n")
    assert lines.pop() == b""
    chunks = [orjson.loads(line.removeprefix(b"data: ")) for line in lines]
    assert orjson.loads(bodies["gemini_array"]) == chunks
    assert bodies["gemini_array"].count(b"\n,\r\n{") == 2
    assert chunks[0] == {
        "candidates": [{"content": {"parts": [{"text": "Hel"}], "role": "model"}, "index": 0}],
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r",
    }
    last = chunks[-1]
    call = {"functionCall": {"name": "f", "args": {"x": 1}, "id": "c"}}
    assert last["candidates"][0]["content"] == {"parts": [call], "role": "model"}
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == {
        "promptTokenCount": 30, "candidatesTokenCount": 8, "thoughtsTokenCount": 4, "cachedContentTokenCount": 10,
        "totalTokenCount": 42, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 30}],
    }  # fmt: skip


# --- the array, byte by byte ----------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.sampled_from('ab"\\{}[],: \n\té🐎'), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SPACE = st.text(" \t\r\n", max_size=3).map(str.encode)


@given(st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=3), max_size=4), st.data())
def test_the_elements_of_an_array_are_found_however_it_is_cut(
    elements: list[dict[str, Any]], data: st.DataObject
) -> None:
    body = b"["
    for index, element in enumerate(elements):
        body += (b"," if index else b"") + data.draw(SPACE) + orjson.dumps(element) + data.draw(SPACE)
    body += b"]" + data.draw(SPACE)
    splitter = ArraySplitter()
    found = []
    for piece in cut(body, data.draw(st.lists(st.integers(0, len(body)), max_size=8))):
        found += splitter.feed(piece)
        if found and found[-1] is END:
            break
    assert found.pop() is END
    assert [orjson.loads(payload) for _, payload in found] == elements
    assert splitter.close() == []


def test_an_element_beyond_the_limit_is_refused_in_bounded_memory() -> None:
    for body in (b'[{"text":"', b"[{" + b"[" * 9):
        splitter = ArraySplitter()
        splitter.feed(body)
        piece = b"x" * (1 << 20)
        with pytest.raises(MalformedResponseError, match="more than 16 MiB"):
            for _ in range(2 + MAX_PIECE // len(piece)):
                splitter.feed(piece)


def test_white_space_before_a_stream_means_nothing() -> None:
    whole = [chunk(text("Hel")), chunk(text("lo"), finish="STOP", usage=USAGE)]
    for body in (sse(*whole), array(*whole)):
        decoder: StreamDecoder = GEMINI.decoder()
        assert decoder.feed(b" \r\n") == []
        assert decoder.feed(b"") == []
        events, error = drain(decoder, [b"\n" + body])
        assert error is None
        assert "".join(texts(events)) == "Hello"
