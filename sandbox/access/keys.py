"""API keys: made once and shown once; what is kept is their hash.

A key has 256 random bits, so that a fast hash is as good as a slow one: nobody can try them all. It begins as the
vendors' keys do, by which the redaction of logs and errors knows it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from hashlib import sha256

from providers.clock import random_id
from sandbox.settings.serving import HashedKey

PREFIX = "sk-sandbox-"


def new_key(ids: Callable[[], str] = random_id) -> str:
    """A key that nobody has. `ids`: 32 random hexadecimal digits a call."""
    return f"{PREFIX}{ids()}{ids()}"


def hashed(name: str, scopes: Iterable[str], key: str) -> HashedKey:
    """What is kept of a key."""
    return HashedKey(name, frozenset(scopes), digest(key))


def digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def find(keys: Iterable[HashedKey], key: str) -> HashedKey | None:
    """The one of `keys` that this is; None: none of them.

    Each is compared, and each to its end, so that the time tells neither which one it is nor how near it came.
    """
    given, found = digest(key), None
    for one in keys:
        if hmac.compare_digest(one.sha256, given):
            found = one
    return found
