"""Recorded requests sent again by the vendor's own client, and what that client makes of the recorded answer.

The request's body is the recorded one, through the client's road for raw requests where it has one; the answer is read
by the client's own types. Fields are named and counted as in a recording's `expected`.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import anthropic
import boto3
import ollama
import openai
import orjson
from anthropic.types import Message, RawMessageStreamEvent
from botocore.config import Config
from botocore.exceptions import ClientError
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from openai.types import Completion as TextCompletion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from providers.exchange import Exchange
from providers.exchange.framing import is_stream

Read = dict[str, Any]

PREFIXES = {"azure_openai": "azure"}


async def read_back(url: str, exchange: Exchange) -> Read:
    """What the vendor's client makes of it; only fields that the client tells."""
    base = f"{url}/{PREFIXES.get(exchange.provider, exchange.provider)}"
    response = exchange.response
    assert response is not None
    streamed = is_stream(exchange.api, response)
    api = exchange.api
    if api in ("chat.completions", "completions", "responses"):
        return await _openai(base, exchange, streamed)
    if api == "messages":
        return await _anthropic(base, exchange, streamed)
    if api in ("chat", "generate"):
        return await _ollama(base, exchange, streamed)
    if api in ("converse", "converse-stream", "invoke", "invoke-stream"):
        return _bedrock(base, exchange)
    return await _gemini(base, exchange, streamed)


def _parsed(arguments: str) -> Any:
    return orjson.loads(arguments) if arguments else {}


# --- OpenAI ---------------------------------------------------------------------------------------------------------


async def _openai(base: str, exchange: Exchange, streamed: bool) -> Read:
    types: dict[str, tuple[Any, Any]] = {
        "chat.completions": (ChatCompletion, openai.AsyncStream[ChatCompletionChunk]),
        "completions": (TextCompletion, openai.AsyncStream[TextCompletion]),
        "responses": (Response, openai.AsyncStream[ResponseStreamEvent]),
    }
    whole, pieces = types[exchange.api]
    async with openai.AsyncOpenAI(api_key="not-a-key", base_url=base, max_retries=0, timeout=20) as client:
        try:
            answer = await client.post(
                exchange.request.path, cast_to=whole, body=exchange.request.body, stream=streamed, stream_cls=pieces
            )
            if exchange.api == "responses":
                return await _response(answer, streamed)
            if exchange.api == "completions":
                return await _text_completion(answer, streamed)
            return await _chat(answer, streamed)
        except openai.APIStatusError as error:
            return _told(error)
        except openai.APIError as error:
            # An error within a stream, under a 200.
            return {"error_message": error.message}


def _told(error: Any) -> Read:
    body = error.body
    told = body if isinstance(body, dict) else {}
    inner = told.get("error", told)
    if not isinstance(inner, dict):
        return {"error_message": inner}
    return {"error_type": inner.get("type"), "error_code": inner.get("code"), "error_message": inner.get("message")}


def _chat_usage(usage: Any) -> Read:
    if usage is None:
        return {}
    prompt, made = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cached_input_tokens": getattr(prompt, "cached_tokens", None),
        "reasoning_tokens": getattr(made, "reasoning_tokens", None),
    }


async def _chat(answer: Any, streamed: bool) -> Read:
    if not streamed:
        choice = answer.choices[0]
        message = choice.message  # Azure leaves it out of an answer that its filter has emptied
        calls = (message.tool_calls if message else None) or ()
        return {
            "text": message.content if message else None,
            "finish_reason": choice.finish_reason,
            "model": answer.model,
            "tool_calls": [
                {"name": call.function.name, "arguments": _parsed(call.function.arguments)} for call in calls
            ],
            **_chat_usage(answer.usage),
        }
    text: list[str] = []
    pieces: dict[int, list[str]] = {}
    read: Read = {}
    async for chunk in answer:
        if chunk.model:
            read["model"] = chunk.model
        read |= _chat_usage(chunk.usage)
        for choice in chunk.choices:
            if choice.delta is None:
                continue
            if choice.delta.content is not None:
                text.append(choice.delta.content)
            for call in choice.delta.tool_calls or ():
                name, arguments = call.function.name or "", call.function.arguments or ""
                known = pieces.setdefault(call.index, ["", ""])
                known[0] += name
                known[1] += arguments
            if choice.finish_reason:
                read["finish_reason"] = choice.finish_reason
    return read | {
        "text": "".join(text) if text else None,
        "tool_calls": [{"name": name, "arguments": _parsed(given)} for name, given in pieces.values()],
    }


