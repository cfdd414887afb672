"""How a request in the common form is written for Converse, and read."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import dialect
from providers.dialects.base import DecodedRequest, Quirks
from providers.dialects.bedrock import read_path, takes_cache_points, takes_schemas
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest
from tests.providers.dialects.test_requests import SCHEMA, SCHEMA_FORMAT, TIME, TURNS, WEATHER, sent
from tests.providers.dialects.test_round_trips import requests

OPUS = "us.anthropic.claude-opus-4-5-20251101-v1:0"
SONNET_3 = "anthropic.claude-3-sonnet-20240229-v1:0"
NOVA = "amazon.nova-lite-v1:0"
HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]


@cache
def service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def check_by_aws(body: dict[str, Any]) -> None:
    """Raise where AWS's own description of the API does not allow the body."""
    report = ParamValidator().validate({**body, "modelId": "m"}, service().operation_model("Converse").input_shape)
    assert not report.has_errors(), report.generate_report()


def converse(request: GenerationRequest, *, model: str = OPUS, quirks: Quirks | None = None) -> dict[str, Any]:
    body = sent("bedrock_converse", request, model=model, quirks=quirks)
    check_by_aws(body)
    return body


def read(body: dict[str, Any], path: str = "/model/m/converse") -> DecodedRequest:
    return dialect("bedrock_converse").decode_request(orjson.dumps(body), path=path)


# --- the path -------------------------------------------------------------------------------------------------------

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0"


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/model/amazon.nova-lite-v1:0/converse", "amazon.nova-lite-v1:0", False),
        ("/model/amazon.nova-lite-v1%3A0/converse-stream", "amazon.nova-lite-v1:0", True),
        ("/bedrock/model/m/invoke", "m", False),
        ("/model/m/invoke-with-response-stream?x=/model/y/invoke", "m", True),
        (f"/model/{ARN}/converse", ARN, False),
        (f"/model/{ARN.replace(':', '%3A').replace('/', '%2F')}/converse-stream", ARN, True),
        ("/model//converse", None, False),
        ("/v1/messages", None, False),
        ("", None, False),
    ],
)
def test_the_path_says_the_model_and_whether_the_answer_streams(path: str, model: str | None, stream: bool) -> None:
    assert read_path(path) == (model, stream)
    assert read({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, path)[1] is stream


# --- Converse: out --------------------------------------------------------------------------------------------------


def test_converse_plain_and_full() -> None:
    assert converse(GenerationRequest("Hi")) == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    request = GenerationRequest(
        "Hi", system="Be kind", temperature=1.7, top_p=0.5, seed=1, max_tokens=9, stop="END", tools=[WEATHER, TIME]
    )
    assert converse(request) == {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "system": [{"text": "Be kind"}],
        "inferenceConfig": {"maxTokens": 9, "temperature": 1, "topP": 0.5, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "weather", "description": "d", "inputSchema": {"json": SCHEMA}}},
                {"toolSpec": {"name": "time", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
            ]
        },
    }
    plain = converse(request, quirks=Quirks(sampling=False, extra_body={"serviceTier": {"type": "flex"}}))
    assert plain["inferenceConfig"] == {"maxTokens": 9, "stopSequences": ["END"]}
    assert plain["serviceTier"] == {"type": "flex"}


def test_converse_turns_alternate() -> None:
    assert converse(GenerationRequest(messages=TURNS, tools=[WEATHER, TIME]))["messages"] == [
        {"role": "user", "content": [{"text": "Weather and time?"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"x": 1}}},
                {"toolUse": {"toolUseId": "b", "name": "time", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "a", "content": [{"text": "sunny"}]}},
                {"toolResult": {"toolUseId": "b", "content": [{"text": "noon"}], "status": "error"}},
                {"text": "And now?"},
            ],
        },
    ]


def test_converse_says_it_all_to_models_without_system_prompts_as_the_user() -> None:
    model = "mistral.mistral-7b-instruct-v0:2"
    request = GenerationRequest("Hi", system="Be kind", response_format="json")
    body = converse(request, model=model)
    assert "system" not in body
    assert [block["text"][:7] for block in body["messages"][0]["content"]] == ["Be kind", "Answer ", "Hi"]
    answer: dict[str, Any] = {"role": "assistant", "content": "Yes"}
    turns = converse(GenerationRequest(messages=[answer, *HI], system="Be kind"), model=model)["messages"]
    assert [(turn["role"], turn["content"][0]["text"]) for turn in turns] == [
        ("user", "Be kind"),
        ("assistant", "Yes"),
        ("user", "Hi"),
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "time"}}, {"tool": {"name": "time"}}),
        (None, None),
    ],
)
def test_converse_tool_choice(choice: Any, expected: Any) -> None:
    config = converse(GenerationRequest("Hi", tools=[TIME], tool_choice=choice))["toolConfig"]
    assert config.get("toolChoice") == expected


