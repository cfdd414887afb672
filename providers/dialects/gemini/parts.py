"""Gemini's parts against OpenAI's: text, images, sound and files; whatever else Google has is handed through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from providers.dialects import forms
from providers.dialects.gemini.spelling import camel_field
from providers.errors import InvalidRequestError

_IMAGES: Final = {
    "gif": "image/gif", "heic": "image/heic", "heif": "image/heif", "jpeg": "image/jpeg", "jpg": "image/jpeg",
    "png": "image/png", "webp": "image/webp",
}  # fmt: skip
_SOUNDS: Final = {"audio/mpeg": "mp3", "audio/x-wav": "wav"}
"""Formats that OpenAI calls by another name than the second half of the media type."""


def write_parts(content: Any, index: int) -> list[dict[str, Any]]:
    """The parts of a message's content, without empty texts, which are refused.

    Raises InvalidRequestError, naming message `index`, for a foreign kind.
    """
    parts = [content] if isinstance(content, str) else content or ()
    return [written for part in parts if (written := _write(part, index)) != {"text": ""}]


def _write(part: Any, index: int) -> dict[str, Any]:
    if isinstance(part, str):
        return {"text": part}
    match part.get("type"):
        case "text":
            return {"text": part.get("text") or ""}
        case "image_url":
            return _by_address(forms.image_address(part))
        case "input_audio":
            sound = part.get("input_audio")
            if isinstance(sound, Mapping) and isinstance(sound.get("data"), str):
                return _inline(f"audio/{sound.get('format') or 'wav'}", sound["data"])
            raise InvalidRequestError(f"messages[{index}] has an input_audio part without input_audio.data")
        case "file":
            file = part.get("file")
            address = file.get("file_data") if isinstance(file, Mapping) else None
            found = forms.data_url(address) if isinstance(address, str) else None
            if found is None:
                raise InvalidRequestError(
                    f"messages[{index}] has a file without file.file_data in the form data:application/pdf;base64,…"
                )
            return _inline(*found)
        case None:
            return dict(part)
    raise InvalidRequestError(f"messages[{index}] has a part of type {part['type']!r}, which Gemini does not take")


def _by_address(url: str) -> dict[str, Any]:
    inline = forms.data_url(url)
    if inline is not None:
        return _inline(*inline)
    file = {"fileUri": url}
    media = _IMAGES.get(_path(url).rpartition(".")[2].lower())
    if media is not None:
        file["mimeType"] = media
    return {"fileData": file}


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        raise InvalidRequestError(f"an image's address is {url[:60]!r}, which is none") from None


def signatures_of(holder: Mapping[str, Any]) -> dict[int | None, str]:
    """The thought signatures in a message or a completion's metadata: by number of the call, None for the text."""
    return {
        one.get("call"): one["signature"]
        for one in holder.get(forms.THOUGHT_SIGNATURES) or ()
        if isinstance(one.get("signature"), str) and isinstance(one.get("call"), (int, type(None)))
    }


def _inline(media: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media, "data": data}}


def read_part(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A part, its names in camel case, in the common form. Raises InvalidRequestError, naming `where`."""
    if "text" in part:
        text = part["text"]
        if not isinstance(text, str):
            raise InvalidRequestError(f"{where} has a text that is not a string")
        return {"type": "text", "text": text}
    if part.keys() == {"inlineData"}:
        blob = camel_field(part, "inlineData")
        media, data = forms.text_field(blob, "mimeType") or "", forms.text_field(blob, "data") or ""
        return _read_inline(media, data)
    if part.keys() == {"fileData"}:
        file = camel_field(part, "fileData")
        media, address = forms.text_field(file, "mimeType") or "", forms.text_field(file, "fileUri") or ""
        # Other files, and those in Google's own stores, mean nothing to anyone else.
        if media.startswith("image/") and address.startswith(("http:", "https:")):
            return forms.image_part(address)
    return dict(part)


def _read_inline(media: str, data: str) -> dict[str, Any]:
    if media.startswith("image/"):
        return forms.image_part(f"data:{media};base64,{data}")
    if media.startswith("audio/"):
        return {"type": "input_audio", "input_audio": {"data": data, "format": _SOUNDS.get(media, media[6:])}}
    return {"type": "file", "file": {"file_data": f"data:{media};base64,{data}"}}