async def _text_completion(answer: Any, streamed: bool) -> Read:
    async def chunks() -> AsyncIterator[Any]:
        if not streamed:
            yield answer
            return
        async for chunk in answer:
            yield chunk

    read: Read = {"text": ""}
    async for chunk in chunks():
        read["model"] = chunk.model
        if chunk.usage is not None:
            read |= {"input_tokens": chunk.usage.prompt_tokens, "output_tokens": chunk.usage.completion_tokens}
        for choice in chunk.choices:
            read["text"] += choice.text
            if choice.finish_reason:
                read["finish_reason"] = choice.finish_reason
    return read


async def _response(answer: Any, streamed: bool) -> Read:
    if streamed:
        final = None
        async for event in answer:
            if event.type in ("response.completed", "response.incomplete", "response.failed"):
                final = event.response
        answer = final
    usage, incomplete = answer.usage, answer.incomplete_details
    calls = [item for item in answer.output if item.type == "function_call"]
    texts = [
        part.text
        for item in answer.output
        if item.type == "message"
        for part in item.content
        if part.type == "output_text"
    ]
    return {
        "text": "".join(texts) if texts else None,
        "finish_reason": incomplete.reason if incomplete and incomplete.reason else answer.status,
        "model": answer.model,
        "tool_calls": [{"name": call.name, "arguments": _parsed(call.arguments)} for call in calls],
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": getattr(usage.input_tokens_details, "cached_tokens", None),
        "reasoning_tokens": getattr(usage.output_tokens_details, "reasoning_tokens", None),
    }


# --- Anthropic ------------------------------------------------------------------------------------------------------


async def _anthropic(base: str, exchange: Exchange, streamed: bool) -> Read:
    async with anthropic.AsyncAnthropic(api_key="not-a-key", base_url=base, max_retries=0, timeout=20) as client:
        try:
            answer: Any = await client.post(
                exchange.request.path,
                cast_to=Message,
                body=exchange.request.body,
                stream=streamed,
                stream_cls=anthropic.AsyncStream[RawMessageStreamEvent],
            )
            if not streamed:
                return _message(answer)
            return await _message_stream(answer)
        except anthropic.APIStatusError as error:
            return _told(error)


def _message_usage(usage: Any) -> Read:
    found = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cache_read_input_tokens,
        "cache_write_tokens": usage.cache_creation_input_tokens,
    }
    return {name: value for name, value in found.items() if value is not None}


def _message(answer: Any) -> Read:
    texts = [block.text for block in answer.content if block.type == "text"]
    thoughts = [block.thinking for block in answer.content if block.type == "thinking"]
    return {
        "text": "".join(texts) if texts else None,
        "reasoning_text": "".join(thoughts) if thoughts else None,
        "finish_reason": answer.stop_reason,
        "model": answer.model,
        "tool_calls": [{"name": b.name, "arguments": b.input} for b in answer.content if b.type == "tool_use"],
        **_message_usage(answer.usage),
    }


async def _message_stream(answer: Any) -> Read:
    text: list[str] = []
    thoughts: list[str] = []
    calls: dict[int, list[str]] = {}
    read: Read = {}
    async for event in answer:
        if event.type == "message_start":
            read |= {"model": event.message.model, **_message_usage(event.message.usage)}
        elif event.type == "content_block_start":
            if event.content_block.type == "tool_use":
                calls[event.index] = [event.content_block.name, ""]
            elif event.content_block.type == "text":
                text.append(event.content_block.text)
        elif event.type == "content_block_delta":
            kind = event.delta.type
            if kind == "text_delta":
                text.append(event.delta.text)
            elif kind == "thinking_delta":
                thoughts.append(event.delta.thinking)
            elif kind == "input_json_delta" and event.index in calls:
                calls[event.index][1] += event.delta.partial_json
        elif event.type == "message_delta":
            read |= {"finish_reason": event.delta.stop_reason, **_message_usage(event.usage)}
    return read | {
        "text": "".join(text) if text else None,
        "reasoning_text": "".join(thoughts) if thoughts else None,
        "tool_calls": [{"name": name, "arguments": _parsed(given)} for name, given in calls.values()],
    }