def test_converse_leaves_tools_out_when_none_may_be_called_but_names_those_that_were() -> None:
    assert "toolConfig" not in converse(GenerationRequest("Hi", tools=[TIME], tool_choice="none"))
    used = [
        {"name": name, "inputSchema": {"json": {"type": "object", "properties": {}}}} for name in ("weather", "time")
    ]
    for request in (
        GenerationRequest(messages=TURNS),
        GenerationRequest(messages=TURNS, tools=[TIME], tool_choice="none"),
    ):
        assert converse(request)["toolConfig"] == {"tools": [{"toolSpec": spec} for spec in used]}


def test_converse_refuses_blank_texts_so_none_are_sent() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": " \n"},
        {"role": "user", "content": [{"type": "text", "text": ""}, "Hi", {"text": "there"}]},
        {"role": "assistant", "content": " ", "tool_calls": TURNS[1]["tool_calls"][:1]},
        {"role": "tool", "tool_call_id": "a", "content": ""},
    ]
    body = converse(GenerationRequest(messages=messages))
    assert "system" not in body
    assert body["messages"][0]["content"] == [{"text": "Hi"}, {"text": "there"}]
    assert [block.keys() for block in body["messages"][1]["content"]] == [{"toolUse"}]
    assert body["messages"][2]["content"] == [{"toolResult": {"toolUseId": "a", "content": []}}]


def test_converse_takes_a_prefill_without_trailing_space() -> None:
    body = converse(GenerationRequest(messages=[*HI, {"role": "assistant", "content": "Sure: \n"}]))
    assert body["messages"][1]["content"] == [{"text": "Sure:"}]


PNG = "data:image/png;base64,aGk="


def test_converse_images_and_documents() -> None:
    parts: list[Any] = [
        "Look",
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,aGk="}},
        {"type": "image_url", "image_url": "s3://bucket/a.WEBP"},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "Q3 report (v2).pdf"}},
        {"type": "file", "file": {"file_data": "data:text/markdown;base64,aGk="}},
        {"guardContent": {"text": {"text": "check me"}}},
    ]
    assert converse(GenerationRequest(messages=[{"role": "user", "content": parts}]))["messages"][0]["content"] == [
        {"text": "Look"},
        {"image": {"format": "png", "source": {"bytes": "aGk="}}},
        {"image": {"format": "jpeg", "source": {"bytes": "aGk="}}},
        {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/a.WEBP"}}}},
        {"document": {"format": "pdf", "name": "Q3 report (v2) pdf", "source": {"bytes": "aGk="}}},
        {"document": {"format": "md", "name": "document", "source": {"bytes": "aGk="}}},
        {"guardContent": {"text": {"text": "check me"}}},
    ]


def pdf(filename: str | None = None) -> dict[str, Any]:
    named = {} if filename is None else {"filename": filename}
    return {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", **named}}


def test_documents_have_names_of_their_own_across_the_conversation() -> None:
    own = {"document": {"format": "txt", "name": "report", "source": {"text": "Hi"}}}
    result = {"role": "tool", "tool_call_id": "t1", "content": [pdf("Report")]}
    called = {"role": "assistant", "tool_calls": [{"id": "t1", "function": {"name": "read", "arguments": "{}"}}]}
    messages = [
        {"role": "user", "content": ["Look", pdf(), pdf(), pdf("report (2)"), own, pdf("x" * 300), pdf("x" * 300)]},
        called,
        result,
        {"role": "user", "content": ["And", pdf("report")]},
    ]
    body = converse(GenerationRequest(messages=messages))
    names = [
        block["document"]["name"]
        for turn in body["messages"]
        for outer in turn["content"]
        for block in (outer, *outer.get("toolResult", {}).get("content", ()))
        if "document" in block
    ]
    assert names == [
        "document", "document (2)", "report (2)", "report", "x" * 200, "x" * 196 + " (2)", "Report (3)", "report (4)",
    ]  # fmt: skip
    assert own["document"]["name"] == "report"


def test_a_document_by_itself_has_its_name_said() -> None:
    messages = [{"role": "user", "content": [pdf("Q3.pdf")]}, {"role": "assistant", "content": "Fine."}, *HI]
    body = converse(GenerationRequest(messages=messages))
    assert [list(block) for block in body["messages"][0]["content"]] == [["text"], ["document"]]
    assert body["messages"][0]["content"][0] == {"text": "Q3 pdf"}


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}, r"messages\[0\] has an image"),
        ({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,aGk="}}, "in PNG, JPEG, GIF or WebP"),
        ({"type": "file", "file": {"file_id": "f"}}, r"messages\[0\] has a file that Converse does not take"),
        ({"type": "file", "file": {"file_data": "data:audio/wav;base64,aGk="}}, "of a pdf, csv"),
        ({"type": "input_audio", "input_audio": {}}, "a part of type 'input_audio'"),
    ],
)
def test_converse_says_what_it_does_not_take(part: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        converse(GenerationRequest(messages=[{"role": "user", "content": [part]}]))


@pytest.mark.parametrize(("model", "native"), [(OPUS, True), (SONNET_3, False), (NOVA, False), ("m", False)])
def test_converse_schemas_by_field_or_in_words(model: str, native: bool) -> None:
    assert takes_schemas(model) is native
    body = converse(GenerationRequest("Hi", system="S", response_format=SCHEMA_FORMAT), model=model)
    if native:
        form = body["outputConfig"]["textFormat"]
        assert (form["type"], orjson.loads(form["structure"]["jsonSchema"]["schema"])) == ("json_schema", SCHEMA)
        assert body["system"] == [{"text": "S"}]
        back = read(body).request
        assert back.response_format == {"type": "json_schema", "json_schema": {"name": "response", "schema": SCHEMA}}
    else:
        assert "outputConfig" not in body
        assert orjson.dumps(SCHEMA).decode() in body["system"][1]["text"]
    assert "JSON" in converse(GenerationRequest("Hi", response_format="json"), model=model)["system"][0]["text"]


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("qwen.qwen3-32b-v1:0", True),
        ("openai.gpt-oss-120b-1:0", True),
        ("deepseek.v3-v1:0", True),
        ("deepseek.r1-v1:0", False),
        ("anthropic.claude-sonnet-4-20250514-v1:0", False),
        ("anthropic.claude-opus-4-1-20250805-v1:0", False),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("amazon.titan-text-express-v1", False),
    ],
)
def test_which_models_take_schemas(model: str, takes: bool) -> None:
    assert takes_schemas(model) is takes


