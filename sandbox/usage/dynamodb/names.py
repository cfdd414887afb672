"""How the table is laid out: its key, its indexes, and the items in it that are no records.

Records have the attributes that the seeds of this program describe. Everything else lies in the same table, so that
one name, one policy and one backup hold all of it, under keys and index values that begin with MARK, which no tenant
of a report does. An item of that kind carries the attribute KIND, and is passed over where records are read.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

KEY: Final = "log_id"
TENANT: Final = "tenant_id"
AGENT: Final = "agent_id"
TIME: Final = "timestamp"
TENANT_INDEX: Final = "tenant_id-timestamp-index"
AGENT_INDEX: Final = "agent_id-timestamp-index"
INDEXES: Final = {TENANT_INDEX: TENANT, AGENT_INDEX: AGENT}
"""Each index and its hash key; its range key is TIME."""
EXPIRY: Final = "expires_at"
"""Seconds since 1970 at which DynamoDB may delete a record: the table's TTL attribute."""

MARK: Final = "§"
KIND: Final = "item"
LONGEST_KEY: Final = 2048
"""Bytes of a hash key."""
LONGEST_RANGE: Final = 1024
"""Bytes of a range key."""
LONGEST_TEXT: Final = 2**14
"""Bytes of any other text by which records are told apart: an item has 400 KB in all, and a name as long as that would
hold up every record behind it."""
NOBODY: Final = MARK
"""Stands for an empty text where an index needs one."""

_DIGEST: Final = 16


def fitting(text: str, limit: int) -> str:
    """The text, or where it is longer than `limit` bytes its beginning and a digest of all of it."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    digest = blake2b(raw, digest_size=_DIGEST).hexdigest()
    return raw[: limit - len(digest) - 1].decode(errors="ignore") + "~" + digest


def shortened(text: str) -> str:
    """The text as records and roll-ups have it."""
    return text if len(text) <= LONGEST_TEXT // 4 else fitting(text, LONGEST_TEXT)


def indexed(text: str) -> str:
    """A tenant or agent as the hash value of its index."""
    return fitting(text, LONGEST_KEY) or NOBODY


def request_shelf(request_id: str) -> str:
    """The part of the tenant index where the request's id is found: one for each first character, to spread them."""
    return f"{MARK}request#{request_id[0]}"


def request_key(request_id: str) -> str:
    return fitting(f"{MARK}request#{request_id}", LONGEST_KEY)


FACTS: Final = f"{MARK}facts"
"""The key of the item that says up to when records were deleted."""
