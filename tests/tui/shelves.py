"""A library of recordings for the tests of room 6: a packaged folder and the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from providers.dialects.eventstream import write_frame

QUESTION = "What does a fuse do?"
ANSWER = "It melts before the house does."


def chat(text: str = QUESTION, **fields: Any) -> dict[str, Any]:
    """A body of OpenAI's chat completions."""
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


def completion(text: str = ANSWER) -> str:
    """A whole answer to it."""
    return orjson.dumps(
        {
            "id": "chatcmpl-1",
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19},
        }
    ).decode()


def read_as(text: str | None = ANSWER, **fields: Any) -> dict[str, Any]:
    """What is expected of an answer."""
    return {"text": text, "finish_reason": "stop", "input_tokens": 12, "output_tokens": 7, **fields}


def sse(*pieces: str, after_ms: Sequence[int] = (400, 20, 20, 20, 20, 20, 20)) -> list[dict[str, Any]]:
    """The chunks of a streamed answer: a role, the pieces, the end."""
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in pieces]
    deltas.append(({}, "stop"))
    chunks = []
    for number, (delta, finish) in enumerate(deltas):
        event = {"id": "c", "model": "gpt-4o-mini", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        chunks.append({"after_ms": after_ms[number], "data": f"data: {orjson.dumps(event).decode()}\n\n"})
    chunks[-1]["data"] += "data: [DONE]\n\n"
    return chunks


def frames(*messages: tuple[str, dict[str, Any]]) -> bytes:
    """Binary messages, as Bedrock streams them."""
    return b"".join(
        write_frame({":message-type": "event", ":event-type": name}, orjson.dumps(payload))
        for name, payload in messages
    )


class Shelves:
    """Writes recordings: `put` into the packaged folder, `own` into the user's."""

    def __init__(self, packaged: Path, user: Path) -> None:
        self.packaged = packaged
        self.user = user
        packaged.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, body: Any = None, *, folder: Path | None = None, **document: Any) -> Path:
        """`name` is `<provider>/<case>`; without a response it is a plain answer to QUESTION."""
        provider, _, case = name.partition("/")
        path = (folder or self.packaged) / provider / f"{case}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {
            "version": 1,
            "provider": provider,
            "api": "chat.completions",
            "recorded": {"at": "2026-11-21T09:00:00Z", "from": "authored"},
            "request": {"method": "POST", "path": "/v1/chat/completions", "headers": {}, "body": body or chat()},
            "response": {"status": 200, "headers": {"content-type": "application/json"}, "body": completion()},
            "error": None,
            "expected": read_as(),
            **document,
        }
        path.write_bytes(orjson.dumps(whole))
        return path

    def own(self, name: str, body: Any = None, **document: Any) -> Path:
        return self.put(name, body, folder=self.user, **document)

    def stream(self, name: str, body: Any = None, **document: Any) -> Path:
        """A streamed answer to QUESTION, in three pieces."""
        response = {
            "status": 200,
            "headers": {"content-type": "text/event-stream"},
            "chunks": sse("It melts", " before the house", " does."),
        }
        expected = {"text": ANSWER, "finish_reason": "stop"}
        body = body or chat(stream=True, stream_options={"include_usage": True})
        return self.put(name, body, **{"response": response, "expected": expected, **document})

    def failure(self, name: str, status: int = 429, message: str = "Slow down.", **document: Any) -> Path:
        response = {
            "status": status,
            "headers": {"content-type": "application/json"},
            "body": orjson.dumps({"error": {"message": message, "type": "requests", "code": "rate_limit"}}).decode(),
        }
        expected = {"error_message": message, "error_type": "requests"}
        body = document.pop("body", None) or chat("Too often?")
        return self.put(name, body, **{"response": response, "expected": expected, **document})

    def broken(self, name: str, text: str = "{not json") -> Path:
        path = self.put(name)
        path.write_text(text)
        return path