MARKED = {"type": "text", "text": "Long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}


def test_cache_marks_become_cache_points_where_the_model_has_them() -> None:
    tool = {**TIME, "anthropic": {"cache_control": {"type": "ephemeral"}}}
    request = GenerationRequest(
        messages=[{"role": "system", "content": [MARKED]}, {"role": "user", "content": [MARKED, "Hi"]}], tools=[tool]
    )
    body = converse(request)
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["system"] == [{"text": "Long"}, point]
    assert body["messages"][0]["content"] == [{"text": "Long"}, point, {"text": "Hi"}]
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}
    assert read(body).request.chat() == [
        {"role": "system", "content": [MARKED]},
        {"role": "user", "content": [MARKED, {"type": "text", "text": "Hi"}]},
    ]
    assert sent("bedrock_converse", read(body).request, model=OPUS) == body
    for model in (SONNET_3, "mistral.mistral-large-2402-v1:0"):
        assert not takes_cache_points(model)
        assert b"cachePoint" not in orjson.dumps(converse(request, model=model))


def test_nova_takes_marks_of_one_span_and_none_among_tools() -> None:
    tool = {**TIME, "anthropic": {"cache_control": {"type": "ephemeral"}}}
    request = GenerationRequest(messages=[{"role": "user", "content": [MARKED, "Hi"]}], tools=[tool])
    body = converse(request, model=NOVA)
    assert body["messages"][0]["content"] == [{"text": "Long"}, {"cachePoint": {"type": "default"}}, {"text": "Hi"}]
    assert [list(one) for one in body["toolConfig"]["tools"]] == [["toolSpec"]]


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        (OPUS, True),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", True),
        (NOVA, False),
        ("meta.llama3-3-70b-instruct-v1:0", False),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.deepseek.r1-v1:0", False),
    ],
)
def test_thoughts_go_to_the_house_that_signed_them_and_to_no_other(model: str, kept: bool) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    answer = {"role": "assistant", "content": "Hi", "thinking_blocks": [thought]}
    body = converse(GenerationRequest(messages=[*HI, answer, *HI]), model=model)
    assert (b"reasoningContent" in orjson.dumps(body)) is kept
    assert body["messages"][1]["content"][-1] == {"text": "Hi"}


