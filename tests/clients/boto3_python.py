"""boto3 on Bedrock: Converse, InvokeModel, and the streams of both."""

from __future__ import annotations

from typing import Any

import boto3
import orjson
from botocore.config import Config

from tests.clients.outcome import PROMPT, SYSTEM, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Ask, Form, Outcome


class Speaker:
    """A client whose next calls carry further headers, signed like its own."""

    def __init__(self, url: str) -> None:
        self.headers: dict[str, str] = {}
        self.client: Any = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="not-a-key-id",
            aws_secret_access_key="not-a-key",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20, connect_timeout=5),
        )
        self.client.meta.events.register("before-call.bedrock-runtime", self._add)

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def _add(self, params: dict[str, Any], **_: Any) -> None:
        params["headers"].update(self.headers)


def converse(speaker: Speaker, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        speaker.headers = headers
        asked: dict[str, Any] = {
            "modelId": model,
            "system": [{"text": SYSTEM}],
            "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
            "inferenceConfig": {"maxTokens": 200},
        }
        if "tool" in form:
            spec = {"name": TOOL_NAME, "description": TOOL_ABOUT, "inputSchema": {"json": TOOL_SCHEMA}}
            asked["toolConfig"] = {"tools": [{"toolSpec": spec}], "toolChoice": {"any": {}}}
        if "stream" in form:
            return _streamed(speaker.client.converse_stream(**asked)["stream"])
        answer = speaker.client.converse(**asked)
        content = answer["output"]["message"]["content"]
        calls = [block["toolUse"] for block in content if "toolUse" in block]
        return Outcome(
            text="".join(block.get("text", "") for block in content),
            tools=[{"name": call["name"], "arguments": call["input"]} for call in calls],
            input_tokens=answer["usage"]["inputTokens"],
            output_tokens=answer["usage"]["outputTokens"],
            finish=answer["stopReason"],
        )

    return ask


def _streamed(events: Any) -> Outcome:
    told, arguments = Outcome(), ""
    for event in events:
        if "contentBlockStart" in event:
            told.tools.append({"name": event["contentBlockStart"]["start"]["toolUse"]["name"]})
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            told.text += delta.get("text", "")
            arguments += delta.get("toolUse", {}).get("input", "")
        elif "messageStop" in event:
            told.finish = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
            told.input_tokens, told.output_tokens = usage["inputTokens"], usage["outputTokens"]
    if told.tools:
        told.tools[0]["arguments"] = orjson.loads(arguments)
    return told


def titan(speaker: Speaker, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        speaker.headers = headers
        body = orjson.dumps({"inputText": PROMPT, "textGenerationConfig": {"maxTokenCount": 200}})
        if form == "plain":
            answer = orjson.loads(speaker.client.invoke_model(modelId=model, body=body)["body"].read())
            result = answer["results"][0]
            return Outcome(
                result["outputText"],
                [],
                answer["inputTextTokenCount"],
                result["tokenCount"],
                result["completionReason"],
            )
        told = Outcome()
        for event in speaker.client.invoke_model_with_response_stream(modelId=model, body=body)["body"]:
            chunk = orjson.loads(event["chunk"]["bytes"])
            told.text += chunk["outputText"]
            told.finish = chunk["completionReason"] or told.finish
            told.input_tokens = chunk.get("inputTextTokenCount") or told.input_tokens
            told.output_tokens = chunk.get("totalOutputTextTokenCount") or told.output_tokens
        return told

    return ask


def jurassic(speaker: Speaker, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        speaker.headers = headers
        body = orjson.dumps({"prompt": PROMPT, "maxTokens": 200})
        response = speaker.client.invoke_model(modelId=model, body=body)
        completion = orjson.loads(response["body"].read())["completions"][0]
        # The body counts no tokens; AWS tells them beside it.
        told = response["ResponseMetadata"]["HTTPHeaders"]
        given, made = (int(told.get(f"x-amzn-bedrock-{side}-token-count", 0)) for side in ("input", "output"))
        return Outcome(completion["data"]["text"], [], given, made, completion["finishReason"]["reason"])

    return ask


def llama(speaker: Speaker, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        speaker.headers = headers
        body = orjson.dumps({"prompt": PROMPT, "max_gen_len": 200})
        if form == "plain":
            answer = orjson.loads(speaker.client.invoke_model(modelId=model, body=body)["body"].read())
            return Outcome(
                answer["generation"],
                [],
                answer["prompt_token_count"],
                answer["generation_token_count"],
                answer["stop_reason"],
            )
        told = Outcome()
        for event in speaker.client.invoke_model_with_response_stream(modelId=model, body=body)["body"]:
            chunk = orjson.loads(event["chunk"]["bytes"])
            told.text += chunk["generation"]
            told.finish = chunk["stop_reason"] or told.finish
            told.input_tokens = chunk["prompt_token_count"] or told.input_tokens
            told.output_tokens = chunk["generation_token_count"]
        return told

    return ask
