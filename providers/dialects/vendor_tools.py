"""Tools that a vendor runs itself, such as OpenAI's web search: on failover, another vendor would answer 400 to them.

Told by their shape, because requests carry them as their caller wrote them. What is not known to be another vendor's
is sent as it is: compatible servers have tools of their own, and vendors make new ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_OF: Final = {
    "anthropic_messages": "Anthropic's Messages API",
    "bedrock_converse": "Bedrock's Converse API",
    "gemini": "Google's Gemini API",
    "openai_chat": "OpenAI's chat completions",
    "openai_responses": "OpenAI's Responses API",
}
"""Whose tools they are, by the dialect that carries them."""
_CARRIES: Final[Mapping[str, str]] = {"gemini_array": "gemini", "bedrock_invoke": "anthropic_messages"}
"""Dialects that carry what another one does."""
_TOOLLESS: Final = {"openai_completions": "the completions API", "ollama_generate": "Ollama's /api/generate"}

# Anthropic's tool reference: each has its version's date in its type, but for the toolset of MCP.
_ANTHROPIC: Final = re.compile(r".+_20\d{6}|mcp_toolset")
# OpenAI's guide to tools: some exist with a preview's name or a date too.
_RESPONSES: Final = re.compile(
    r"(web_search|file_search|code_interpreter|computer|computer_use|mcp|image_generation|local_shell|shell|apply_patch)"
    r"(_preview)?(_20\d\d_\d\d_\d\d)?"
)
_CONVERSE: Final = frozenset({"toolSpec", "systemTool", "cachePoint"})


def home(tool: Mapping[str, Any]) -> str | None:
    """The dialect that carries a tool which its vendor runs; None for a function, and for what is not known."""
    if "function" in tool:
        return None
    kind = tool.get("type")
    if "input_schema" in tool or (isinstance(kind, str) and _ANTHROPIC.fullmatch(kind)):
        return "anthropic_messages"
    if isinstance(kind, str):
        if kind in tool:
            # The form of chat completions. Servers that are compatible with it have tools of their own.
            return "openai_chat" if kind == "custom" else None
        return "openai_responses" if kind == "custom" or _RESPONSES.fullmatch(kind) else None
    if kind is None and tool and all(isinstance(part, Mapping) for part in tool.values()):
        return "bedrock_converse" if _CONVERSE.issuperset(tool) else "gemini"
    return None


def cannot(tools: Sequence[Mapping[str, Any]], dialect: str, *, own_server: bool = False) -> str | None:
    """What of these tools a dialect cannot carry, to follow `openai cannot …`; None: nothing that is known.

    `own_server`: it is not the vendor that speaks OpenAI's chat completions there. Some such servers take the tools of
    OpenAI's Responses API in them.
    """
    if dialect in _TOOLLESS:
        return f"take tools: {_TOOLLESS[dialect]} has none"
    carried = _CARRIES.get(dialect, dialect)
    also = "openai_responses" if own_server and carried == "openai_chat" else carried
    for tool in tools:
        whose = home(tool)
        if whose not in (None, carried, also):
            name = tool.get("type") or tool.get("name") or next(iter(tool))
            return f"run {str(name)[:60]!r}, a tool of {_OF[whose]}"
    return None
