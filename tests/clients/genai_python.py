"""Google's Python client for Gemini."""

from __future__ import annotations

from typing import Any

from google import genai
from google.genai import types

from tests.clients.outcome import PROMPT, SYSTEM, TOOL_ABOUT, TOOL_NAME, TOOL_SCHEMA, Ask, Form, Outcome


def generate_content(url: str, model: str) -> Ask:
    def ask(form: Form, headers: dict[str, str]) -> Outcome:
        options = types.HttpOptions(
            base_url=url, headers=headers, timeout=20_000, retry_options=types.HttpRetryOptions(attempts=1)
        )
        with genai.Client(api_key="not-a-key", http_options=options) as speaker:
            config: dict[str, Any] = {"system_instruction": SYSTEM, "max_output_tokens": 200}
            if "tool" in form:
                tool = {"name": TOOL_NAME, "description": TOOL_ABOUT, "parameters_json_schema": TOOL_SCHEMA}
                config["tools"] = [{"function_declarations": [tool]}]
                config["tool_config"] = {"function_calling_config": {"mode": "ANY"}}
            chosen = types.GenerateContentConfig(**config)
            told = Outcome()
            if "stream" not in form:
                return _told(told, speaker.models.generate_content(model=model, contents=PROMPT, config=chosen))
            for piece in speaker.models.generate_content_stream(model=model, contents=PROMPT, config=chosen):
                _told(told, piece)
            return told

    return ask


def _told(told: Outcome, answer: Any) -> Outcome:
    candidate = answer.candidates[0] if answer.candidates else None
    for part in (candidate.content.parts or ()) if candidate is not None and candidate.content is not None else ():
        told.text += part.text or ""
        if part.function_call is not None:
            told.tools.append({"name": part.function_call.name, "arguments": dict(part.function_call.args)})
    if candidate is not None and candidate.finish_reason is not None:
        told.finish = candidate.finish_reason.name
    if answer.usage_metadata is not None:
        told.input_tokens = answer.usage_metadata.prompt_token_count
        told.output_tokens = answer.usage_metadata.candidates_token_count
    return told