# --- Ollama ---------------------------------------------------------------------------------------------------------


async def _ollama(base: str, exchange: Exchange, streamed: bool) -> Read:
    client = ollama.AsyncClient(host=base, timeout=20)
    kind: Any = ollama.ChatResponse if exchange.api == "chat" else ollama.GenerateResponse
    try:
        answer: Any = await client._request(
            kind, "POST", exchange.request.path, json=exchange.request.body, stream=streamed
        )
        pieces = [piece async for piece in answer] if streamed else [answer]
    except ollama.ResponseError as error:
        return {"error_message": error.error}
    last = pieces[-1]
    texts = [p.message.content if exchange.api == "chat" else p.response for p in pieces]
    calls = [call.function for p in pieces if exchange.api == "chat" for call in p.message.tool_calls or ()]
    thoughts = [p.message.thinking for p in pieces if exchange.api == "chat" and p.message.thinking]
    return {
        "text": "".join(text or "" for text in texts),
        "reasoning_text": "".join(thoughts) if thoughts else None,
        "finish_reason": last.done_reason,
        "model": last.model,
        "tool_calls": [{"name": call.name, "arguments": dict(call.arguments)} for call in calls],
        "input_tokens": last.prompt_eval_count,
        "output_tokens": last.eval_count,
    }


# --- Bedrock --------------------------------------------------------------------------------------------------------


def _bedrock(base: str, exchange: Exchange) -> Read:
    client: Any = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=base,
        aws_access_key_id="not-a-key-id",
        aws_secret_access_key="not-a-key",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20, parameter_validation=False),
    )
    model = unquote(exchange.request.path.split("/")[2])
    body = exchange.request.body
    try:
        if exchange.api == "converse":
            return _converse(client.converse(modelId=model, **_with_bytes(body)))
        if exchange.api == "converse-stream":
            return _converse_stream(client.converse_stream(modelId=model, **_with_bytes(body))["stream"])
        packed = orjson.dumps(body)
        if exchange.api == "invoke":
            return _invoked([orjson.loads(client.invoke_model(modelId=model, body=packed)["body"].read())])
        stream = client.invoke_model_with_response_stream(modelId=model, body=packed)["body"]
        return _invoked([orjson.loads(event["chunk"]["bytes"]) for event in stream])
    except ClientError as error:
        told = error.response["Error"]
        return {"error_type": told["Code"], "error_message": told["Message"]}


def _with_bytes(value: Any) -> Any:
    """The recorded JSON as boto3 wants it: what is base64 on the wire is bytes to its callers."""
    if isinstance(value, dict):
        return {
            k: b64decode(v) if k in ("bytes", "redactedContent") and isinstance(v, str) else _with_bytes(v)
            for k, v in value.items()
        }
    return [_with_bytes(item) for item in value] if isinstance(value, list) else value


def _converse_usage(usage: Any) -> Read:
    return {
        "input_tokens": usage["inputTokens"],
        "output_tokens": usage["outputTokens"],
        "cached_input_tokens": usage.get("cacheReadInputTokens"),
        "cache_write_tokens": usage.get("cacheWriteInputTokens"),
    }


def _converse(answer: Any) -> Read:
    content = answer["output"]["message"]["content"]
    texts = [block["text"] for block in content if "text" in block]
    thoughts = [b["reasoningContent"]["reasoningText"]["text"] for b in content if "reasoningContent" in b]
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    return {
        "text": "".join(texts) if texts else None,
        "reasoning_text": "".join(thoughts) if thoughts else None,
        "finish_reason": answer["stopReason"],
        "tool_calls": [{"name": call["name"], "arguments": call["input"]} for call in calls],
        **_converse_usage(answer["usage"]),
    }


