"""Anthropic's Python client: its own API, and Bedrock's."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic

from tests.clients.outcome import PROMPT, SYSTEM, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Ask, Form, Outcome


def _asked(model: str, form: Form, headers: dict[str, str]) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": model, "max_tokens": 200, "system": SYSTEM, "messages": [{"role": "user", "content": PROMPT}],
        "extra_headers": headers,
    }  # fmt: skip
    if "tool" in form:
        asked["tools"] = [{"name": TOOL_NAME, "description": TOOL_ABOUT, "input_schema": TOOL_SCHEMA}]
        asked["tool_choice"] = {"type": "any"}
    return asked


def _read(answer: Any) -> Outcome:
    return Outcome(
        text="".join(block.text for block in answer.content if block.type == "text"),
        tools=[{"name": b.name, "arguments": b.input} for b in answer.content if b.type == "tool_use"],
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        finish=answer.stop_reason,
    )


def client(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="not-a-key", base_url=url, max_retries=0, timeout=20)


def messages(speaker: anthropic.Anthropic, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        asked = _asked(model, form, headers)
        if "stream" not in form:
            return _read(speaker.messages.create(**asked))
        with speaker.messages.stream(**asked) as stream:
            return _read(stream.get_final_message())

    return ask


def bedrock(url: str, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        return asyncio.run(_ask_bedrock(url, _asked(model, form, headers), "stream" in form))

    return ask


async def _ask_bedrock(url: str, asked: dict[str, Any], stream: bool) -> Outcome:
    async with anthropic.AsyncAnthropicBedrock(
        base_url=url,
        aws_region="us-east-1",
        aws_access_key="not-a-key-id",
        aws_secret_key="not-a-key",
        max_retries=0,
        timeout=20,
    ) as speaker:
        if not stream:
            return _read(await speaker.messages.create(**asked))
        async with speaker.messages.stream(**asked) as answer:
            return _read(await answer.get_final_message())
