"""The deterministic synthetic writer: the same request and seed give the same answer, in the provider's voice.

It honours what changes an answer's shape: max_tokens, stop sequences, JSON mode and schemas, tools, the context window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import orjson

from providers.dialects.forms import told_format
from providers.errors import ContextLengthError, InvalidRequestError
from providers.mock.schema import Sampler
from providers.mock.topic import Topic, keywords, topic_of
from providers.mock.voices import VOICES, Voice
from providers.types import (
    Completion,
    GenerationRequest,
    Message,
    RawUsage,
    StopReason,
    TokenUsage,
    ToolCall,
    content_text,
)

T = TypeVar("T")

MESSAGE_OVERHEAD = 4
"""Tokens that each message costs beside its text (OpenAI's cookbook: three, and one for the role)."""
REPLY_OVERHEAD = 3
"""Tokens that prime the reply (the same source)."""
_PIECE = re.compile(r"\s?[A-Za-z]{1,9}|\s?\d{1,3}|\s?[^\sA-Za-z\d]{1,2}|\s+")
_SLOT = re.compile(r"([^{]*)(?:\{([abAB])\})?")
_FILL = "\0"
"""Begins a piece that is a placeholder; no text of a voice has it."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w'’\-]*(?: [A-Z][\w'’\-]*)*")

# What a property wants, told by its name.
_ASKS = re.compile("query|question|prompt|input|search", re.I)
_ANSWERS = re.compile("answer|text|content|summary|description|reason|explanation", re.I)
_NAMES = re.compile("city|location|place|country|name|person|company", re.I)


def pieces_of(text: str) -> list[str]:
    """The text in pieces of about a token each; joined they are the text."""
    return _PIECE.findall(text)


def tokens_in(text: str) -> int:
    """About the number of tokens of a text, in constant time: four characters each, fewer where a character is wide."""
    if text.isascii():
        return (len(text) + 3) // 4
    return (len(text.encode("utf-8", "surrogatepass")) + 2) // 3


def prompt_tokens(messages: Sequence[Message]) -> int:
    """About the number of tokens of a conversation, tool calls included."""
    total = REPLY_OVERHEAD
    for message in messages:
        total += MESSAGE_OVERHEAD + tokens_in(content_text(message.get("content")))
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            total += MESSAGE_OVERHEAD + tokens_in(f"{function.get('name')}{function.get('arguments')}")
    return total


def input_tokens(request: GenerationRequest, messages: Sequence[Message]) -> int:
    """About the number of tokens that a request's messages and tools are charged as."""
    return prompt_tokens(messages) + (tokens_in(repr(request.tools)) if request.tools else 0)


class Dice:
    """Choices drawn from a hash: no state outside, the same on every machine."""

    __slots__ = ("_left", "_seed")

    def __init__(self, *parts: object) -> None:
        self._seed = blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=32).digest()
        self._left = int.from_bytes(self._seed)

    def below(self, count: int) -> int:
        if self._left < 1 << 32:
            self._seed = blake2b(self._seed, digest_size=32).digest()
            self._left = int.from_bytes(self._seed)
        self._left, drawn = divmod(self._left, count)
        return drawn

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def unit(self) -> float:
        """A number in [0, 1)."""
        return self.below(1 << 30) / (1 << 30)

    def token(self, length: int = 24) -> str:
        """Letters and digits for an id."""
        return self._seed.hex()[:length]


class Written(NamedTuple):
    """An answer, and its text as it would be streamed."""

    completion: Completion
    pieces: list[str]


