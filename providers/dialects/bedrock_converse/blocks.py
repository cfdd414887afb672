"""Converse's content blocks against OpenAI's messages and parts.

A block is named by its one key. Blocks without a common form (video, guarded content) are parts as they are, and only
this format writes them back; a cache point is a mark on the part before it, as Anthropic has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.bedrock import Takes
from providers.dialects.bedrock_converse.documents import plain_name
from providers.errors import InvalidRequestError
from providers.types import Message

_IMAGES: Final = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}
_DOCUMENTS: Final = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
CACHE_CONTROL: Final = "cache_control"


# --- out ------------------------------------------------------------------------------------------------------------


def from_message(message: Message, index: int, turns: list[Message], takes: Takes) -> None:
    """Append a message in OpenAI's form. Turns must alternate, so one in the role of the last turn joins it."""
    role = message.get("role")
    if role == "tool":
        role, blocks = "user", [_tool_result(message, index)]
    elif role == "assistant":
        blocks = _assistant(message, index, takes)
    else:
        role, blocks = "user", content_blocks(message.get("content"), index, takes)
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    elif blocks:
        turns.append({"role": role, "content": blocks})


def content_blocks(content: Any, index: int, takes: Takes | None = None) -> list[dict[str, Any]]:
    """Content as blocks, without marks unless the model takes them; the API refuses blank texts, so there are none.

    Raises InvalidRequestError.
    """
    blocks: list[dict[str, Any]] = []
    for part in [content] if isinstance(content, str) else content or ():
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        kind = part.get("type")
        if kind == "text" or (kind is None and "text" in part):
            if (part.get("text") or "").strip():
                blocks.append({"text": part["text"]})
        elif kind == "image_url":
            blocks.append({"image": _image(forms.image_address(part), index)})
        elif kind == "file":
            blocks.append({"document": _document(part.get("file"), index)})
        elif kind is None:
            blocks.append({k: v for k, v in part.items() if k != CACHE_CONTROL})
        else:
            raise InvalidRequestError(
                f"messages[{index}] has a part of type {kind!r}; Converse takes text, image_url and file"
            )
        if takes is not None and takes.marks and blocks and part.get(CACHE_CONTROL):
            blocks.append(cache_point(part[CACHE_CONTROL], takes))
    return blocks


def cache_point(control: object, takes: Takes) -> dict[str, Any]:
    """The block that ends what is cached."""
    ttl = control.get("ttl") if isinstance(control, Mapping) and takes.tool_marks else None
    return {"cachePoint": {"type": "default"} if ttl is None else {"type": "default", "ttl": ttl}}


def _image(url: str, index: int) -> dict[str, Any]:
    if url.startswith("s3://"):
        kind = _IMAGES.get(url.rpartition(".")[2].lower(), "png")
        return {"format": kind, "source": {"s3Location": {"uri": url}}}
    data = forms.data_url(url)
    form = _IMAGES.get(data[0].removeprefix("image/")) if data is not None else None
    if data is None or form is None:
        raise InvalidRequestError(
            f"messages[{index}] has an image that Converse does not take; "
            "give it as data:image/…;base64,… in PNG, JPEG, GIF or WebP, or by its s3:// address"
        )
    return {"format": form, "source": {"bytes": data[1]}}


def _document(file: object, index: int) -> dict[str, Any]:
    address = file.get("file_data") if isinstance(file, Mapping) else None
    data = forms.data_url(address) if isinstance(address, str) else None
    kind = next((kind for kind, media in _DOCUMENTS.items() if data is not None and data[0] == media), None)
    if data is None or kind is None or not isinstance(file, Mapping):
        raise InvalidRequestError(
            f"messages[{index}] has a file that Converse does not take; give file.file_data as data:TYPE;base64,… "
            f"of a {', '.join(_DOCUMENTS)} document"
        )
    return {"format": kind, "name": plain_name(file.get("filename")), "source": {"bytes": data[1]}}


def _assistant(message: Message, index: int, takes: Takes) -> list[dict[str, Any]]:
    thoughts = message.get(forms.THINKING_BLOCKS) or () if takes.thoughts else ()
    blocks = [block for thought in thoughts for block in _reasoning(thought)]
    blocks += content_blocks(forms.said(message), index, takes)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        arguments = forms.arguments_object(function.get("arguments"))
        if arguments is None:
            raise InvalidRequestError(
                f"messages[{index}]: the arguments of tool call {function.get('name')!r} are not a JSON object"
            )
        use = {"toolUseId": forms.plain_call_id(call.get("id")), "name": function.get("name") or "", "input": arguments}
        blocks.append({"toolUse": use})
    return blocks