def _converse_stream(events: Any) -> Read:
    text: list[str] = []
    thoughts: list[str] = []
    calls: dict[int, list[str]] = {}
    read: Read = {}
    for event in events:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            calls[start["contentBlockIndex"]] = [start["start"]["toolUse"]["name"], ""]
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            if "text" in delta:
                text.append(delta["text"])
            elif "toolUse" in delta:
                calls[event["contentBlockDelta"]["contentBlockIndex"]][1] += delta["toolUse"]["input"]
            elif "text" in delta.get("reasoningContent", {}):
                thoughts.append(delta["reasoningContent"]["text"])
        elif "messageStop" in event:
            read["finish_reason"] = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            read |= _converse_usage(event["metadata"]["usage"])
    return read | {
        "text": "".join(text) if text else None,
        "reasoning_text": "".join(thoughts) if thoughts else None,
        "tool_calls": [{"name": name, "arguments": _parsed(given)} for name, given in calls.values()],
    }


def _invoked(bodies: list[Any]) -> Read:
    """boto3 hands InvokeModel's bodies over as they are: that they arrive whole is all that it can tell."""
    found = [
        str(b.get("outputText") or b.get("generation") or (b.get("delta") or {}).get("text") or "") for b in bodies
    ]
    found += [block.get("text", "") for b in bodies for block in b.get("content", ()) if block.get("type") == "text"]
    found += [one["text"] for b in bodies for one in b.get("generations", ())]
    return {"text": "".join(found) or None}


# --- Gemini ---------------------------------------------------------------------------------------------------------


async def _gemini(base: str, exchange: Exchange, streamed: bool) -> Read:
    options = genai_types.HttpOptions(
        base_url=base, api_version="", timeout=20_000, retry_options=genai_types.HttpRetryOptions(attempts=1)
    )
    client = genai.Client(api_key="not-a-key", http_options=options)
    low = client._api_client
    path, body = exchange.request.path.lstrip("/"), exchange.request.body
    try:
        # This client streams by events alone; an array it reads as any other body.
        if streamed and "alt=sse" in path:
            pieces = [orjson.loads(p.body) async for p in await low.async_request_streamed("post", path, body, None)]
        else:
            pieces = [orjson.loads((await low.async_request("post", path, body, None)).body)]
    except genai_errors.APIError as error:
        return {"error_type": error.status, "error_code": error.code, "error_message": error.message}
    finally:
        await client.aio.aclose()
        client.close()
    flat = [one for piece in pieces for one in (piece if isinstance(piece, list) else [piece])]
    if "enum-encoding" in path:
        # Words as numbers, which this client never asks for and cannot read.
        flat = [_worded(answer) for answer in flat]
    kind = genai_types.GenerateContentResponse
    return _candidates([kind._from_response(response=one, kwargs={}) for one in flat])


def _worded(value: Any) -> Any:
    """Without the fields whose value is a number in place of a word."""
    if isinstance(value, dict):
        return {k: _worded(v) for k, v in value.items() if k not in ("finishReason", "trafficType", "modality")}
    return [_worded(item) for item in value] if isinstance(value, list) else value


def _candidates(answers: list[genai_types.GenerateContentResponse]) -> Read:
    text: list[str] = []
    calls: list[Any] = []
    read: Read = {}
    for answer in answers:
        usage = answer.usage_metadata
        if usage is not None:
            found = {
                "input_tokens": usage.prompt_token_count,
                "output_tokens": usage.candidates_token_count,
                "cached_input_tokens": usage.cached_content_token_count,
                "reasoning_tokens": usage.thoughts_token_count,
            }
            read |= {name: value for name, value in found.items() if value is not None}
        read |= {"model": answer.model_version} if answer.model_version else {}
        for candidate in answer.candidates or ():
            for part in (candidate.content.parts if candidate.content else None) or ():
                if part.function_call is not None:
                    calls.append({"name": part.function_call.name, "arguments": part.function_call.args or {}})
                elif part.text is not None and not part.thought:
                    text.append(part.text)
            if candidate.finish_reason is not None and isinstance(candidate.finish_reason.value, str):
                read["finish_reason"] = candidate.finish_reason.value
    return read | {"text": "".join(text) if text else None, "tool_calls": calls}
