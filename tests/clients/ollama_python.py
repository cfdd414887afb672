"""Ollama's Python client."""

from __future__ import annotations

from typing import Any

import ollama

from tests.clients.outcome import PROMPT, SYSTEM, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Ask, Form, Outcome


def chat(url: str, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        speaker = ollama.Client(host=url, headers=headers, timeout=20)
        asked: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
            "options": {"num_predict": 200},
        }
        if "tool" in form:
            tool = {"name": TOOL_NAME, "description": TOOL_ABOUT, "parameters": TOOL_SCHEMA}
            asked["tools"] = [{"type": "function", "function": tool}]
        if "stream" not in form:
            return _told(Outcome(), speaker.chat(**asked))
        told = Outcome()
        for piece in speaker.chat(**asked, stream=True):
            _told(told, piece)
        return told

    return ask


def _told(told: Outcome, piece: Any) -> Outcome:
    told.text += piece.message.content or ""
    for call in piece.message.tool_calls or ():
        told.tools.append({"name": call.function.name, "arguments": dict(call.function.arguments)})
    return _ended(told, piece)


def _ended(told: Outcome, piece: Any) -> Outcome:
    if piece.done:
        told.finish = piece.done_reason
        told.input_tokens, told.output_tokens = piece.prompt_eval_count, piece.eval_count
    return told


def generate(url: str, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        speaker = ollama.Client(host=url, headers=headers, timeout=20)
        told = Outcome()
        if form == "plain":
            answer = speaker.generate(model=model, prompt=PROMPT, system=SYSTEM)
            told.text = answer.response
            return _ended(told, answer)
        for piece in speaker.generate(model=model, prompt=PROMPT, system=SYSTEM, stream=True):
            told.text += piece.response
            _ended(told, piece)
        return told

    return ask
