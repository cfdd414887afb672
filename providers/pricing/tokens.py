"""Counting tokens: exact for OpenAI's models, a stated estimate for the rest, and never over the network.

Most vendors publish no tokenizer. For them the count is o200k_base's times a factor for the family, measured as output
tokens that vendors reported over o200k's count of the same answers (a few hundred tokens for each family, so give or
take a tenth). A vendor's own usage, where it sends any, always goes before a count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from providers.pricing.encodings import EncodingName, encoding
from providers.pricing.estimate import estimate_text
from providers.types import content_text

if TYPE_CHECKING:
    from tiktoken import Encoding

PER_MESSAGE: Final = 3
"""Tokens that frame one chat message, by OpenAI's documentation."""
PER_NAME: Final = 1
"""Tokens that a message's name adds."""
PER_REPLY: Final = 3
"""Tokens that open the answer."""
CUT_TRIES: Final = 1000
PIECE: Final = 100_000
"""Characters given to the tokenizer at once: it fails on runs of a million blanks."""

_EXACT: Final[tuple[tuple[str, EncodingName], ...]] = (
    (
        r"^(?:ft:)?(?:(?:chat)?gpt-4o|gpt-4\.[15]|gpt-[5-9]|gpt-oss|o[1-9](?:-|$)|codex-mini|computer-use)",
        "o200k_base",
    ),
    (r"^(?:ft:)?(?:gpt-4|gpt-3\.?5|text-embedding|davinci-002|babbage-002)", "cl100k_base"),
)
_FACTORS: Final = (
    (r"claude-(?:(?:opus|sonnet|haiku|fable|mythos)-[5-9]|opus-4-[78])", 1.4),  # a finer tokenizer since Opus 4.7
    (r"claude", 1.18),
    (r"gemini|gemma", 1.05),
    (r"deepseek", 1.02),
    (r"llama", 1.08),
    (r"qwen|qwq", 1.07),
    (r"nova|titan", 1.06),
    (r"mistral|mixtral|ministral|magistral|devstral|pixtral", 1.15),
)
OTHER_FACTOR: Final = 1.1
_MEMO_LIMIT: Final = 1024
_LONGEST_NAME: Final = 512
_memo: dict[str, tuple[EncodingName, float]] = {}


def tokenizer_of(model: str) -> tuple[EncodingName, float]:
    """The encoding to count with and the factor on its count: 1 where the count is exact."""
    known = _memo.get(model)
    if known is None:
        if len(_memo) >= _MEMO_LIMIT:
            _memo.clear()
        known = _memo[model[:_LONGEST_NAME]] = _tokenizer_of(model[:_LONGEST_NAME])
    return known


def _tokenizer_of(model: str) -> tuple[EncodingName, float]:
    name = model.strip().lower().rpartition("/")[2].removeprefix("openai.")
    for pattern, encoding_name in _EXACT:
        if re.match(pattern, name):
            return encoding_name, 1.0
    return "o200k_base", next((factor for pattern, factor in _FACTORS if re.search(pattern, name)), OTHER_FACTOR)


def count_tokens(text: str | Sequence[Mapping[str, Any]], model: str) -> int:
    """Tokens of a text, or of chat messages in OpenAI's form with what frames them, for a model.

    Exact for text to OpenAI's models; elsewhere the estimate that the module describes. The first call loads the
    tokenizer, which takes some tenths of a second. Raises ConfigError when its data is damaged.
    """
    name, factor = tokenizer_of(model)
    if not text:
        return 0
    counter = encoding(name)
    if isinstance(text, str):
        count = _count(counter, text)
    else:
        pieces, frames = _spoken(text)
        count = frames + sum(_count(counter, piece) for piece in pieces)
    return count if factor == 1.0 else max(1, round(count * factor))


def estimate_tokens(text: str | Sequence[Mapping[str, Any]]) -> int:
    """Tokens of a text or of chat messages, roughly, in microseconds and without a tokenizer: see `estimate`."""
    if isinstance(text, str):
        return estimate_text(text)
    if not text:
        return 0
    pieces, frames = _spoken(text)
    return frames + sum(estimate_text(piece) for piece in pieces)


def _spoken(messages: Sequence[Mapping[str, Any]]) -> tuple[list[str], int]:
    """The texts of a conversation, and the tokens that frame them."""
    pieces: list[str] = []
    frames = PER_REPLY
    for message in messages:
        frames += PER_MESSAGE
        pieces.append(str(message.get("role") or ""))
        if content := content_text(message.get("content")):
            pieces.append(content)
        if name := message.get("name"):
            frames += PER_NAME
            pieces.append(str(name))
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            pieces.append(str(function.get("name") or ""))
            pieces.append(str(function.get("arguments") or ""))
    return pieces, frames


def _count(counter: Encoding, text: str) -> int:
    if len(text) <= PIECE:
        return len(counter.encode_ordinary(text))
    count = begin = 0
    while begin < len(text):
        end = _cut(text, begin)
        count += len(counter.encode_ordinary(text[begin:end]))
        begin = end
    return count


def _cut(text: str, begin: int) -> int:
    """Where to end a piece: before a blank between two letters, where no token reaches over, if there is one near."""
    end = begin + PIECE
    if end >= len(text):
        return len(text)
    at = end
    for _ in range(CUT_TRIES):
        at = text.rfind(" ", begin + 1, at)
        if at < 0:
            break
        if text[at - 1].isalpha() and text[at + 1].isalpha():
            return at
    return end
