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


_UNESCAPED = re.compile(r"[A-Za-z0-9_.~\-]*")
"""Text that neither a URL nor JSON writes differently."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with known secrets, also as a URL or JSON writes them, and anything shaped like a credential masked."""
    forms = {form for secret in secrets if secret and len(secret) >= 4 for form in _forms(secret)}
    # The longest first: a secret that begins like another one would else leave the rest of it to be read.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return _SHAPES.sub(MASK, text)


def _forms(secret: str) -> tuple[str, ...]:
    if _UNESCAPED.fullmatch(secret):
        return (secret,)
    # Keys with such characters are rare, and the module is one of the first to be loaded.
    import json
    from urllib.parse import quote, quote_plus

    escaped = (quote(secret, safe, errors="replace") for safe in ("", "/"))
    plus = quote_plus(secret, errors="replace")
    urls = [form for each in (*escaped, plus) for form in (each, _lower_escapes(each))]
    texts = [json.dumps(secret, ensure_ascii=ascii)[1:-1] for ascii in (True, False)]
    return (secret, *urls, *texts, *(each.replace("/", "\\/") for each in texts))


def _lower_escapes(quoted: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers in lower case without the ones that carry credentials."""
    return {k.lower(): redact(v) for k, v in headers.items() if k.lower() not in _SECRET_HEADERS}
