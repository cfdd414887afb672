"""OpenAI's Python client: its three APIs, and every vendor that speaks them."""

from __future__ import annotations

from typing import Any

import openai
import orjson

from tests.clients.outcome import PROMPT, SYSTEM, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Ask, Form, Outcome

_TOOL: Any = {
    "type": "function",
    "function": {"name": TOOL_NAME, "description": TOOL_ABOUT, "parameters": TOOL_SCHEMA},
}
_MESSAGES: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]


def client(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="not-a-key", base_url=url, max_retries=0, timeout=20, **options)


def azure(url: str) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        api_key="not-a-key", azure_endpoint=url, api_version="2024-10-21", max_retries=0, timeout=20
    )


def chat(speaker: openai.OpenAI, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        asked: dict[str, Any] = {"model": model, "messages": _MESSAGES, "extra_headers": headers, "max_tokens": 200}
        if "tool" in form:
            asked |= {"tools": [_TOOL], "tool_choice": "required"}
        if "stream" not in form:
            return _read(speaker.chat.completions.create(**asked))
        asked["stream_options"] = {"include_usage": True}
        with speaker.chat.completions.stream(**asked) as stream:
            for _ in stream:
                pass
            return _read(stream.get_final_completion())

    return ask


def _read(answer: Any) -> Outcome:
    choice = answer.choices[0]
    calls = choice.message.tool_calls or []
    return Outcome(
        text=choice.message.content or "",
        tools=[{"name": c.function.name, "arguments": orjson.loads(c.function.arguments)} for c in calls],
        input_tokens=answer.usage.prompt_tokens if answer.usage else None,
        output_tokens=answer.usage.completion_tokens if answer.usage else None,
        finish=choice.finish_reason,
    )


def responses(speaker: openai.OpenAI, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        asked: dict[str, Any] = {
            "model": model, "instructions": SYSTEM, "input": PROMPT, "extra_headers": headers,
            "max_output_tokens": 200,
        }  # fmt: skip
        if "tool" in form:
            tool = {"type": "function", "strict": False, **_TOOL["function"]}
            asked |= {"tools": [tool], "tool_choice": "required"}
        if "stream" in form:
            with speaker.responses.stream(**asked) as stream:
                for _ in stream:
                    pass
                answer: Any = stream.get_final_response()
        else:
            answer = speaker.responses.create(**asked)
        calls = [item for item in answer.output if item.type == "function_call"]
        return Outcome(
            text=answer.output_text,
            tools=[{"name": call.name, "arguments": orjson.loads(call.arguments)} for call in calls],
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            finish=answer.status,
        )

    return ask


def completions(speaker: openai.OpenAI, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        asked: dict[str, Any] = {"model": model, "prompt": PROMPT, "extra_headers": headers, "max_tokens": 200}
        if form == "plain":
            answer = speaker.completions.create(**asked)
            usage, choice = answer.usage, answer.choices[0]
            assert usage is not None
            return Outcome(choice.text, [], usage.prompt_tokens, usage.completion_tokens, choice.finish_reason)
        told = Outcome()
        for chunk in speaker.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
            for choice in chunk.choices:
                told.text += choice.text
                told.finish = choice.finish_reason or told.finish
            if chunk.usage is not None:
                told.input_tokens, told.output_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
        return told

    return ask