def test_converse_sends_back_only_signed_thinking() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    redacted = {"type": "redacted_thinking", "data": "eA=="}
    unsigned = {"type": "thinking", "thinking": "no"}
    answer = {"role": "assistant", "content": "Hi", "thinking_blocks": [signed, redacted, unsigned]}
    body = converse(GenerationRequest(messages=[*HI, answer, *HI]))
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "eA=="}},
        {"text": "Hi"},
    ]
    back = read(body).request.chat()[1]
    assert back["thinking_blocks"] == [signed, redacted]
    # Claude itself signed it, so its own API takes it too.
    assert sent("anthropic_messages", GenerationRequest(messages=[*HI, back]))["messages"][1]["content"][:2] == [
        signed,
        redacted,
    ]


@given(requests(), st.sampled_from([OPUS, SONNET_3, NOVA, "meta.llama3-8b-instruct-v1:0"]))
def test_every_request_is_one_that_aws_describes(request_: GenerationRequest, model: str) -> None:
    converse(request_, model=model)


# --- Converse: in ---------------------------------------------------------------------------------------------------


def test_converse_keeps_its_own_fields_and_sends_them_back() -> None:
    own = {
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "guardrailConfig": {"guardrailIdentifier": "abc123", "guardrailVersion": "1"},
        "outputConfig": {"effort": "low"},
    }
    turn = {"role": "user", "content": [{"text": "Hi"}]}
    request = read({"messages": [turn], **own, "unknown": 1}).request
    assert request.metadata["bedrock_converse"] == {**own, "unknown": 1}
    assert converse(request) == {"messages": [turn], **own}
    assert "guardrailConfig" not in sent("anthropic_messages", request)


def test_converse_blocks_without_a_common_form_are_carried_on() -> None:
    blocks = [{"video": {"format": "mp4", "source": {"bytes": "aGk="}}}, {"text": "What is it?"}]
    system = [{"text": "A"}, {"guardContent": {"text": {"text": "B"}}}]
    tools = [{"systemTool": {"name": "nova_grounding"}}]
    body = {"messages": [{"role": "user", "content": blocks}], "system": system, "toolConfig": {"tools": tools}}
    request = read(body).request
    assert request.last_user_text() == "What is it?"
    assert converse(request) == body


def test_converse_results_in_any_form_are_read() -> None:
    result = {
        "toolUseId": "a",
        "content": [{"json": {"t": 1}}, {"image": {"format": "png", "source": {"bytes": "aGk="}}}],
    }
    cited = {"citationsContent": {"content": [{"text": "As "}, {"text": "said."}], "citations": []}}
    turns = [
        {"role": "user", "content": [{"text": "Hi"}]},
        {"role": "assistant", "content": [cited, {"toolUse": {"toolUseId": "a", "name": "f", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": result}, {"cachePoint": {"type": "default"}}]},
    ]
    _, answer, tool = read({"messages": turns}).request.chat()
    assert answer["content"] == "As said."
    assert tool["content"] == [
        {"type": "text", "text": '{"t":1}'},
        {"type": "image_url", "image_url": {"url": PNG}},
    ]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, "messages is missing"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, r"messages\[0\].content must be a list of content blocks"),
        ({"messages": [{"role": "user", "content": [7]}]}, r"messages\[0\].content\[0\]"),
        ({"messages": [{"role": "bot", "content": [{"text": "Hi"}]}]}, "role is 'bot'"),
        ({"toolConfig": {"toolChoice": {"maybe": {}}}}, "toolConfig.toolChoice is"),
        ({"toolConfig": {"tools": [{"toolSpec": {}}]}}, "a toolSpec has no name"),
        ({"inferenceConfig": {"maxTokens": "many"}}, "maxTokens is 'many'; it must be a number"),
        ({"inferenceConfig": {"temperature": 3}}, "temperature"),
        ({"outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": "{"}}}}}, "schema is not JSON"),
        ({"outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": "7"}}}}}, "must be a JSON Schema"),
        ({"messages": [{"role": "assistant", "content": [{"toolUse": {"name": "f"}}]}]}, "toolUse block has no"),
    ],
)
def test_converse_names_what_is_wrong(body: dict[str, Any], complaint: str) -> None:
    turn = {"role": "user", "content": [{"text": "Hi"}]}
    with pytest.raises(InvalidRequestError, match=complaint):
        read({"messages": [turn], **body} if body else {})
