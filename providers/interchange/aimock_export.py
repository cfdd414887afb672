"""Writes exchanges as fixtures of aimock (github.com/CopilotKit/aimock, `src/types.ts`).

aimock writes its answers itself, so that bytes and pieces are lost; what is said, counted or refused is kept, and when.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from providers.dialects import API_DIALECTS, dialect
from providers.errors import ProviderError
from providers.exchange.canonical import last_user_text
from providers.exchange.format import Exchange
from providers.exchange.listing import streamed
from providers.interchange import tokens
from providers.interchange.aimock_timing import CHUNK_SIZE, recorded
from providers.types import GenerationRequest, content_text
from providers.vendors import conformance


async def entry_of(exchange: Exchange, note: Callable[[str], None]) -> dict[str, Any] | None:
    """The exchange as one of aimock's fixtures; None where it has no equivalent.

    `note` is told, one sentence each, what of it is lost. Raises FixtureError for an API that no provider here speaks.
    """
    response = exchange.response
    row = await conformance.replay(exchange)
    if response is None or exchange.error == "timeout" or (exchange.error is not None and not streamed(exchange)):
        where = "before an answer" if response is None else "in the middle of an answer"
        what = "a silence" if exchange.error == "timeout" else "a broken connection"
        note(f"{what} {where} has no equivalent; left out")
        return None
    entry: dict[str, Any] = {"match": _match(exchange, note)}
    if response.status >= 400:
        entry["response"] = _refusal(row, response.status)
        return entry
    cut = exchange.error is not None or row["error_class"] == "StreamInterruptedError"
    if row["error_class"] is not None and not cut:
        note(f"an answer that turns into a failure ({row['error_class']}) has no equivalent; left out")
        return None
    if not (row["text"] or row["tool_calls"]):
        note("an answer with neither text nor tool calls has no equivalent; left out")
        return None
    entry["response"] = _answer(row, exchange.api)
    entry.update(recorded(response.after_ms, response.chunks))
    if cut:
        entry["chunkSize"], entry["truncateAfterChunks"] = CHUNK_SIZE, _pieces(row)
        if exchange.error is None:
            note("that its body ends early has no equivalent; the connection breaks there")
    if streamed(exchange):
        note("the bytes of its pieces are lost; what they say and when they come is kept")
    return entry


def _pieces(row: Mapping[str, Any]) -> int:
    """After how many pieces aimock has said all of it, and nothing of its end."""
    texts = [row["reasoning_text"] or "", row["text"] or "", *(_written(c["arguments"]) for c in row["tool_calls"])]
    return 1 + len(row["tool_calls"]) + sum(-(-len(text) // CHUNK_SIZE) for text in texts)


def _match(exchange: Exchange, note: Callable[[str], None]) -> dict[str, Any]:
    question = last_user_text(exchange.request.body)
    if exchange.match == "regex" and exchange.pattern is not None:
        plain = re.sub(r"\\(.)", r"\1", exchange.pattern)
        if re.escape(plain) == exchange.pattern:
            question = plain
        else:
            note(f"the pattern {exchange.pattern!r} has no equivalent in JSON; the recorded question stands for it")
    match: dict[str, Any] = {"endpoint": "chat"}
    if question and exchange.match != "any":
        match["userMessage"] = question
    if exchange.match == "exact":
        asked = _asked(exchange)
        system = "\n".join(content_text(m.get("content")) for m in asked.chat() if m.get("role") == "system")
        if system:
            match["systemMessage"] = system
        if asked.model:
            match["model"] = asked.model
    if exchange.sequence is not None:
        match["sequenceIndex"] = exchange.sequence - 1
    return match


def _asked(exchange: Exchange) -> GenerationRequest:
    try:
        body = orjson.dumps(exchange.request.body)
        return dialect(API_DIALECTS[exchange.api]).decode_request(body, path=exchange.request.path).request
    except ProviderError:
        return GenerationRequest()


def _answer(row: Mapping[str, Any], api: str) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if row["text"]:
        answer["content"] = row["text"]
    if row["tool_calls"]:
        answer["toolCalls"] = [
            {"name": call["name"], "arguments": _written(call["arguments"])} for call in row["tool_calls"]
        ]
    if row["reasoning_text"]:
        answer["reasoning"] = row["reasoning_text"]
    if row["stop"] not in (None, "other"):
        answer["finishReason"] = row["stop"]
    elif row["finish_reason"]:
        answer["finishReason"] = row["finish_reason"]
    if row["usage"] is not None:
        answer["usage"] = tokens.written(row["usage"], api)
    if row["model"]:
        answer["model"] = row["model"]
    return answer


def _written(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()


def _refusal(row: Mapping[str, Any], status: int) -> dict[str, Any]:
    error: dict[str, Any] = {"message": row["error_message"] or ""}
    if row["error_type"]:
        error["type"] = row["error_type"]
    if row["error_code"]:
        error["code"] = row["error_code"]
    refusal: dict[str, Any] = {"error": error, "status": status}
    if row["retry_after"] is not None:
        refusal["retryAfter"] = row["retry_after"]
    return refusal
