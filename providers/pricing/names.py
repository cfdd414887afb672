"""Which catalogue entry a model name means. Vendors, clouds and gateways spell one model in many ways.

A pattern is a plain name (equal), `x*` (begins), `*x` (ends), `*x*` (contains), `~x` (regular expression), or a list of
patterns that must all fit. Names are compared in lower case; the first entry that fits wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Pattern = str | Sequence[str]

PROVIDER_ALIASES = {
    "aws": "bedrock",
    "azure": "azure_openai",
    "google": "gemini",
    "vertex": "gemini",
}
"""Other words for the providers that the catalogues know."""

_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|@|$)")
_GEOGRAPHY = re.compile(r"^(?:global|regional|us-gov|us|eu|apac|au|jp|in|ca|sa|me|af|il|uk|mx)\.(?=[a-z0-9-]+\.)")
_HOUSE = re.compile(r"^(?:anthropic|amazon|meta|mistral|cohere|ai21|openai|deepseek|qwen|google|nvidia|writer|moonshotai|zai)\.")
_VERSION = re.compile(r"(?:-v\d+)?(?::\d+)?$")
_SNAPSHOT = re.compile(r"(?:-latest|@[\w-]+|-20\d\d-?[01]\d-?[0-3]\d)$")
_DIGIT_DOT = re.compile(r"(?<=\d)\.(?=\d)")


def fits(pattern: Pattern, name: str) -> bool:
    """Whether a pattern fits a name in lower case."""
    if not isinstance(pattern, str):
        return all(fits(part, name) for part in pattern)
    if pattern[0] == "~":
        return re.search(pattern[1:], name) is not None
    if pattern[-1] == "*":
        return pattern[1:-1] in name if pattern[0] == "*" else name.startswith(pattern[:-1])
    if pattern[0] == "*":
        return name.endswith(pattern[1:])
    return pattern == name


def spellings(name: str) -> Iterator[str]:
    """The name as asked, then what is left of it without a path (`models/…`, `openai/…`, an ARN), then with dashed dates."""
    asked = name.strip().lower()
    yield asked
    _, slash, last = asked.rpartition("/")
    if slash and last:
        yield last
    dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", last)
    if dashed != last:
        yield dashed


def plain(name: str) -> str:
    """The model family's bare name: no path, region, house, version or snapshot; `claude-3.5` and `claude-3-5` are one.

    >>> plain("us.anthropic.claude-3-sonnet-20240229-v1:0")
    'claude-3-sonnet'
    """
    bare = name.strip().lower().rpartition("/")[2]
    bare = _GEOGRAPHY.sub("", bare)
    bare = _HOUSE.sub("", bare)
    bare = _VERSION.sub("", bare)
    bare = _SNAPSHOT.sub("", bare)
    return _DIGIT_DOT.sub("-", bare)