class SyntheticWriter:
    """Writes one answer for one request. It holds only its seed, so it can be shared."""

    __slots__ = ("seed",)

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def dice(self, request: GenerationRequest, messages: Sequence[Message], provider: str, model: str) -> Dice:
        """The choices that belong to this request: prompt, provider, model and both seeds decide them."""
        said = [f"{message.get('role')}:{content_text(message.get('content'))}" for message in messages]
        return Dice(provider, model, self.seed, request.seed, *said)

    def write(
        self,
        request: GenerationRequest,
        *,
        provider: str,
        model: str,
        window: int | None = None,
        dice: Dice | None = None,
    ) -> Written:
        """Answer. `window` is the model's context window in tokens.

        Raises ContextLengthError for a prompt beyond the window, InvalidRequestError for a JSON schema that is none.
        """
        messages = request.chat()
        asked = input_tokens(request, messages)
        if window is not None:
            _check_window(asked, request.max_tokens, window)
        dice = dice or self.dice(request, messages, provider, model)
        last = messages[-1] if messages else {}
        topic = topic_of(request.last_user_text())
        call = _tool_call(request, last, topic, dice)
        if call is not None:
            output = tokens_in(call.arguments) + tokens_in(call.name) + MESSAGE_OVERHEAD
            return Written(_completion(None, "tool_calls", asked, output, model, [call]), [])
        voice = VOICES.get(provider) or VOICES["mock"]
        pieces = prose(voice, topic, dice, continues=last.get("role") == "assistant", told=_tool_result(last))
        form = request.response_format if request.wants_json() else _told(messages)
        if form is not None:
            pieces = pieces_of(_structured(request, form, topic, "".join(pieces)))
        if request.stop is not None:
            pieces = _before_stop(pieces, request.stop_list())
        stop: StopReason = "stop"
        if request.max_tokens is not None and len(pieces) > request.max_tokens:
            pieces, stop = pieces[: request.max_tokens], "length"
        return Written(_completion("".join(pieces), stop, asked, len(pieces), model, []), pieces)


def _before_stop(pieces: list[str], stops: Sequence[str]) -> list[str]:
    text = "".join(pieces)
    ends = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    return pieces_of(text[: min(ends)]) if ends else pieces


def _completion(
    text: str | None, stop: StopReason, input_tokens: int, output_tokens: int, model: str, calls: list[ToolCall]
) -> Completion:
    return Completion(
        text=text,
        stop=stop,
        usage=TokenUsage(input_tokens, output_tokens, input_tokens + output_tokens),
        raw_usage=RawUsage(input_tokens, output_tokens),
        tool_calls=calls,
        model=model,
    )


def _check_window(input_tokens: int, max_tokens: int | None, window: int) -> None:
    total = input_tokens + (max_tokens or 0)
    if total <= window:
        return
    if input_tokens > window:
        asked = f"your messages resulted in {input_tokens} tokens. Please reduce the length of the messages."
    else:
        asked = (
            f"you requested {total} tokens ({input_tokens} in the messages, {max_tokens} in the completion). "
            "Please reduce the length of the messages or completion."
        )
    raise ContextLengthError(
        f"This model's maximum context length is {window} tokens. However, {asked}",
        status=400,
        code="context_length_exceeded",
    )


@lru_cache(maxsize=1024)
def _compiled(sentence: str) -> tuple[tuple[str, ...], ...]:
    """A sentence of a voice in pieces; a piece that is one placeholder (`a`, ` a`, …) is alone in its tuple."""
    parts: list[tuple[str, ...]] = []
    for literal, slot in _SLOT.findall(" " + sentence):
        if slot and literal.endswith(" "):
            literal, slot = literal[:-1], " " + slot
        parts += [tuple(pieces_of(literal))] * bool(literal) + [(_FILL + slot,)] * bool(slot)
    return tuple(parts)


