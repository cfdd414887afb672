"""Ollama's Python client."""

from __future__ import annotations

from typing import Any

import ollama

from tests.clients.outcome import PROMPT, SYSTEM, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Ask, Form, Outcome


def chat(url: str, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        asked: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
            "options": {"num_predict": 200},
        }
        if "tool" in form:
            tool = {"name": TOOL_NAME, "description": TOOL_ABOUT, "parameters": TOOL_SCHEMA}
            asked["tools"] = [{"type": "function", "function": tool}]
        told = Outcome()
        with ollama.Client(host=url, headers=headers, timeout=20) as speaker:
            for piece in speaker.chat(**asked, stream=True) if "stream" in form else [speaker.chat(**asked)]:
                told.text += piece.message.content or ""
                for call in piece.message.tool_calls or ():
                    told.tools.append({"name": call.function.name, "arguments": dict(call.function.arguments)})
                _ended(told, piece)
        return told

    return ask


def generate(url: str, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        asked: dict[str, Any] = {"model": model, "prompt": PROMPT, "system": SYSTEM}
        told = Outcome()
        with ollama.Client(host=url, headers=headers, timeout=20) as speaker:
            for piece in speaker.generate(**asked, stream=True) if form == "stream" else [speaker.generate(**asked)]:
                told.text += piece.response
                _ended(told, piece)
        return told

    return ask


def _ended(told: Outcome, piece: Any) -> None:
    if piece.done:
        told.finish = piece.done_reason
        told.input_tokens, told.output_tokens = piece.prompt_eval_count, piece.eval_count
