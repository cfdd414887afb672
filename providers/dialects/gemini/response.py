"""Gemini's answers, both ways. A stream's chunks have the form of a whole answer, so one reader folds both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from providers.dialects.accumulator import Accumulator, call_id
from providers.dialects.decoding import read_answer
from providers.dialects.forms import RAW_FINISH, THOUGHT_SIGNATURES, arguments_text, lenient_arguments
from providers.dialects.gemini.parts import signatures_of
from providers.dialects.usage import count, usage_with_cache_inside, word
from providers.dialects.vendor_errors import embedded_error
from providers.errors import ContentFilterError, MalformedResponseError
from providers.types import (
    Completion,
    RawUsage,
    ReasoningDelta,
    StopReason,
    StreamEvent,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    UsageReported,
)

STOPS: Final[dict[str, StopReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        ),
        "content_filter",
    ),
}  # fmt: skip
"""Every other reason (LANGUAGE, MALFORMED_FUNCTION_CALL, …) means the same to nobody else."""
_WORDS: Final[dict[StopReason, str]] = {
    "stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY", "other": "OTHER",
}  # fmt: skip
_NUMBERED: Final = (
    "FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "BLOCKLIST",
    "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR",
)  # fmt: skip
"""Vertex's reasons by number, which it sends where the path asks for `enum-encoding=int`."""
_UNSAID: Final = (None, 0, "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")


def stop_of(finish_reason: str | None, has_calls: bool) -> StopReason:
    """The normalised reason; a call of a function ends with STOP as text does."""
    stop = STOPS.get(finish_reason, "other") if finish_reason is not None else "other"
    return "tool_calls" if has_calls and stop == "stop" else stop


def finish_word(completion: Completion) -> str:
    """Google's word for why an answer ended: its own where it was Google's already."""
    own = completion.finish_reason
    if own is not None and own.isupper() and STOPS.get(own, "other") in (completion.stop, _like_text(completion.stop)):
        return own
    return _WORDS[completion.stop]


def _like_text(stop: StopReason) -> StopReason:
    return "stop" if stop == "tool_calls" else stop


def read_usage(sent: Mapping[str, Any]) -> tuple[TokenUsage | None, RawUsage]:
    """Normalised and raw numbers of a `usageMetadata`. Google counts thoughts, and what its own tools read, apart."""
    raw = RawUsage(
        count(sent, "promptTokenCount"),
        count(sent, "candidatesTokenCount"),
        count(sent, "cachedContentTokenCount"),
        None,
        count(sent, "thoughtsTokenCount"),
        None,
        # Vertex calls it traffic.
        word(sent, "serviceTier") or word(sent, "trafficType"),
    )
    if raw.input_tokens is None and raw.output_tokens is None:
        return None, raw
    given = (raw.input_tokens or 0) + (count(sent, "toolUsePromptTokenCount") or 0)
    thoughts = raw.reasoning_tokens or 0
    written = (raw.output_tokens or 0) + thoughts
    inside = RawUsage(given, written, raw.cached_input_tokens, None, thoughts, None, raw.service_tier)
    return usage_with_cache_inside(inside), raw


