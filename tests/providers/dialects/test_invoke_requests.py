"""How a request in the common form is written for InvokeModel, in each family's own format, and read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import dialect
from providers.dialects.base import DecodedRequest
from providers.dialects.bedrock_invoke import templates
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest
from tests.providers.dialects.test_converse_requests import ARN, HI, NOVA, OPUS, PNG, SONNET_3
from tests.providers.dialects.test_requests import SCHEMA, SCHEMA_FORMAT, TIME, TURNS, sent
from tests.providers.dialects.test_round_trips import WORDS


def invoke(request: GenerationRequest, model: str, *, stream: bool = False) -> dict[str, Any]:
    return sent("bedrock_invoke", request, model=model, stream=stream)


def read(body: dict[str, Any], path: str) -> DecodedRequest:
    return dialect("bedrock_invoke").decode_request(orjson.dumps(body), path=path)


def test_claude_has_its_own_format_with_the_version_in_the_body() -> None:
    request = GenerationRequest(
        "Hi",
        max_tokens=9,
        metadata={"anthropic_messages": {"top_k": 3, "service_tier": "auto", "anthropic_beta": ["b"]}},
    )
    body = {
        "anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["b"], "max_tokens": 9, "messages": HI, "top_k": 3,
    }  # fmt: skip
    assert invoke(request, SONNET_3) == invoke(request, SONNET_3, stream=True) == body
    back = read(body, f"/model/{SONNET_3}/invoke-with-response-stream")
    assert (back.request.model, back.stream, back.request.messages) == (SONNET_3, True, HI)
    assert invoke(back.request, SONNET_3) == body


def test_claude_schemas_by_field_or_in_words() -> None:
    request = GenerationRequest("Hi", response_format=SCHEMA_FORMAT)
    assert invoke(request, OPUS)["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert "JSON" in invoke(request, "anthropic.claude-opus-4-1-20250805-v1:0")["system"]


def test_nova_has_nearly_converses_format() -> None:
    request = GenerationRequest("Hi", system="S", max_tokens=9, tools=[TIME], response_format="json")
    body = invoke(request, NOVA)
    assert body["schemaVersion"] == "messages-v1"
    assert body["inferenceConfig"] == {"maxTokens": 9}
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "time"
    assert [block["text"][:1] for block in body["system"]] == ["S", "A"]
    older = {**body, "inferenceConfig": {"max_new_tokens": 7, "top_p": 0.5, "top_k": 3}}
    back = read(older, f"/model/{NOVA}/invoke").request
    assert (back.max_tokens, back.top_p, back.last_user_text()) == (7, 0.5, "Hi")


def test_the_rest_speaks_chat_completions() -> None:
    request = GenerationRequest("Hi", max_tokens=9, tools=[TIME], tool_choice="auto")
    for model in ("ai21.jamba-1-5-mini-v1:0", "qwen.qwen3-32b-v1:0", "mistral.pixtral-large-2502-v1:0"):
        body = invoke(request, model, stream=True)
        assert body == {"messages": HI, "max_tokens": 9, "tools": [TIME], "tool_choice": "auto"}
        back = read(body, f"/model/{model}/invoke-with-response-stream")
        assert (back.request.model, back.stream, back.request.tools) == (model, True, [TIME])


FULL = GenerationRequest("Hi", temperature=1.5, top_p=0.5, max_tokens=9, stop="END")
TEXTS: list[tuple[str, dict[str, Any]]] = [
    (
        "amazon.titan-text-express-v1",
        {
            "inputText": "User: Hi\nBot:",
            "textGenerationConfig": {"maxTokenCount": 9, "temperature": 1, "topP": 0.5, "stopSequences": ["END"]},
        },
    ),
    (
        "ai21.j2-ultra-v1",
        {"prompt": "Hi", "maxTokens": 9, "temperature": 1, "topP": 0.5, "stopSequences": ["END"]},
    ),
    ("meta.llama2-13b-chat-v1", {"prompt": "<s>[INST] Hi [/INST]", "max_gen_len": 9, "temperature": 1, "top_p": 0.5}),
    (
        "us.meta.llama3-2-1b-instruct-v1:0",
        {
            "prompt": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            "max_gen_len": 9, "temperature": 1, "top_p": 0.5,
        },
    ),
    (
        "us.meta.llama4-scout-17b-instruct-v1:0",
        {
            "prompt": "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHi<|eot|>"
            "<|header_start|>assistant<|header_end|>\n\n",
            "max_gen_len": 9, "temperature": 1, "top_p": 0.5,
        },
    ),
    (
        "mistral.mistral-7b-instruct-v0:2",
        {"prompt": "<s>[INST] Hi [/INST]", "max_tokens": 9, "temperature": 1, "top_p": 0.5, "stop": ["END"]},
    ),
    (
        "cohere.command-text-v14",
        {"prompt": "Hi", "max_tokens": 9, "temperature": 1, "p": 0.5, "stop_sequences": ["END"]},
    ),
    (
        "cohere.command-r-plus-v1:0",
        {"message": "Hi", "max_tokens": 9, "temperature": 1, "p": 0.5, "stop_sequences": ["END"]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "expected"), TEXTS, ids=[model for model, _ in TEXTS])
def test_each_text_family_has_its_own_fields(model: str, expected: dict[str, Any]) -> None:
    assert invoke(FULL, model) == expected
    back = read({**expected, "extra": 7}, f"/model/{model}/invoke").request
    assert (back.model, back.messages) == (model, HI)
    assert (back.max_tokens, back.temperature, back.top_p) == (9, 1, 0.5)
    assert back.stop_list() == ([] if "llama" in model else ["END"])
    assert invoke(back, model) == {**expected, "extra": 7}
    assert invoke(GenerationRequest("Hi"), model).keys() == {next(iter(expected))}


def test_only_command_asks_for_a_stream_in_its_body_and_jurassic_has_none() -> None:
    for model, _ in TEXTS:
        if "j2" in model:
            with pytest.raises(InvalidRequestError, match=r"ai21\.j2-ultra-v1 does not stream"):
                invoke(FULL, model, stream=True)
            with pytest.raises(InvalidRequestError, match="unsupported for streaming"):
                read({"prompt": "Hi"}, f"/model/{model}/invoke-with-response-stream")
        else:
            assert invoke(FULL, model, stream=True).get("stream") == (True if "command-text" in model else None)


CHAT: list[dict[str, Any]] = [
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "1."},
    {"role": "user", "content": "Two?"},
]


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        ("amazon.titan-text-lite-v1", "Be brief.\nUser: One?\nBot: 1.\nUser: Two?\nBot:"),
        (
            "meta.llama2-70b-chat-v1",
            "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nOne? [/INST] 1. </s><s>[INST] Two? [/INST]",
        ),
        ("mistral.mixtral-8x7b-instruct-v0:1", "<s>[INST] Be brief.\n\nOne? [/INST] 1.</s>[INST] Two? [/INST]"),
        ("cohere.command-light-text-v14", "Be brief.\nUser: One?\nChatbot: 1.\nUser: Two?\nChatbot:"),
        ("ai21.j2-mid-v1", "Be brief.\nUser: One?\nAssistant: 1.\nUser: Two?\nAssistant:"),
    ],
)  # fmt: skip
def test_a_conversation_becomes_one_prompt_as_the_vendor_documents_it(model: str, prompt: str) -> None:
    body = invoke(GenerationRequest(messages=CHAT, system="Be brief."), model)
    assert body[next(iter(body))] == prompt
    back = read(body, f"/model/{model}/invoke").request
    if "mixtral" in model:
        assert back.messages == [{"role": "user", "content": "Be brief.\n\nOne?"}, *CHAT[1:]]
    else:
        assert back.messages == [{"role": "system", "content": "Be brief."}, *CHAT]


def test_command_r_keeps_its_history_apart() -> None:
    model = "cohere.command-r-v1:0"
    body = invoke(GenerationRequest(messages=CHAT, system="Be brief."), model)
    assert body == {
        "message": "Two?",
        "preamble": "Be brief.",
        "chat_history": [{"role": "USER", "message": "One?"}, {"role": "CHATBOT", "message": "1."}],
    }
    back = read(body, f"/model/{model}/invoke").request
    assert back.messages == [{"role": "system", "content": "Be brief."}, *CHAT]


TEMPLATES = {
    "llama4": templates.LLAMA_4, "llama3": templates.LLAMA_3, "llama2": templates.LLAMA_2, "titan": templates.TITAN,
    "mistral": templates.MISTRAL, "command": templates.COMMAND, "jurassic": templates.JURASSIC,
    "claude": templates.CLAUDE,
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
@given(st.none() | WORDS, st.lists(WORDS, min_size=1, max_size=5).filter(lambda texts: len(texts) % 2))
def test_a_written_prompt_reads_back_to_the_same_turns(name: str, system: str | None, texts: list[str]) -> None:
    said = [("assistant" if index % 2 else "user", text.strip()) for index, text in enumerate(texts)]
    turns = [("system", system.strip()), *said] if system else said
    back = TEMPLATES[name].read(TEMPLATES[name].write(turns))
    if name == "mistral" and system:
        assert back[1:] == said[1:]
        assert back[0][1].endswith(said[0][1])
    else:
        assert back == turns


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prefill_is_where_the_answer_goes_on(name: str) -> None:
    template = TEMPLATES[name]
    written = template.write([("user", "Hi"), ("assistant", "Sure:")])
    assert written.endswith("Sure:")
    assert template.read(written) == [("user", "Hi"), ("assistant", "Sure:")]
    assert template.read("Just text, no marks.") == [("user", "Just text, no marks.")]
    assert "only rules" in template.write([("system", "only rules")])


@pytest.mark.parametrize(
    "request_",
    [
        GenerationRequest("Hi", tools=[TIME]),
        GenerationRequest(messages=TURNS),
        GenerationRequest(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}]),
    ],
)
def test_text_families_say_that_they_take_only_text(request_: GenerationRequest) -> None:
    with pytest.raises(InvalidRequestError, match=r"ai21\.j2-ultra-v1.*use Converse or another model"):
        invoke(request_, "ai21.j2-ultra-v1")


def test_json_is_asked_for_in_words_of_text_families() -> None:
    body = invoke(GenerationRequest("Hi", system="S", response_format="json"), "amazon.titan-text-express-v1")
    assert body["inputText"].startswith("S\n\nAnswer with one valid JSON value")


def test_claudes_text_completions_are_read() -> None:
    body = {"prompt": "\n\nHuman: One?\n\nAssistant: 1.\n\nHuman: Two?\n\nAssistant:", "max_tokens_to_sample": 9}
    back = read(body, "/model/anthropic.claude-v2/invoke").request
    assert (back.model, back.messages, back.max_tokens) == ("anthropic.claude-v2", CHAT, 9)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": HI}, "Hi"),
        ({"inferenceConfig": {}, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "Hi"),
        ({"inputText": "Hi"}, "Hi"),
        ({"prompt": "[INST] Hi [/INST]", "max_gen_len": 5}, "[INST] Hi [/INST]"),
        ({"message": "Hi"}, "Hi"),
        ({"messages": HI}, "Hi"),
    ],
)
def test_a_body_tells_its_family_where_the_model_does_not(body: dict[str, Any], text: str) -> None:
    path = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fabc/invoke"
    assert read(body, path).request.last_user_text() == text


def test_an_arn_that_does_not_say_its_model_cannot_be_written_to() -> None:
    with pytest.raises(InvalidRequestError, match="does not say in whose format its body is; use Converse"):
        invoke(FULL, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123")
    assert invoke(GenerationRequest("Hi"), ARN)["anthropic_version"]


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("/model/amazon.titan-text-express-v1/invoke", {}, "inputText is missing"),
        ("/model/amazon.titan-text-express-v1/invoke", {"inputText": 7}, "inputText is '7'; it must be a string"),
        ("/model/meta.llama3-8b-instruct-v1:0/invoke", {"prompt": "x", "max_gen_len": "9"}, "max_gen_len is '9'"),
        ("/model/cohere.command-r-v1:0/invoke", {"chat_history": []}, "message is missing"),
        (f"/model/{SONNET_3}/invoke", {"messages": HI}, "max_tokens is missing"),
        ("/model/qwen.qwen3-32b-v1:0/invoke", {"prompt": "Hi"}, "messages is missing"),
    ],
)
def test_invoke_names_what_is_wrong(path: str, body: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        read(body, path)
