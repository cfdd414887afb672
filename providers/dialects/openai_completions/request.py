"""Text completion requests, both ways. A chat becomes one prompt.

A lone question is the prompt as it is. Anything longer is written as a script, a blank line between the parts: the
system prompts first, then each turn after its role (`User: `, `Assistant: `, `Tool: `), and at the end the word
`Assistant:` for the model to go on from. A last turn of the assistant is the beginning of the answer and stays open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.base import DecodedRequest, Quirks
from providers.dialects.openai_chat.request import deployment_in, one_choice
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest, Message

NAME: Final = "openai_completions"

DEFAULT_MAX_TOKENS: Final = 16
"""What the API writes at most where the request does not say."""

_READ = frozenset(
    {"model", "prompt", "max_tokens", "temperature", "top_p", "stop", "seed", "n", "stream", "stream_options"}
)
_PASSED = frozenset(
    {
        "suffix", "echo", "logprobs", "best_of", "frequency_penalty", "presence_penalty", "logit_bias", "user", "top_k",
        "min_p", "repetition_penalty", "ignore_eos", "guided_json", "structured_outputs",
    }
)  # fmt: skip
_NAMES: Final = {"user": "User", "assistant": "Assistant", "tool": "Tool"}


def encode_request(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """Raises InvalidRequestError for what a text cannot hold: tools and images."""
    if request.tools:
        raise InvalidRequestError("the completions API has no tools; ask through chat completions or responses")
    messages = request.chat()
    forms.check_messages(messages)
    if request.wants_json():
        messages.insert(0, {"role": "system", "content": forms.json_instruction(request)})
    body: dict[str, Any] = {
        "model": model,
        "prompt": script(messages),
        "max_tokens": request.max_tokens or quirks.default_max_tokens,
    }
    if quirks.sampling:
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.seed is not None:
            body["seed"] = request.seed
    if request.stop:
        body["stop"] = request.stop
    if stream:
        body["stream"] = True
        if quirks.stream_usage:
            body["stream_options"] = {"include_usage": True}
    extras = request.metadata.get(NAME)
    if extras:
        body.update((k, v) for k, v in extras.items() if k in _PASSED)
    body.update(quirks.extra_body)
    return forms.dump(body)


def script(messages: Sequence[Message]) -> str:
    """The conversation as one text. Raises InvalidRequestError for a message that is not text."""
    system: list[str] = []
    turns: list[tuple[str, str]] = []
    for index, message in enumerate(messages):
        role, text = message["role"], _text(message, index)
        if role in ("system", "developer"):
            system.append(text)
        else:
            turns.append((_NAMES.get(role, role.capitalize()), text))
    if not system and len(turns) == 1 and turns[0][0] == "User":
        return turns[0][1]
    open_ = turns[-1][0] == "Assistant" if turns else False
    parts = [*system, *(f"{name}: {text}" for name, text in turns)]
    return "\n\n".join(parts).rstrip() if open_ else "\n\n".join([*parts, "Assistant:"])


def _text(message: Message, index: int) -> str:
    content = forms.said(message)
    if message.get("tool_calls"):
        raise InvalidRequestError(f"messages[{index}] calls a tool, which the completions API does not know")
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "text":
            texts.append(part.get("text") or "")
        else:
            raise InvalidRequestError(
                f"messages[{index}] has a part of type {part.get('type')!r}; the completions API takes only text"
            )
    return "".join(texts)


# --- in -------------------------------------------------------------------------------------------------------------


def decode_request(body: bytes, *, path: str = "") -> DecodedRequest:
    data = forms.load(body)
    one_choice(data)
    stream = forms.flag_field(data, "stream", False)
    extras = {k: v for k, v in data.items() if k not in _READ}
    limit = forms.whole_field(data, "max_tokens")
    request = GenerationRequest(
        prompt=_prompt(data.get("prompt")),
        model=forms.text_field(data, "model") or deployment_in(path),
        temperature=forms.number_field(data, "temperature"),
        top_p=forms.number_field(data, "top_p"),
        max_tokens=DEFAULT_MAX_TOKENS if limit is None else limit,
        stop=forms.stop_field(data, "stop"),
        seed=forms.whole_field(data, "seed"),
        metadata={NAME: extras} if extras else {},
    )
    request.check()
    return DecodedRequest(request, stream, forms.object_field(data, "stream_options").get("include_usage") is True)


def _prompt(prompt: object) -> str:
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list):
        if len(prompt) == 1 and isinstance(prompt[0], str):
            return prompt[0]
        if prompt and all(isinstance(one, (int, list)) for one in prompt):
            raise InvalidRequestError("prompt is a list of token ids; give the text that they stand for")
        if len(prompt) > 1 and all(isinstance(one, str) for one in prompt):
            raise InvalidRequestError(f"prompt is a list of {len(prompt)} texts; ask for them one at a time")
    shown = "missing" if prompt is None else forms.shown(prompt)
    raise InvalidRequestError(f"prompt is {shown}; it must be a string or a list of one string")