def _reasoning(thought: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A thought to be sent back: Claude's own are signed or redacted, and it refuses any other."""
    if thought.get("type") == "redacted_thinking":
        return [{"reasoningContent": {"redactedContent": thought.get("data")}}]
    if not thought.get("signature"):
        return []
    text = {"text": thought.get("thinking") or "", "signature": thought["signature"]}
    return [{"reasoningContent": {"reasoningText": text}}]


def _tool_result(message: Message, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "toolUseId": forms.plain_call_id(message.get("tool_call_id")),
        "content": content_blocks(message.get("content"), index),
    }
    if message.get("is_error") is True:
        result["status"] = "error"
    return {"toolResult": result}


# --- in -------------------------------------------------------------------------------------------------------------


def to_messages(turn: Mapping[str, Any], index: int, messages: list[Message]) -> None:
    """Append a turn as messages in OpenAI's form: one for each tool result, one for the rest."""
    role, content = turn["role"], turn.get("content")
    if role not in ("user", "assistant", "system"):
        raise InvalidRequestError(f"messages[{index}].role is {role!r}; use 'user' or 'assistant'")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise InvalidRequestError(f"messages[{index}].content must be a list of content blocks")
    if role == "assistant":
        messages.append(_read_assistant(content))
        return
    blocks: list[dict[str, Any]] = []
    for block in content:
        if "toolResult" not in block:
            blocks.append(block)
            continue
        _append(role, blocks, messages)
        blocks = []
        messages.append(_read_result(forms.object_field(block, "toolResult")))
    _append(role, blocks, messages)


def _append(role: str, blocks: list[dict[str, Any]], messages: list[Message]) -> None:
    parts = read_parts(blocks)
    if parts:
        messages.append({"role": role, "content": plain(parts)})


def read_parts(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks as parts of a message. Raises InvalidRequestError."""
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if "cachePoint" in block:
            # One that follows nothing it could be a mark on is a hint that can be left out.
            if parts:
                parts[-1][CACHE_CONTROL] = read_cache_point(block)
        elif "text" in block:
            parts.append({"type": "text", "text": forms.text_field(block, "text") or ""})
        elif "image" in block:
            parts.append(_read_image(forms.object_field(block, "image")) or dict(block))
        elif "document" in block:
            parts.append(_read_document(forms.object_field(block, "document")) or dict(block))
        elif "citationsContent" in block:
            parts.append({"type": "text", "text": _cited_text(forms.object_field(block, "citationsContent"))})
        elif "json" in block:
            parts.append({"type": "text", "text": forms.arguments_text(block["json"])})
        else:
            parts.append(dict(block))
    return parts


def plain(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """The text alone, where parts are one text and nothing else."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _cited_text(cited: Mapping[str, Any]) -> str:
    """The text of an answer that comes with its sources."""
    return "".join(forms.text_field(piece, "text") or "" for piece in forms.objects_field(cited, "content"))


def read_cache_point(block: Mapping[str, Any]) -> dict[str, Any]:
    ttl = forms.text_field(forms.object_field(block, "cachePoint"), "ttl")
    return {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}


def _read_image(image: Mapping[str, Any]) -> dict[str, Any] | None:
    source = forms.object_field(image, "source")
    data, place = source.get("bytes"), forms.object_field(source, "s3Location").get("uri")
    if isinstance(data, str):
        return forms.image_part(f"data:image/{image.get('format')};base64,{data}")
    return forms.image_part(place) if isinstance(place, str) else None


def _read_document(document: Mapping[str, Any]) -> dict[str, Any] | None:
    data = forms.object_field(document, "source").get("bytes")
    media = _DOCUMENTS.get(str(document.get("format")))
    if not isinstance(data, str) or media is None:
        return None
    return {
        "type": "file",
        "file": {"filename": str(document.get("name") or ""), "file_data": f"data:{media};base64,{data}"},
    }


def _read_result(result: Mapping[str, Any]) -> Message:
    content = plain(read_parts(forms.objects_field(result, "content")))
    message: Message = {
        "role": "tool",
        "tool_call_id": forms.text_field(result, "toolUseId") or "",
        "content": content or "",
    }
    if result.get("status") == "error":
        message["is_error"] = True
    return message


def _read_assistant(content: list[dict[str, Any]]) -> Message:
    blocks: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    thinking: list[dict[str, Any]] = []
    for block in content:
        if "toolUse" in block:
            use = forms.object_field(block, "toolUse")
            name, ident = forms.text_field(use, "name"), forms.text_field(use, "toolUseId")
            if name is None or ident is None:
                raise InvalidRequestError("a toolUse block has no toolUseId or no name")
            function = {"name": name, "arguments": forms.arguments_text(use.get("input"))}
            calls.append({"id": ident, "type": "function", "function": function})
        elif "reasoningContent" in block:
            thought = read_thought(forms.object_field(block, "reasoningContent"))
            if thought is not None:
                thinking.append(thought)
        else:
            blocks.append(block)
    message: Message = {"role": "assistant", "content": plain(read_parts(blocks)) or None}
    if calls:
        message["tool_calls"] = calls
    if thinking:
        message[forms.THINKING_BLOCKS] = thinking
    return message


def read_thought(reasoning: Mapping[str, Any]) -> dict[str, Any] | None:
    """Reasoning in Anthropic's form of it."""
    redacted, said = reasoning.get("redactedContent"), reasoning.get("reasoningText")
    if redacted is not None:
        return {"type": "redacted_thinking", "data": redacted}
    if not isinstance(said, dict):
        return None
    thought = {"type": "thinking", "thinking": said.get("text") or ""}
    if said.get("signature"):
        thought["signature"] = said["signature"]
    return thought