def write_usage(usage: TokenUsage) -> dict[str, Any]:
    written: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
    }
    if usage.cached_input_tokens:
        written["cachedContentTokenCount"] = usage.cached_input_tokens
    if usage.reasoning_tokens:
        written["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.service_tier is not None:
        written["serviceTier"] = usage.service_tier
    return written


class Folder:
    """Folds answers of one form, a stream's chunks or a single whole one, into an Accumulator."""

    __slots__ = ("_signed", "_usage", "answer")

    def __init__(self, answer: Accumulator) -> None:
        self.answer = answer
        self._usage: dict[str, Any] = {}
        self._signed: dict[str, str] | None = None

    def take(self, chunk: Mapping[str, Any], out: list[StreamEvent]) -> bool:
        """Read one answer and append its events; whether it holds a candidate.

        Raises ContentFilterError where the prompt was blocked, the errors of a shape that is none.
        """
        answer = self.answer
        answer.model = chunk.get("modelVersion") or answer.model
        answer.response_id = answer.response_id or chunk.get("responseId")
        sent = chunk.get("usageMetadata")
        if sent:
            self._count(sent, out)
        self._blocked(chunk.get("promptFeedback") or {})
        found = False
        for candidate in chunk.get("candidates") or ():
            # Other candidates are alternatives, not parts of this answer.
            if not candidate.get("index"):
                found = True
                self._candidate(candidate, out)
        return found

    def completion(self) -> Completion:
        answer = self.answer
        answer.stop = stop_of(answer.finish_reason, bool(answer.calls))
        return answer.completion()

    def _count(self, sent: Mapping[str, Any], out: list[StreamEvent]) -> None:
        # Every chunk counts from the start, and may leave out what has not changed.
        self._usage.update(sent)
        answer = self.answer
        usage, raw = read_usage(self._usage)
        if usage is not None and raw != answer.raw_usage:
            answer.usage, answer.raw_usage = usage, raw
            out.append(UsageReported(usage, raw))

    def _blocked(self, feedback: Mapping[str, Any]) -> None:
        reason = feedback.get("blockReason")
        if reason not in _UNSAID:
            error = ContentFilterError(
                feedback.get("blockReasonMessage") or f"the prompt was blocked: {reason}",
                status=200,
                error_type=str(reason),
            )
            error.billed = self.answer.usage
            raise error

    def _candidate(self, candidate: Mapping[str, Any], out: list[StreamEvent]) -> None:
        for part in (candidate.get("content") or {}).get("parts") or ():
            self._part(part, out)
        finish = candidate.get("finishReason")
        if finish in _UNSAID:
            return
        answer = self.answer
        if type(finish) is int:
            answer.metadata[RAW_FINISH] = finish
            finish = _NUMBERED[finish] if 0 <= finish < len(_NUMBERED) else str(finish)
        elif type(finish) is not str:
            raise TypeError("finishReason is neither a word nor a number")
        answer.finish_reason = finish

    def _part(self, part: Mapping[str, Any], out: list[StreamEvent]) -> None:
        answer = self.answer
        text, call = part.get("text"), part.get("functionCall")
        number: int | None = None
        if text is not None:
            if type(text) is not str:
                raise TypeError("a part's text is not a string")
            if part.get("thought") is True:
                if text or not answer.reasoning:
                    answer.reasoning.append(text)
                    out.append(ReasoningDelta(text))
            elif text or not answer.text:
                answer.text.append(text)
                out.append(TextDelta(text))
        elif call is not None:
            name, number = call["name"], len(answer.calls)
            if type(name) is not str:
                raise TypeError("functionCall.name is not a string")
            ident = call.get("id") or call_id(answer.response_id, number, name)
            arguments = arguments_text(call.get("args"))
            answer.tool(number, ident, name, arguments)
            out.append(ToolCallDelta(number, ident, name, arguments))
        signature = part.get("thoughtSignature")
        if signature:
            self._sign(number, signature)

    def _sign(self, number: int | None, signature: str) -> None:
        kept = self.answer.metadata.setdefault(THOUGHT_SIGNATURES, [])
        if number is not None:
            kept.append({"call": number, "signature": signature})
            return
        if self._signed is None:
            self._signed = {}
            kept.append(self._signed)
        # One text comes in many parts, of which at most the last that is signed counts.
        self._signed["signature"] = signature


def decode_completion(body: bytes) -> Completion:
    return read_answer(body, _read, "Gemini's")


def _read(data: Any) -> Completion:
    if type(data) is list and len(data) == 1:
        data = data[0]
    if data.get("error"):
        raise embedded_error(data)
    folder = Folder(Accumulator())
    if not folder.take(data, []):
        raise MalformedResponseError("the answer has no candidates")
    return folder.completion()


# --- writing --------------------------------------------------------------------------------------------------------


def text_part(text: str, *, thought: bool = False) -> dict[str, Any]:
    return {"text": text, "thought": True} if thought else {"text": text}


def call_parts(completion: Completion) -> list[dict[str, Any]]:
    """The function calls, each with its signature where it has one."""
    signatures = signatures_of(completion.metadata)
    parts: list[dict[str, Any]] = []
    for number, call in enumerate(completion.tool_calls):
        function: dict[str, Any] = {"name": call.name, "args": lenient_arguments(call.arguments)}
        if call.id:
            function["id"] = call.id
        part: dict[str, Any] = {"functionCall": function}
        if number in signatures:
            part["thoughtSignature"] = signatures[number]
        parts.append(part)
    return parts


def candidate_of(parts: list[dict[str, Any]], finish_reason: str | None = None) -> dict[str, Any]:
    content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    candidate: dict[str, Any] = {"content": content}
    if finish_reason is not None:
        candidate["finishReason"] = finish_reason
    candidate["index"] = 0
    return candidate


def encode_completion(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    parts: list[dict[str, Any]] = []
    if completion.reasoning_text is not None:
        parts.append(text_part(completion.reasoning_text, thought=True))
    if completion.text is not None:
        parts.append(text_part(completion.text))
    signature = signatures_of(completion.metadata).get(None)
    if signature is not None:
        if completion.text is None:
            parts.append(text_part(""))
        parts[-1]["thoughtSignature"] = signature
    parts += call_parts(completion)
    body: dict[str, Any] = {"candidates": [candidate_of(parts, finish_word(completion))]}
    if completion.usage is not None:
        body["usageMetadata"] = write_usage(completion.usage)
    return orjson.dumps({**body, "modelVersion": model, "responseId": response_id})
