"""Keeps credentials out of every text that leaves the process: errors, logs, traces, fixtures, screens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

MASK = "[redacted]"

# Shapes of credentials, so that a key is caught even where nobody knows its value (a vendor echoing it in an error).
_KEY_SHAPES = r"""
      \bsk-[A-Za-z0-9_\-*.]{6,}                              # OpenAI, Anthropic, DeepSeek, OpenRouter
    | \bgsk_[A-Za-z0-9]{8,}                                  # Groq
    | \bAIza[A-Za-z0-9_\-]{10,}                              # Google
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,}                           # AWS access key ids
    | \b(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=]{20,}         # Amazon Bedrock
    | \beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*   # JWT
"""
# What stands where a credential usually does; in an answer about programming it may be a variable's name.
_CONTEXTS = r"""
    | (?<=Bearer\s)[A-Za-z0-9._~+/=\-]{6,}
    | (?<=Signature=)[0-9a-fA-F]{16,}                        # SigV4
    | (?<=Credential=)[^,\s&]{8,}
    | (?<=://)[^\s/@:]*:[^\s/@]+(?=@)                         # user and password of an address
    | (?i:(?<=api-key:\s)|(?<=api_key=)|(?<=apikey=)|(?<=[?&]key=))[A-Za-z0-9._\-]{6,}
"""
_KEYS = re.compile(_KEY_SHAPES, re.VERBOSE)
_SHAPES = re.compile(_KEY_SHAPES + _CONTEXTS, re.VERBOSE)

# Names of headers that carry a credential, or say whose account it is: authorization, x-api-key, x-goog-api-key,
# x-amz-security-token, set-cookie, openai-organization, anthropic-organization-id, x-goog-user-project and their like.
_SECRET_HEADER = re.compile(
    r"""
      api-?key | subscription-key
    | (?:^|-) (?: authorization | cookie2? | password | secret | signature | credentials? ) $
    | (?:^|-) (?: access | auth | authorization | csrf | id | refresh | security | session ) -token $ | ^token$
    | (?:^|-) (?: account | organi[sz]ation | project | tenant | user ) (?:-id)? $
    """,
    re.VERBOSE,
)
# Names of query parameters that carry a credential: Gemini's `key`, the signed addresses of AWS, Google and Azure.
_SECRET_PARAMETER = re.compile(
    r"""(?i)([?&](?:
        key | api[-_]?key | token | (?:access|auth|id|security)[-_]token | auth | password | secret | client_secret
      | sig | signature | credential | x-(?:amz|goog)-(?: signature | credential | security-token )
    )=)[^&#]*""",
    re.VERBOSE,
)

_UNESCAPED = re.compile(r"[A-Za-z0-9_.~\-]*")
"""Text that neither a URL nor JSON writes differently."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with known secrets, also as a URL or JSON writes them, and anything shaped like a credential masked."""
    # The longest first: a secret that begins like another one would else leave the rest of it to be read.
    for form in sorted(_known(secrets), key=len, reverse=True):
        text = text.replace(form, MASK)
    return _SHAPES.sub(MASK, text)


def _known(secrets: Iterable[str]) -> set[str]:
    """All forms of secrets that are long enough to be no word by chance."""
    return {form for secret in secrets if secret and len(secret) >= 4 for form in _forms(secret)}


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


def holds_key(text: str, secrets: Iterable[str] = ()) -> bool:
    """Whether a known secret, or what can hardly be anything but a key, is in `text`."""
    return _KEYS.search(text) is not None or any(form in text for form in _known(secrets))


def spans(text: str, secrets: Iterable[str] = ()) -> list[tuple[int, int]]:
    """Where in `text` credentials lie, as `redact` finds them: in order, none touching another."""
    known = merged(match.span() for form in _known(secrets) for match in re.finditer(re.escape(form), text))
    for begin, end in known:
        text = f"{text[:begin]}{' ' * (end - begin)}{text[end:]}"
    return merged([*known, *(match.span() for match in _SHAPES.finditer(text))])


def merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places in a text in order, those that overlap or touch as one."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(places):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def redact_path(path: str, secrets: Iterable[str] = ()) -> str:
    """A path with its query, without the values of parameters that carry credentials."""
    return redact(_SECRET_PARAMETER.sub(lambda match: match[1] + MASK, path), secrets)


def redact_headers(headers: Mapping[str, str], secrets: Sequence[str] = ()) -> dict[str, str]:
    """Headers in lower case without the ones that carry credentials or name an account."""
    return {k.lower(): redact(v, secrets) for k, v in headers.items() if not _SECRET_HEADER.search(k.lower())}