def prose(voice: Voice, topic: Topic, dice: Dice, *, continues: bool = False, told: str = "") -> list[str]:
    """One to nine sentences, in pieces; `continues` leaves out the opening, `told` is a tool's result to report."""
    wanted = topic.sentences or (7 if topic.long else 3 + dice.below(2))
    pieces: list[str] = []
    sentences: list[str] = []
    if told:
        pieces += pieces_of(f"According to the tool, {told}.")
    elif not continues:
        sentences.append(dice.pick(voice.openings))
    closing = dice.pick(voice.closings)
    begin, stride = dice.below(7), 1 + dice.below(6)
    middles = voice.middles
    room = wanted - 1 - (wanted > 2)
    sentences += [middles[(begin + i * stride) % len(middles)] for i in range(min(room, len(middles)))]
    if wanted > 2:
        sentences.append(closing)
    filled: dict[str, list[str]] = {}
    for sentence in sentences:
        for part in _compiled(sentence):
            first = part[0]
            if first[0] != _FILL:
                pieces += part
                continue
            if first not in filled:
                filled[first] = _fill(first[1:], topic)
            pieces += filled[first]
    if pieces and not told and not continues:
        pieces[0] = pieces[0].lstrip()
    return pieces


def _fill(slot: str, topic: Topic) -> list[str]:
    name = slot.strip()
    text = topic.a if name in "aA" else topic.b
    if name.isupper():
        text = text[0].upper() + text[1:]
    return pieces_of(" " + text if slot[0] == " " else text)


def _tool_result(last: Mapping[str, Any]) -> str:
    """What a tool answered, short enough to repeat."""
    if last.get("role") != "tool":
        return ""
    said = " ".join(content_text(last.get("content")).split())
    return (said[:200] or "there is nothing to report").rstrip(".")


def _told(messages: Sequence[Message]) -> Mapping[str, Any] | None:
    """The form that the model was asked for in words, where its API has no field for it."""
    system = [content_text(message.get("content")) for message in messages if message.get("role") == "system"]
    return told_format(" ".join(system)) if system else None


def _structured(request: GenerationRequest, form: str | Mapping[str, Any], topic: Topic, text: str) -> str:
    """The answer as JSON: after the schema where one was given, else as a small object."""
    schema = None
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        schema = (form.get("json_schema") or {}).get("schema")
    if not isinstance(schema, Mapping):
        return orjson.dumps({"topic": topic.a, "answer": text, "confidence": 0.8}).decode()
    return orjson.dumps(_sampled(schema, request.last_user_text(), topic, text)).decode()


def _sampled(schema: Mapping[str, Any], prompt: str, topic: Topic, text: str) -> Any:
    numbers = _NUMBER.findall(prompt)
    names = _NAME.findall(prompt)

    def words(name: str) -> str:
        if _ASKS.search(name):
            return prompt.strip()[:300]
        if _ANSWERS.search(name):
            return text
        return str(names[0]) if names and _NAMES.search(name) else topic.a

    def number(name: str) -> float | None:
        return float(numbers[0]) if numbers else None

    try:
        return Sampler(schema, words, number, prompt).value()
    except (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise InvalidRequestError(f"the JSON schema cannot be followed: {error}", status=400) from None


def _tool_call(request: GenerationRequest, last: Mapping[str, Any], topic: Topic, dice: Dice) -> ToolCall | None:
    """The call that the request forces or that its prompt is about; None for an answer in words."""
    choice = request.tool_choice
    functions = [tool.get("function") or tool for tool in request.tools or ()]
    if not functions or choice == "none" or last.get("role") == "tool":
        return None
    prompt = request.last_user_text()
    chosen: Mapping[str, Any] | None = None
    if isinstance(choice, Mapping):
        wanted = (choice.get("function") or choice).get("name")
        chosen = next((each for each in functions if each.get("name") == wanted), None)
    if chosen is None:
        asked = keywords(prompt)
        chosen = max(functions, key=lambda each: len(asked & _about(each)))
        if choice not in ("required", "any") and not isinstance(choice, Mapping) and not asked & _about(chosen):
            return None
    schema = chosen.get("parameters") or {"type": "object", "properties": {}}
    arguments = _sampled(schema, prompt, topic, topic.a)
    return ToolCall(f"call_{dice.token()}", str(chosen.get("name")), orjson.dumps(arguments).decode())


def _about(function: Mapping[str, Any]) -> frozenset[str]:
    return keywords(f"{function.get('name', '')} {function.get('description', '')}".replace("_", " "))
