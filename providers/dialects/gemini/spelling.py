"""Google's JSON as people write it: both spellings of a name, and one object where a list of them is meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from providers.dialects import forms

_SNAKE: Final = re.compile(r"_([a-z])")


def camel(data: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its own names in camel case; Google reads `max_output_tokens` as `maxOutputTokens`.

    What lies deeper stays as it is: the names inside arguments, results and schemas' properties are the caller's.
    """
    return {_SNAKE.sub(lambda found: found[1].upper(), key) if "_" in key else key: data[key] for key in data}


def camel_field(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object in a field, its names in camel case; empty where it is absent. Raises InvalidRequestError."""
    return camel(forms.object_field(data, name))


def listed(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects in a field, which may be one without a list around it. Raises InvalidRequestError."""
    value = data.get(name)
    return [value] if isinstance(value, dict) else forms.objects_field(data, name)
