"""What AWS asks of the documents in a conversation: each a name of its own, and a text beside them.

Source: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html and …/API_runtime_Message.html.
"""

from __future__ import annotations

import re
from typing import Any, Final

from providers.types import Message

MAX_NAME: Final = 200
_NOT_IN_NAMES: Final = r"[^A-Za-z0-9()\[\]-]+"
_UNNAMED: Final = "document"


def plain_name(filename: object) -> str:
    """A file's name as the API takes it, which refuses dots and most other marks."""
    return re.sub(_NOT_IN_NAMES, " ", str(filename or "")).strip()[:MAX_NAME].strip() or _UNNAMED


def settle(turns: list[Message]) -> None:
    """Number documents of one name, and say the name where a turn says nothing else."""
    taken: set[str] = set()
    for turn in turns:
        blocks = turn["content"] = [_settled(block, taken) for block in turn["content"]]
        names = [block["document"].get("name") for block in blocks if isinstance(block.get("document"), dict)]
        if names and not any("text" in block for block in blocks):
            blocks.insert(0, {"text": str(names[0] or _UNNAMED)})


def _settled(block: dict[str, Any], taken: set[str]) -> dict[str, Any]:
    document, result = block.get("document"), block.get("toolResult")
    if isinstance(document, dict) and isinstance(document.get("name"), str):
        return {**block, "document": {**document, "name": _own(document["name"], taken)}}
    if isinstance(result, dict) and isinstance(result.get("content"), list):
        inner = [_settled(one, taken) if isinstance(one, dict) else one for one in result["content"]]
        return {**block, "toolResult": {**result, "content": inner}}
    return block


def _own(name: str, taken: set[str]) -> str:
    own, number = name, 1
    while own.lower() in taken:
        number += 1
        mark = f" ({number})"
        own = name[: MAX_NAME - len(mark)].rstrip() + mark
    taken.add(own.lower())
    return own
