"""Keeps credentials out of every text that leaves the process: errors, logs, traces, fixtures, screens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASK = "[redacted]"

# Shapes of credentials, so that a key is caught even where nobody knows its value (a vendor echoing it in an error).
_SHAPES = re.compile(
    r"""
      \bsk-[A-Za-z0-9_\-*.]{6,}                              # OpenAI, Anthropic, DeepSeek, OpenRouter
    | \bgsk_[A-Za-z0-9]{8,}                                  # Groq
    | \bAIza[A-Za-z0-9_\-]{10,}                              # Google
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,}                           # AWS access key ids
    | \beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*   # JWT
    | (?<=Bearer\s)[A-Za-z0-9._\-]{6,}
    | (?<=Signature=)[0-9a-fA-F]{16,}                        # SigV4
    | (?<=Credential=)[^,\s]{8,}
    | (?i:(?<=api-key:\s)|(?<=api_key=)|(?<=apikey=)|(?<=[?&]key=))[A-Za-z0-9._\-]{6,}
    """,
    re.VERBOSE,
)

_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "set-cookie",
     "x-amz-security-token", "openai-organization", "openai-project"}
)  # fmt: skip


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with known secrets and anything shaped like a credential replaced by a mask."""
    for secret in secrets:
        if secret and len(secret) >= 4:
            text = text.replace(secret, MASK)
    return _SHAPES.sub(MASK, text)


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers in lower case without the ones that carry credentials."""
    return {k.lower(): redact(v) for k, v in headers.items() if k.lower() not in _SECRET_HEADERS}
