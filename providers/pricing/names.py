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

# Compiled by `re` when first used: most programs only ever ask for names that an entry fits as they stand.
_COMPACT_DATE = r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|@|$)"
_GEOGRAPHY = r"^(?:global|regional|us-gov|us|eu|apac|au|jp|in|ca|sa|me|af|il|uk|mx)\.(?=[a-z0-9-]+\.)"
_HOUSE = r"^(?:anthropic|amazon|meta|mistral|cohere|ai21|openai|deepseek|qwen|google|nvidia|writer|moonshotai|zai)\."
_VERSION = r"(?:-v\d+)?(?::\d+)?$"
_SNAPSHOT = r"(?:-latest|@[\w-]+|-20\d\d-?[01]\d-?[0-3]\d)$"
_DIGIT_DOT = r"(?<=\d)\.(?=\d)"


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
    """The name as asked; then without a path (`models/…`, `openai/…`, an ARN); then with its date in dashes."""
    asked = name.strip().lower()
    yield asked
    _, slash, last = asked.rpartition("/")
    if slash and last:
        yield last
    dashed = re.sub(_COMPACT_DATE, r"-\1-\2-\3", last)
    if dashed != last:
        yield dashed


def plain(name: str) -> str:
    """The model family's bare name: no path, region, house, version or snapshot; `claude-3.5` and `claude-3-5` are one.

    >>> plain("us.anthropic.claude-3-sonnet-20240229-v1:0")
    'claude-3-sonnet'
    """
    bare = name.strip().lower().rpartition("/")[2]
    bare = re.sub(_GEOGRAPHY, "", bare)
    bare = re.sub(_HOUSE, "", bare)
    bare = re.sub(_VERSION, "", bare)
    bare = re.sub(_SNAPSHOT, "", bare)
    return re.sub(_DIGIT_DOT, "-", bare)


def is_snapshot(name: str) -> bool:
    """Whether a name says more than the family: a date, a version, a region."""
    return plain(name) != re.sub(_DIGIT_DOT, "-", name.strip().lower())
